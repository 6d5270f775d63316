"""Compute the mean of the channels of a recording, and find channels that cancel each other.

Array dimensions: S samples, C channels.
"""

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats

# Maximum absolute value of a mono sample. The limit is this high because some files contain 32-bit
# integers as floats. Much larger samples cause an overflow in a front end.
LOUDEST = 2.0**32

# The mean of C uncorrelated channels has 1 / C of the average power of the channels. Channels
# cancel each other if their mean has less than _CANCELLED / C of the average power. Two equally
# loud channels cancel each other if their correlation is below -0.9.
_CANCELLED = 0.1
_SILENT = 1e-10  # -100 dB relative to the channels; a weaker mean contains only rounding errors
_AUDIBLE = 1e-8  # -80 dB relative to full scale; channels with less power are regarded as silent


def mean_of_channels(samples: Floats) -> Floats:
    """Return the mean (S,) of channels (S, C).

    A single channel is returned as a view. For few channels, a loop over the channels is faster
    than numpy.mean.
    """
    mono = samples[:, 0]
    if samples.shape[1] > 1:
        mono = mono.copy()
        for channel in samples.T[1:]:
            mono += channel
        mono /= samples.shape[1]
    return mono


def check_samples(samples: Floats, mono: Floats, where: PathLike) -> None:
    """Check that samples are finite and not too large.

    Parameters
    ----------
    samples : (S, C) float32
    mono : (S,) float32
        The mean of the channels.
    where : path-like
        The name of the recording, for messages.

    Raises
    ------
    InputError
        If the absolute value of a sample of `mono` is above `LOUDEST` or not finite.
    """
    if not (np.abs(mono) <= LOUDEST).all():
        fault = "that are not finite (NaN or infinity)"
        if np.isfinite(samples).all():
            fault = f"beyond {LOUDEST:g}, which can't be sound"
        raise InputError(f"{where}: contains samples {fault}")


def _energy_of_variation(samples: Floats) -> float:
    """Return the energy of samples (S, C), averaged over the channels.

    First, the mean over time is subtracted from each channel.
    """
    varying = samples - samples.mean(axis=0, dtype=np.float64)
    return float(np.square(varying).sum()) / samples.shape[1]


class CancellationMeter:
    """A detector of channels that cancel each other in their mean.

    The method `add` takes the samples of the recording in blocks.

    Parameters
    ----------
    num_channels : int
    """

    def __init__(self, num_channels: int) -> None:
        self._num_channels = num_channels
        self._num_samples = 0
        self._of_mean = 0.0  # energy of the mean
        self._of_channels = 0.0  # energy of the channels, averaged over the channels

    def add(self, samples: Floats, mono: Floats) -> None:
        """Add a block of samples (S, C) and their mean (S,)."""
        self._num_samples += len(mono)
        if self._num_channels == 1:
            return
        # An estimate of the constant offset. Its error is small if the samples of `mono` are small.
        offset = float(mono[::64].mean())
        of_mean = float(np.vdot(mono, mono)) - len(mono) * offset**2
        of_channels = float(np.vdot(samples, samples)) / self._num_channels
        if of_mean * self._num_channels < _CANCELLED * of_channels:
            # Exact values are slow to compute, and make a difference only in this rare case.
            of_mean = _energy_of_variation(mono[:, None])
            of_channels = _energy_of_variation(samples)
        self._of_mean += of_mean
        self._of_channels += of_channels

    def remark(self) -> str:
        """Return a remark if the channels cancel each other, otherwise ""."""
        is_audible = self._of_channels > _AUDIBLE * self._num_samples
        is_weak = self._of_mean * self._num_channels < _CANCELLED * self._of_channels
        if not (is_audible and is_weak):
            return ""
        weaker = "silent"
        if self._of_mean > _SILENT * self._of_channels:
            decibels = 10 * np.log10(self._of_channels / self._of_mean)
            weaker = f"{decibels:.0f} dB weaker than the channels"
        return (
            f"has channels that cancel each other: their mean is {weaker}; "
            "use a single channel, or wsedtk detect --channels each"
        )
