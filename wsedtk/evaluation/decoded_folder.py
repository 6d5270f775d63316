"""Evaluate a decoded folder against a data directory, which contains the reference.

In the shapes, N is the number of clips.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data import boxes, clip_sets, datadir, table_files, tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.official import official_clips
from wsedtk.data.store import ScoreFile
from wsedtk.data.table_files import Repeat, TableFile
from wsedtk.data.unknown_tags import without_unknown
from wsedtk.evaluation import bootstrap, input_warnings, report_data
from wsedtk.evaluation.evidence import Evidence, Scores, match_clips
from wsedtk.evaluation.input_warnings import Warn
from wsedtk.evaluation.measure import measure
from wsedtk.evaluation.metric import Metric
from wsedtk.evaluation.report import Report


def _read_truth(data_set: PathLike, warn: Warn) -> DataSet:
    """Read the reference, and warn of rows and events that are ignored.

    Repeated rows, and events that begin at or after the end of their clip, are ignored.
    """
    truth, faults = datadir.check(data_set)
    table_files.raise_on_errors(faults, if_many=f"wsedtk validate '{data_set}' lists them all")
    repeats = [fault for fault in faults if isinstance(fault, Repeat)]
    for path in dict.fromkeys(fault.path for fault in repeats):
        lines = [one.line for one in repeats if one.path == path and one.line is not None]
        input_warnings.warn_of_repeats(warn, path, lines)
    if truth is None:
        raise InputError(
            f"{data_set}: can't be read as a data directory; run wsedtk validate to see why"
        )
    if truth.events is not None:
        path, names = Path(data_set) / "events.tsv", truth.filenames
        input_warnings.warn_of_late(warn, path, truth.events, names, truth.durations)
    return truth


def _failed(path: Path) -> list[str]:
    """Return the clips in the failed.tsv that `wsedtk decode` wrote. If it is missing, return [].

    The audio of these clips is missing, unreadable or too long (see `ExtractResult.failed`).
    """
    if not path.exists():
        return []
    table = TableFile(path)
    names = [name for _, (block,) in table.rows(("filename",)) for name in block]
    table.raise_errors("decode the scores again")
    return names


def _match(
    truth: DataSet, decoded: DataSet, data_set: PathLike, folder: PathLike, warn: Warn
) -> tuple[DataSet, DataSet]:
    """Return the reference and the decoded set, both reduced to their common clips.

    In both results, the clips have the names and the order of the reference. Raises InputError if
    the sets have no clip in common, or if a clip of the reference was neither decoded nor listed in
    failed.tsv.
    """
    found, in_decoded = match_clips(decoded, truth.filenames)
    if not len(found):
        raise InputError(
            f"{folder}: {data_set} contains none of the decoded clips; give the data directory of "
            "the decoded clips"
        )
    if len(found) < len(decoded):
        is_odd = tables.find_clips(truth.filenames, decoded.filenames) < 0
        odd = decoded.filenames[is_odd].tolist()
        warn(
            f"{counted(len(odd), 'decoded clip')} {'is' if len(odd) == 1 else 'are'} not evaluated "
            f"because {data_set} does not contain {'it' if len(odd) == 1 else 'them'}: "
            f"{tables.first(odd)}"
        )
    failed = _failed(Path(folder) / "failed.tsv")
    is_failed = tables.find_clips(failed, truth.filenames) >= 0
    missing = truth.filenames[~in_decoded & ~is_failed].tolist()
    left_out = truth.filenames[~in_decoded & is_failed].tolist()
    if missing:
        raise InputError(
            f"{folder}: lacks {len(missing)} of {counted(len(truth), 'clip')} of {data_set}, for "
            f"example {missing[0]!r}; predict and decode the whole set, or remove the missing "
            "clips from the set"
        )
    if left_out:
        warn(
            f"{counted(len(left_out), 'clip')} of {data_set} "
            f"{'is' if len(left_out) == 1 else 'are'} not evaluated because extract could not use "
            f"the audio: {tables.first(left_out)}"
        )
    return truth.select(in_decoded), found


def _official_clips(truth: DataSet, data_set: PathLike) -> int:
    """Return the official number of clips of the set, including clips that could not be obtained.

    If the set has no official number (see `official.official_clips`), the number of clips of the
    set with known tags is returned.
    """
    official = official_clips(truth.info)
    if official is None:
        return int((~truth.has_unknown_tags()).sum())
    if type(official) is not int or official < 0:
        raise InputError(
            f"{Path(data_set) / 'info.yaml'}: official_clips: found {official!r}; "
            "expected a whole number of at least 0"
        )
    return official


def _sources(truth: DataSet, decoded: DataSet) -> dict[str, str | None]:
    """Return the fingerprints {name: fingerprint} of the inputs of an evaluation.

    A fingerprint is None if the info.yaml of the decoded folder does not contain it.
    """
    names = ("model", "scores", "operating_point")
    found = {name: decoded.info.get(name) for name in names}
    texts = {name: None if value is None else str(value) for name, value in found.items()}
    return {"data": truth.fingerprint(), **texts}


def _rows(
    scores: ScoreFile, truth: DataSet, decoded: DataSet, path: PathLike
) -> npt.NDArray[np.int64]:
    """Return the row (N,) of each clip of the reference in the score file.

    Raises InputError if the file lacks a clip, if its classes are not those of the reference, or if
    the folder was decoded from other scores.
    """
    if decoded.info.get("scores") not in (None, scores.attributes["fingerprint"]):
        raise InputError(
            f"{path}: the fingerprint of this file is {scores.attributes['fingerprint']}, but the "
            "evaluated folder was decoded from scores with the fingerprint "
            f"{decoded.info['scores']}; decode this file, or give the score file that was decoded"
        )
    if scores.labels != truth.labels:
        raise InputError(
            f"{path}: the classes, or their order, differ from those of the reference; give the "
            "scores of a system with the classes of the reference, in the same order"
        )
    rows: npt.NDArray[np.int64] = scores.rows(truth.filenames)
    missing = truth.filenames[rows < 0].tolist()
    if missing:
        raise InputError(
            f"{path}: lacks the scores of {counted(len(missing), 'evaluated clip')}, for example "
            f"{missing[0]!r}; predict and decode the whole set"
        )
    return rows


def evaluate_folder(
    data_set: PathLike,
    folder: PathLike,
    scores: PathLike | None = None,
    num_resamples: int = 0,
    *,
    warn: Warn,
    own: Sequence[Metric] = (),
) -> tuple[Report, DataSet]:
    """Evaluate the tags and events of a decoded folder.

    Parameters
    ----------
    data_set : path-like
        A data directory with the reference tags and, optionally, the reference events.
    folder : path-like
        A decoded folder that `wsedtk decode` wrote.
    scores : path-like, optional
        The score file that was decoded. It is needed for MAP, MAUC, d' and PSDS. In box mode, PSDS
        is computed from the boxes of the folder instead.
    num_resamples : int
        Number of bootstrap resamples of the clips for 95 % intervals. If it is 0, no intervals are
        computed.
    warn : callable
        A function that is called with the text of each warning.
    own : sequence of Metric
        User-defined metrics.

    Returns
    -------
    report : Report
    truth : DataSet
        The reference of the N clips that were evaluated.

    Raises
    ------
    InputError
        If an input is missing or invalid, if the folders and scores do not belong together, or if
        a user-defined metric can't be evaluated.
    """
    truth = _read_truth(data_set, warn)
    decoded = datadir.read_decoded(folder, truth.labels)
    official, sources = _official_clips(truth, data_set), _sources(truth, decoded)
    audio, true_audio = (one.info.get("audio_fingerprint") for one in (decoded, truth))
    provenance.check_audio(folder, audio, data_set, true_audio, warn)
    truth, decoded = _match(truth, decoded, data_set, folder, warn)
    is_known = ~truth.has_unknown_tags()
    truth, decoded = without_unknown(truth, data_set, warn), decoded.select(is_known)
    weights = bootstrap.clip_weights(len(truth), num_resamples) if num_resamples else None
    report = report_data.empty_report(truth.labels)
    report["made_from"].update(sources)
    tuned_on = str(decoded.info.get("tuned_on")).split(" ")[0]
    report["clips"] = {
        "scored": len(truth),
        "official": official,
        "is_official": official_clips(truth.info) is not None,
        "fingerprint": clip_sets.fingerprint_clips(truth.filenames),
        "tuned_on_these": tuned_on == decoded.info.get("scores"),
    }
    found = None
    if scores is not None:
        file = ScoreFile(scores)
        found = Scores.from_file(file, _rows(file, truth, decoded, scores))
    all_boxes = None
    if decoded.info.get("mode") == "box":
        all_boxes = boxes.read(Path(folder) / boxes.NAME, truth.filenames, truth.labels)
    evidence = Evidence(truth, decoded, found, boxes=all_boxes)
    measure(report, evidence, weights, own)
    return Report.from_dict(report, str(folder), "folder"), truth
