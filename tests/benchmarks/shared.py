"""Measure train, predict and detect beside a process that keeps one core busy.

    python tests/benchmarks/shared.py [--rounds 3]

Each command runs alone and beside the busy process, in alternation. The ratio is the time alone
divided by the time beside the other process, with the start of the command. On two cores, a fair
system gives two threads two thirds of the cores.
"""

import time

import common

CLIPS = {"train": 400, "predict": 1500, "detect": 120}


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1, help="the fraction of the clips")
    options = parser.parse_args()
    table = common.Table(options.rows)
    count = {name: max(1, round(n * options.scale)) for name, n in CLIPS.items()}
    with common.temporary(options.folder) as folder:
        model = common.write_model(folder / "model", "dcase-crnn")
        frontend = common.front_ends()["dcase-crnn"]
        common.write_features(folder / "predict.h5", count["predict"], frontend)
        common.write_features(folder / "train.h5", count["train"], frontend)
        common.write_set(folder / "set", count["train"], 4)
        sets = folder / "fit", folder / "valid"
        common.wsedtk("balance", folder / "set", *sets, "--num-valid", count["train"] // 10)
        common.write_sounds(folder / "audio", count["detect"])
        commands = {
            "train": (
                *(*sets, folder / "trained", "--feats", folder / "train.h5", "--overwrite"),
                *(
                    "--config",
                    "dcase2017/crnn_linear",
                    "--set",
                    f"batch_size={count['train'] // 4}",
                ),
                *("--set", "checkpoint_every=8", "--set", "max_checkpoints=1"),
            ),
            "predict": (model, folder / "predict.h5", folder / "s.h5"),
            "detect": (
                *(model, folder / "audio", "--threshold", "0.5", "--output", folder / "e.tsv"),
                "--overwrite",
            ),
        }
        for name, arguments in commands.items():
            alone, beside = [], []
            for _ in range(options.rounds):
                alone.append(seconds_of(name, arguments))
                with common.busy():
                    beside.append(seconds_of(name, arguments))
            ratio = common.ratio({"alone": alone, "beside": beside}, "alone", "beside")
            table.row(
                f"{name}, beside a busy core",
                "alone",
                f"{min(beside):.1f} s",
                f"{min(alone):.1f} s",
                f"{ratio:.0%} of the speed",
                ">= 65 %",
                ratio >= 0.65,
            )


def seconds_of(name, arguments):
    """Return the wall time of a command on the CPU."""
    started = time.perf_counter()
    common.wsedtk(name, *arguments, "--device", "cpu")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
