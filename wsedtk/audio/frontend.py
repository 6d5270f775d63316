"""Compute log-mel features of samples, as librosa does.

Array dimensions: S samples, T frames, F mel bins, D bins of the FFT (num_fft // 2 + 1).
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from wsedtk.audio.mel import mel_filters
from wsedtk.core import config as config_files
from wsedtk.core.types import Floats

_BLOCK_FRAMES = 64  # frames that are transformed at once; their spectra fit into the CPU's cache
_BAND = 16  # number of neighbouring mel filters that are applied to the same range of FFT bins
_MOST_SAMPLES = 1 << 20  # maximum of sample_rate, window, hop and num_fft
_MOST_MELS = 1 << 12
_MOST_WEIGHTS = 1 << 27  # maximum of num_mels * num_fft, to bound the memory
# Earlier versions did not have these settings. `FrontendConfig.settings` omits them if they have
# their defaults, so that the fingerprints of features from earlier versions remain valid.
_LATER = ("mel_filters", "log_offset", "center", "pad_mode", "preemphasis", "symmetric_window")


@dataclasses.dataclass(frozen=True)
class FrontendConfig:
    """The settings of a log-mel front end.

    The defaults are the settings in the published recipe of Wang, Li & Metze (2019).

    Attributes
    ----------
    sample_rate : int
        The sample rate in Hz.
    window, hop, num_fft : int
        Length of the window, hop from frame to frame and length of the FFT, in samples.
    num_mels : int
        Number of mel bins, F.
    min_hz, max_hz : float
        Lower edge of the first filter and upper edge of the last filter, in Hz.
    power : int
        1 for the magnitude spectrum, 2 for the power spectrum.
    min_power : float
        Smaller values of the mel spectrum, after the addition of `log_offset`, are replaced by this
        value.
    top_db : float or None
        The maximum range of the levels of a clip in dB. Levels that are too low are raised to the
        highest level minus `top_db`. None means that the range is not limited.
    pad_to_seconds : float or None
        Clips that are shorter than this duration in seconds are padded with zeros to this duration.
        If None, only clips that are shorter than one hop are padded, to one hop.
    mel_filters : {"slaney", "htk"}
        The mel filters; see `mel_filters`.
    log_offset : float
        This value is added to the mel spectrum before the logarithm.
    center : bool
        If True, frame t is centred on sample t * hop. If False, the window of frame t begins at
        sample t * hop.
    pad_mode : {"constant", "reflect"}
        How a clip is extended for the windows that begin before its first sample or end after its
        last sample: with zeros, or with the samples of the clip in reverse order. If `center` is
        False, every clip is extended with zeros.
    preemphasis : float
        The coefficient p of the filter x[n + 1] - p x[n], from 0 to 1. The filter is applied to the
        samples x before the clip is extended. Its output is one sample shorter than its input. With
        0, the samples are not filtered.
    symmetric_window : bool
        Whether the Hann window is symmetric. If False, it is periodic.

    Raises
    ------
    ValueError
        If a setting is out of its range.
    """

    sample_rate: int = 16000
    window: int = 1024
    hop: int = 400
    num_fft: int = 4096
    num_mels: int = 64
    min_hz: float = 0.0
    max_hz: float = 8000.0
    power: int = 1
    min_power: float = 1e-10
    top_db: float | None = 80.0
    pad_to_seconds: float | None = None
    mel_filters: Literal["slaney", "htk"] = "slaney"
    log_offset: float = 0.0
    center: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"
    preemphasis: float = 0.0
    symmetric_window: bool = False

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.window, self.hop, self.num_mels) < 1:
            raise ValueError(
                "sample_rate, window, hop and num_mels must be at least 1, found "
                f"{self.sample_rate}, {self.window}, {self.hop} and {self.num_mels}"
            )
        longest = max(self.sample_rate, self.window, self.hop, self.num_fft)
        num_weights = self.num_mels * self.num_fft
        if longest > _MOST_SAMPLES or self.num_mels > _MOST_MELS or num_weights > _MOST_WEIGHTS:
            raise ValueError(
                f"sample_rate, window, hop and num_fft can be at most {_MOST_SAMPLES}, "
                f"num_mels at most {_MOST_MELS}, num_mels * num_fft at most {_MOST_WEIGHTS}"
            )
        if self.num_fft < self.window:
            raise ValueError(
                f"num_fft {self.num_fft} is shorter than the window of {self.window} samples"
            )
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate / 2:
            raise ValueError(
                f"expected 0 <= min_hz < max_hz <= {self.sample_rate / 2} (half of sample_rate), "
                f"found min_hz {self.min_hz} and max_hz {self.max_hz}"
            )
        if self.power not in (1, 2):
            raise ValueError(f"power must be 1 or 2, found {self.power}")
        if not 0 < self.min_power < float("inf"):
            raise ValueError(f"min_power must be a finite number above 0, found {self.min_power}")
        if self.top_db is not None and not self.top_db >= 0:
            raise ValueError(f"top_db must be at least 0, or null, found {self.top_db}")
        if self.pad_to_seconds is not None and not 0 < self.pad_to_seconds <= 86400:
            raise ValueError(
                "pad_to_seconds must be above 0 and at most 86400 (one day), or null, "
                f"found {self.pad_to_seconds}"
            )
        if self.mel_filters not in ("slaney", "htk"):
            raise ValueError(f'mel_filters must be "slaney" or "htk", found {self.mel_filters!r}')
        if self.pad_mode not in ("constant", "reflect"):
            raise ValueError(f'pad_mode must be "constant" or "reflect", found {self.pad_mode!r}')
        if not 0 <= self.log_offset < float("inf"):
            raise ValueError(
                f"log_offset must be a finite number of at least 0, found {self.log_offset}"
            )
        if not 0 <= self.preemphasis <= 1:
            raise ValueError(f"preemphasis must be from 0 to 1, found {self.preemphasis}")

    def settings(self) -> dict[str, Any]:
        """Return the settings as a mapping, as they are stored with features and models."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {
            name: value
            for name, value in config_files.to_mapping(self).items()
            if name not in _LATER or value != defaults[name]
        }

    @property
    def seconds_per_frame(self) -> float:
        """The duration in seconds from one frame to the next."""
        return self.hop / self.sample_rate

    @property
    def min_samples(self) -> int:
        """The number of samples to which shorter clips are padded.

        It is the larger of one hop and `pad_to_seconds`.
        """
        return max(self.hop, round((self.pad_to_seconds or 0) * self.sample_rate))

    @property
    def samples_before(self) -> int:
        """The number of samples of the first window that lie before the clip."""
        if not self.center:
            return 0
        return self.num_fft // 2 - (self.num_fft - self.window) // 2

    def num_frames(self, num_samples: int) -> int:
        """Return the number of frames, at least 1, of a clip with `num_samples` samples."""
        return max(num_samples, self.min_samples) // self.hop


