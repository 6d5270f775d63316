"""Describe records, configurations, report pages and logs."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import config
from wsedtk.core.errors import InputError
from wsedtk.inspection import models
from wsedtk.inspection.description import (
    About,
    Record,
    as_record,
    made_by,
    record_of,
    when_made,
)
from wsedtk.training.train_config import TrainConfig

_ENDS = 4096  # number of bytes that are read at the beginning and at the end of a file
_GENERATOR = re.compile(r'<meta name="generator" content="wsedtk ([^",<]+), commit ([^",<]+)">')
_LOG_START = re.compile(r"# host (.*), started (.*)")
_LOG_END = re.compile(r"# ended (\S+ \S+ \S+) after (\d+) s.*, exit status (\d+)$")
_CONFIGURATIONS: dict[str, type[TrainConfig] | type[FrontendConfig]] = {
    "configuration of a system": TrainConfig,
    "configuration of a front end": FrontendConfig,
}


class _Ends(NamedTuple):
    """The lines at the beginning and at the end of a file."""

    head: list[str]
    tail: list[str]


def is_yaml(path: Path) -> bool:
    """Return whether a file has the extension .yaml or .yml."""
    return path.is_file() and path.suffix in (".yaml", ".yml")


def describe_yaml(path: Path) -> About | None:
    """Describe a YAML file. Returns None if its kind is unknown."""
    found = config.read_yaml(path)
    if not isinstance(found, dict):
        return None
    if {"mode", "labels", "clip_thresholds"} <= set(found):
        return models.describe_operating_point(path)
    record = as_record(found)
    if record is not None:
        return _describe_record(path, record)
    return _describe_configuration(path, found)


def _describe_record(path: Path, record: Record) -> About:
    about = About(str(path), "record of a command")
    about.made = {**record.made_by, **when_made(path, record)}
    about.content = {
        "verb": record.command,
        **record.about_machine,
        "options": record.options,
    }
    about.add_files(record)
    return about


def _describe_configuration(path: Path, found: Mapping[str, Any]) -> About | None:
    """Describe the configuration of a system or of a front end.

    Returns None if `found` contains no setting of either configuration.
    """
    num_known = {}
    for name, kind in _CONFIGURATIONS.items():
        fields = {field.name for field in dataclasses.fields(kind)}
        num_known[name] = len(set(found) & fields)
    best = max(num_known, key=lambda name: num_known[name])
    if num_known[best] == 0:
        return None
    about = About(str(path), best, made=when_made(path))
    try:
        settings = config.from_mapping(_CONFIGURATIONS[best], found, str(path))
        about.content = {"settings": config.to_mapping(settings), "of_these_given": list(found)}
    except InputError as error:
        about.faults.append(str(error))
    return about


def _ends(path: Path) -> _Ends:
    """Read the lines at the beginning and at the end of a file."""
    with open(path, "rb") as file:
        head = file.read(_ENDS)
        file.seek(max(0, path.stat().st_size - _ENDS))
        tail = file.read()
    return _Ends(
        head.decode(errors="replace").splitlines(), tail.decode(errors="replace").splitlines()
    )


def _generator(path: Path) -> dict[str, str] | None:
    """Return {"wsedtk": version, "commit": commit} from a report page; None for other files."""
    if path.suffix not in (".html", ".htm") or not path.is_file():
        return None
    found = _GENERATOR.search("".join(_ends(path).head))
    return {"wsedtk": found.group(1), "commit": found.group(2)} if found else None


def is_page(path: Path) -> bool:
    """Return whether a file is a page that `wsedtk report` wrote."""
    return _generator(path) is not None


def describe_page(path: Path) -> About:
    """Describe a page of `wsedtk report`. A page is complete if </html> occurs at its end."""
    record = record_of(path)
    made = {**made_by(_generator(path) or {}), **when_made(path, record)}
    about = About(str(path), "report page", made=made)
    about.add_files(record)
    if "</html>" not in "".join(_ends(path).tail):
        about.complete = False
        about.faults.append(f"{path}: the end of the page is missing; run wsedtk report again")
    return about


def _find_start(head: list[str]) -> int | None:
    """Find the line with the name of the host in a log, and return the index of this line.

    The line before this line contains the command. Returns None if there is no such line among the
    first 20 lines.
    """
    for number, line in enumerate(head[:20]):
        if number > 0 and _LOG_START.match(line):
            return number
    return None


def is_log(path: Path) -> bool:
    """Return whether a file begins like a log that bin/local.sh or bin/slurm.sh writes."""
    if not path.is_file():
        return False
    head = _ends(path).head
    return _find_start(head) is not None and head[0].startswith(("# ", "slurm"))


def describe_log(path: Path) -> About | None:
    """Describe the log of a job: its command, its host, and its exit status."""
    head, tail = _ends(path)
    start = _find_start(head)
    match = None if start is None else _LOG_START.match(head[start])
    if start is None or match is None:
        return None
    made = {
        "command": head[start - 1].removeprefix("# ").strip(),
        "when": match.group(2),
        "recorded": True,
    }
    about = About(str(path), "log of a job", made=made)
    about.content["host"] = match.group(1)
    ended = _LOG_END.match(tail[-1])
    if ended:
        about.content.update(
            ended=ended.group(1), seconds=int(ended.group(2)), exit_status=int(ended.group(3))
        )
    else:
        about.complete = False
        about.content["ended"] = "no: the job is running, or was killed"
        about.content["last_line"] = tail[-1][:200]
    return about
