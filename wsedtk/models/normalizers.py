"""Read the mean and the standard deviation of each mel bin from a file.

In the shapes, F is the number of mel bins.
"""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike

_CONVERT = (
    "python3 -c \"import pickle, numpy; numpy.savetxt('normalizer.txt', "
    "pickle.load(open('normalizer.pkl', 'rb'), encoding='latin1'))\""
)


class Normalizer(NamedTuple):
    """The mean (F,) and the standard deviation (F,) of each mel bin."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


def _parse_normalizer(content: bytes) -> Normalizer:
    """Parse the content of an npz or text file. Damaged content may raise any exception."""
    with warnings.catch_warnings():
        # If a text is empty or has only comments, numpy raises no error, but gives a warning.
        warnings.simplefilter("error")
        if content[:2] == b"PK":
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                mean, std = (
                    np.asarray(arrays[name], np.float64).reshape(-1) for name in ("mean", "std")
                )
        else:
            text = io.StringIO(content.decode("utf-8-sig"))
            mean, std = np.loadtxt(text, dtype=np.float64, ndmin=2)
    return Normalizer(mean, std)


def read_normalizer(path: PathLike, num_mels: int) -> Normalizer:
    """Read the mean and the standard deviation of each mel bin.

    Parameters
    ----------
    path : path-like
        A text file with two rows, or an npz file with the arrays `mean` and `std`.
    num_mels : int
        The number of mel bins F.

    Raises
    ------
    InputError
        If the file cannot be read, or its numbers are wrong.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    try:
        mean, std = _parse_normalizer(content)
    except KeyError:
        raise InputError(f"{path}: expected two arrays, named mean and std") from None
    except Exception:  # damaged files may raise any exception
        advice = ""
        if path.suffix == ".pkl" or content[:1] in (b"\x80", b"(", b"c"):
            advice = (
                "; a pickle can run any code, so wsedtk does not read it; if you trust the file, "
                f"convert it with:\n    {_CONVERT}"
            )
        raise InputError(
            f"{path}: expected two rows of numbers, the mean and the standard deviation of each "
            f"mel bin{advice}"
        ) from None
    for name, values in (("mean", mean), ("standard deviation", std)):
        if values.shape != (num_mels,):
            raise InputError(
                f"{path}: the {name}: expected {num_mels} numbers, one per mel bin of the front "
                f"end, found {values.size}"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{path}: the {name} contains numbers that are not finite")
    if not (std > 0).all():
        raise InputError(
            f"{path}: a standard deviation is {std.min():g}; expected numbers above 0, in the "
            "second row of a text file or in the array std of an npz file"
        )
    return Normalizer(mean, std)
