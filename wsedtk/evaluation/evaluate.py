"""Evaluate the tags and events of a system against a reference."""

import logging
from collections.abc import Sequence
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.evaluation.columns import load_metrics
from wsedtk.evaluation.metric import Metric
from wsedtk.evaluation.report import Report
from wsedtk.evaluation.report_text import Kind

_LOGGER = logging.getLogger(__name__)


def evaluate(
    reference: PathLike,
    estimate: PathLike,
    *,
    scores: PathLike | None = None,
    kind: Kind | None = None,
    num_resamples: int = 0,
    metrics: Sequence[str | Metric] = (),
) -> Report:
    """Evaluate tags and events, as `wsedtk score` and `wsedtk score-files` do.

    No files are written. The logger `wsedtk.evaluation.evaluate` logs warnings, for example if a
    list of estimates lacks clips of the reference.

    Parameters
    ----------
    reference : path-like
        A data directory, or a list of tags or events in the format of DCASE challenges.
    estimate : path-like
        If the reference is a data directory, a decoded folder. If the reference is a list, a list
        of tags or events.
    scores : path-like, optional
        The score file that was decoded. It is needed for MAP, MAUC, d' and PSDS of a decoded
        folder. In box mode, PSDS is computed from the boxes of the folder instead. It must be None
        for lists.
    kind : {"tags", "events"}, optional
        What the lists contain. By default it is determined from their rows. It must be None for a
        decoded folder.
    num_resamples : int
        Number of bootstrap resamples of the clips for 95 % intervals. If it is 0, no intervals are
        computed.
    metrics : sequence of str or Metric
        User-defined metrics. Each item is a `wsedtk.evaluation.metric.Metric`, or the location of a
        `Metric` as "package.module:NAME".

    Returns
    -------
    Report
        The result. Its metric values are fractions, not percentages. `to_dict` returns the content
        of report.json. `to_text` returns tables as text.

    Raises
    ------
    InputError
        If an input is missing or invalid, if the inputs do not belong together, or if a
        user-defined metric can't be evaluated.

    Examples
    --------
    >>> report = wsedtk.evaluate("data/test", "exp/linear/test/frame")
    >>> report.segment.f1
    """
    if num_resamples < 0:
        raise InputError(f"num_resamples: found {num_resamples}; expected a number of at least 0")
    reference, estimate = Path(reference), Path(estimate)
    own = load_metrics(metrics)
    if reference.is_file() or (estimate.is_file() and not reference.is_dir()):
        if scores is not None:
            raise InputError(
                f"scores: can be given only if the reference is a data directory, but {reference} "
                "is not a data directory; omit scores"
            )
        if kind not in (None, "tags", "events"):
            raise InputError(f"kind: found {kind!r}; expected 'tags' or 'events'")
        from wsedtk.evaluation.lists import evaluate_lists

        return evaluate_lists(
            reference, estimate, kind, num_resamples, warn=_LOGGER.warning, own=own
        )
    if kind is not None:
        raise InputError(
            "kind: can be given only if the reference is a list of tags or events, but "
            f"{reference} is not a list; omit kind"
        )
    from wsedtk.evaluation.decoded_folder import evaluate_folder

    report, _ = evaluate_folder(
        reference, estimate, scores, num_resamples, warn=_LOGGER.warning, own=own
    )
    return report
