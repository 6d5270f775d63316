"""score-files: a list of tags or events, and a reference list -> metrics."""

import dataclasses
import logging

from wsedtk.evaluation.lists import evaluate_lists
from wsedtk.evaluation.report import Report
from wsedtk.stages.options.results import ScoreFilesOptions

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ScoreFilesResult:
    """The result of `run`: the evaluation of a list.

    Attributes
    ----------
    report : Report
        The metrics.
    """

    report: Report


def run(options: ScoreFilesOptions) -> ScoreFilesResult:
    """Evaluate a list of tags or events on every clip of the reference.

    `wsedtk.evaluate` computes the same report.

    Parameters
    ----------
    options : ScoreFilesOptions
        The inputs and the settings.

    Returns
    -------
    ScoreFilesResult

    Raises
    ------
    InputError
        If a list is missing or wrong, if the lists are of different kinds, or if the evaluated list
        contains clips, but none of them is in the reference.
    """
    report = evaluate_lists(
        options.reference, options.estimate, options.kind, options.num_resamples, warn=_LOG.warning
    )
    return ScoreFilesResult(report)
