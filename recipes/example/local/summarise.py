"""Write the results of the held-out folds, and the false alarms, as Markdown tables.

    python3 summarise.py --data DATA --bank BANK SUMMARY.md MODEL_DIR...

Each model directory is named fold<N>, and contains the results on the mixtures of fold N
(test/frame/) and the events that were detected in other recordings (detected/*.jsonl).
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from wsedtk.audio import audio_files
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.decoding import operating_point
from wsedtk.evaluation import report_data


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def shown(value: float | None, digits: int = 3) -> str:
    """Return a number as text, or "-" if there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def detected(model_dir: Path, name: str) -> list[tuple[str, str]]:
    """Return the recording and the class of each detected event."""
    path = model_dir / "detected" / f"{name}.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; run stage 7") from None
    events = map(json.loads, lines)
    return [(event["filename"], event["event_label"]) for event in events]


def hours(files: Iterable[Path]) -> float:
    """Return the duration of sound files in hours."""
    return sum(len(samples) / rate for samples, rate in map(audio_files.read, files)) / 3600


def mixtures(model_dirs: Sequence[Path]) -> list[str]:
    """Return the table of the results on mixtures, with a row for each fold and a row of means."""
    keys = [
        ("tagging", "precision", "tag precision"),
        ("tagging", "recall", "tag recall"),
        ("audioset", "map", "MAP"),
        ("segment", "precision", "segment precision"),
        ("segment", "recall", "segment recall"),
        ("segment", "f1", "segment F1"),
        ("segment", "error_rate", "ER"),
    ]
    rows, columns = [], []
    for folder in model_dirs:
        report = report_data.read_report(folder / "test" / "frame" / "report.json")
        values = [report[section][key] for section, key, _ in keys]
        columns.append(values)
        rows.append([folder.name.removeprefix("fold"), *map(shown, values)])
    means = []
    for values in zip(*columns):
        known = [value for value in values if value is not None]
        means.append(shown(sum(known) / len(known) if known else None))
    return table(["held-out fold", *(name for *_, name in keys)], [*rows, ["mean", *means]])


def false_alarms(model_dirs: Sequence[Path], data: Path, bank: Path) -> list[str]:
    """Return the table of false events per hour, with a row for each fold and one for all folds."""
    header = [
        "held-out fold",
        "backgrounds",
        "recordings, other classes",
        "other sounds",
        "noise and silence",
        "recordings with their class",
    ]
    counts, durations, found, positives = Counter(), Counter(), 0, 0
    hours_of = {
        "other": hours((data / "other" / "audio" / "test").iterdir()),
        "noise": hours((data / "noise").iterdir()),
    }
    rows = []
    for folder in model_dirs:
        fold = folder.name.removeprefix("fold")
        files = sorted(bank.glob(f"*/{fold}-*"))
        label_of = {path.name: path.parent.name for path in files}
        labels = operating_point.read(folder / "operating_point.yaml").labels
        events = detected(folder, "recordings")
        with_class = {name for name, label in events if label == label_of[name]}
        of_classes = {name for name, label in label_of.items() if label in labels}
        wrong = sum(label != label_of[name] for name, label in events)
        of_fold = {
            "backgrounds": len(detected(folder, "backgrounds")),
            "recordings": wrong,
            "other": len(detected(folder, "other")),
            "noise": len(detected(folder, "noise")),
        }
        hours_of |= {
            "backgrounds": hours((data / folder.name / "backgrounds/audio/test").iterdir()),
            "recordings": hours(files),
        }
        rates = [shown(of_fold[name] / hours_of[name], 1) for name in of_fold]
        rows.append([fold, *rates, f"{len(with_class)} of {len(of_classes)}"])
        counts.update(of_fold)
        durations.update({name: hours_of[name] for name in of_fold})
        found, positives = found + len(with_class), positives + len(of_classes)
    rates = [shown(counts[name] / durations[name], 1) for name in of_fold]
    rows.append(["all", *rates, f"{found} of {positives}"])
    rows.append(["hours", *(shown(durations[name], 2) for name in of_fold), ""])
    return table(header, rows)


def classes(model_dirs: Sequence[Path], data: Path) -> list[str]:
    """Return the table of tag precision and recall of each class, over the clips of all folds."""
    true, estimated, correct, never = Counter(), Counter(), Counter(), Counter()
    for folder in model_dirs:
        dataset = datadir.read(data / folder.name / "test")
        reference = {
            (str(dataset.filenames[clip]), dataset.labels[label])
            for clip, label in zip(dataset.tag_clip, dataset.tag_label)
        }
        lines = (folder / "test/frame/tags.tsv").read_text(encoding="utf-8").splitlines()[1:]
        tags = {tuple(line.split("\t")) for line in lines}
        true.update(label for _, label in reference)
        estimated.update(label for _, label in tags)
        correct.update(label for _, label in tags & reference)
        point = operating_point.read(folder / "operating_point.yaml")
        never.update(label for label, t in zip(point.labels, point.frame_thresholds) if t > 1)
    rows = [
        [
            label,
            shown(correct[label] / estimated[label] if estimated[label] else None),
            shown(correct[label] / true[label] if true[label] else None),
            f"{never[label]} of {len(model_dirs)}",
        ]
        for label in dataset.labels
    ]
    return table(["class", "tag precision", "tag recall", "folds without detections"], rows)


ABOUT_MIXTURES = """\
Each row shows a network that was trained and tuned on mixtures of the other folds, and evaluated on
mixtures of the held-out fold. Segments last 1 s. ER is the segment error rate.
"""
ABOUT_FALSE_ALARMS = """
The next table shows false events per hour:

- backgrounds: mixtures of backgrounds of the held-out fold, without events
- recordings, other classes: the unmixed recordings of the held-out fold; an event is false if the
  recording is of another class
- other sounds: mixtures of synthesised horns, bells, alarms, engines, beeps, screams and sirens
- noise and silence: white and pink noise, mains hum, silence

For the last column, only the unmixed recordings of the event classes are counted. It shows in how
many of these recordings the class of the recording was detected.
"""
ABOUT_CLASSES = """
The next table shows the results of the tags of each class in the mixtures of all folds. A class is
not detected in a fold if no threshold reached the target on the validation set.
"""


def summary(model_dirs: Sequence[Path], data: Path, bank: Path) -> str:
    """Return all tables with their descriptions."""
    parts = [
        (ABOUT_MIXTURES, mixtures(model_dirs)),
        (ABOUT_FALSE_ALARMS, false_alarms(model_dirs, data, bank)),
        (ABOUT_CLASSES, classes(model_dirs, data)),
    ]
    return "\n".join(f"{about}\n" + "\n".join(lines) for about, lines in parts) + "\n"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("model_dirs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    options = parser.parse_args()
    try:
        text = summary(options.model_dirs, options.data, options.bank)
        write_text(options.output, text)
    except InputError as error:
        parser.exit(1, f"summarise.py: {error}\n")
    print(text)


if __name__ == "__main__":
    main()
