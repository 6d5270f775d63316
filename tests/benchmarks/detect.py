"""Measure extract, predict, decode and detect beside a script with librosa and plain torch.

    python tests/benchmarks/detect.py [--rounds 3] [--clips 60]

Files have 10 s at 44.1 kHz. The network is dcase-crnn at its published size with random weights.
Thresholds are 0.5, and the median filter has 0.5 s. Measured are the three stages of wsedtk, in one
process, with files between them; and `detect`, on the same files and on one recording that joins
them. There, half-overlapping windows mean that each second is scored twice. The script uses
librosa's load and front end, the network in float32 in batches of 16, scipy's median filter, and
runs. The frame scores are compared.
"""

import warnings

import common
import librosa
import numpy as np
import scipy.ndimage
import soundfile
import torch

from wsedtk.data import store
from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint
from wsedtk.stages import decode, detect, extract, predict
from wsedtk.stages.options.results import DecodeOptions, DetectOptions, PredictOptions
from wsedtk.stages.options.systems import ExtractOptions

MEL = librosa.filters.mel(sr=16000, n_fft=4096, n_mels=64)


def script(paths, network, spec):
    """Return frame scores (N, T, K), and events as (path, onset, offset, class)."""
    mean, std = (torch.tensor(v, dtype=torch.float32) for v in (spec.mean, spec.std))
    frames, events = [], []
    for start in range(0, len(paths), 16):
        x = torch.from_numpy(
            np.stack([common.features_by_librosa(p, MEL) for p in paths[start : start + 16]])
        )
        with torch.no_grad():
            frames.append(network((x - mean) / std).frame.numpy())
    frames = np.concatenate(frames)
    for path, scores in zip(paths, frames):
        active = scipy.ndimage.median_filter(
            (scores >= 0.5).astype(np.uint8), size=(5, 1), mode="constant"
        )
        edges = np.diff(np.pad(active.astype(np.int8), ((1, 1), (0, 0))), axis=0)
        for k in range(active.shape[1]):
            events += [
                (path, a / 10, b / 10, k)
                for a, b in zip(np.flatnonzero(edges[:, k] == 1), np.flatnonzero(edges[:, k] == -1))
            ]
    return frames, events


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=60)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        paths = common.write_sounds(folder / "audio", options.clips)
        data, model = (
            common.write_set(folder / "set", options.clips, 17, paths),
            common.write_model(folder / "model", "dcase-crnn"),
        )
        spec, network, _ = checkpoint.load_model(model)
        half, flat = np.full(17, 0.5), np.zeros(17)
        operating_point.write(
            folder / "point.yaml",
            operating_point.OperatingPoint(
                "frame", list(spec.labels), half, half, half, flat, flat, False, "by hand"
            ),
        )
        plain = spec.build().eval()
        plain.load_state_dict(network.state_dict())

        def ours():
            options = ExtractOptions(
                data, folder / "f.h5", max_seconds=common.SECONDS, max_failures=0, device="cpu"
            )
            extract.run(options)
            predict.run(PredictOptions(model, folder / "f.h5", folder / "s.h5", device="cpu"))
            paths = (folder / "s.h5", folder / "point.yaml", folder / "out")
            decode.run(DecodeOptions(*paths, mode="frame"))

        def detection(sounds):
            detect.run(
                DetectOptions(
                    model,
                    sounds,
                    output=folder / "e.tsv",
                    operating_point=folder / "point.yaml",
                    max_failures=0,
                    device="cpu",
                )
            )

        soundfile.write(
            folder / "long.wav",
            np.concatenate([soundfile.read(path, dtype="int16")[0] for path in paths]),
            44100,
        )
        seconds = common.in_turn(
            {
                "wsedtk": ours,
                "script": lambda: script(paths, plain, spec),
                "detect": lambda: detection(paths),
                "detect in one": lambda: detection([folder / "long.wav"]),
            },
            options.rounds,
        )
        scores = store.ScoreFile(folder / "s.h5")
        worst = np.abs(
            np.stack([scores.frames(row) for row in range(len(scores))])
            - script(paths, plain, spec)[0]
        ).max()
        gain = common.ratio(seconds, "script", "wsedtk")
        rates = {
            name: f"{options.clips * common.SECONDS / min(values):.0f} x real time"
            for name, values in seconds.items()
        }
        table.row(
            "sound files to events",
            f"librosa and plain torch (frame scores differ by at most {worst:.1e})",
            rates["wsedtk"],
            rates["script"],
            f"{gain:.2f} x",
            ">= 2 x",
            gain >= 2,
            common.peak(),
        )
        for name, what in (
            ("detect", "detect, files of 10 s"),
            ("detect in one", "detect, one recording"),
        ):
            table.row(
                what,
                "librosa and plain torch, each second once",
                rates[name],
                rates["script"],
                f"{common.ratio(seconds, 'script', name):.2f} x",
                "",
                None,
            )


if __name__ == "__main__":
    main()
