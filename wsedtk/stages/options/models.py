"""Options of the commands `models fetch` and `models remove`."""

import dataclasses
import re
from collections.abc import Sequence

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.stages.options.checks import check_fields


@dataclasses.dataclass(frozen=True)
class FetchOptions:
    """The ready model to fetch, and where its files come from.

    Parameters
    ----------
    name : str
        The name of the ready model.
    from_files : sequence of path-like
        A published file that you already have, or a folder that contains published files. If it is
        given, nothing is downloaded. Can be given more than once.
    sha256 : str, optional
        The SHA-256 hash of the weights, in hexadecimal. It is required for ready models whose hash
        wsedtk does not know.

    Raises
    ------
    InputError
        If `from_files` is a path instead of a sequence of paths, or if `sha256` does not consist of
        64 hexadecimal digits.
    """

    name: str
    _: dataclasses.KW_ONLY
    from_files: Sequence[PathLike] = ()
    sha256: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.sha256 is not None and not re.fullmatch(r"[0-9A-Fa-f]{64}", self.sha256):
            raise InputError(f"sha256: found {self.sha256!r}; expected 64 hexadecimal digits")


@dataclasses.dataclass(frozen=True)
class RemoveOptions:
    """The ready model to remove.

    Parameters
    ----------
    name : str
        The name of the ready model.
    """

    name: str
