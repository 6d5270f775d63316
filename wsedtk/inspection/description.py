"""Define the description of an artefact, and helper functions for all kinds of artefacts."""

import dataclasses
import datetime
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike

_HIGHEST = 4  # number of folders above an artefact that are searched for a folder log/
_MOST_RECORDS = 1000

State = Literal["there", "changed", "gone"]


class Input(TypedDict):
    """An input from which an artefact was made. `what` names its role, such as "model"."""

    what: str
    path: str | None
    fingerprint: str | None
    state: State | None  # None if it is unknown


@dataclasses.dataclass(frozen=True)
class Record:
    """A record of a command, written by `wsedtk --record`.

    Attributes
    ----------
    command : str
        The command, for example "wsedtk train".
    arguments : list of str
        The arguments of the command line.
    options : dict
        The value of each option, by the name of the option.
    inputs : dict
        The fingerprint of each input file, by the path of the file.
    started : str
        The time at which the command started.
    about_machine : dict
        The name of the machine as "host", and the version of Python as "python".
    made_by : dict
        The version of wsedtk as "wsedtk", and its commit as "commit", if they are known.
    """

    command: str
    arguments: list[str]
    options: dict[str, Any]
    inputs: dict[str, str]
    started: str
    about_machine: dict[str, Any]
    made_by: dict[str, str]


@dataclasses.dataclass
class About:
    """The description of one artefact.

    The attributes consist of bools, numbers, strings, None, lists and mappings.

    Attributes
    ----------
    path, kind : str
        The path and the kind of the artefact.
    complete : bool or None
        False if the artefact is unfinished or can't be read. None if this has not been checked.
        `complete` can be True although `faults` is not empty.
    faults : list of str
        Messages about damage, and about inconsistencies with other artefacts.
    made : dict
        How the artefact was made, as far as this is known: "wsedtk", "commit", "command", "when"
        and others.
    inputs : list of Input
        The inputs from which the artefact was made.
    content : dict
        Properties of the content of the artefact. The keys depend on the kind.
    """

    path: str
    kind: str
    complete: bool | None = True
    faults: list[str] = dataclasses.field(default_factory=list)
    made: dict[str, Any] = dataclasses.field(default_factory=dict)
    inputs: list[Input] = dataclasses.field(default_factory=list)
    content: dict[str, Any] = dataclasses.field(default_factory=dict)

    def add_input(
        self,
        what: str,
        path: PathLike | None = None,
        fingerprint: object = None,
        state: State | None = None,
    ) -> None:
        """Add an input from which the artefact was made, if its path or fingerprint is known."""
        if path is None and fingerprint is None:
            return
        self.inputs.append(
            {
                "what": what,
                "path": None if path is None else str(path),
                "fingerprint": None if fingerprint is None else str(fingerprint),
                "state": state,
            }
        )

    def add_files(self, record: Record | None) -> None:
        """Add the input files of a record, and whether they changed after the command started."""
        if record is None:
            return
        for name, fingerprint in record.inputs.items():
            self.add_input("files", name, fingerprint, file_state(name, fingerprint))


def made_by(mapping: Mapping[str, Any]) -> dict[str, str]:
    """Return {"wsedtk": version, "commit": commit} from the attributes of an artefact.

    Missing attributes are left out.

    mapping: attributes of an HDF5 file, metadata, or the content of a YAML file.
    """
    return {name: str(mapping[name]) for name in ("wsedtk", "commit") if mapping.get(name)}


def text_time(seconds: float) -> str:
    """Format a time in seconds since 1970 as date and time, with the time zone."""
    return datetime.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def when_made(path: PathLike, record: Record | None = None) -> dict[str, Any]:
    """Return a dict with the keys "command", "when" and "recorded".

    Without a record, "recorded" is False, "when" is the time at which the file or folder was last
    changed, and "command" is missing.
    """
    if record is None:
        return {"when": text_time(os.stat(path).st_mtime), "recorded": False}
    arguments = record.arguments
    if arguments[:1] == ["--record"]:
        arguments = arguments[2:]
    return {
        "command": shlex.join(["wsedtk", *arguments]),
        "when": record.started,
        "recorded": True,
    }


