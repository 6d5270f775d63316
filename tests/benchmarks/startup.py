"""Measure the process time of `wsedtk --help`, and of validate and score-files on a few clips.

python tests/benchmarks/startup.py [--rounds 7]
"""

import statistics

import common

LIMITS = {"--help": 0.3, "validate": 0.5, "score-files": 1.0}


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        data, events = common.write_set(folder / "set", 10, 3), folder / "events.tsv"
        events.write_text(
            "".join(
                f"{name}\t{i * 0.1:.1f}\t{5 + i * 0.1:.1f}\t{common.CLASSES[i % 3]}\n"
                for i, name in enumerate(common.names_of(10))
            )
        )
        commands = {
            "--help": ["--help"],
            "validate": ["validate", data],
            "score-files": ["score-files", events, events],
        }
        found = {name: [] for name in commands}
        for _ in range(options.rounds + 1):
            for name, arguments in commands.items():
                found[name].append(common.wsedtk(*arguments))
        for name, runs in found.items():
            cpu, peak = statistics.median(run[1] for run in runs[1:]), max(run[2] for run in runs)
            table.row(
                f"wsedtk {name}, start-up",
                "",
                f"{cpu:.2f} s of process time",
                "",
                f"{cpu:.2f} s",
                f"<= {LIMITS[name]:g} s",
                cpu <= LIMITS[name],
                peak,
            )


if __name__ == "__main__":
    main()
