"""Convert the descriptions of artefacts to text and to JSON."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wsedtk.core.progress import printable
from wsedtk.inspection.description import About

_INDENT = "    "
_STATES = {"there": "unchanged", "changed": "has changed", "gone": "missing"}


def text_of(about: About) -> str:
    """Return the description of an artefact as indented text."""
    made = about.made
    made_by = [f"{name} {made[name]}" for name in ("wsedtk", "commit", "verb") if name in made]
    when = made.get("when")
    if when and not made.get("recorded"):
        when = f"{when} (modification time)"
    head = {
        "kind": about.kind,
        "complete": about.complete,
        "made by": ", ".join(made_by) or None,
        "command": made.get("command"),
        "made": when,
    }
    content = {key.replace("_", " "): value for key, value in about.content.items()}
    lines = [_text(about.path)]
    lines += _lines({**head, **content, "made from": _inputs(about.inputs)}, _INDENT)
    lines += [f"{_INDENT}fault: {_text(fault)}" for fault in about.faults]
    return "\n".join(lines)


def _lines(mapping: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield aligned `key: value` lines. None, empty lists and empty mappings are left out."""
    shown = {
        _text(key): value
        for key, value in mapping.items()
        if value is not None and value != [] and value != {}
    }
    in_line = [key for key, value in shown.items() if not isinstance(value, dict)]
    width = max(map(len, in_line), default=0) + 1
    for key, value in shown.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + _INDENT)
        else:
            yield f"{indent}{key + ':':{width}} {_text(value)}"


def _text(value: object) -> str:
    """Return a value as one line of text. Control characters and line ends are escaped."""
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, list):
        text = "; ".join(map(str, value))
    else:
        text = str(value)
    shown: str = printable(text)
    return shown.replace("\n", "\\n").replace("\t", "\\t")


def _inputs(inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the inputs of an artefact as {kind: text}. The value of "files" is {path: text}."""
    found: dict[str, Any] = {}
    files: dict[str, str] = {}
    for one in inputs:
        rest = [text for text in (one["fingerprint"], _STATES.get(one["state"])) if text]
        if one["what"] == "files":
            found["files"] = files
            files[one["path"]] = ", ".join(rest)
        else:
            found[one["what"]] = ", ".join([*filter(None, [one["path"]]), *rest])
    return found


def json_of(about: About) -> Any:
    """Convert the description of an artefact to values that JSON supports."""
    return _plain(dataclasses.asdict(about))


def _plain(value: object) -> Any:
    """Convert a value to values that JSON supports.

    Values that JSON does not support, such as infinite numbers, become texts.
    """
    if isinstance(value, dict):
        return {key: _plain(content) for key, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(content) for content in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def escape_surrogates(text: str) -> str:
    """Escape the parts of file names that are not UTF-8."""
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match.group()):x}", text)
