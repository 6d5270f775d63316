"""Check the samples and the sample rates that a caller passes to `Model`.

Array dimensions: S samples, C channels.
"""

import numpy as np
import numpy.typing as npt

from wsedtk.audio.channel_mean import LOUDEST, mean_of_channels
from wsedtk.audio.sound_file import RATES
from wsedtk.core.errors import InputError
from wsedtk.core.types import Floats
from wsedtk.core.wording import counted

_MANY_CHANNELS = 64  # a block with more channels than this and than samples is a transposed array


def check_samples(samples: npt.ArrayLike) -> Floats:
    """Return samples as an array (S, C). Raises InputError if they have a wrong type or shape."""
    channels = _with_channels(samples)
    if 0 in channels.shape:
        raise InputError(
            f"samples: found the shape {np.shape(samples)}; expected (samples,) or "
            "(samples, channels), not empty"
        )
    if channels.shape[1] > len(channels):
        raise _transposed(channels)
    return channels


def check_block(samples: npt.ArrayLike, num_channels: int | None) -> Floats:
    """Return a block of a stream as an array (S, C). S can be 0.

    Parameters
    ----------
    samples : (S,) or (S, C) array
    num_channels : int or None
        The number of channels of the earlier blocks. None for the first block.

    Raises
    ------
    InputError
        If the block has a wrong type or shape, or another number of channels.
    """
    channels = _with_channels(samples)
    if channels.shape[1] == 0 or channels.shape[1] > max(len(channels), _MANY_CHANNELS):
        raise _transposed(channels)
    if num_channels not in (None, channels.shape[1]):
        raise InputError(
            f"samples: found a block with {counted(channels.shape[1], 'channel')}; expected "
            f"{num_channels}, as in the blocks before"
        )
    return channels


def _with_channels(samples: npt.ArrayLike) -> Floats:
    array = np.asarray(samples)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"samples: found {array.dtype}; expected floating-point numbers in [-1, 1] "
            "(divide 16-bit integers by 32768)"
        )
    if array.ndim not in (1, 2):
        raise InputError(
            f"samples: found the shape {array.shape}; expected (samples,) or (samples, channels), "
            "not empty"
        )
    return array[:, None] if array.ndim == 1 else array


def _transposed(channels: Floats) -> InputError:
    return InputError(
        f"samples: found {channels.shape[1]} channels of {counted(len(channels), 'sample')}; "
        "expected (samples, channels); transpose the array"
    )


def mono(channels: Floats, channel: int | None) -> Floats:
    """Return one channel of the samples, or the mean of all channels, as an array (S,) float32.

    Parameters
    ----------
    channels : (S, C) array
    channel : int or None
        The number of the channel, from 0. None for the mean of all channels.

    Raises
    ------
    InputError
        If the samples do not have this channel, are not finite, or are too large.
    """
    if channel is not None:
        check_channel(channel, channels.shape[1], "samples")
        channels = channels[:, channel : channel + 1]
    with np.errstate(over="ignore", invalid="ignore"):
        mono: Floats = mean_of_channels(np.array(channels, np.float32))
    if not (np.abs(mono) <= LOUDEST).all():
        raise InputError(
            "samples: found values that are not finite, or whose absolute value is above "
            f"{LOUDEST:g}; expected values in [-1, 1]"
        )
    return mono


def check_channel(channel: int, num_channels: int, where: str) -> None:
    """Raise InputError if a recording with this number of channels does not have this channel."""
    if not 0 <= channel < num_channels:
        raise InputError(
            f"{where}: channel {channel} does not exist; expected 0 <= channel < {num_channels}"
        )


def check_rate(sample_rate: object) -> int:
    """Return a sample rate in Hz as an int. Raises InputError if the sample rate is invalid."""
    if not isinstance(sample_rate, (int, np.integer)) or not RATES[0] <= sample_rate <= RATES[1]:
        raise InputError(
            f"sample_rate: found {sample_rate!r}; expected a whole number of Hz from {RATES[0]} "
            f"to {RATES[1]}"
        )
    return int(sample_rate)
