"""Compute mel filters and their frequencies.

Array dimensions: F mel bins, D FFT bins.
"""

from typing import TYPE_CHECKING

import numpy as np

from wsedtk.core.types import Floats

if TYPE_CHECKING:
    from wsedtk.audio.frontend import FrontendConfig


def mel_edges(config: "FrontendConfig") -> Floats:
    """Return the edges of the mel filters of a front end: F + 2 frequencies in Hz, float64.

    The weights of mel filter k are above 0 between the returned frequencies k and k + 2.
    """
    if config.mel_filters == "htk":
        edges: Floats = 700 * np.expm1(_htk_mel_edges(config) / 1127)
        return edges
    return _slaney_edges(config)


def _htk_mel_edges(config: "FrontendConfig") -> Floats:
    """Return F + 2 frequencies in mel, equally spaced on the mel scale of HTK."""
    low, high = _to_htk_mel(np.array([config.min_hz, config.max_hz]))
    return np.linspace(low, high, config.num_mels + 2)


def _slaney_edges(config: "FrontendConfig") -> Floats:
    """Return F + 2 frequencies in Hz, equally spaced on Slaney's mel scale.

    Source: M. Slaney, Auditory Toolbox, Interval Research Technical Report 1998-010. Below
    1 kHz, one mel corresponds to 200/3 Hz. Above 1 kHz, 27 mels correspond to a frequency ratio of
    6.4.
    """
    hz_per_mel, corner_hz, log_step = 200 / 3, 1000.0, float(np.log(6.4)) / 27
    corner = corner_hz / hz_per_mel

    def to_mel(hz: float) -> float:
        """Convert a frequency in Hz to mel."""
        if hz < corner_hz:
            return hz / hz_per_mel
        return corner + float(np.log(hz / corner_hz)) / log_step

    mels = np.linspace(to_mel(config.min_hz), to_mel(config.max_hz), config.num_mels + 2)
    above = corner_hz * np.exp(log_step * (mels - corner))
    edges: Floats = np.where(mels < corner, hz_per_mel * mels, above)
    return edges


def _to_htk_mel(hz: Floats) -> Floats:
    """Convert frequencies in Hz to mel, with the formula of HTK."""
    mels: Floats = 1127 * np.log1p(hz / 700)
    return mels


def _triangles(bins: Floats, edges: Floats) -> Floats:
    """Return the values (F, D) of triangles of height 1 at the frequencies `bins` (D,).

    Triangle k is above 0 between `edges[k]` and `edges[k + 2]`; `edges` has the shape (F + 2,).
    """
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    triangles: Floats = np.maximum(0, np.minimum(rising, falling))
    return triangles


def mel_filters(config: "FrontendConfig") -> Floats:
    """Return the mel filters (F, D) of a front end, float64.

    The filters "slaney" are triangles over the frequency in Hz, with an area of 1. Their edges are
    equally spaced on Slaney's mel scale. They are equal to those of `librosa.filters.mel`. librosa
    itself is not used, because its import makes numba compile functions that are not needed here.
    The compilation takes a second, and fails without a writable cache folder.

    The filters "htk" are triangles over the frequency in mel, with a height of 1. They are equal to
    the filters of TensorFlow (`tf.signal.linear_to_mel_weight_matrix`) and of Kaldi. A frequency of
    f Hz corresponds to 1127 ln(1 + f / 700) mel.
    """
    hz = np.fft.rfftfreq(config.num_fft, 1 / config.sample_rate)
    if config.mel_filters == "htk":
        filters = _triangles(_to_htk_mel(hz), _htk_mel_edges(config))
    else:
        edges = _slaney_edges(config)
        filters = _triangles(hz, edges) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters


def num_empty_filters(config: "FrontendConfig") -> int:
    """Return the number of mel filters that contain no FFT bin. Their levels are constant."""
    return int((mel_filters(config).max(axis=1) == 0).sum())
