"""Read the weights of a network from a TensorFlow Lite file.

A TensorFlow Lite file is a FlatBuffer: tables, vectors and texts that refer to each other by
offsets. The names of the fields below are those of TensorFlow's `schema.fbs`.
"""

import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike

_CONV_2D, _DEPTHWISE_CONV_2D, _FULLY_CONNECTED = 3, 4, 9  # BuiltinOperator
_DTYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    2: np.dtype("<i4"),
    9: np.dtype("i1"),
}  # TensorType
_MOST_VALUES = 1 << 28  # maximum number of values of a tensor


class Layer(NamedTuple):
    """The weights of a layer.

    Attributes
    ----------
    is_depthwise : bool
        Whether the layer is a depthwise convolution.
    weight : float32 array
        (C', height, width, C) of a convolution, (1, height, width, C) of a depthwise convolution,
        and (C', C) of a fully connected layer, for C inputs and C' outputs.
    bias : (C',) float32 array
    """

    is_depthwise: bool
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


class _Table:
    """A table of a FlatBuffer. Damaged files make its methods raise struct.error or ValueError."""

    def __init__(self, content: bytes, start: int) -> None:
        self._content, self._start = content, start
        self._fields = start - self._number("<i", start)  # position of the table of offsets
        self._num_bytes = self._number("<H", self._fields)

    def _number(self, form: str, position: int) -> int:
        if position < 0:
            raise ValueError("an offset points before the file")
        number: int = struct.unpack_from(form, self._content, position)[0]
        return number

    def _position(self, field: int) -> int | None:
        """Return the position of a field, or None if the field has its default."""
        place = 4 + 2 * field
        if place >= self._num_bytes:
            return None
        offset = self._number("<H", self._fields + place)
        return self._start + offset if offset else None

    def integer(self, field: int, form: str = "<i") -> int:
        """Return a whole number, 0 by default."""
        position = self._position(field)
        return 0 if position is None else self._number(form, position)

    def _vector(self, field: int) -> tuple[int, int]:
        """Return the position of the first element of a vector, and the number of elements."""
        position = self._position(field)
        if position is None:
            return 0, 0
        start = position + self._number("<I", position)
        return start + 4, self._number("<I", start)

    def array(self, field: int, dtype: str) -> npt.NDArray[Any]:
        """Return a vector of numbers, which is empty by default."""
        start, length = self._vector(field)
        if not length:
            return np.empty(0, dtype)
        return np.frombuffer(self._content, np.dtype(dtype), length, start)

    def table(self, field: int) -> "_Table | None":
        """Return a table, or None by default."""
        position = self._position(field)
        if position is None:
            return None
        return _Table(self._content, position + self._number("<I", position))

    def tables(self, field: int) -> list["_Table"]:
        """Return a vector of tables, which is empty by default."""
        start, length = self._vector(field)
        if length > len(self._content):
            raise ValueError("a vector is longer than the file")
        places = range(start, start + 4 * length, 4)
        return [_Table(self._content, place + self._number("<I", place)) for place in places]


def _values(tensor: _Table, buffers: list[_Table]) -> npt.NDArray[np.float32]:
    """Return the values of a tensor. Quantised values are converted to real numbers."""
    shape = [int(size) for size in tensor.array(0, "<i4")]
    dtype = _DTYPES[tensor.integer(1, "<b")]
    data = buffers[tensor.integer(2, "<I")].array(0, "u1")
    if min(shape, default=0) < 1 or np.prod(shape, dtype=float) > _MOST_VALUES:
        raise ValueError("a tensor has an invalid shape")
    numbers: npt.NDArray[Any] = np.frombuffer(data.tobytes(), dtype)
    values = numbers.reshape(shape).astype(np.float64)
    quantization = tensor.table(4)
    scale = np.empty(0) if quantization is None else quantization.array(2, "<f4")
    if quantization is not None and len(scale):
        zero_point = quantization.array(3, "<i8")
        along = [1] * len(shape)
        if len(scale) > 1:
            along[quantization.integer(6)] = len(scale)
        values = (values - zero_point.reshape(along)) * scale.reshape(along)
    elif dtype != _DTYPES[0]:
        raise ValueError("a tensor of whole numbers has no scale")
    real: npt.NDArray[np.float32] = values.astype(np.float32)
    return real


def _layers(content: bytes) -> list[Layer]:
    if content[4:8] != b"TFL3":
        raise ValueError("the identifier of the format is missing")
    model = _Table(content, struct.unpack_from("<I", content)[0])
    # Old files have the code of an operator only in the first field.
    codes = [max(one.integer(0, "<b"), one.integer(3)) for one in model.tables(1)]
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors = graph.tables(0)
    found = []
    for operator in graph.tables(3):
        code = codes[operator.integer(0, "<I")]
        inputs = operator.array(1, "<i4").tolist()
        if code not in (_CONV_2D, _DEPTHWISE_CONV_2D, _FULLY_CONNECTED) or len(inputs) < 3:
            continue
        weight, bias = (_values(tensors[index], buffers) for index in inputs[1:3])
        found.append(Layer(code == _DEPTHWISE_CONV_2D, weight, bias))
    return found


def read_layers(path: PathLike) -> list[Layer]:
    """Read the convolutions and the fully connected layers of a network.

    Parameters
    ----------
    path : path-like
        A TensorFlow Lite file (.tflite) with weights in float32 or in 8 bits.

    Returns
    -------
    list of Layer
        The layers, in the order in which they are computed.

    Raises
    ------
    InputError
        If the file can't be read, or if it is damaged.
    """
    try:
        return _layers(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    except (struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise InputError(
            f"{path}: is not a TensorFlow Lite file, or is damaged ({error})"
        ) from None
