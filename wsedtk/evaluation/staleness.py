"""Whether the files of a system are up to date: model, scores, decoded folder and report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wsedtk.core import provenance
from wsedtk.core.config import read_yaml
from wsedtk.core.paths import PathLike
from wsedtk.data import store


class _Link(NamedTuple):
    """An input of a decoded folder, or an input of its report.

    `before` is its fingerprint in the info.yaml of the decoded folder. `now` is the fingerprint of
    the file, or the fingerprint in the report. A fingerprint is None if it is unknown.
    """

    what: str
    before: object
    now: object
    remedy: str


def read_info(folder: PathLike) -> dict[str, Any]:
    """Return the content of the info.yaml of a folder. {} if there is none.

    Raises
    ------
    InputError
        If the file is not valid YAML.
    """
    path = Path(folder) / "info.yaml"
    info = read_yaml(path) if path.exists() else {}
    return info if isinstance(info, dict) else {}


def breaks(model: Path, folder: Path, report: Mapping[str, Any] | None = None) -> list[str]:
    """Return messages about stale inputs of a decoded folder and of its report.

    Parameters
    ----------
    model : Path
        The model directory.
    folder : Path
        The decoded folder <model>/<set>/<mode>/.
    report : mapping, optional
        The content of report.json in this folder.

    Returns
    -------
    list of str
        A message for each input that has changed, in the order of the stages. An input that is
        missing or unknown is not reported.
    """
    info, scores = read_info(folder), folder.parent / "scores.h5"
    scores_now = None
    if scores.exists():
        scores_now = store.look(scores)["attributes"].get("fingerprint")
    remedy = "predict, tune, decode and score again, or remove the folder"
    model_now = provenance.fingerprint_model_directory(model)
    links = [
        _Link(f"the model in {model}", info.get("model"), model_now, remedy),
        _Link(str(scores), info.get("scores"), scores_now, "decode and score again"),
    ]
    made_from = (report or {}).get("made_from", {})
    for key in ("scores", "operating_point"):
        what = f"the {key} that {folder / 'report.json'} names"
        links.append(_Link(what, info.get(key), made_from.get(key), "score again"))
    return [
        f"{folder}: was made from other content ({one.before}) than that of {one.what} now "
        f"({one.now}); {one.remedy}"
        for one in links
        if one.before and one.now and one.before != one.now
    ]