def window_and_filters(config: FrontendConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the window (window,) and the mel filters (F, D) of a front end, float64."""
    periodic = not config.symmetric_window
    window = torch.hann_window(config.window, periodic=periodic, dtype=torch.float64)
    return window, torch.from_numpy(mel_filters(config))


@contextlib.contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """On a CPU, use one thread of torch within the `with` block.

    Work is distributed over processes, and results must not depend on the number of threads.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _magnitude(spectrum: torch.Tensor) -> torch.Tensor:
    """Return the magnitudes of a complex tensor. On a CPU, numpy is ten times as fast as torch."""
    if spectrum.device.type == "cpu":
        return torch.from_numpy(np.abs(spectrum.numpy()))
    return spectrum.abs()


class _Band(NamedTuple):
    """Neighbouring mel filters, and the range of FFT bins in which they are above 0."""

    filters: slice
    bins: slice
    weights: torch.Tensor  # (number of bins, number of filters)


def _bands(mel: torch.Tensor) -> list[_Band]:
    """Divide mel filters (F, D) into bands."""
    found = []
    for first in range(0, len(mel), _BAND):
        filters = slice(first, first + _BAND)
        touched = mel[filters].any(dim=0).nonzero().flatten().tolist() or [0]
        bins = slice(touched[0], touched[-1] + 1)
        found.append(_Band(filters, bins, mel[filters, bins].T.contiguous()))
    return found


class _Constants(NamedTuple):
    """The window (window,) and the mel filters of a front end, in one precision."""

    window: torch.Tensor
    bands: list[_Band]


class LogMel:
    """A log-mel front end, which computes features from samples.

    Parameters
    ----------
    config : FrontendConfig
    device : str or torch.device
        The device on which the features are computed.

    Examples
    --------
    >>> features = LogMel(FrontendConfig())(samples)
    """

    def __init__(self, config: FrontendConfig, device: str | torch.device = "cpu") -> None:
        self.config, self.device = config, torch.device(device)
        window, filters = window_and_filters(config)
        self._float64 = _Constants(window, _bands(filters))
        self._by_dtype: dict[torch.dtype, _Constants] = {}

    def _constants(self, dtype: torch.dtype) -> _Constants:
        """Return the window and the filters with a dtype, on the device."""
        if dtype not in self._by_dtype:
            window, bands = self._float64
            self._by_dtype[dtype] = _Constants(
                window.to(dtype).to(self.device),
                [band._replace(weights=band.weights.to(dtype).to(self.device)) for band in bands],
            )
        return self._by_dtype[dtype]

    def __call__(self, samples: Floats) -> Floats:
        """Return the log-mel levels of samples.

        With the default settings, frame t is centred on sample t * hop, and the clip is padded with
        zeros on both sides. The number of frames T is `config.num_frames(S)`, which is
        max(1, S // hop) if `pad_to_seconds` is None. If the window is shorter than `num_fft`, each
        windowed frame is padded with zeros at its end.

        In float64, the levels differ from those of librosa by at most 1e-6 dB. In float32, the
        difference is at most 0.01 dB for levels down to 50 dB (magnitude spectrum) or 100 dB (power
        spectrum) below the clip's maximum. Lower levels, for example in bins above the bandwidth of
        the source, can differ by more than 10 dB, because librosa computes the FFT in float64.

        Parameters
        ----------
        samples : (..., S) float
            Mono samples at `config.sample_rate`.

        Returns
        -------
        (..., T, F) float
            The levels in dB. The dtype is float64 if the samples are float64, otherwise float32.
        """
        with _one_thread(self.device), torch.inference_mode():
            if samples.ndim == 1:
                return self._levels(samples)
            levels = np.stack(
                [self._levels(clip) for clip in samples.reshape(-1, samples.shape[-1])]
            )
            return levels.reshape(*samples.shape[:-1], *levels.shape[1:])

    def _levels(self, samples: Floats) -> Floats:
        """Return the levels (T, F) of one clip (S,)."""
        config, num_frames = self.config, self.config.num_frames(len(samples))
        dtype = np.float64 if samples.dtype == np.float64 else np.float32
        padded = self._extended(samples.astype(dtype, copy=False), num_frames)
        on_device = torch.from_numpy(padded).to(self.device)
        frames = on_device.unfold(0, config.window, config.hop)  # (T, window)
        window, bands = self._constants(frames.dtype)
        mel = frames.new_empty(num_frames, config.num_mels)
        # The windowed frames of a block. The zeros after each frame are never overwritten.
        rows = frames.new_zeros(min(num_frames, _BLOCK_FRAMES), config.num_fft)
        blocks = torch.split(frames, _BLOCK_FRAMES), torch.split(mel, _BLOCK_FRAMES)
        for block, out in zip(*blocks):
            torch.mul(block, window, out=rows[: len(block), : config.window])
            spectrum = _magnitude(torch.fft.rfft(rows[: len(block)]))  # (T, D)
            if config.power == 2:
                spectrum *= spectrum
            for filters, bins, weights in bands:
                out[:, filters] = spectrum[:, bins] @ weights
        level = 10 * torch.log10((mel + config.log_offset).clamp_min(config.min_power))
        if config.top_db is not None:
            level = torch.maximum(level, level.max() - config.top_db)
        features: Floats = level.cpu().numpy()
        return features

    def _extended(self, samples: Floats, num_frames: int) -> Floats:
        """Return the samples that the windows of all frames cover, with pre-emphasis."""
        config, before = self.config, self.config.samples_before
        num_covered = (num_frames - 1) * config.hop + config.window
        if config.preemphasis or config.pad_mode == "reflect":
            missing = max(2, config.min_samples) - len(samples)
            samples = np.pad(samples, (0, max(0, missing)))
        if config.preemphasis:
            samples = samples[1:] - samples.dtype.type(config.preemphasis) * samples[:-1]
        if config.center and config.pad_mode == "reflect":
            after = max(0, num_covered - before - len(samples))
            samples, before = np.pad(samples, (before, after), mode="reflect"), 0
        extended = np.zeros(num_covered, samples.dtype)
        kept = samples[: num_covered - before]
        extended[before : before + len(kept)] = kept
        return extended
