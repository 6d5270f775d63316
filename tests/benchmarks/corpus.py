"""Measure the work of wsedtk on lists of the size of AudioSet.

    python tests/benchmarks/corpus.py METADATA_DIR [--clips 2041789]
        [--num-valid 20000] [--shards 20] [--folder DIR] [--rows FILE]

METADATA_DIR contains the official files of AudioSet. The list has random video IDs. Its times and
class IDs are drawn from rows of the balanced training list and the evaluation list. The features
are 10 s long, but only their names, lengths and statistics are written. Nothing is stored for a
chunk of an HDF5 file that was never written, so it is read as zeros and needs no disk space.

Each verb runs in a separate process. `train` uses a tiny network and trains on one batch of 100
clips. Its time is that of the process without the validation: the start, the first batch, the
checkpoint and the model. Its peak memory is that of the process. `train, finished` runs the same
command again, which reads everything and restores the checkpoint. `predict` scores ten clips with
features of all clips. Prints one row of the table for each step. Two million clips need 4 GB of
disk space.
"""

import itertools
import re
import shutil
import time
from pathlib import Path

import common
import numpy as np

LETTERS = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8
)
TINY = {
    "network_options": "{channels: [2, 2, 2], num_hidden: 4}",
    "batch_size": 100,
    "checkpoint_every": 1,
    "max_checkpoints": 1,
}
MOST_SECONDS, MOST_MIB = 60, 2e9 / 2**20  # the targets of `train`


def write_list(metadata_dir, path, num_rows):
    """Write a list of `num_rows` segments that resembles AudioSet's unbalanced training list."""
    rows = [
        line
        for name in ("balanced_train_segments.csv", "eval_segments.csv")
        for line in (metadata_dir / name).read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    tails = [re.sub("^[^,]*", "", row) for row in rows]
    rng = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            "# a benchmark's list\n# num_ytids=?\n# YTID, start_seconds, end_seconds, "
            "positive_labels\n"
        )
        for start in range(0, num_rows, 100_000):
            count = min(100_000, num_rows - start)
            ids = LETTERS[rng.integers(0, 64, (count, 11))].view("S11")[:, 0].tolist()
            file.writelines(
                f"{video.decode()}{tails[i]}\n"
                for video, i in zip(ids, rng.integers(0, len(tails), count).tolist())
            )


def write_features(path, names, num_shards):
    """Write the shards of a feature file whose features are zeros that take no disk space."""
    import h5py

    from wsedtk.core import config
    from wsedtk.data import store

    frontend = common.front_ends()["dcase-crnn"]
    num_frames, bins = round(common.SECONDS / frontend.seconds_per_frame), frontend.num_mels
    settings = frontend.settings()
    layout = store.FeatureLayout(
        num_frames, bins, "float16", settings, config.fingerprint(settings)
    )
    rng = np.random.default_rng(0)
    for k in range(1, num_shards + 1):
        shard, own = store.shard_path(path, k, num_shards), names[k - 1 :: num_shards]
        with store.writing_features(shard, layout):
            pass
        columns = {
            "filename": own.astype(object),
            "num_frames": np.full(len(own), num_frames, np.int32),
            "duration": np.full(len(own), common.SECONDS),
            "mean": rng.normal(-40, 5, (len(own), bins)),
            "squared_deviations": rng.uniform(50, 200, (len(own), bins)) * num_frames,
        }
        with h5py.File(shard, "r+") as file:
            file["features"].resize(len(own), axis=0)
            for name, column in columns.items():
                dtype, chunks = file[name].dtype, (min(4096, len(own)), *column.shape[1:])
                del file[name]
                file.create_dataset(name, data=column, dtype=dtype, chunks=chunks)
        # wsedtk rejects a dataset that is larger than its file.
        with open(shard, "r+b") as file:
            file.truncate(file.seek(0, 2) + len(own) * num_frames * bins * 2)


