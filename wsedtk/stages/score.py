"""score: decoded tags and events against the truth -> report.json and report.txt."""

import json
from collections.abc import Sequence
from pathlib import Path

from wsedtk.core import console
from wsedtk.core.atomic import write_text
from wsedtk.core.progress import warning
from wsedtk.core.types import PathLike
from wsedtk.data import datadir, tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events
from wsedtk.evaluation import report_text
from wsedtk.evaluation.columns import load_metrics
from wsedtk.evaluation.decoded_folder import evaluate_folder
from wsedtk.evaluation.report_data import MANY_CLASSES


def _write_reference(folder: Path, truth: DataSet, data_set: PathLike) -> None:
    """Write the truth of the evaluated clips, and where the data directory with its audio is."""
    where = str(Path(data_set).absolute())
    info = {"data_set": None if tables.unfit([where]) is not None else where}
    events = truth.events if truth.events is not None else Events.from_rows([])
    tags = truth.tag_matrix()
    datadir.write_decoded(
        folder, truth.filenames, truth.durations, truth.labels, tags, events=events, info=info
    )


def run(
    data_set: PathLike,
    out_dir: PathLike,
    scores_path: PathLike | None,
    num_resamples: int,
    as_json: bool,
    own_metrics: Sequence[str] = (),
) -> None:
    """Evaluate a decoded folder; write report.json, report.txt and the reference into it.

    See `wsedtk.evaluation.decoded_folder.evaluate_folder`.
    """
    out_dir = Path(out_dir)
    own = load_metrics(own_metrics)
    report, truth = evaluate_folder(
        data_set, out_dir, scores_path, num_resamples, warn=warning, own=own
    )
    _write_reference(out_dir / "reference", truth, data_set)
    mapping = report.to_dict()
    content = json.dumps(mapping, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(out_dir / "report.txt", report.to_text())
    write_text(out_dir / "report.json", content)
    if as_json:
        print(console.json_text(content), end="")
        return
    summary, classes = report_text.parts(mapping, report.title, report.layout)
    if len(report.classes) > MANY_CLASSES:
        classes = f"all {len(report.classes)} classes: {out_dir / 'report.txt'}\n"
    print(summary + classes, end="")
