"""Describe data directories, decoded folders, reports, score tables and sound files."""

from pathlib import Path

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.data import datadir, folders, score_folders, store
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.official import official_clips
from wsedtk.data.score_tables import is_table
from wsedtk.data.set_tables import COLUMNS
from wsedtk.data.table_files import TableFile
from wsedtk.decoding import operating_point
from wsedtk.evaluation import report_data, staleness
from wsedtk.evaluation.columns import columns as figure_columns
from wsedtk.evaluation.metric import Place
from wsedtk.inspection.description import (
    About,
    State,
    hours,
    listed,
    made_by,
    record_of,
    when_made,
)

# Maximum number of sound files whose existence is checked. They are spread evenly over the clips.
_MOST_CHECKED = 100
_DECODED_COLUMNS = {**COLUMNS, "clips.tsv": ("filename", "duration")}


def is_data_directory(path: Path) -> bool:
    """Return whether a folder contains labels.txt and a table of a set.

    Only data directories contain both.
    """
    return (path / "labels.txt").is_file() and any((path / name).is_file() for name in COLUMNS)


def _describe_unfinished(path: Path, kind: str) -> About:
    """Describe a folder without clips.tsv, which is written last."""
    about = About(str(path), kind, complete=False, made=when_made(path))
    about.content["missing"] = [
        "clips.tsv, which is written last: the folder is still being written, "
        "or the command that wrote it was stopped"
    ]
    return about


def _count_audio(dataset: DataSet) -> str:
    """Return the numbers of clips with a path and of checked sound files that exist, as text."""
    with_path = np.flatnonzero(dataset.paths != "")
    num_checked = min(_MOST_CHECKED, len(with_path))
    chosen = np.unique(np.linspace(0, max(0, len(with_path) - 1), num_checked).astype(int))
    paths = dataset.paths[with_path[chosen]].tolist()
    existing = sum(Path(path).is_file() for path in paths)
    return (
        f"clips with a path: {len(with_path)} of {len(dataset)}; "
        f"found {existing} of {len(paths)} checked sound files"
    )


def describe_data_directory(path: Path) -> About:
    """Describe a data directory."""
    if not (path / "clips.tsv").is_file():
        return _describe_unfinished(path, "data directory")
    dataset, faults = datadir.check(path)
    errors = [str(fault).removeprefix("error: ") for fault in faults if fault.is_error]
    about = About(str(path), "data directory", faults=errors[:5])
    if dataset is None:
        about.complete = False
        about.made = when_made(path / "clips.tsv", record_of(path))
        return about
    info = dataset.info
    record = record_of(path)
    about.made = {**made_by(info)}
    if "made_by" in info:
        about.made["verb"] = str(info["made_by"])
    about.made.update(when_made(path / "clips.tsv", record))
    events = dataset.events
    about.content = {
        "corpus": str(info["corpus"]) if "corpus" in info else None,
        "clips": len(dataset),
        "official_clips": official_clips(info),
        "hours": hours(dataset.durations.sum()),
        "tags": len(dataset.tag_clip),
        "clips_with_unknown_tags": int(dataset.has_unknown_tags().sum()) or None,
        "events": None if events is None else len(events),
        "audio": _count_audio(dataset),
        "fingerprint": dataset.fingerprint(),
        "audio_fingerprint": info.get("audio_fingerprint"),
        "warnings": sum(not fault.is_error for fault in faults),
        "classes": len(dataset.labels),
    }
    if type(official := official_clips(info)) is int:
        about.content["missing_clips"] = official - len(dataset)
    if len(dataset.labels) <= report_data.MANY_CLASSES:
        about.content["clips_per_class"] = dict(
            zip(dataset.labels, dataset.clips_per_class().tolist())
        )
    about.add_input("source set", fingerprint=info.get("source_fingerprint"))
    about.add_files(record)
    return about


def is_decoded(path: Path) -> bool:
    """Return whether a folder contains at least one of the tables of a decoded folder.

    A table is recognised by its name and its columns.
    """
    return any(_has_header(path / name, columns) for name, columns in _DECODED_COLUMNS.items())


def _has_header(path: Path, columns: tuple[str, ...]) -> bool:
    try:
        with open(path, "rb") as file:
            return file.readline(1000).rstrip(b"\r\n") == "\t".join(columns).encode()
    except OSError:
        return False


def _labels_of(folder: Path) -> list[str]:
    """Return the classes that occur in the tables of a decoded folder."""
    labels: set[str] = set()
    for name in ("tags.tsv", "events.tsv"):
        table = TableFile(folder / name)
        for _, columns in table.rows(COLUMNS[name]):
            labels.update(columns[-1])
        table.raise_errors("decode the scores again")
    return sorted(labels)


