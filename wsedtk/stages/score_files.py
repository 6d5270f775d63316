"""score-files: a list of tags or events against a list of the true ones."""

import json

from wsedtk.core import console
from wsedtk.core.progress import warning
from wsedtk.core.types import PathLike
from wsedtk.evaluation.lists import evaluate_lists
from wsedtk.evaluation.report_text import Kind


def run(
    reference_path: PathLike,
    estimate_path: PathLike,
    kind: Kind | None,
    as_json: bool,
    num_resamples: int,
) -> None:
    """Evaluate every clip of the reference and print the report.

    See `wsedtk.evaluation.lists.evaluate_lists`.
    """
    report = evaluate_lists(reference_path, estimate_path, kind, num_resamples, warn=warning)
    if not as_json:
        print(report.to_text(), end="")
        return
    content = json.dumps(report.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
    print(console.json_text(content))
