"""extract: the audio of a data directory -> log-mel features in HDF5.

In the shapes, S is the number of samples, T the number of frames, and F the number of mel bins.
"""

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from wsedtk import __version__
from wsedtk.audio import audio_files
from wsedtk.audio.frontend import FrontendConfig, LogMel
from wsedtk.audio.mel import num_empty_filters
from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.processes import mapping
from wsedtk.core.progress import progress
from wsedtk.core.signals import StopSignals, unhandled
from wsedtk.core.types import Floats
from wsedtk.data import clip_sets, datadir, store
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.feature_parts import Extracted, Failed, Parts, finishing
from wsedtk.inference import network_runner
from wsedtk.models import checkpoint
from wsedtk.models.ready_directories import find_model_directory
from wsedtk.stages.options.systems import ExtractOptions

_LOG = logging.getLogger(__name__)


# The import of these modules takes seconds. Therefore one process imports them, and worker
# processes are forked from this process.
_PRELOADED = ("wsedtk.stages.extract",)
CROPPED = "yes"  # the attribute `crop` of a feature file whose clips were cut if they were too long


@dataclasses.dataclass(frozen=True)
class ExtractResult:
    """The result of `run`: a feature file.

    Attributes
    ----------
    feats : Path
        The file that was written. If the options have a `shard`, it is the file of this shard.
    num_clips : int
        Number of clips with features.
    failed : mapping of str to str
        The reason for each failed clip, by file name. A clip fails if its sound file is missing or
        cannot be read. Without `crop`, clips that are longer than `max_seconds` also fail. Lengths
        are compared in frames.
    max_frames : int
        The number of frames T of the longest clip that the options allow.
    num_bins : int
        Number of mel bins F.
    """

    feats: Path
    num_clips: int
    failed: Mapping[str, str]
    max_frames: int
    num_bins: int


class Clip(NamedTuple):
    """The samples or features of a clip.

    Attributes
    ----------
    values : (S,) or (T, F) float32, or None
        The samples or the features. None if the clip failed.
    seconds : float
        The duration in seconds. 0 if the clip failed.
    remarks : sequence of str
        Warnings about the sound file.
    failure : str
        The reason why the clip failed, or "".
    """

    values: Floats | None
    seconds: float = 0.0
    remarks: Sequence[str] = ()
    failure: str = ""


@functools.lru_cache(maxsize=1)
def _frontend(frontend_config: FrontendConfig, device: torch.device | str = "cpu") -> LogMel:
    return LogMel(frontend_config, device)


