"""Records, configurations, pages and logs."""

import re

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import config
from wsedtk.core.errors import InputError
from wsedtk.inspection.description import (
    About,
    made_by,
    read_record,
    record_of,
    when_made,
)
from wsedtk.training.train_config import TrainConfig

_ENDS = 4096  # bytes of a log that are looked at, at either end


def record(path, found):
    """Describe a record that `wsedtk --record` wrote, the mapping `found`."""
    about = About(str(path), "record of a command")
    about.made = {**made_by(found), **when_made(path, found)}
    about.content = {
        "verb": found["command"],
        "host": found.get("host"),
        "python": found.get("python"),
        "options": found["options"],
    }
    about.add_files(found)
    return about


def is_yaml(path):
    """Whether a file is named as YAML."""
    return path.is_file() and path.suffix in (".yaml", ".yml")


def configuration(path, found):
    """Describe the configuration of a system or of a front end, the mapping `found`; None where it is neither."""
    kinds = {
        "configuration of a system": TrainConfig,
        "configuration of a front end": FrontendConfig,
    }
    known = {name: len(set(found) & set(kind.__dataclass_fields__)) for name, kind in kinds.items()}
    name = max(known, key=known.get)
    if not known[name]:
        return None
    about = About(str(path), name, made=when_made(path))
    try:
        settings = config.to_mapping(config.from_mapping(kinds[name], found, str(path)))
        about.content = {"settings": settings, "of_these_given": list(found)}
    except InputError as error:
        about.faults.append(str(error))
    return about


def yaml(path):
    """Describe a YAML file; None where it is of no kind that is known."""
    found = config.read_yaml(path)
    if not isinstance(found, dict):
        return None
    if {"mode", "labels", "clip_thresholds"} <= set(found):
        from wsedtk.inspection import models

        return models.point(path)
    as_record = read_record(path)
    return configuration(path, found) if as_record is None else record(path, as_record)


def _ends(path):
    with open(path, "rb") as file:
        head = file.read(_ENDS)
        file.seek(max(0, path.stat().st_size - _ENDS))
        return head.decode(errors="replace").splitlines(), file.read().decode(
            errors="replace"
        ).splitlines()


def _generator(path):
    """What a page of `wsedtk report` says of what made it, as {wsedtk, commit}; None of any other file."""
    if path.suffix not in (".html", ".htm") or not path.is_file():
        return None
    found = re.search(
        r'<meta name="generator" content="wsedtk ([^",<]+), commit ([^",<]+)">',
        "".join(_ends(path)[0]),
    )
    return found and {"wsedtk": found.group(1), "commit": found.group(2)}


def is_page(path):
    """Whether a file is a page that `wsedtk report` wrote."""
    return _generator(path) is not None


def page(path):
    """Describe a report page, by its head, and by its end, which says that it is whole."""
    record = record_of(path)
    about = About(
        str(path), "report page", made={**made_by(_generator(path)), **when_made(path, record)}
    )
    about.add_files(record)
    if "</html>" not in "".join(_ends(path)[1]):
        about.complete = False
        about.faults.append(f"{path}: its end is missing; make it anew")
    return about


def is_log(path):
    """Whether a file begins as the log of a job of bin/local.sh or bin/slurm.sh does."""
    if not path.is_file():
        return False
    head = _ends(path)[0]
    return any(re.match(r"# host .*, started ", line) for line in head[1:20]) and head[
        0
    ].startswith(("# ", "slurm"))


def log(path):
    """Describe the log of a job: what ran, and how it ended."""
    head, tail = _ends(path)
    host = next(
        number for number, line in enumerate(head) if re.match(r"# host .*, started ", line)
    )
    match = re.match(r"# host (.*), started (.*)", head[host])
    about = About(
        str(path),
        "log of a job",
        made={
            "command": head[host - 1].removeprefix("# ").strip(),
            "when": match.group(2),
            "recorded": True,
        },
    )
    about.content["host"] = match.group(1)
    ended = re.match(r"# ended (\S+ \S+ \S+) after (\d+) s.*, exit status (\d+)$", tail[-1])
    if ended:
        about.content.update(
            ended=ended.group(1), seconds=int(ended.group(2)), exit_status=int(ended.group(3))
        )
    else:
        about.complete = False
        about.content["ended"] = "no: it runs, or was killed"
        about.content["last_line"] = tail[-1][:200]
    return about
