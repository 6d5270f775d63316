"""Find decoded folders and reports that are stale because their inputs have changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wsedtk.core import provenance
from wsedtk.core.config import read_yaml
from wsedtk.core.paths import PathLike
from wsedtk.data import store


class _Link(NamedTuple):
    """Two fingerprints of one input of a decoded folder.

    If both are known, they are equal unless the folder or its report is stale.

    Attributes
    ----------
    what : str
        Where the second fingerprint comes from, for messages.
    before : object
        The fingerprint in the info.yaml of the decoded folder. None if unknown.
    now : object
        The fingerprint of the input now, or its fingerprint in report.json. None if unknown.
    remedy : str
        What to do if the fingerprints differ, for messages.
    """

    what: str
    before: object
    now: object
    remedy: str


def read_info(folder: PathLike) -> dict[str, Any]:
    """Return the content of the info.yaml of a folder.

    If the file is missing, or if its content is not a mapping, return {}.

    Raises
    ------
    InputError
        If the file is not valid YAML.
    """
    path = Path(folder) / "info.yaml"
    info = read_yaml(path) if path.exists() else {}
    return info if isinstance(info, dict) else {}


def breaks(model: Path, folder: Path, report: Mapping[str, Any] | None = None) -> list[str]:
    """Return a message for each reason why a decoded folder or its report is stale.

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
        A message for each input that has changed since the folder was decoded, and for each input
        whose fingerprints in info.yaml and in report.json differ. Inputs that are missing, or whose
        fingerprint is unknown, are not reported.
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
        what = f"the {key} in {folder / 'report.json'}"
        links.append(_Link(what, info.get(key), made_from.get(key), "score again"))
    return [
        f"{folder}: was made from an input with the fingerprint {one.before}, but the fingerprint "
        f"of {one.what} is {one.now}; {one.remedy}"
        for one in links
        if one.before and one.now and one.before != one.now
    ]
