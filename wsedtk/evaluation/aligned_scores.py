"""Find the scores of the clips of a set.

In the shapes, N is the number of clips.
"""

import logging

import numpy as np
import numpy.typing as npt

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data import tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.store import ScoreFile

_LOG = logging.getLogger(__name__)


def align(
    scores: ScoreFile, dataset: DataSet, data_set: PathLike
) -> tuple[npt.NDArray[np.int64], DataSet]:
    """Find the scores of the clips of a set.

    Parameters
    ----------
    scores : ScoreFile
    dataset : DataSet
        The set.
    data_set : path-like
        The data directory of the set. It is used only in messages.

    Returns
    -------
    rows : (N,) int64
        The row of each clip in the scores.
    dataset : DataSet
        The set without the clips that failed in `extract`: N clips.

    Raises
    ------
    InputError
        If the scores and the set differ in classes or audio, if a clip that did not fail has no
        scores, or if all clips failed.
    """
    if scores.labels != dataset.labels:
        odd = [repr(label) for label in sorted(set(scores.labels) ^ set(dataset.labels))]
        detail = f"in only one of them: {tables.first(odd)}" if odd else "only in their order"
        raise InputError(
            f"{scores.path}: its classes differ from those of {data_set} ({detail}); give a score "
            "file and a data directory with the same classes in the same order"
        )
    audio = str(scores.attributes.get("audio_fingerprint", ""))
    true_audio = dataset.info.get("audio_fingerprint")
    provenance.check_audio(scores.path, audio, data_set, true_audio)
    rows: npt.NDArray[np.int64] = scores.rows_of_set(dataset.filenames, data_set)
    scored = rows >= 0
    if not scored.any():
        raise InputError(
            f"{scores.path}: contains no scores of the clips of {data_set}, because extract failed "
            "for all of them; correct their sound files, then run extract and predict again"
        )
    if not scored.all():
        names = dataset.filenames[~scored].tolist()
        _LOG.warning(
            f"{data_set}: the clips for which extract failed are left out: {tables.first(names)}"
        )
    return rows[scored], dataset.select(scored)