class Steps:
    """The steps of this benchmark. Each step adds a row to the table."""

    def __init__(self, table, num_clips):
        self.table, self.num_clips = table, num_clips

    def row(self, name, seconds, peak, has_target=False):
        """Add a row. peak: MiB. has_target: whether the step has the targets of `train`."""
        target, met = "", None
        if has_target:
            target = f"<= {MOST_SECONDS} s, <= {MOST_MIB:.0f} MiB"
            met = seconds <= MOST_SECONDS and peak <= MOST_MIB
        stage, figure = f"{name}, {self.num_clips:,} clips", f"{seconds:.1f} s"
        self.table.row(stage, "", figure, "", figure, target, met, peak)

    def run(self, name, *arguments):
        """Run a verb."""
        wall, _, peak = common.wsedtk(*arguments)
        self.row(name, wall, peak)

    def train(self, name, model, *arguments):
        """Train on one batch, without the time of the validation."""
        wall, _, peak = common.wsedtk("train", *arguments)
        header, values = (model / "history.tsv").read_text().splitlines()
        seconds = float(dict(zip(header.split("\t"), values.split("\t")))["seconds"])
        log = (model / "train.log").read_text()
        speed = float(re.search(r"\(([0-9.e+]+) clips/s", log)[1])
        self.row(name, wall - seconds + TINY["batch_size"] / speed, peak, has_target=True)


def clip_names(folder):
    """Return the file names of the clips of a data directory (N,)."""
    with open(folder / "clips.tsv", encoding="utf-8") as file:
        next(file)
        return np.array([line.split("\t", 1)[0] for line in file])


def add_paths(folder):
    """Write a path for each clip of a data directory. No sound file is opened."""
    path = folder / "clips.tsv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    fields = (row.split("\t") for row in rows)
    rows = [f"{name}\t/data/audioset/{name}\t{duration}" for name, _, duration in fields]
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")


def write_few(folder, output, count=10):
    """Write a data directory with the first clips of another one, and without tags."""
    output.mkdir()
    with open(folder / "clips.tsv", encoding="utf-8") as file:
        rows = "".join(itertools.islice(file, count + 1))
    (output / "clips.tsv").write_text(rows, encoding="utf-8")
    (output / "tags.tsv").write_text("filename\tevent_label\n", encoding="utf-8")
    shutil.copy(folder / "labels.txt", output)
    shutil.copy(folder / "info.yaml", output)
    return output


def measure_batches(steps, folder):
    """Measure the time in which a sampler draws batches of 250 clips."""
    from wsedtk.data import datadir
    from wsedtk.training.sampler import Sampler

    batches = Sampler(datadir.read(folder), 250, seed=0)
    started = time.perf_counter()
    for step in range(200):
        batches.batch(step)
    milliseconds = (time.perf_counter() - started) / 200 * 1000
    figure = f"{milliseconds:.1f} ms a batch of 250"
    stage = f"sampler, {len(batches.queues)} queues, {steps.num_clips:,} clips"
    steps.table.row(stage, "", figure, "", figure, "", None)


def main():
    """Run from the command line."""
    parser = common.parser(__doc__)
    parser.add_argument("metadata_dir", type=Path)
    parser.add_argument("--clips", type=int, default=2_041_789)
    parser.add_argument("--num-valid", type=int, default=20_000)
    parser.add_argument("--shards", type=int, default=20)
    options = parser.parse_args()
    common.need_disk(options.folder, options.clips * 2e-6 + 0.1)
    steps = Steps(common.Table(options.rows), options.clips)
    with common.temporary(options.folder) as folder:
        lists, data = folder / "lists", folder / "data"
        lists.mkdir()
        for name in ("class_labels_indices.csv", "eval_segments.csv", "ontology.json"):
            shutil.copy(options.metadata_dir / name, lists / name)
        write_list(options.metadata_dir, lists / "unbalanced_train_segments.csv", options.clips)
        choice = ("--subset", "unbalanced", "--metadata-only")
        steps.run("prepare", "prepare", "audioset", lists, data, *choice)
        fit, valid, feats, model = data / "fit", data / "valid", folder / "f.h5", folder / "model"
        add_paths(data / "train")
        steps.run("validate", "validate", data / "train")
        num_valid = ("--num-valid", options.num_valid)
        steps.run("balance", "balance", data / "train", fit, valid, *num_valid)
        write_features(feats, clip_names(data / "train"), options.shards)
        train = [fit, valid, model, "--feats", feats, "--device", "cpu"]
        train += [a for key, value in TINY.items() for a in ("--set", f"{key}={value}")]
        steps.train("train, first batch", model, *train)
        steps.run("train, finished", "train", *train)
        few = write_few(data / "train", folder / "few")
        scores = folder / "scores.h5"
        cpu = ("--device", "cpu")
        steps.run("predict, 10 clips", "predict", model, feats, scores, "--data", few, *cpu)
        measure_batches(steps, fit)


if __name__ == "__main__":
    main()
