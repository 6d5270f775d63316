"""info: any artefact -> what it is, made by what, when, from what, and whether it is whole."""

import dataclasses
import json
import math
import re

from wsedtk.core import console
from wsedtk.core.errors import InputError
from wsedtk.core.progress import printable
from wsedtk.inspection import artefacts

_INDENT = "    "


def _text(value):
    """A value in a line; control characters, line ends among them, spelt out."""
    text = (
        ("yes" if value else "no")
        if isinstance(value, bool)
        else "; ".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _lines(mapping, indent=""):
    """Aligned `key: value` lines; what is empty or not known is left out."""
    shown = {
        _text(key): value
        for key, value in mapping.items()
        if value is not None and value != [] and value != {}
    }
    width = (
        max((len(key) for key, value in shown.items() if not isinstance(value, dict)), default=0)
        + 1
    )
    for key, value in shown.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + _INDENT)
        else:
            yield f"{indent}{key + ':':{width}} {_text(value)}"


_STATES = {
    "there": "still there",
    "changed": "another by now",
    "gone": "no longer there",
    None: None,
}


def _inputs(inputs):
    """What an artefact was made from, by what it is; several of a kind by their paths."""
    found = {}
    for one in inputs:
        rest = ", ".join(filter(None, [one["fingerprint"], _STATES[one["state"]]]))
        if one["what"] == "files":
            found.setdefault("files", {})[one["path"]] = rest
        else:
            found[one["what"]] = ", ".join(filter(None, [one["path"], rest]))
    return found


def text_of(about):
    """An `About` as text."""
    made = about.made
    by = ", ".join(f"{name} {made[name]}" for name in ("wsedtk", "commit", "verb") if name in made)
    when = made.get("when") and made["when"] + (
        "" if made.get("recorded") else " (the file's time)"
    )
    head = {
        "kind": about.kind,
        "complete": about.complete,
        "made by": by or None,
        "command": made.get("command"),
        "made": when,
    }
    content = {key.replace("_", " "): value for key, value in about.content.items()}
    lines = [
        _text(about.path),
        *_lines({**head, **content, "made from": _inputs(about.inputs)}, _INDENT),
    ]
    return "\n".join(lines + [f"{_INDENT}fault: {_text(fault)}" for fault in about.faults])


def _plain(value):
    """A value as JSON can have it: numbers in YAML may be not finite."""
    if isinstance(value, dict):
        return {key: _plain(content) for key, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(content) for content in value]
    known = (
        value is None
        or isinstance(value, (bool, int, str))
        or isinstance(value, float)
        and math.isfinite(value)
    )
    return value if known else str(value)


def run(paths, as_json):
    """Print what artefacts are. Raises InputError, at the end, where any is damaged, does not fit together, or is none."""
    found, wrong = [], []
    for path in paths:
        try:
            found.append(artefacts.describe(path))
        except InputError as error:
            wrong.append(str(error))
    if as_json:
        described = [_plain(dataclasses.asdict(about)) for about in found]
        text = json.dumps(described, indent=1, allow_nan=False, ensure_ascii=False)
        text = console.json_text(text)
    else:
        text = "\n\n".join(map(text_of, found))
    if text:
        print(
            re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match.group()):x}", text)
        )  # of names that are not UTF-8
    damaged = [about.path for about in found if about.faults]
    if damaged:
        wrong.append(
            f"{len(damaged)} of {len(paths)} damaged, or not fitting together: {', '.join(damaged)}"
        )
    if wrong:
        raise InputError("\n".join(wrong))