def describe_decoded(path: Path) -> About:
    """Describe a decoded folder <system>/<set>/<mode>/, or the folder reference/ in it."""
    if not (path / "clips.tsv").is_file():
        return _describe_unfinished(path, "decoded folder")
    is_reference = path.name == "reference" and is_decoded(path.parent)
    about = About(str(path), "reference of a scored folder" if is_reference else "decoded folder")
    point_path = path / "operating_point.yaml"
    labels = operating_point.read(point_path).labels if point_path.exists() else _labels_of(path)
    found = datadir.read_decoded(path, labels)
    info, model = found.info, path.absolute().parent.parent
    about.made = {**made_by(info), **when_made(path / "clips.tsv", record_of(path, "decode"))}
    about.content = {
        "mode": info.get("mode"),
        "clips": len(found),
        "hours": hours(found.durations.sum()),
        "tags": len(found.tag_clip),
        "events": 0 if found.events is None else len(found.events),
        "classes": len(labels),
        "tuned_on": info.get("tuned_on"),
    }
    if is_reference:
        return about
    failed = path / "failed.tsv"
    if failed.exists():
        about.content["failed_clips"] = len(TableFile(failed).numbered_lines()) - 1
    report = None
    if (path / "report.json").exists():
        report = report_data.read_report(path / "report.json")
    about.content["scored"] = report is not None
    scores, point = path.parent / "scores.h5", model / "operating_point.yaml"
    for what, source, now in (
        ("model", model, provenance.fingerprint_model_directory(model)),
        ("scores", scores, _fingerprint_of_scores(scores)),
        ("operating point", point, _fingerprint_of(point)),
    ):
        before = info.get(what.replace(" ", "_"))
        if before is not None:
            about.add_input(what, source, before, _state(before, now))
    about.faults += staleness.breaks(model, path, report)
    return about


def _state(before: object, now: str | None) -> State:
    """Return the state of an input.

    before: the fingerprint of the input when it was used. now: its present fingerprint; None if the
    input is missing.
    """
    if now is None:
        return "gone"
    return "there" if now == before else "changed"


def _fingerprint_of(path: Path) -> str | None:
    return provenance.fingerprint_file(path) if path.is_file() else None


def _fingerprint_of_scores(path: Path) -> str | None:
    try:
        return str(store.look(path)["attributes"].get("fingerprint"))
    except InputError:
        return None


def is_report(path: Path) -> bool:
    """Return whether a file is named report.json."""
    return path.is_file() and path.name == "report.json"


def describe_report(path: Path) -> About:
    """Describe a file report.json."""
    found = report_data.read_report(path)
    made_from, clips = found.get("made_from", {}), found["clips"]
    about = About(
        str(path),
        "report",
        made={**made_by(made_from), **when_made(path, record_of(path.parent, "score"))},
    )
    about.content = {
        "clips": clips["scored"],
        "official_clips": clips["official"] if clips["is_official"] else None,
        "clips_in_set": None if clips["is_official"] else clips["official"],
        "tuned_on_these": bool(clips.get("tuned_on_these")),
        "classes": len(found["classes"]),
    }
    for column in figure_columns(Place.SUMMARY):
        value = report_data.figure(found, column)
        if value is not None:
            ends = report_data.interval(found, column)
            about.content[column.heading] = report_data.cell(value, ends)
    for what in ("data", "model", "scores", "operating_point"):
        about.add_input(what.replace("_", " "), fingerprint=made_from.get(what))
    if (path.parent / "info.yaml").exists():
        about.faults += staleness.breaks(path.absolute().parents[2], path.parent, found)
    return about


def is_score_tables(path: Path) -> bool:
    """Return whether a path is a folder whose first .tsv file begins like a table of frame scores.

    A table of frame scores begins with the names of the columns onset and offset.
    """
    if not path.is_dir():
        return False
    names = [n for n in folders.look(path)[1] if n.endswith(".tsv") and not n.startswith("._")]
    return bool(names) and is_table(path / names[0])


def describe_score_tables(path: Path) -> About:
    """Describe a folder with tables of frame scores.

    Only the first table and the headers of the other tables are read.
    """
    found = score_folders.look(path)
    about = About(str(path), "folder of score tables", made=when_made(path, record_of(path)))
    about.content = {
        "clips": found["tables"],
        "classes": len(found["labels"]),
        "labels": listed(found["labels"]),
        "seconds_per_frame": found["seconds_per_frame"],
    }
    about.faults = [
        f"{path / name}: is not a table of scores, or its columns differ from those of the first "
        "table"
        for name in found["odd"][:5]
    ]
    return about


def describe_sound(path: Path) -> About:
    """Describe a sound file. To check sound files for damage, use `wsedtk validate --audio`."""
    found = audio_files.info(path)
    about = About(str(path), "sound file", complete=None, made=when_made(path))
    about.content = {
        "format": found.format,
        "sample_rate": found.sample_rate,
        "channels": found.num_channels,
        "seconds": None if found.duration is None else round(found.duration, 3),
    }
    return about
