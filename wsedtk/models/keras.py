"""Read the arrays of an HDF5 file of Keras.

A file can be damaged or hostile. Therefore, the sizes of its arrays are checked before they are
read, and data in other files are not read.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike

if TYPE_CHECKING:
    import h5py

_MOST_VALUES = 1 << 24  # maximum number of values of all arrays together


def _num_values(dataset: "h5py.Dataset") -> int:
    """Return the number of values of a dataset, or of one of its chunks if that is larger."""
    return max(int(np.prod(shape, dtype=object)) for shape in (dataset.shape, dataset.chunks or ()))


def read_arrays(path: PathLike) -> dict[str, npt.NDArray[np.float64]]:
    """Read the arrays of floating-point numbers, except those of the optimizer.

    Parameters
    ----------
    path : path-like
        A file that `save_weights` or `save` of Keras 2 has written.

    Returns
    -------
    dict of float64 array
        The arrays by their path within the file.

    Raises
    ------
    InputError
        If the file can't be read, if it is damaged, or if these arrays have more than 2^24
        numbers.
    """
    import h5py  # slow to import, and only this function needs it

    from wsedtk.data.store import layouts

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    datasets: dict[str, h5py.Dataset] = {}

    def add(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer_weights/"):
            datasets[name] = item

    with layouts.reading(path), h5py.File(path, "r") as file:
        file.visititems(add)  # does not follow links to other files
        datasets = {name: one for name, one in datasets.items() if one.dtype.kind == "f"}
        for name, dataset in datasets.items():
            if dataset.external or dataset.is_virtual:
                raise InputError(f"{path}: {name}: its data are in other files, which are not read")
        num_values = sum(map(_num_values, datasets.values()))
        if num_values > _MOST_VALUES:
            raise InputError(
                f"{path}: contains {num_values:,} numbers; expected at most {_MOST_VALUES:,}"
            )
        return {name: np.asarray(one[()], np.float64) for name, one in datasets.items()}
