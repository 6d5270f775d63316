"""Read lists of classes. A list selects classes of a model and may rename them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from wsedtk.core import config
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.table_files import TableFile
from wsedtk.data.tables import normal


def read(path: PathLike, labels: Sequence[str], model_dir: PathLike) -> dict[str, str]:
    """Read the chosen classes from a file.

    The file has one class per line. The line `name<TAB>new name` renames the class. Blank lines,
    and tabs at the end of lines, are ignored.

    Parameters
    ----------
    path : path-like
    labels : sequence of str
        The classes of the model.
    model_dir : path-like
        The model directory. It is used only in messages.

    Returns
    -------
    dict
        A mapping from each chosen class to its new name, in the order of the file. A class that is
        not renamed keeps its name.

    Raises
    ------
    InputError
        If the file can't be read or contains no classes, or if a line is invalid. The message lists
        the first faults.
    """
    table = TableFile(path)
    names: dict[str, str] = {}
    lines: dict[tuple[str, str], int] = {}  # keys: ("class", name) and ("name", new name)
    numbered = table.numbered_lines()
    if not numbered and not table.faults:
        table.error(None, "contains no classes; write one class per line")
    for number, line in numbered:
        name, tab, new = line.rstrip("\t").partition("\t")
        new = new if tab else name
        keys = (("class", name), ("name", new))
        twice = next((key for key in keys if key in lines), None)
        if not name.strip() or not new.strip() or "\t" in new:
            message = f"expected a class, or class<TAB>new name; found {line!r}"
        elif name not in labels:
            message = f"{model_dir} has no class {name!r}; {config.suggest(name, labels)}"
        elif twice:
            message = f"the {twice[0]} {twice[1]!r} occurs twice, first in line {lines[twice]}"
        else:
            names[name] = new
            lines.update(dict.fromkeys(keys, number))
            continue
        table.error(number, message)
    table.raise_errors()
    return names


def matching(name: str, labels: Sequence[str], below: Mapping[str, Collection[str]]) -> list[str]:
    """Return the class with a given name and the classes below it, if the model has them.

    Parameters
    ----------
    name : str
    labels : sequence of str
        The classes of the model.
    below : mapping of str to collection of str
        The classes below each ancestor in the ontology.
    """
    family = {normal(name), *below.get(normal(name), ())}
    return [label for label in labels if label in family]


def choose(
    values: Iterable[str],
    labels: Sequence[str],
    model_dir: PathLike,
    below: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the classes that are chosen by the values of `--classes`.

    Parameters
    ----------
    values : iterable of str
        Classes of the model, ancestors of such classes, or files that `read` can read. If there are
        no values, all classes are chosen.
    labels : sequence of str
        The classes of the model.
    model_dir : path-like
        The model directory. It is used only in messages.
    below : mapping of str to collection of str
        The classes below each ancestor in the ontology. If a value is an ancestor, it selects the
        class with its own name and all classes below it, if the model has them.

    Returns
    -------
    dict
        A mapping from each chosen class to its new name. A class that is not renamed keeps its
        name.

    Raises
    ------
    InputError
        If a value is neither a class, nor an ancestor, nor a file, if a file is invalid, if a class
        is chosen twice, or if two chosen classes would have the same name. It is no error if a
        class is chosen both by its own name and by an ancestor.
    """
    chosen: dict[str, str] = {}
    by_ancestor: list[str] = []
    for value in values:
        found = matching(value, labels, below)
        if found and normal(value) in below:
            by_ancestor += found
            continue
        if found:
            names = {found[0]: found[0]}
        elif Path(value).is_file():
            names = read(value, labels, model_dir)
        else:
            ancestors = [name for name in below if matching(name, labels, below)]
            raise InputError(
                f"--classes {value!r}: is neither a class of {model_dir} nor a file; "
                f"{config.suggest(value, [*labels, *ancestors])}"
            )
        for label, name in names.items():
            if label in chosen or name in chosen.values():
                raise InputError(
                    f"--classes: the class {label!r} or the name {name!r} is chosen twice; "
                    "choose each class and each name once"
                )
        chosen.update(names)
    for label in by_ancestor:
        if label not in chosen and label in chosen.values():
            raise InputError(
                f"--classes: a file renames another class to {label!r}, but the class {label!r} is "
                "also chosen; give the renamed class another name"
            )
        chosen.setdefault(label, label)
    return chosen or {label: label for label in labels}
