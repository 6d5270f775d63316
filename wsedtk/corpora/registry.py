"""Register the functions that prepare corpora, and define the class of their results.

A corpus is a function that writes data directories. The function has one parameter, the options:

    @CORPORA.register("name")
    def prepare(options: NameOptions) -> PrepareResult:

`NameOptions` is a frozen dataclass with a NumPy docstring. The command `wsedtk prepare name` has a
parameter for each field of this dataclass, except for fields with `hidden_from_cli` in their
metadata (see `wsedtk.cli.options`). The docstring of the function is the help text of the command.
If the dataclass has a field `data_dir`, this field is the folder in which the corpus writes data
directories. A field `data_set` is the data directory that the corpus writes. A user-defined corpus
need not be registered. Its name is `package.module:function`.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.registry import Registry
from wsedtk.data.clip_sets import DataSet


@dataclasses.dataclass(frozen=True)
class PreparedSet:
    """A data directory that a corpus has written.

    Attributes
    ----------
    folder : Path
        The data directory.
    dataset : DataSet
        The clips of the data directory.
    """

    folder: Path
    dataset: DataSet


@dataclasses.dataclass(frozen=True)
class PrepareResult:
    """The data directories that a corpus has written.

    Attributes
    ----------
    sets : tuple of PreparedSet
        One item for each data directory.
    """

    sets: tuple[PreparedSet, ...]

    def to_text(self) -> str:
        """Return the text that `wsedtk prepare` prints. By default, the text is empty.

        Each line of the text ends with a line feed.
        """
        return ""


Corpus = Callable[..., PrepareResult]
CORPORA: Registry[Corpus] = Registry("corpus", "wsedtk.corpora")


def options_class(name: str) -> type:
    """Return the dataclass of the options of a corpus.

    Parameters
    ----------
    name : str
        The name of the corpus, or `package.module:function`.

    Raises
    ------
    InputError
        If the corpus does not exist, if it does not have exactly one parameter, or if this
        parameter is not annotated with a dataclass.
    """
    function = CORPORA.get(name)
    try:
        (parameter,) = inspect.signature(function).parameters
        kind = typing.get_type_hints(function)[parameter]
    except (TypeError, ValueError, KeyError, NameError):
        kind = None
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise InputError(
            f"corpus {name!r}: expected a function with one parameter that is annotated with a "
            "dataclass, the options of the corpus"
        )
    return kind
