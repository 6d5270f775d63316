"""AudioSet's ontology: the classes of sounds, and the classes directly below each class."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.tables import normal

FILE = "ontology.json"


class OntologyClass(NamedTuple):
    """The name of a class of the ontology, and the IDs of the classes directly below it."""

    name: str
    child_ids: frozenset[str]


def read(path: PathLike) -> dict[str, OntologyClass]:
    """Read the ontology, as {class ID: OntologyClass}.

    Raises
    ------
    InputError
        If the file cannot be read, or does not contain the ontology of AudioSet.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8-sig")) or [None]
        return {
            entry["id"]: OntologyClass(normal(str(entry["name"])), frozenset(entry["child_ids"]))
            for entry in entries
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected AudioSet's ontology, a list of classes with id, name and child_ids "
            f"({repr(error)[-300:]}); download the file again"
        ) from None


def below(ontology: Mapping[str, OntologyClass], class_id: str) -> set[str]:
    """Return the IDs of all classes below a class: its children, their children and so on."""
    waiting, seen = list(ontology[class_id].child_ids), set()
    while waiting:
        child = waiting.pop()
        if child not in seen:
            seen.add(child)
            if child in ontology:
                waiting += ontology[child].child_ids
    return seen


def descendants(ontology: Mapping[str, OntologyClass]) -> dict[str, set[str]]:
    """Return the names of all classes below each class, as {name of the class: names}.

    Classes without children are left out.
    """
    return {
        one.name: {ontology[child].name for child in below(ontology, class_id) if child in ontology}
        for class_id, one in ontology.items()
        if one.child_ids
    }


def descendants_in(folder: PathLike) -> dict[str, set[str]]:
    """Return `descendants` of the ontology in a folder, or {} if the folder has no ontology."""
    path = Path(folder) / FILE
    return descendants(read(path)) if path.is_file() else {}
