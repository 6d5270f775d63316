"""score: a decoded folder and a data directory -> report.json and report.txt."""

import dataclasses
import json
import logging
from pathlib import Path

from wsedtk.core.atomic import write_text
from wsedtk.core.paths import PathLike
from wsedtk.data import datadir, tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events
from wsedtk.evaluation.columns import load_metrics
from wsedtk.evaluation.decoded_folder import evaluate_folder
from wsedtk.evaluation.report import Report
from wsedtk.stages.options.results import ScoreOptions

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ScoreResult:
    """The result of `run`: the evaluation of a decoded folder.

    Attributes
    ----------
    report : Report
        The metrics.
    report_json, report_text : Path
        The files with the metrics and their tables.
    reference : Path
        The folder with the reference tags and events of the evaluated clips.
    """

    report: Report
    report_json: Path
    report_text: Path
    reference: Path


def _write_reference(folder: Path, truth: DataSet, data_set: PathLike) -> None:
    """Write the reference tags and events of the evaluated clips, and the path of their set.

    The path is replaced by None if a table can't contain it, for example because of a tab.
    """
    where = str(Path(data_set).absolute())
    info = {"data_set": None if tables.unfit([where]) is not None else where}
    events = truth.events if truth.events is not None else Events.from_rows([])
    tags = truth.tag_matrix()
    datadir.write_decoded(
        folder, truth.filenames, truth.durations, truth.labels, tags, events=events, info=info
    )


def run(options: ScoreOptions) -> ScoreResult:
    """Evaluate a decoded folder, and write report.json, report.txt and reference/ into it.

    `wsedtk.evaluate` computes the same report without writing files.

    Parameters
    ----------
    options : ScoreOptions
        The inputs and the settings.

    Returns
    -------
    ScoreResult

    Raises
    ------
    InputError
        If an input is wrong, or if the set, the decoded folder and the scores do not belong
        together.
    """
    out_dir = Path(options.out_dir)
    report, truth = evaluate_folder(
        options.data_set,
        out_dir,
        options.scores,
        options.num_resamples,
        warn=_LOG.warning,
        own=load_metrics(options.own_metrics),
    )
    result = ScoreResult(
        report, out_dir / "report.json", out_dir / "report.txt", out_dir / "reference"
    )
    _write_reference(result.reference, truth, options.data_set)
    content = json.dumps(report.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
    write_text(result.report_text, report.to_text())
    write_text(result.report_json, content + "\n")
    return result
