"""Measure tune, decode and score on a set of the size of DCASE 2017's evaluation set.

    python tests/benchmarks/scoring.py [--rounds 5]

The set has 1,103 clips, 17 classes and 100 frames. Scores are noise that rises where events are.
The verbs run as processes, including start-up, in alternation with a script that reads the same two
lists of events with sed_eval and evaluates 1 s segments and events.
"""

import statistics
import sys

import common
import numpy as np

from wsedtk.data import datadir, store

CLIPS, CLASSES, FRAMES = 1103, 17, 100
SED_EVAL = """
import sys, warnings
warnings.simplefilter("ignore")
import sed_eval
from dcase_util.containers import MetaDataContainer
fields = ["filename", "onset", "offset", "event_label"]
lists = [
    MetaDataContainer().load(path, fields=fields, csv_header=True) for path in sys.argv[1:3]
]
labels = sorted({event.event_label for event in lists[0]})
metrics = (sed_eval.sound_event.SegmentBasedMetrics(labels, time_resolution=1.0),
           sed_eval.sound_event.EventBasedMetrics(labels, t_collar=0.2, percentage_of_length=0.2))
by_clip = [{}, {}]
for found, events in zip(by_clip, lists):
    for event in events:
        found.setdefault(event.filename, MetaDataContainer()).append(event)
nothing = MetaDataContainer()
for name in open(sys.argv[3]).read().splitlines():
    true, said = (found.get(name, nothing) for found in by_clip)
    metrics[0].evaluate(true, said, evaluated_length_seconds=10.0)
    metrics[1].evaluate(true, said)
for metric in metrics:
    metric.results_overall_metrics()
    metric.results_class_wise_metrics()
"""


def write(folder):
    """Write a set with tags and events, and a score file of it; return their paths."""
    generator = np.random.default_rng(0)
    data, names, labels = folder / "eval", common.names_of(CLIPS), common.CLASSES[:CLASSES]
    common.write_set(data, CLIPS, CLASSES)
    logits = generator.normal(-3, 1.5, (CLIPS, FRAMES, CLASSES)) + generator.normal(
        0, 0.3, (CLIPS, FRAMES, CLASSES)
    ).cumsum(axis=1)
    frame, rows = 1 / (1 + np.exp(-logits)), []
    for clip, label in zip(
        datadir.read(data).tag_clip.tolist(), datadir.read(data).tag_label.tolist()
    ):
        onset, length = generator.uniform(0, 8), generator.uniform(0.3, 6)
        offset = min(onset + length, common.SECONDS)
        frame[clip, round(10 * onset) : round(10 * offset), label] += 0.4
        rows.append((names[clip], f"{onset:.3f}", f"{offset:.3f}", labels[label]))
    (data / "events.tsv").write_text(
        "filename\tonset\toffset\tevent_label\n"
        + "".join("\t".join(r) + "\n" for r in sorted(rows))
    )
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    frame = np.minimum(frame, 1).astype(np.float32)
    arrays = {
        "clip": (frame**2).sum(axis=1) / frame.sum(axis=1),
        "segment": frame.reshape(CLIPS, 10, 10, CLASSES).max(axis=2),
        "frame": frame,
        "num_frames": np.full(CLIPS, FRAMES),
        "duration": np.full(CLIPS, common.SECONDS),
    }
    store.write_scores(
        folder / "scores.h5",
        names,
        labels,
        {k: v.shape[1:] for k, v in arrays.items()},
        [(np.arange(CLIPS), arrays)],
        seconds_per_frame=0.1,
        model="m",
        features="f",
        fingerprint="x",
    )
    return data, folder / "scores.h5"


def write_list(path, num_events, num_clips, num_classes, generator):
    """Write a list of events of 0.1 to 2 s in clips of 10 s."""
    onset = generator.uniform(0, 8, num_events)
    offset = onset + generator.uniform(0.1, 2, num_events)
    rows = zip(
        generator.integers(0, num_clips, num_events),
        onset,
        offset,
        generator.integers(0, num_classes, num_events),
    )
    path.write_text(
        "filename\tonset\toffset\tevent_label\n"
        + "".join(f"{c:04d}.wav\t{a:.3f}\t{b:.3f}\tclass {k}\n" for c, a, b, k in sorted(rows))
    )
    return path


def dense(table, folder, rounds):
    """Measure score-files on dense lists. sed_eval takes minutes for them."""
    generator = np.random.default_rng(0)
    for name, *sizes in (
        ("4,000 events in one clip", 4000, 1, 1),
        ("3,000 classes x 1,000 clips", 30000, 1000, 3000),
    ):
        lists = [
            write_list(folder / f"{kind}.tsv", *sizes, generator)
            for kind in ("reference", "estimate")
        ]
        walls, peaks = zip(*(common.wsedtk("score-files", *lists)[::2] for _ in range(rounds)))
        wall = statistics.median(walls)
        figure = f"{wall:.2f} s"
        table.row(f"score-files, {name}", "", figure, "", figure, "<= 5 s", wall <= 5, max(peaks))


def main():
    """Measure and print."""
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    table = common.Table(options.rows)
    with common.temporary(options.folder) as folder:
        data, scores = write(folder)
        point, decoded = folder / "point.yaml", folder / "decoded"
        verbs = {
            "tune": ("tune", scores, data, point),
            "decode": ("decode", scores, point, decoded, "--mode", "frame"),
            "score": ("score", data, decoded),
        }
        walls, peaks = {name: [] for name in (*verbs, "sed_eval")}, {}
        for _ in range(options.rounds + 1):
            for name, arguments in verbs.items():
                wall, _, peaks[name] = common.wsedtk(*arguments)
                walls[name].append(wall)
            walls["sed_eval"].append(
                common.process(
                    sys.executable,
                    "-c",
                    SED_EVAL,
                    data / "events.tsv",
                    decoded / "events.tsv",
                    folder / "names.txt",
                )[0]
            )
        seconds = {name: statistics.median(values[1:]) for name, values in walls.items()}
        for name in ("tune", "decode"):
            table.row(
                f"{name}, DCASE evaluation size",
                "",
                f"{seconds[name]:.2f} s",
                "",
                f"{seconds[name]:.2f} s",
                "<= 1 s",
                seconds[name] <= 1,
                peaks[name],
            )
        ratio = statistics.median(b / a for a, b in zip(walls["score"][1:], walls["sed_eval"][1:]))
        table.row(
            "score, DCASE evaluation size",
            "sed_eval alone",
            f"{seconds['score']:.2f} s",
            f"{seconds['sed_eval']:.2f} s",
            f"{ratio:.2f} x",
            ">= 1 x",
            ratio >= 1,
            peaks["score"],
        )
        dense(table, folder, options.rounds)


if __name__ == "__main__":
    main()
