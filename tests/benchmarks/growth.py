"""Measure the cost per clip of each stage for growing sets, and print one table.

    python tests/benchmarks/growth.py [--clips 1000,10000,100000] [--jobs 2]

Each verb runs in a separate process on sets of clips of 10 s at 44.1 kHz (forty sound files,
repeated), with 17 classes and float16 features. A cell is the wall time in ms per clip, and in
brackets the peak memory of the process in MiB. Start-up time, measured on ten clips, is subtracted.
The memory of the decoding processes of `extract` is not included.

The network is tiny, so the table shows the work of `train` and `predict` besides the network.
`train` runs 100 batches of 100 clips for all sizes. Its cost is that of one batch, including
start-up and a validation on 100 clips. `validate`, `balance` and `score` work on tags, without
events.
"""

import common

TINY = (
    "network_options={channels: [2, 2, 2], num_hidden: 4}",
    "batch_size=100",
    "checkpoint_every=100",
    "max_checkpoints=1",
)
STAGES = ("validate", "balance", "extract", "train", "predict", "tune", "decode", "score")


def measure(folder, num_clips, paths, jobs):
    """Return {stage: (wall seconds, peak MiB)}."""
    data, model = common.write_set(folder / "data", num_clips, 17, paths), folder / "model"
    feats, scores, point, out = (
        folder / "feats.h5",
        folder / "scores.h5",
        folder / "point.yaml",
        folder / "out",
    )
    settings = [a for s in TINY for a in ("--set", s)]
    found = {}
    for name, *arguments in (
        ("validate", data),
        (
            "balance",
            data,
            folder / "fit",
            folder / "valid",
            "--num-valid",
            min(100, num_clips // 2),
        ),
        ("extract", data, feats, "--jobs", jobs, "--dtype", "float16", "--device", "cpu"),
        (
            "train",
            folder / "fit",
            folder / "valid",
            model,
            "--feats",
            feats,
            "--device",
            "cpu",
            *settings,
        ),
        ("predict", model, feats, scores, "--device", "cpu"),
        ("tune", scores, data, point),
        ("decode", scores, point, out),
        ("score", data, out, "--scores", scores),
    ):
        wall, _, peak = common.wsedtk(name, *arguments)
        found[name] = wall, peak
        print(f"{num_clips} clips: {name} {wall:.1f} s, {peak:.0f} MiB", flush=True)
    return found


def main():
    """Measure all sizes and print one row per stage."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--clips", default="1000,10000,100000", help="sizes, with commas between them"
    )
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    sizes = [int(n) for n in options.clips.split(",")]
    common.need_disk(options.folder, max(sizes) * 0.065e-3 + 0.2)
    columns = []
    with common.temporary(options.folder) as folder:
        paths = common.write_sounds(folder / "audio", 40)
        with common.temporary(folder) as small:
            start = measure(small, 10, paths, options.jobs)
        for size in sizes:
            with common.temporary(folder) as large:
                found = measure(large, size, paths, options.jobs)
            per_clip = {
                name: (wall - (0 if name == "train" else start[name][0]))
                / (10000 if name == "train" else size)
                for name, (wall, _) in found.items()
            }
            columns.append(
                {name: f"{1e3 * per_clip[name]:.3f} ({found[name][1]:.0f})" for name in STAGES}
            )
    table = common.Table(options.rows)
    table.line("stage", *(f"{size:,} clips" for size in sizes))
    table.line(*["---"] * (1 + len(sizes)))
    for name in STAGES:
        table.line(name, *(column[name] for column in columns))


if __name__ == "__main__":
    main()
