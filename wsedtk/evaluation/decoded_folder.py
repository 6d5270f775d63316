"""Evaluate a decoded folder against a data directory.

N clips, K classes.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.data import clip_sets, datadir, table_files, tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.store import ScoreFile
from wsedtk.data.table_files import Repeat, TableFile
from wsedtk.evaluation import average_precision, bootstrap, psds, report_data
from wsedtk.evaluation.report import Report
from wsedtk.evaluation.report_data import Warn

PathLike = str | os.PathLike[str]


def _read_truth(data_set: PathLike, warn: Warn) -> DataSet:
    """Read the truth, and warn of its rows and events that do not count."""
    truth, faults = datadir.check(data_set)
    table_files.raise_on_errors(faults, f"wsedtk validate '{data_set}' lists them all")
    repeats = [fault for fault in faults if isinstance(fault, Repeat)]
    for path in dict.fromkeys(fault.path for fault in repeats):
        lines = [fault.line for fault in repeats if fault.path == path]
        report_data.warn_of_repeats(warn, path, lines)
    if truth.events is not None:
        path, names = Path(data_set) / "events.tsv", truth.filenames
        report_data.warn_of_late(warn, path, truth.events, names, truth.durations)
    return truth


def _failed(path: Path) -> list[str]:
    """Return the clips that decode lists as failed, because their audio could not be read."""
    if not path.exists():
        return []
    table = TableFile(path)
    names = [name for _, (block,) in table.rows(("filename",)) for name in block]
    table.raise_errors("decode the scores again")
    return names


def _match(
    truth: DataSet, decoded: DataSet, data_set: PathLike, folder: PathLike, warn: Warn
) -> tuple[DataSet, DataSet]:
    """Return the clips that both sets hold, named as in the truth.

    Raises InputError if a clip of the truth was not decoded although its audio did not fail.
    """
    found, in_decoded = report_data.matched(decoded, truth.filenames)
    if not len(found):
        raise InputError(f"{folder}: none of its {len(decoded)} clips is in {data_set}")
    if len(found) < len(decoded):
        is_odd = tables.find_clips(truth.filenames, decoded.filenames) < 0
        odd = decoded.filenames[is_odd].tolist()
        warn(
            f"{len(odd)} decoded clips are not in {data_set} and are not scored: "
            f"{tables.first(odd)}"
        )
    failed = _failed(Path(folder) / "failed.tsv")
    is_failed = tables.find_clips(failed, truth.filenames) >= 0
    missing = truth.filenames[~in_decoded & ~is_failed].tolist()
    left_out = truth.filenames[~in_decoded & is_failed].tolist()
    if missing:
        raise InputError(
            f"{data_set}: {len(missing)} of {len(truth)} clips were not decoded into {folder}, "
            f"the first {missing[0]!r}; predict and decode them too, or take them out of the set"
        )
    if left_out:
        warn(
            f"{len(left_out)} clips of {data_set} are not scored, their audio could not be read: "
            f"{tables.first(left_out)}"
        )
    return truth.select(in_decoded), found


def _official_clips(truth: DataSet, data_set: PathLike) -> int:
    """Return how many clips the set officially has, present or not."""
    official = truth.info.get("official_clips")
    if official is None:
        return len(truth)
    if type(official) is not int or official < 0:
        raise InputError(
            f"{Path(data_set) / 'info.yaml'}: official_clips: expected a whole number, "
            f"found {official!r}"
        )
    return official


def _sources(truth: DataSet, decoded: DataSet) -> dict[str, str | None]:
    """Return the fingerprints of the inputs. None where info.yaml does not tell."""
    names = ("model", "scores", "operating_point")
    found = {name: decoded.info.get(name) for name in names}
    texts = {name: None if value is None else str(value) for name, value in found.items()}
    return {"data": truth.fingerprint(), **texts}


def _rows(
    scores: ScoreFile, truth: DataSet, decoded: DataSet, path: PathLike
) -> npt.NDArray[np.int64]:
    """Return the row (N,) of each clip in the scores. Raises InputError if one is missing."""
    if decoded.info.get("scores") not in (None, scores.attributes["fingerprint"]):
        raise InputError(
            f"{path}: the folder was decoded from other scores ({decoded.info['scores']}) "
            f"than these ({scores.attributes['fingerprint']}); decode these, or give those"
        )
    if scores.labels != truth.labels:
        raise InputError(f"{path}: its classes are not those of the reference")
    rows: npt.NDArray[np.int64] = scores.rows(truth.filenames)
    missing = truth.filenames[rows < 0].tolist()
    if missing:
        raise InputError(
            f"{path}: holds no scores of {len(missing)} scored clips, the first {missing[0]!r}"
        )
    return rows


def _measure_scores(
    report: dict[str, Any], truth: DataSet, decoded: DataSet, path: PathLike, with_intervals: bool
) -> None:
    """Fill in the metrics that need scores: MAP, MAUC, d' and PSDS."""
    scores = ScoreFile(path)
    rows = _rows(scores, truth, decoded, path)
    clip, tags = scores.clip[rows], truth.tag_matrix()  # (N, K)
    classes = average_precision.class_ranking(clip, tags)
    for label, found in zip(truth.labels, classes):
        report["classes"][label]["audioset"] = found
    report["audioset"] = average_precision.mean_ranking(classes)
    if with_intervals:
        found = average_precision.ranking_intervals(clip, tags)
        report["audioset"].update({f"{name}_ci": ends for name, ends in found.items()})
    if truth.events is not None and scores.has("frame"):
        frames = [scores.frames(row) for row in rows]
        report["psds"], report["psds_classes"] = psds.measure(
            frames, scores.seconds_per_frame, truth.events, truth.durations, scores.durations[rows]
        )


