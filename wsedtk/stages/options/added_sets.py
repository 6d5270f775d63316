"""Read the values of the option `add` of `train`: data directories with or without a share."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike


class AddedSet(NamedTuple):
    """A data directory that is added to the training set. It can be used as a path.

    Attributes
    ----------
    folder : Path
        The data directory.
    share : float or None
        The fraction of the clips of each batch that come from this set. None means that its clips
        are drawn together with the clips of the training set.
    """

    folder: Path
    share: float | None = None

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        return str(self.folder) if self.share is None else f"{self.folder}={self.share:g}"


def parse(text: str) -> AddedSet:
    """Return the set that a text DATA_SET or DATA_SET=SHARE means.

    The text after the last "=" is the share if it is a number or a percentage. Otherwise, the whole
    text is the path.

    Raises
    ------
    InputError
        If the share is not above 0 and below 1, or is a percentage.
    """
    folder, _, share = text.rpartition("=")
    try:
        number = float(share.removesuffix("%"))
    except ValueError:
        return AddedSet(Path(text))
    if not folder:
        return AddedSet(Path(text))
    _check_share(folder, number, share, f"; if {text!r} is the folder, write {text}/")
    return AddedSet(Path(folder), number)


def as_added_sets(added: Sequence[PathLike | tuple[PathLike, float | None]]) -> list[AddedSet]:
    """Return paths and pairs (path, share) as added sets.

    Raises
    ------
    InputError
        If an item is not a path or a pair, if a share is not above 0 and below 1, or if the sum of
        the shares is not below 1.
    """
    sets = []
    for one in added:
        pair = one if isinstance(one, tuple) else (one, None)
        if not _is_pair(pair):
            raise InputError(
                f"add: found {one!r}; expected a path, or a pair (path, share), such as "
                "('data/new', 0.3)"
            )
        folder, share = pair
        if share is not None:
            _check_share(folder, share, str(share))
        sets.append(AddedSet(Path(folder), share))
    total = math.fsum(one.share or 0 for one in sets)
    if total >= 1:
        raise InputError(
            f"add (--add): the sum of the shares is {total:g}; expected less than 1, because the "
            "other clips of each batch come from the training set"
        )
    return sets


def _is_pair(pair: tuple[object, ...]) -> bool:
    """Return whether a tuple consists of a path and a number or None."""
    if len(pair) != 2 or not isinstance(pair[0], (str, os.PathLike)):
        return False
    return pair[1] is None or isinstance(pair[1], (int, float))


def _check_share(folder: PathLike, share: float, text: str, remedy: str = "") -> None:
    """Raise InputError if a share, which was given as `text`, is out of range."""
    if not 0 < share < 1 or text.endswith("%"):
        from wsedtk.core.config import suggest_fraction  # imports yaml, which is slow

        raise InputError(
            f"add (--add): the share of {folder} is {text}; expected a number above 0 and below 1"
            f"{suggest_fraction(text)}{remedy}"
        )