def read_record(path: PathLike) -> Record | None:
    """Read a record. Returns None if the file is a YAML file, but not a record.

    Raises
    ------
    InputError
        If the file can't be read as YAML.
    """
    return as_record(config.read_yaml(path))


def as_record(found: object) -> Record | None:
    """Return the content of a YAML file as a Record; None if it is not a record."""
    kinds = {"command": str, "options": dict, "inputs": dict, "arguments": list}
    if not isinstance(found, dict):
        return None
    if not all(isinstance(found.get(key), kind) for key, kind in kinds.items()):
        return None
    return Record(
        command=found["command"],
        arguments=[str(argument) for argument in found["arguments"]],
        options=found["options"],
        inputs={str(name): str(value) for name, value in found["inputs"].items()},
        started=str(found.get("started")),
        about_machine={key: found.get(key) for key in ("host", "python")},
        made_by=made_by(found),
    )


def _option_paths(options: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the option values that can be paths."""
    for value in options.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str) and "\0" not in item:
                yield Path(item)


def _can_mean(name: Path, target: Path) -> bool:
    """Return whether the path `name` in a record can refer to the absolute path `target`.

    The folder in which the command ran is unknown. Therefore a relative path of at least two parts
    can refer to any absolute path that ends with these parts.
    """
    if name == target:
        return True
    num_names = len(name.parts)
    return num_names > 1 and target.parts[-num_names:] == name.parts


def _wrote(record: Record, target: Path, verb: str | None, shard: list[int] | None) -> bool:
    """Return whether the command of a record wrote `target`. See `record_of`."""
    if shard is not None and record.options.get("shard") != shard:
        return False
    if verb is None:
        if any(Path(name).absolute().is_relative_to(target) for name in record.inputs):
            return False
    elif record.command != f"wsedtk {verb}":
        return False
    targets = [target]
    if record.command.startswith("wsedtk prepare"):  # it writes several sets into one folder
        targets.append(target.parent)
    names = list(_option_paths(record.options))
    return any(_can_mean(name, place) for name in names for place in targets)


def _records_in(folder: Path) -> Iterator[Record]:
    """Yield the readable records in a folder."""
    try:
        paths = sorted(path for path in folder.glob("*.yaml") if path.is_file())
    except OSError:
        return
    for path in paths[:_MOST_RECORDS]:
        try:
            record = read_record(path)
        except InputError:
            continue
        if record is not None:
            yield record


def record_of(
    path: PathLike, verb: str | None = None, shard: list[int] | None = None
) -> Record | None:
    """Return the record of the last command that wrote a path; None if no record is found.

    The folder log/ in each of the four folders above the path is searched for records. If several
    of these folders contain a matching record, the folder nearest to the path is used.

    Parameters
    ----------
    path : path-like
    verb : str, optional
        The subcommand that writes the path, for example "decode". By default, any subcommand that
        names the path in its options and does not read files from it.
    shard : [k, n], optional
        The shard that the command wrote: number k of n shards.
    """
    target = Path(path).absolute()
    for folder in list(target.parents)[:_HIGHEST]:
        found = [r for r in _records_in(folder / "log") if _wrote(r, target, verb, shard)]
        if found:
            return max(found, key=lambda record: record.started)
    return None


def file_state(path: PathLike, fingerprint: str) -> State:
    """Compare a file with an earlier fingerprint.

    Returns "there" if the file still has this fingerprint, "changed" if it has a different one, and
    "gone" if it is missing or can't be read.
    """
    try:
        path = Path(path)
        if not path.is_file():
            return "gone"
        return "there" if provenance.fingerprint_file(path) == fingerprint else "changed"
    except (OSError, ValueError):
        return "gone"


def hours(seconds: float) -> float:
    """Convert seconds to hours, rounded to 0.001 h."""
    return round(float(seconds) / 3600, 3)


def listed(items: Iterable[str], most: int = 40) -> list[str]:
    """Return the first `most` items, and a text such as "and 3 more" if there are further items."""
    items = list(items)
    if len(items) <= most:
        return items
    return [*items[:most], f"and {len(items) - most} more"]
