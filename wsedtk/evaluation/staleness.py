"""Whether what lies in a system's folders still comes from one another: model, scores, decoded folder, report."""

from pathlib import Path

from wsedtk.core import provenance
from wsedtk.core.config import read_yaml
from wsedtk.data import store


def read_info(folder):
    """The mapping of a folder's info.yaml; {} where there is none. Raises InputError where it is not YAML."""
    path = Path(folder) / "info.yaml"
    info = read_yaml(path) if path.exists() else {}
    return info if isinstance(info, dict) else {}


def breaks(model, folder, report=None):
    """What a decoded folder <model>/<set>/<mode>/, or the report in it, does not come from any more: sentences, in the order of the chain.

    report: the content of its report.json, where it has one. What is not known, or not there, is not a break.
    """
    info, made_from, scores = (
        read_info(folder),
        (report or {}).get("made_from", {}),
        folder.parent / "scores.h5",
    )
    there = store.look(scores)["attributes"].get("fingerprint") if scores.exists() else None
    links = [
        (
            f"the model in {model}",
            info.get("model"),
            provenance.fingerprint_model_directory(model),
            "predict, tune, decode and score again, or remove the folder",
        ),
        (scores, info.get("scores"), there, "decode and score again"),
        *(
            (
                f"{folder / 'report.json'}, by its {key}",
                info.get(key),
                made_from.get(key),
                "score again",
            )
            for key in ("scores", "operating_point")
        ),
    ]
    return [
        f"{folder}: comes from something else ({left}) than {what} ({right}), which was made anew; {remedy}"
        for what, left, right, remedy in links
        if left and right and left != right
    ]
