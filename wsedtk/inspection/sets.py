"""Data directories, decoded folders, reports, tables of scores, sounds."""

from pathlib import Path

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.data import datadir, folders, score_folders, store, tables
from wsedtk.decoding import operating_point
from wsedtk.evaluation import report_data, staleness
from wsedtk.evaluation.columns import columns as figure_columns
from wsedtk.evaluation.metric import Place
from wsedtk.inspection.description import About, hours, listed, made_by, record_of, when_made

_LOOKED_AT = 100  # sound files of a set, evenly over its clips


def is_data_directory(path):
    """Whether a folder has what only data directories have: labels.txt beside a table."""
    return (path / "labels.txt").is_file() and any(
        (path / name).is_file() for name in datadir.COLUMNS
    )


def _in_the_making(path, kind):
    """What is told of a folder without clips.tsv, which is written last."""
    about = About(str(path), kind, complete=False, made=when_made(path))
    about.content["missing"] = [
        "clips.tsv, which is written last: it is being made, or the command that made it was stopped"
    ]
    return about


def _audio_there(dataset):
    """How many clips have a path, and of some, evenly over the set, how many sound files are there."""
    with_path = np.flatnonzero(dataset.paths != "")
    some = (
        with_path[
            np.unique(
                np.linspace(0, len(with_path) - 1, min(_LOOKED_AT, len(with_path))).astype(int)
            )
        ]
        if len(with_path)
        else []
    )
    there = sum(Path(path).is_file() for path in dataset.paths[some].tolist())
    return f"{len(with_path)} clips have a path; of {len(some)} looked at {there} sound files are there"


def data_directory(path):
    """Describe data/<set>."""
    if not (path / "clips.tsv").is_file():
        return _in_the_making(path, "data directory")
    dataset, faults = datadir.check(path)
    about = About(
        str(path),
        "data directory",
        faults=[str(f).removeprefix("error: ") for f in faults if f.is_error][:5],
    )
    if dataset is None:
        about.complete = False
        about.made = when_made(path / "clips.tsv", record_of(path))
        return about
    info = dataset.info
    record = record_of(path)
    about.made = {
        **made_by(info),
        **({"verb": str(info["made_by"])} if "made_by" in info else {}),
        **when_made(path / "clips.tsv", record),
    }
    events = dataset.events
    about.content = {
        "corpus": str(info["corpus"]) if "corpus" in info else None,
        "clips": len(dataset),
        "official_clips": info.get("official_clips"),
        "hours": hours(dataset.durations.sum()),
        "tags": len(dataset.tag_clip),
        "events": None if events is None else len(events),
        "audio": _audio_there(dataset),
        "fingerprint": dataset.fingerprint(),
        "audio_fingerprint": info.get("audio_fingerprint"),
        "warnings": sum(not f.is_error for f in faults),
        "classes": len(dataset.labels),
    }
    if type(info.get("official_clips")) is int:
        about.content["missing_clips"] = info["official_clips"] - len(dataset)
    if len(dataset.labels) <= report_data.MANY_CLASSES:
        about.content["clips_per_class"] = dict(
            zip(dataset.labels, dataset.clips_per_class().tolist())
        )
    about.add_input("set that it is part of", fingerprint=info.get("source_fingerprint"))
    about.add_files(record)
    return about


def is_decoded(path):
    """Whether a folder has the tables of a decoded one: those of a data directory, without classes."""
    return any(
        _has_header(path / name, columns)
        for name, columns in (
            ("clips.tsv", ("filename", "duration")),
            ("tags.tsv", datadir.COLUMNS["tags.tsv"]),
            ("events.tsv", datadir.COLUMNS["events.tsv"]),
        )
    )


def _has_header(path, columns):
    try:
        with open(path, "rb") as file:
            return file.readline(1000).rstrip(b"\r\n") == "\t".join(columns).encode()
    except OSError:
        return False


def _labels_of(folder):
    """The classes that a decoded folder's tables name, which may be all it tells of them."""
    faults, labels = [], set()
    for name in ("tags.tsv", "events.tsv"):
        for _, columns in tables.read_rows(folder / name, datadir.COLUMNS[name], faults):
            labels.update(columns[-1])
    tables.raise_on_errors(faults, "decode the scores again")
    return sorted(labels)


def decoded(path):
    """Describe <system>/<set>/<mode>/, or the reference in it."""
    if not (path / "clips.tsv").is_file():
        return _in_the_making(path, "decoded folder")
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
        "events": len(found.events),
        "classes": len(labels),
        "tuned_on": info.get("tuned_on"),
    }
    if is_reference:
        return about
    failed = path / "failed.tsv"
    if failed.exists():
        about.content["failed_clips"] = len(tables.read_lines(failed, []) or [""]) - 2
    report = (
        report_data.read_report(path / "report.json") if (path / "report.json").exists() else None
    )
    about.content["scored"] = report is not None
    for what, place, now in (
        ("model", model, provenance.fingerprint_model_directory(model)),
        ("scores", path.parent / "scores.h5", _fingerprint_of_scores(path.parent / "scores.h5")),
        (
            "operating point",
            model / "operating_point.yaml",
            _fingerprint_of(model / "operating_point.yaml"),
        ),
    ):
        before = info.get(what.replace(" ", "_"))
        if before is not None:
            about.add_input(
                what,
                place,
                before,
                "gone" if now is None else "there" if now == before else "changed",
            )
    about.faults += staleness.breaks(model, path, report)
    return about


def _fingerprint_of(path):
    return provenance.fingerprint_file(path) if path.is_file() else None


def _fingerprint_of_scores(path):
    try:
        return str(store.look(path)["attributes"].get("fingerprint"))
    except InputError:
        return None


def report(path):
    """Describe a report.json."""
    found = report_data.read_report(path)
    made_from, clips = found.get("made_from", {}), found["clips"]
    about = About(
        str(path),
        "report",
        made={**made_by(made_from), **when_made(path, record_of(path.parent, "score"))},
    )
    about.content = {
        "clips": clips["scored"],
        "official_clips": clips["official"],
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


def is_score_tables(path):
    """Whether a folder holds tables of frame scores."""
    names = [n for n in folders.look(path)[1] if n.endswith(".tsv") and not n.startswith("._")]
    return bool(names) and score_folders.is_table(path / names[0])


def score_tables(path):
    """Describe a folder of tables of frame scores; the first of them is read, and the header of the others."""
    found = score_folders.look(path)
    about = About(str(path), "folder of score tables", made=when_made(path, record_of(path)))
    about.content = {
        "clips": found["tables"],
        "classes": len(found["labels"]),
        "labels": listed(found["labels"]),
        "seconds_per_frame": found["seconds_per_frame"],
    }
    about.faults = [
        f"{path / name}: is no table of scores, or one with other columns than the first"
        for name in found["odd"][:5]
    ]
    return about


def sound(path):
    """Describe a sound file, without looking for damage (as wsedtk validate --audio does)."""
    found = audio_files.info(path)
    about = About(str(path), "sound file", complete=None, made=when_made(path))
    about.content = {
        "format": found.format,
        "sample_rate": found.sample_rate,
        "channels": found.num_channels,
        "seconds": round(found.duration, 3),
    }
    return about
