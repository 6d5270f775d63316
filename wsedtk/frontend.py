"""Waveform -> log-mel features, equal to librosa's (the papers' settings are in recipes/*/conf/frontend_*.yaml).

S samples, T frames, F mel bins, B clips.
"""

import dataclasses

import numpy as np
import scipy.fft
import scipy.signal
import scipy.sparse


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
        if self.num_fft < self.window:
            raise ValueError(f"num_fft {self.num_fft} is shorter than the window of {self.window} samples")
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate / 2:
            raise ValueError(f"need 0 <= min_hz < max_hz <= {self.sample_rate / 2}, found {self.min_hz} and {self.max_hz}")
        if self.power not in (1, 2):
            raise ValueError(f"power must be 1 or 2, found {self.power}")
        if not 0 < self.min_power < float("inf"):
            raise ValueError(f"min_power must be a number above 0, found {self.min_power}")
        if self.top_db is not None and not self.top_db >= 0:
            raise ValueError(f"top_db must be at least 0, or null, found {self.top_db}")
        if self.pad_to_seconds is not None and not 0 < self.pad_to_seconds < float("inf"):
            raise ValueError(f"pad_to_seconds must be a number above 0, or null, found {self.pad_to_seconds}")

    @property
    def seconds_per_frame(self):
        """Seconds from one feature frame to the next."""
        return self.hop / self.sample_rate

    def num_frames(self, num_samples):
        """Frames that a clip of `num_samples` gives: max(1, samples // hop), after padding to `pad_to_seconds`."""
        if self.pad_to_seconds is not None:
            num_samples = max(num_samples, round(self.pad_to_seconds * self.sample_rate))
        return max(1, num_samples // self.hop)


class LogMel:
    """The front end itself: `LogMel(config)(samples)` gives (T, F) features of (S,) samples, or (B, T, F) of (B, S)."""

    def __init__(self, config):
        import librosa  # only for its Slaney mel filters; slow to import

        self.config = config
        self._window = scipy.signal.get_window("hann", config.window)  # float64 (window,)
        # Nearly all zeros: faster as a sparse matrix, and the same bits however many threads numpy's matrix product takes.
        self._mel = scipy.sparse.csr_array(librosa.filters.mel(
            sr=config.sample_rate, n_fft=config.num_fft, n_mels=config.num_mels, fmin=config.min_hz, fmax=config.max_hz,
            dtype=np.float64))  # (F, num_fft / 2 + 1)

    def __call__(self, samples):
        """Log-mel levels in dB, (..., T, F), of mono samples (..., S); float64 in, float64 out, else float32.

        They are librosa's to 1e-6 dB in float64, and in float32 to 0.005 dB down to 50 dB (of magnitudes; 100 dB of powers) below
        the clip's maximum. Lower, as in bins that the source's sample rate leaves empty, the rounding of the float32 transform,
        which librosa takes in float64, shows: by 1 to 2 dB.

        Frames are centred on t * hop with zeros beyond the clip's ends, and the first max(1, S // hop) are kept. A window
        shorter than `num_fft` is the head of a zero-padded FFT frame: magnitudes do not see where in it the window lies.
        """
        config, dtype = self.config, np.float64 if samples.dtype == np.float64 else np.float32
        num_frames = config.num_frames(samples.shape[-1])
        before = config.num_fft // 2 - (config.num_fft - config.window) // 2  # the window's part before a frame's centre
        padded = np.zeros((*samples.shape[:-1], (num_frames - 1) * config.hop + config.window), dtype)
        kept = samples[..., :padded.shape[-1] - before]
        padded[..., before:before + kept.shape[-1]] = kept
        frames = np.lib.stride_tricks.sliding_window_view(padded, config.window, axis=-1)[..., ::config.hop, :]  # (..., T, window)
        spectrum = np.abs(scipy.fft.rfft(frames * self._window.astype(dtype), config.num_fft))  # (..., T, num_fft / 2 + 1)
        if config.power == 2:
            spectrum *= spectrum
        mel = (self._mel.astype(dtype) @ spectrum.reshape(-1, spectrum.shape[-1]).T).T  # (... * T, F)
        level = 10 * np.log10(np.maximum(mel, dtype(config.min_power))).reshape(*spectrum.shape[:-1], config.num_mels)
        if config.top_db is not None:
            level = np.maximum(level, level.max(axis=(-2, -1), keepdims=True) - dtype(config.top_db))
        return level
