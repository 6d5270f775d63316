"""Waveform -> log-mel features, equal to librosa's (the papers' settings are in recipes/*/conf/frontend_*.yaml).

S samples, T frames, F mel bins, B clips.
"""

import contextlib
import dataclasses
import warnings

import numpy as np
import torch

_BLOCK_FRAMES = 64  # that are transformed at once: their spectra stay in the processor's cache
_BAND = 16  # neighbouring mel filters, multiplied with no more of the spectrum than they touch


@dataclasses.dataclass(frozen=True)
class FrontendConfig:
    """A log-mel front end. The defaults are Wang, Li & Metze's (2019), as in the author's published recipe.

    Every length is in samples at `sample_rate`. `power` 1 takes the magnitude spectrum, 2 the power spectrum.
    `top_db` limits the level to that far below the clip's own maximum; null: no limit.
    `pad_to_seconds` pads shorter clips with zeros before the STFT; null: short clips stay short.
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

    def __post_init__(self):
        if min(self.sample_rate, self.window, self.hop, self.num_mels) < 1:
            raise ValueError("sample_rate, window, hop and num_mels must be at least 1")
        if (
            max(self.sample_rate, self.window, self.hop, self.num_fft) > 1 << 20
            or self.num_mels > 1 << 12
            or self.num_mels * self.num_fft > 1 << 27
        ):  # the filters would fill the memory
            raise ValueError(
                "sample_rate, window, hop and num_fft can be at most 1048576, num_mels 4096, num_mels * num_fft 134217728"
            )
        if self.num_fft < self.window:
            raise ValueError(
                f"num_fft {self.num_fft} is shorter than the window of {self.window} samples"
            )
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate / 2:
            raise ValueError(
                f"need 0 <= min_hz < max_hz <= {self.sample_rate / 2}, found {self.min_hz} and {self.max_hz}"
            )
        if self.power not in (1, 2):
            raise ValueError(f"power must be 1 or 2, found {self.power}")
        if not 0 < self.min_power < float("inf"):
            raise ValueError(f"min_power must be a number above 0, found {self.min_power}")
        if self.top_db is not None and not self.top_db >= 0:
            raise ValueError(f"top_db must be at least 0, or null, found {self.top_db}")
        if self.pad_to_seconds is not None and not 0 < self.pad_to_seconds <= 86400:
            raise ValueError(
                f"pad_to_seconds must be a number above 0 and at most a day, or null, found {self.pad_to_seconds}"
            )

    @property
    def seconds_per_frame(self):
        """Seconds from one feature frame to the next."""
        return self.hop / self.sample_rate

    @property
    def min_samples(self):
        """Samples that a shorter clip is filled up to with zeros: a hop, or `pad_to_seconds`."""
        return max(self.hop, round((self.pad_to_seconds or 0) * self.sample_rate))

    @property
    def samples_before(self):
        """Samples of the first frame's window that lie before the clip's beginning, where they are zeros."""
        return self.num_fft // 2 - (self.num_fft - self.window) // 2

    def num_frames(self, num_samples):
        """Frames that a clip of `num_samples` gives: max(1, samples // hop), after padding to `pad_to_seconds`."""
        return max(num_samples, self.min_samples) // self.hop


def _mel_edges(config):
    """Return F + 2 frequencies (Hz), equally spaced on Slaney's mel scale: filter k is above 0
    between the k-th and the (k + 2)-th of them.

    Source: M. Slaney, Auditory Toolbox, Interval Research Technical Report 1998-010: 200/3 Hz a
    mel up to 1 kHz, and from there 27 mels for each factor of 6.4.
    """
    hz_per_mel, corner_hz, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    corner = corner_hz / hz_per_mel

    def to_mel(hz):
        return hz / hz_per_mel if hz < corner_hz else corner + np.log(hz / corner_hz) / log_step

    mels = np.linspace(to_mel(config.min_hz), to_mel(config.max_hz), config.num_mels + 2)
    with np.errstate(over="ignore"):  # of values below the corner, which the first branch gives
        above = corner_hz * np.exp(log_step * (mels - corner))
    return np.where(mels < corner, hz_per_mel * mels, above)


def mel_filters(config):
    """Return the mel filters (F, num_fft / 2 + 1) of a front end, float64: triangles of area 1.

    They are those of `librosa.filters.mel`. librosa itself is not used: importing its filters
    compiles others with numba, which fails where no cache folder is writable, and takes a second.
    """
    edges = _mel_edges(config)[:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    hz = np.fft.rfftfreq(config.num_fft, 1 / config.sample_rate)
    rising, falling = (hz - lower) / (centre - lower), (upper - hz) / (upper - centre)
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (upper - lower))
    num_empty = int((filters.max(axis=1) == 0).sum())
    if num_empty:
        warnings.warn(
            f"{num_empty} of {config.num_mels} mel filters contain no FFT bin and are 0; "
            "use fewer num_mels or a larger num_fft",
            stacklevel=2,
        )
    return filters


def window_and_filters(config):
    """The window (window,) and the mel filters (F, num_fft / 2 + 1) of a front end, float64 tensors."""
    window = torch.hann_window(config.window, periodic=True, dtype=torch.float64)
    return window, torch.from_numpy(mel_filters(config))


@contextlib.contextmanager
def _one_thread(device):
    """On a CPU, have torch use one thread: work is spread over processes, and the bits are the same however many there could be."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _magnitude(spectrum):
    """The magnitudes of a complex tensor. On a CPU numpy finds them ten times as fast as torch."""
    return (
        torch.from_numpy(np.abs(spectrum.numpy()))
        if spectrum.device.type == "cpu"
        else spectrum.abs()
    )


class LogMel:
    """The front end itself: `LogMel(config)(samples)` gives (T, F) features of (S,) samples, or (B, T, F) of (B, S).

    device: where it computes, a torch device.
    """

    def __init__(self, config, device="cpu"):
        self.config, self.device = config, torch.device(device)
        self._window, filters = window_and_filters(config)
        self._filters = self._bands(filters)
        self._parts = {}  # dtype -> window and filters in it, on the device

    def _parts_of(self, dtype):
        """The window and the bands of filters in a precision."""
        if dtype not in self._parts:
            bands = [
                (filters, bins, weights.to(dtype).to(self.device))
                for filters, bins, weights in self._filters
            ]
            self._parts[dtype] = self._window.to(dtype).to(self.device), bands
        return self._parts[dtype]

    @staticmethod
    def _bands(mel):
        """Bands of filters (F, bins) as (slice of the filters, slice of the bins that they touch, their weights (bins, filters))."""
        found = []
        for first in range(0, len(mel), _BAND):
            filters = slice(first, first + _BAND)
            touched = mel[filters].any(dim=0).nonzero().flatten().tolist() or [0]
            bins = slice(touched[0], touched[-1] + 1)
            found.append((filters, bins, mel[filters, bins].T.contiguous()))
        return found

    def __call__(self, samples):
        """Log-mel levels in dB, (..., T, F), of mono samples (..., S), a numpy array; float64 in, float64 out, else float32.

        They are librosa's to 1e-6 dB in float64, and in float32 to 0.005 dB down to 50 dB (of magnitudes; 100 dB of powers) below
        the clip's maximum. Lower, as in bins that the source's sample rate leaves empty, the rounding of the float32 transform,
        which librosa takes in float64, shows: by 1 to 2 dB.

        Frames are centred on t * hop with zeros beyond the clip's ends, and the first max(1, S // hop) are kept. A window
        shorter than `num_fft` is the head of a zero-padded FFT frame: magnitudes do not see where in it the window lies.
        """
        with _one_thread(self.device), torch.inference_mode():
            if samples.ndim == 1:
                return self._levels(samples)
            levels = np.stack(
                [self._levels(clip) for clip in samples.reshape(-1, samples.shape[-1])]
            )
            return levels.reshape(*samples.shape[:-1], *levels.shape[1:])

    def _levels(self, samples):
        """Levels (T, F) of one clip (S,)."""
        config, num_frames = self.config, self.config.num_frames(len(samples))
        before = config.samples_before
        padded = np.zeros(
            (num_frames - 1) * config.hop + config.window,
            np.float64 if samples.dtype == np.float64 else np.float32,
        )
        kept = samples[: len(padded) - before]
        padded[before : before + len(kept)] = kept
        frames = (
            torch.from_numpy(padded).to(self.device).unfold(0, config.window, config.hop)
        )  # (T, window)
        window, bands = self._parts_of(frames.dtype)
        mel = frames.new_empty(num_frames, config.num_mels)
        rows = frames.new_zeros(
            min(num_frames, _BLOCK_FRAMES), config.num_fft
        )  # a block's frames, and the zeros after each
        for block, out in zip(frames.split(_BLOCK_FRAMES), mel.split(_BLOCK_FRAMES)):
            torch.mul(block, window, out=rows[: len(block), : config.window])
            spectrum = _magnitude(torch.fft.rfft(rows[: len(block)]))  # (T, num_fft / 2 + 1)
            if config.power == 2:
                spectrum *= spectrum
            for filters, bins, weights in bands:
                out[:, filters] = spectrum[:, bins] @ weights
        level = 10 * torch.log10(mel.clamp_min(config.min_power))
        if config.top_db is not None:
            level = torch.maximum(level, level.max() - config.top_db)
        return level.cpu().numpy()
