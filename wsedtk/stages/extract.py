"""extract: the audio of a data directory -> log-mel features in HDF5.

S samples, T frames, F mel bins.
"""

import contextlib
import dataclasses
import functools

import numpy as np

from wsedtk import __version__
from wsedtk.audio import audio_files
from wsedtk.audio.frontend import FrontendConfig, LogMel
from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.processes import mapping
from wsedtk.core.progress import progress, say
from wsedtk.data import datadir, store
from wsedtk.data.feature_parts import Extracted, Failed, finishing
from wsedtk.inference import network_runner

# The processes of --jobs begin as copies of one that has these: each by itself would import them for seconds.
_PRELOADED = ("wsedtk.stages.extract",)


@functools.lru_cache(maxsize=1)
def _frontend(frontend_config, device="cpu"):
    return LogMel(frontend_config, device)


def most_frames(frontend_config, max_seconds):
    """Frames of a clip of `max_seconds`: the T_max of the feature file."""
    return max(1, round(max_seconds * frontend_config.sample_rate) // frontend_config.hop)


def clip_samples(frontend_config, max_seconds, crop, path):
    """Read a sound file at the front end's rate.

    Returns (samples (S,) float32, duration in seconds, remarks); (None, reason, []) on failure.
    """
    remarks = []
    try:
        if not path:
            raise InputError("no audio: its path in clips.tsv is empty")
        # a second more than any clip may have: the resampler's end is then beyond what --crop keeps
        longest = max_seconds + 2 * frontend_config.seconds_per_frame + 1
        samples, rate = audio_files.read(path, frontend_config.sample_rate, longest, remarks)
        if frontend_config.num_frames(len(samples)) > most_frames(frontend_config, max_seconds):
            if not crop:
                raise InputError(
                    f"{path}: lasts {audio_files.info(path).duration:.3f} s, longer than {max_seconds:g} s; "
                    "--crop keeps its beginning, --max-seconds takes longer clips"
                )
            samples = samples[: round(max_seconds * rate)]
        return samples, len(samples) / rate, remarks
    except InputError as error:
        return None, str(error), []


def clip_features(frontend_config, max_seconds, crop, path):
    """Compute (features (T, F) float32, duration in seconds, remarks), like `clip_samples`."""
    samples, duration, remarks = clip_samples(frontend_config, max_seconds, crop, path)
    if samples is None:
        return None, duration, remarks
    features = _frontend(frontend_config)(samples)
    return features[: most_frames(frontend_config, max_seconds)], duration, remarks


def tell_failure(name, reason):
    """Say that a clip failed, and why."""
    say(f"warning: extract: {name!r} failed: {reason}")


def _results(parts, work, jobs, frontend, description):
    """Yield the result of each clip that is missing, and tell of those that failed.

    frontend: computes features of what `work` gives, where it gives samples; else None.
    """
    clips = parts.missing()
    with mapping(jobs, _PRELOADED) as spread:
        computed = zip(clips.tolist(), spread(work, map(str, parts.dataset.paths[clips])))
        for clip, (found, duration, remarks) in progress(computed, description, len(clips)):
            name = str(parts.dataset.filenames[clip])
            if found is None:
                tell_failure(name, duration)
            for remark in remarks:
                say(f"warning: extract: {name!r}: {parts.dataset.paths[clip]}: {remark}")
            if found is None:
                yield Failed(clip, duration)
            else:
                yield Extracted(clip, found if frontend is None else frontend(found), duration)


def run(
    data_set, output, config_path, jobs, shard, max_seconds, dtype, crop, max_failures, device="cpu"
):
    """Write the features of a set, or of shard (K, N) of it: the clips K, K + N, ... counted from 1.

    `jobs` processes decode and resample, and compute the features too where the device is a CPU; else this one does that there.
    Clips that can't be read are told and listed in the file as `failed`; more than the fraction `max_failures` of them raise
    InputError, and no file is written. What was finished before is kept beside it then, and where a signal raises NotFinished.
    """
    if not 0 < max_seconds < float("inf"):
        raise InputError(f"--max-seconds {max_seconds}: expected a number of seconds above 0")
    dataset = datadir.read(data_set)
    frontend_config = config.load(FrontendConfig, config_path)
    if frontend_config.pad_to_seconds is not None and frontend_config.pad_to_seconds > max_seconds:
        raise InputError(
            f"{config_path}: pad_to_seconds {frontend_config.pad_to_seconds:g} is longer than "
            f"--max-seconds {max_seconds:g}"
        )
    made = {
        "data_fingerprint": dataset.fingerprint(),
        "audio_fingerprint": str(dataset.info.get("audio_fingerprint") or ""),
        **provenance.made_by(),
    }
    if shard is not None:
        output = store.shard_path(output, *shard)
        dataset = dataset.select(np.arange(len(dataset)) % shard[1] == shard[0] - 1)
    settings = config.to_mapping(frontend_config)
    max_frames = most_frames(frontend_config, max_seconds)
    layout = store.FeatureLayout(
        max_frames=max_frames,
        num_bins=frontend_config.num_mels,
        dtype=dtype,
        frontend=settings,
        frontend_fingerprint=config.fingerprint(settings),
    )
    device = network_runner.pick_device(device)
    on_cpu = device.type == "cpu"
    work = functools.partial(
        clip_features if on_cpu else clip_samples, frontend_config, max_seconds, crop
    )
    frontend = (
        None if on_cpu else lambda samples: _frontend(frontend_config, device)(samples)[:max_frames]
    )
    identity = {
        **dataclasses.asdict(layout),
        "max_seconds": max_seconds,
        "crop": crop,
        "device": device.type,
        "wsedtk": __version__,
    }
    store.check_overwrite(output, "features")
    with finishing(output, identity, layout, dataset) as parts:
        parts.find(lambda path: work(path)[0] is not None)
        num_there = len(dataset) - len(parts.missing())
        if num_there:
            say(f"extract: {num_there} of {len(dataset)} clips of {output} are there from before")
        for name, reason in parts.failed().items():
            tell_failure(name, reason)
        with contextlib.closing(
            _results(parts, work, jobs, frontend, f"extract {output}")
        ) as results:
            parts.write(results)
        failed = parts.failed()
        if len(failed) > max_failures * len(dataset):
            raise InputError(
                f"{data_set}: {len(failed)} of {len(dataset)} clips failed, more than --max-failures {max_failures:g} "
                f"allows; the first: {next(iter(failed.values()))}\nMend the files, or take the clips out of the set; "
                "the features of the others are kept for when the command is given again."
            )
        parts.join(made)
    print(
        f"{output}: {len(dataset) - len(failed)} clips, at most {max_frames} frames x {frontend_config.num_mels} bins"
        + (f"; {len(failed)} clips failed" if failed else "")
    )
