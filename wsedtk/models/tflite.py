"""Read the weights of a network from a TensorFlow Lite file.

A TensorFlow Lite file is a FlatBuffer: tables, vectors and texts that refer to each other by
offsets. The names of the fields below are those of TensorFlow's `schema.fbs`.
"""

import math
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
_MOST_BYTES = 1 << 28  # maximum size of a file


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
        """Return the position of a field, or None if the table does not contain the field."""
        place = 4 + 2 * field
        if place >= self._num_bytes:
            return None
        offset = self._number("<H", self._fields + place)
        return self._start + offset if offset else None

    def integer(self, field: int, form: str = "<i") -> int:
        """Return the whole number in a field, or 0 if the table does not contain the field."""
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
        """Return the numbers in a field, or no numbers if the table does not contain the field."""
        start, length = self._vector(field)
        if not length:
            return np.empty(0, dtype)
        return np.frombuffer(self._content, np.dtype(dtype), length, start)

    def table(self, field: int) -> "_Table | None":
        """Return the table in a field, or None if this table does not contain the field."""
        position = self._position(field)
        if position is None:
            return None
        return _Table(self._content, position + self._number("<I", position))

    def tables(self, field: int) -> list["_Table"]:
        """Return the tables in a field, or no tables if this table does not contain the field."""
        start, length = self._vector(field)
        if 4 * length > len(self._content):
            raise ValueError("a vector is longer than the file")
        places = range(start, start + 4 * length, 4)
        return [_Table(self._content, place + self._number("<I", place)) for place in places]


def _values(tensor: _Table, buffers: list[_Table]) -> npt.NDArray[np.float32]:
    """Return the values of a tensor. Quantised values are converted to real numbers."""
    shape = [int(size) for size in tensor.array(0, "<i4")]
    code = tensor.integer(1, "<b")
    if code not in _DTYPES:
        raise ValueError(f"a tensor has the type {code}; expected one of {sorted(_DTYPES)}")
    data = buffers[tensor.integer(2, "<I")].array(0, "u1")
    numbers: npt.NDArray[Any] = np.frombuffer(data.tobytes(), _DTYPES[code])
    if min(shape, default=0) < 1 or math.prod(shape) != len(numbers):
        raise ValueError(f"a tensor of the shape {shape} has {len(numbers)} values")
    values = numbers.reshape(shape).astype(np.float64)
    quantization = tensor.table(4)
    scale = np.empty(0) if quantization is None else quantization.array(2, "<f4")
    with np.errstate(all="ignore"):  # the caller checks whether the values are finite
        if quantization is not None and len(scale):
            zero_point = quantization.array(3, "<i8")
            along = [1] * len(shape)
            if len(scale) > 1:
                axis = quantization.integer(6)
                if not 0 <= axis < len(shape) or shape[axis] != len(scale):
                    raise ValueError(f"a tensor of the shape {shape} has {len(scale)} scales")
                along[axis] = len(scale)
            values = (values - zero_point.reshape(along)) * scale.reshape(along)
        elif _DTYPES[code].kind != "f":
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
    num_values = 0
    for operator in graph.tables(3):
        code = codes[operator.integer(0, "<I")]
        inputs = operator.array(1, "<i4").tolist()
        if code not in (_CONV_2D, _DEPTHWISE_CONV_2D, _FULLY_CONNECTED) or len(inputs) < 3:
            continue
        if min(inputs) < 0:
            raise ValueError("a layer has no weight or no bias")
        weight, bias = (_values(tensors[index], buffers) for index in inputs[1:3])
        num_values += weight.size + bias.size
        if num_values > len(content):
            raise ValueError("the layers have more values than the file has bytes")
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
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    if (size := Path(path).stat().st_size) > _MOST_BYTES:
        raise InputError(f"{path}: has {size:,} bytes; expected at most {_MOST_BYTES:,} bytes")
    try:
        return _layers(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    except (struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise InputError(
            f"{path}: is not a TensorFlow Lite file, or is damaged ({error})"
        ) from None
