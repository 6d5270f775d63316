"""What is told of an artefact, whatever its kind, and what several kinds find out alike."""

import dataclasses
import datetime
import os
import shlex
from pathlib import Path

from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError

_HIGHEST = 4  # folders above an artefact, beside which the log folder of its experiment may lie
_MOST_RECORDS = 1000


@dataclasses.dataclass
class About:
    """One artefact. All values are plain: numbers, texts, and lists and mappings of them."""

    path: str
    kind: str
    complete: bool | None = True  # False: in the making, or damaged; None: not looked at
    faults: list = dataclasses.field(
        default_factory=list
    )  # sentences: what is damaged, or does not fit together
    made: dict = dataclasses.field(default_factory=dict)  # by: wsedtk and commit; command; when
    inputs: list = dataclasses.field(
        default_factory=list
    )  # of mappings: what, and of path, fingerprint, state what is known
    content: dict = dataclasses.field(default_factory=dict)  # what is in it, by the kind

    def add_input(self, what, path=None, fingerprint=None, state=None):
        """Note something that it was made from. state: there, changed, gone; None: not known."""
        if path is not None or fingerprint is not None:
            self.inputs.append(
                {
                    "what": what,
                    "path": path and str(path),
                    "fingerprint": fingerprint and str(fingerprint),
                    "state": state,
                }
            )

    def add_files(self, record):
        """Note the files that the record of what made it names, and whether they are still those."""
        for name, fingerprint in record["inputs"].items() if record else ():
            self.add_input("files", name, fingerprint, file_state(name, fingerprint))


def made_by(mapping):
    """{wsedtk, commit} of the attributes or the YAML of an artefact, as far as they are there."""
    return {name: str(mapping[name]) for name in ("wsedtk", "commit") if mapping.get(name)}


def text_time(seconds):
    """A time as text, with its zone."""
    return datetime.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def when_made(path, record=None):
    """{command, when, recorded}: by the record of what made it, else when its file was last written."""
    if record is None:
        return {"when": text_time(os.stat(path).st_mtime), "recorded": False}
    arguments = [str(a) for a in record["arguments"]]
    arguments = arguments[2:] if arguments[:1] == ["--record"] else arguments
    return {
        "command": shlex.join(["wsedtk", *arguments]),
        "when": str(record.get("started")),
        "recorded": True,
    }


def read_record(path):
    """A `--record` file as a mapping; None where it is none. Raises InputError where it can't be read."""
    found = config.read_yaml(path)
    kinds = {"command": str, "options": dict, "inputs": dict, "arguments": list}
    return (
        found
        if isinstance(found, dict)
        and all(isinstance(found.get(key), kind) for key, kind in kinds.items())
        else None
    )


def _wrote(record, target, verb, shard):
    """Whether a command, that is a record's, wrote a path: it is among its options, and is not, and does not hold, an input."""
    if shard is not None and record["options"].get("shard") != shard:
        return False
    if verb is not None:
        if record["command"] != f"wsedtk {verb}":
            return False
    elif any(Path(name).absolute().is_relative_to(target) for name in record["inputs"]):
        return False
    found = {target, target.parent} if record["command"].startswith("wsedtk prepare") else {target}
    for value in record["options"].values():
        for name in [
            Path(v)
            for v in (value if isinstance(value, list) else [value])
            if isinstance(v, str) and "\0" not in v
        ]:
            if (
                name in found
                or 1 < len(name.parts)
                and any(place.parts[-len(name.parts) :] == name.parts for place in found)
            ):
                return True  # where it is relative, by its end: to what is not known, and a single word may be anything
    return False


def record_of(path, verb=None, shard=None):
    """The record of the command that wrote a path last, in log/ of a folder above it; None where there is none.

    verb: the one that wrote it, where the path is a folder that this verb reads too. shard: [k, n], of the command's options.
    """
    target, found = Path(path).absolute(), []
    for folder in list(target.parents)[:_HIGHEST]:
        try:
            records = sorted(p for p in (folder / "log").glob("*.yaml") if p.is_file())[
                :_MOST_RECORDS
            ]
        except OSError:
            continue
        for name in records:
            try:
                record = read_record(name)
            except InputError:
                continue
            if record is not None and _wrote(record, target, verb, shard):
                found.append(record)
        if found:
            return max(found, key=lambda record: str(record.get("started")))
    return None


def file_state(path, fingerprint):
    """there, changed or gone: a file that has, or had, a fingerprint as `provenance.fingerprint_file` gives."""
    try:
        path = Path(path)
        return (
            "gone"
            if not path.is_file()
            else "there"
            if provenance.fingerprint_file(path) == fingerprint
            else "changed"
        )
    except (OSError, ValueError):
        return "gone"


def hours(seconds):
    """Seconds as hours, to a thousandth."""
    return round(float(seconds) / 3600, 3)


def listed(items, most=40):
    """A list, but where it is long its beginning and how many more there are."""
    items = list(items)
    return items if len(items) <= most else [*items[:most], f"and {len(items) - most} more"]
