"""Measure detect with YAMNet beside the interpreter of TensorFlow Lite, on the same files.

    python tests/benchmarks/detect_yamnet.py --weights FILE.tflite [--rounds 3] [--clips 200]

FILE.tflite is the published file of the ready model yamnet-tflite. The default is the file in the
folder that WSEDTK_TEST_DATA names. Without this file or the package ai-edge-litert, nothing is
measured, and no row is added.

Sounds are files of 10 s with 44.1 kHz. Both programs compute the scores of the same patches, one
every 0.32 s. They run in alternation:

- the command `wsedtk detect`, in float32 and with --fast. The start-up is excluded: speeds are
  computed from the difference between all files and a tenth of them;
- a script, in a process of its own, on a tenth of the files, once to warm up and once to measure.
  It uses librosa's load, and the interpreter with as many threads as torch uses, for one patch
  after the other. The weights have 8 bits, and most layers compute with 8 bits.

The scores of both programs are compared. Speeds are medians over the rounds.
"""

import importlib.util
import json
import os
import statistics
import time
from pathlib import Path

import common

HOP = 5120  # samples from patch to patch, at 16 kHz
BEFORE = 5120  # a patch begins this many samples before its frame of 0.32 s
NAME = "yamnet-tflite"
FILE = "yamnet/lite-model_yamnet_classification_tflite_1.tflite"


def interpreter_scores(paths, weights):
    """Return the scores (N, T, 521) of files, by the interpreter."""
    import librosa
    import numpy as np
    import torch
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(weights), num_threads=torch.get_num_threads())
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    scores = interpreter.get_output_details()[0]["index"]
    length = int(given["shape"][-1])

    def of_patch(patch):
        interpreter.set_tensor(given["index"], patch.reshape(given["shape"]))
        interpreter.invoke()
        return interpreter.get_tensor(scores)[0]

    found = []
    for path in paths:
        samples, _ = librosa.load(path, sr=16000)
        num_patches = len(samples) // HOP
        padded = np.pad(samples, (BEFORE, length))
        found.append([of_patch(padded[k * HOP : k * HOP + length]) for k in range(num_patches)])
    return np.array(found)


def one_program(folder, weights):
    """Run the script twice, and print the seconds of the second time, and the memory."""
    import numpy as np

    paths = sorted((folder / "few").iterdir())
    interpreter_scores(paths, weights)
    started = time.perf_counter()
    scores = interpreter_scores(paths, weights)
    seconds = time.perf_counter() - started
    np.save(folder / "interpreter.npy", scores)
    print(json.dumps({"seconds": seconds, "peak": common.peak()}))


def detect(folder, audio, *options):
    """Run `wsedtk detect`, and return the wall time and the peak memory in MiB."""
    wall, _, peak = common.wsedtk(
        *("detect", folder / "models" / NAME, audio, "--output", folder / "e.tsv"),
        "--overwrite",
        *("--seconds-per-frame", HOP / 16000, "--max-failures", 0, "--device", "cpu", "--quiet"),
        *options,
    )
    return wall, peak


def mean_difference(folder):
    """Return the mean absolute difference of the scores of both programs."""
    import numpy as np

    detect(folder, folder / "few", "--scores", folder / "scores")
    tables = [
        np.loadtxt(path, delimiter="\t", skiprows=1)
        for path in sorted((folder / "scores").iterdir())
    ]
    expected = np.load(folder / "interpreter.npy")
    ours = np.stack([table[: expected.shape[1], 2:] for table in tables])
    return np.abs(ours - expected).mean()


def beside_interpreter(table, folder, counts, rounds):
    """Measure the programs in alternation, and add the rows."""
    modes = ("--precise", "--fast")
    seconds = {kind: [] for kind in (*modes, "interpreter")}  # for 10 s of sound
    peaks = dict.fromkeys(modes, 0.0)
    for _ in range(rounds):
        for mode in modes:
            walls = []
            for name in counts:
                wall, peak = detect(folder, folder / name, mode)
                walls.append(wall)
                peaks[mode] = max(peaks[mode], peak)
            seconds[mode].append((walls[1] - walls[0]) / (counts["many"] - counts["few"]))
        command = [__file__, "--folder", folder, "--weights", folder / "weights.tflite"]
        found, _ = common.alternate(command, ("interpreter",), (), 1)
        seconds["interpreter"].append(found["interpreter"][0] / counts["few"])
    speeds = {
        kind: f"{common.SECONDS / statistics.median(values):.0f} x real time"
        for kind, values in seconds.items()
    }
    other = f"TensorFlow Lite, 8 bits (scores differ by {mean_difference(folder):.1e} on average)"
    for mode in modes:
        table.row(
            "detect yamnet" if mode == "--precise" else f"detect {mode} yamnet",
            other,
            speeds[mode],
            speeds["interpreter"],
            f"{common.ratio(seconds, 'interpreter', mode):.2f} x",
            "",
            None,
            peaks[mode],
        )


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument(
        "--weights", type=Path, default=Path(os.environ.get("WSEDTK_TEST_DATA", "."), FILE)
    )
    options = parser.parse_args()
    if options.one:
        one_program(Path(options.folder), options.weights)
        return
    if not options.weights.is_file() or importlib.util.find_spec("ai_edge_litert") is None:
        print(f"detect_yamnet.py: needs {options.weights} and ai-edge-litert; no row is added")
        return
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        os.environ["WSEDTK_MODELS"] = str(folder / "models")
        (folder / "weights.tflite").symlink_to(options.weights.absolute())
        common.wsedtk("models", "fetch", NAME, "--from", folder / "weights.tflite", "--quiet")
        counts = {"few": max(1, options.clips // 10), "many": options.clips}
        for name, count in counts.items():
            common.write_sounds(folder / name, count)
        beside_interpreter(table, folder, counts, options.rounds)


if __name__ == "__main__":
    main()