def evaluate_folder(
    data_set: PathLike,
    folder: PathLike,
    scores: PathLike | None = None,
    num_resamples: int = 0,
    *,
    warn: Warn,
) -> tuple[Report, DataSet]:
    """Evaluate the tags and events of a decoded folder.

    Parameters
    ----------
    data_set : path-like
        A data directory, the truth.
    folder : path-like
        A decoded folder, as `wsedtk decode` writes it.
    scores : path-like, optional
        The score file that was decoded, for MAP, MAUC, d' and PSDS.
    num_resamples : int
        Bootstrap resamples of the clips for 95 % intervals. 0 for none.
    warn : callable
        Called with each warning, as text.

    Returns
    -------
    report : Report
    truth : DataSet
        The truth of the N clips that were evaluated.

    Raises
    ------
    InputError
        If a folder is wrong, or the folders and scores do not belong together.
    """
    truth = _read_truth(data_set, warn)
    decoded = datadir.read_decoded(folder, truth.labels)
    official, sources = _official_clips(truth, data_set), _sources(truth, decoded)
    audio, true_audio = (one.info.get("audio_fingerprint") for one in (decoded, truth))
    provenance.check_audio(folder, audio, data_set, true_audio, warn)
    truth, decoded = _match(truth, decoded, data_set, folder, warn)
    weights = bootstrap.clip_weights(len(truth), num_resamples) if num_resamples else None
    report = report_data.empty_report(truth.labels)
    report["made_from"].update(sources)
    tuned_on = str(decoded.info.get("tuned_on")).split(" ")[0]
    report["clips"] = {
        "scored": len(truth),
        "official": official,
        "fingerprint": clip_sets.fingerprint_clips(truth.filenames),
        "tuned_on_these": tuned_on == decoded.info.get("scores"),
    }
    report_data.measure_tags(report, truth, decoded, weights)
    if truth.events is not None:
        report_data.measure_events(report, truth, decoded, weights)
    if scores is not None:
        _measure_scores(report, truth, decoded, scores, weights is not None)
    return Report.from_dict(report, str(folder), "folder"), truth
