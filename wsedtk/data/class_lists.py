"""The choice of some of a model's classes, under their own names or others."""

from pathlib import Path

from wsedtk.core import config
from wsedtk.core.errors import InputError
from wsedtk.data import table_files, tables


def read(path, labels, model_dir):
    """The classes that a file lists of a model's `labels`, with the names that they shall have: {class: name}, in its order.

    One class a line; `name<TAB>new name` renames it. Blank lines and tabs at the end are passed
    over. Raises InputError that lists every fault.
    """
    path, faults, names, lines = (
        Path(path),
        [],
        {},
        {},
    )  # lines: ("class", name) or ("name", new name) -> where it stands
    listed = [
        (number, line)
        for number, line in enumerate(table_files.read_lines(path, faults) or [], 1)
        if line.strip()
    ]
    if not listed and not faults:
        faults.append(table_files.Fault(True, path, None, "no classes: write one a line"))
    for number, line in listed:
        name, tab, new = line.rstrip("\t").partition("\t")
        new = new if tab else name
        twice = next((key for key in (("class", name), ("name", new)) if key in lines), None)
        if not name.strip() or not new.strip() or "\t" in new:
            message = f"expected a class, or a class, a tab and its new name; found {line!r}"
        elif name not in labels:
            message = f"{model_dir} has no class {name!r}; {config.suggest(name, labels)}"
        elif twice:
            message = f"the {twice[0]} {twice[1]!r} stands twice, first in line {lines[twice]}"
        else:
            names[name] = new
            lines["class", name] = lines["name", new] = number
            continue
        faults.append(table_files.Fault(True, path, number, message))
    table_files.raise_on_errors(faults, "mend these first")
    return names


def choose(values, labels, model_dir):
    """The classes that `values`, each a class of a model or a file as `read` takes it, choose: {class: name}; of none, all."""
    chosen = {}
    for value in values:
        if tables.normal(value) in labels:
            names = {tables.normal(value): tables.normal(value)}
        elif Path(value).is_file():
            names = read(value, labels, model_dir)
        else:
            raise InputError(
                f"--classes {value!r}: neither a class of {model_dir} nor a file; {config.suggest(value, labels)}"
            )
        twice = next(
            (label for label in names if label in chosen or names[label] in chosen.values()), None
        )
        if twice is not None:
            raise InputError(f"--classes: the class {twice!r} is chosen twice")
        chosen.update(names)
    return chosen or {label: label for label in labels}