def most_frames(frontend_config: FrontendConfig, max_seconds: float) -> int:
    """Return the number of frames, at least 1, of a clip that lasts `max_seconds`."""
    return max(1, round(max_seconds * frontend_config.sample_rate) // frontend_config.hop)


def clip_samples(
    frontend_config: FrontendConfig, max_seconds: float, crop: bool, path: PathLike
) -> Clip:
    """Read a sound file at the sample rate of a front end.

    Parameters
    ----------
    frontend_config : FrontendConfig
        The front end.
    max_seconds : float
        The longest duration in seconds that a clip may have.
    crop : bool
        Whether clips that are too long are cut. A clip is too long if it has more frames than
        `most_frames` returns. If False, these clips fail.
    path : path-like
        The sound file, or "" for a clip without audio, which fails.

    Returns
    -------
    Clip
        Its `values` are the samples (S,), or None if the clip failed.
    """
    remarks: list[str] = []
    try:
        if not path:
            raise InputError("no audio: the path of the clip in clips.tsv is empty")
        # Resampling uses samples after `max_seconds` to compute the last samples before
        # `max_seconds`. Therefore the reading of a long file ends more than one second after
        # `max_seconds`.
        longest = max_seconds + 2 * frontend_config.seconds_per_frame + 1
        samples, rate = audio_files.read(path, frontend_config.sample_rate, longest, remarks)
        if frontend_config.num_frames(len(samples)) > most_frames(frontend_config, max_seconds):
            if not crop:
                raise InputError(
                    f"{path}: lasts {audio_files.info(path).duration:.3f} s, longer than "
                    f"{max_seconds:g} s; cut it with crop (--crop), or increase max_seconds "
                    "(--max-seconds)"
                )
            samples = samples[: round(max_seconds * rate)]
        return Clip(samples, len(samples) / rate, remarks)
    except InputError as error:
        return Clip(None, failure=str(error))


def clip_features(
    frontend_config: FrontendConfig, max_seconds: float, crop: bool, path: PathLike
) -> Clip:
    """Compute the features (T, F) of a sound file. `clip_samples` documents the parameters."""
    clip = clip_samples(frontend_config, max_seconds, crop, path)
    if clip.values is None:
        return clip
    features = _frontend(frontend_config)(clip.values)
    return clip._replace(values=features[: most_frames(frontend_config, max_seconds)])


def _warn_of_failure(name: str, reason: str) -> None:
    _LOG.warning(f"extract: {name!r} failed: {reason}")


@dataclasses.dataclass(frozen=True)
class _Work:
    """The functions that compute the features of a clip.

    Attributes
    ----------
    in_worker : callable
        Called with the path of a sound file, usually in a worker process. Returns a Clip with
        features or with samples.
    on_device : callable, optional
        Called with samples in the main process. Returns features. None if `in_worker` returns
        features.
    """

    in_worker: Callable[[str], Clip]
    on_device: Callable[[Floats], Floats] | None

    def can_be_read(self, path: str) -> bool:
        """Return whether a sound file can be read and is not too long."""
        return self.in_worker(path).values is not None


def _work(
    frontend_config: FrontendConfig, max_seconds: float, crop: bool, device: torch.device
) -> _Work:
    """Return the functions that compute features, as a _Work.

    On a CPU, `in_worker` computes the features. On other devices, `on_device` computes them.
    """
    settings = (frontend_config, max_seconds, crop)
    if device.type == "cpu":
        return _Work(functools.partial(clip_features, *settings), None)
    max_frames = most_frames(frontend_config, max_seconds)

    def features(samples: Floats) -> Floats:
        found: Floats = _frontend(frontend_config, device)(samples)[:max_frames]
        return found

    return _Work(functools.partial(clip_samples, *settings), features)


def _results(
    parts: Parts, work: _Work, jobs: int, description: str
) -> Generator[Extracted | Failed, None, None]:
    """Compute the features of the clips that `parts` lacks, and yield a result for each of them."""
    clips = parts.missing()
    with mapping(jobs, _PRELOADED) as spread:
        computed = zip(clips.tolist(), spread(work.in_worker, map(str, parts.dataset.paths[clips])))
        for index, clip in progress(computed, description, len(clips)):
            name = str(parts.dataset.filenames[index])
            for remark in clip.remarks:
                _LOG.warning(f"extract: {name!r}: {parts.dataset.paths[index]}: {remark}")
            if clip.values is None:
                _warn_of_failure(name, clip.failure)
                yield Failed(index, clip.failure)
            elif work.on_device is None:
                yield Extracted(index, clip.values, clip.seconds)
            else:
                yield Extracted(index, work.on_device(clip.values), clip.seconds)


def _extract(parts: Parts, work: _Work, options: ExtractOptions) -> dict[str, str]:
    """Write the missing features. Return the reason for each failed clip, by file name.

    Raises InputError if more clips fail than `max_failures` allows.
    """
    dataset, feats = parts.dataset, parts.output
    parts.find(work.can_be_read)
    num_there = len(dataset) - len(parts.missing())
    if num_there:
        _LOG.info(
            f"extract: {feats}: the features of {num_there} of {len(dataset)} clips are kept from "
            "an earlier run"
        )
    for name, reason in parts.failed().items():
        _warn_of_failure(name, reason)
    with contextlib.closing(_results(parts, work, options.jobs, f"extract {feats}")) as results:
        parts.write(results)
    failed: dict[str, str] = parts.failed()
    if len(failed) > options.max_failures * len(dataset):
        name, reason = next(iter(failed.items()))
        raise InputError(
            f"{options.data_set}: {len(failed)} of {len(dataset)} clips failed, more than the "
            f"fraction {options.max_failures:g} that max_failures (--max-failures) allows; the "
            f"first failure: {name!r}: {reason}\ncorrect the files, or remove the clips from the "
            "set; the features of the other clips are kept for the next run"
        )
    return failed


def _frontend_config(options: ExtractOptions) -> FrontendConfig:
    """Return the front end. Raises InputError if it pads clips to more than `max_seconds`."""
    if options.frontend is None:
        frontend_config = config.load(FrontendConfig, options.config)
    else:
        spec = checkpoint.read_spec(find_model_directory(options.frontend))
        frontend_config = spec.frontend_config()
    padded = frontend_config.pad_to_seconds
    if padded is not None and padded > options.max_seconds:
        raise InputError(
            f"{options.config or options.frontend}: pad_to_seconds {padded:g} is longer than "
            f"max_seconds {options.max_seconds:g}; increase max_seconds (--max-seconds)"
        )
    return frontend_config


def _layout(frontend_config: FrontendConfig, options: ExtractOptions) -> store.FeatureLayout:
    settings = frontend_config.settings()
    return store.FeatureLayout(
        max_frames=most_frames(frontend_config, options.max_seconds),
        num_bins=frontend_config.num_mels,
        dtype=options.dtype,
        frontend=settings,
        frontend_fingerprint=config.fingerprint(settings),
    )


def _audio_of(dataset: DataSet) -> str:
    """Return the fingerprint of the audio of a set, or "" if it is unknown."""
    return str(dataset.info.get("audio_fingerprint") or "")


def is_done(options: ExtractOptions) -> bool:
    """Return whether the feature file already contains the features that `run` would write.

    The clips, the front end and the settings must be the same, except for `jobs` and `device`.
    Sound files must not be newer than the feature file, unless they are missing now. No clip may
    have failed whose sound file can be read now. With `shard`, the result is False.
    """
    feats = Path(options.feats)
    if options.shard is not None or not feats.is_file():
        return False
    dataset = datadir.read(options.data_set)
    frontend_config = _frontend_config(options)
    layout = _layout(frontend_config, options)
    try:
        found = store.look(feats)
    except InputError:
        return False
    about, failed = found["attributes"], found["failed"]
    has_failed = np.isin(dataset.filenames, list(failed))
    clips = clip_sets.fingerprint_clips(dataset.filenames[~has_failed])
    expected: list[object] = [clips, layout.frontend_fingerprint, layout.dtype, __version__]
    expected += [(layout.max_frames, layout.num_bins), options.crop, int(has_failed.sum())]
    there: list[object] = [about.get("clips_fingerprint"), about.get("fingerprint")]
    there += [found["dtype"], about.get("wsedtk"), found["shapes"].get("features", ())[1:]]
    there += [about.get("crop") == CROPPED, len(failed)]
    if expected != there or about.get("audio_fingerprint") != _audio_of(dataset):
        return False
    written = feats.stat().st_mtime
    tables_changed = about.get("data_fingerprint") != dataset.fingerprint()
    if tables_changed and _newest([Path(options.data_set) / "clips.tsv"]) > written:
        return False  # the names of the clips are the same, but their paths may differ
    work = _work(frontend_config, options.max_seconds, options.crop, torch.device("cpu"))
    return _newest(dataset.paths[~has_failed].tolist()) <= written and not any(
        map(work.can_be_read, dataset.paths[has_failed].tolist())
    )


def _newest(paths: Iterable[PathLike]) -> float:
    """Return the time at which the newest file was written or renamed. Missing files are skipped.

    The time is in seconds. If all files are missing, it is 0.
    """
    newest = 0.0
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            state = os.stat(path)
            newest = max(newest, state.st_mtime, state.st_ctime)
    return newest


@network_runner.gpu_memory()
def run(options: ExtractOptions, *, stop_signals: StopSignals = unhandled) -> ExtractResult:
    """Compute the features of a set, as `wsedtk extract` does.

    The audio is decoded and resampled in `jobs` processes. On a CPU, these processes also compute
    the features. On other devices, the main process computes the features. Failed clips are logged
    as warnings and listed in the feature file. See `ExtractResult` for the reasons why clips fail.

    If the work is interrupted or fails, the features of the finished clips are kept in a hidden
    folder beside the feature file. At most the results of about 20 seconds of work are lost. The
    next call with the same options resumes the work.

    Parameters
    ----------
    options : ExtractOptions
        The set, the file to write and the settings.
    stop_signals : callable, optional
        Returns a context manager that yields a list. When the name of a signal, such as "SIGTERM",
        is appended to the list, all finished clips are kept and NotFinished is raised. By default,
        no signal is handled.

    Returns
    -------
    ExtractResult

    Raises
    ------
    InputError
        If an input is wrong, or if more clips fail than `max_failures` allows. The feature file is
        then not written.
    NotFinished
        If a signal stopped the work, or if results that an earlier run kept were
        damaged.

    Examples
    --------
    >>> result = run(ExtractOptions("data/train", "feats/train.h5", jobs=4))
    >>> result.num_clips, result.failed
    """
    dataset = datadir.read(options.data_set)
    frontend_config = _frontend_config(options)
    if num_empty := num_empty_filters(frontend_config):
        _LOG.warning(
            f"some mel filters contain no FFT bin and are 0 ({num_empty} of "
            f"{frontend_config.num_mels}); use a smaller num_mels or a larger num_fft"
        )
    made = {
        "data_fingerprint": dataset.fingerprint(),
        "audio_fingerprint": _audio_of(dataset),
        **provenance.made_by(),
    }
    if options.crop:
        made["crop"] = CROPPED
    feats = Path(options.feats)
    if options.shard is not None:
        number, count = options.shard
        feats = store.shard_path(feats, number, count)
        dataset = dataset.select(np.arange(len(dataset)) % count == number - 1)
    layout = _layout(frontend_config, options)
    device = network_runner.pick_device(options.device)
    identity = {
        **dataclasses.asdict(layout),
        "max_seconds": options.max_seconds,
        "crop": options.crop,
        "device": device.type,
        "wsedtk": __version__,
    }
    store.check_overwrite(feats, "features")
    work = _work(frontend_config, options.max_seconds, options.crop, device)
    with (
        stop_signals() as signals,
        finishing(Parts(feats, identity, layout, dataset, signals)) as parts,
    ):
        failed = _extract(parts, work, options)
        parts.join(made)
    num_clips = len(dataset) - len(failed)
    return ExtractResult(feats, num_clips, failed, layout.max_frames, layout.num_bins)
