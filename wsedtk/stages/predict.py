"""predict: a model and features -> clip, frame and segment scores.

In the shapes, N is the number of clips, B the number of clips in a batch, and K the number of
classes.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.progress import progress
from wsedtk.core.types import Integers
from wsedtk.data import class_lists, datadir, store
from wsedtk.data.store import FeatureStore
from wsedtk.inference import loading, network_runner
from wsedtk.inference.network_runner import Runner
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.ready_directories import find_model_directory
from wsedtk.stages.options.results import PredictOptions


@dataclasses.dataclass(frozen=True)
class PredictResult:
    """The result of `run`: a score file.

    Attributes
    ----------
    scores : Path
        The score file.
    num_clips : int
        The number N of scored clips.
    labels : tuple of str
        The K classes.
    seconds_per_frame : float
        The hop of the frame scores in seconds.
    failed : mapping of str to str
        The clips that failed in `extract`, with the reasons. These clips have no scores.
    """

    scores: Path
    num_clips: int
    labels: tuple[str, ...]
    seconds_per_frame: float
    failed: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class _Job:
    """The model, the clips to score, and the settings of the scores to write."""

    runner: Runner
    features: FeatureStore
    rows: Integers  # (N,), the row of each clip in the features
    columns: list[int]  # indices of the classes to write
    samples_per_frame: int
    sample_rate: int
    no_frames: bool

    @property
    def seconds_per_frame(self) -> float:
        """The hop of the frame scores in seconds."""
        return self.samples_per_frame / self.sample_rate

    @functools.cached_property
    def num_frames(self) -> npt.NDArray[np.int64]:
        """The number of frames (N,) of each clip, at least 1."""
        reduction = self.runner.network.time_reduction
        counts: npt.NDArray[np.int64] = self.features.num_frames[self.rows] // reduction
        return np.maximum(counts, 1)

    @functools.cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array of one clip, by name."""
        num_classes, most_frames = len(self.columns), int(self.num_frames.max())
        last_centre = (2 * most_frames - 1) * self.samples_per_frame  # in units of half a sample
        num_segments = last_centre // (2 * self.sample_rate) + 1
        shapes: dict[str, tuple[int, ...]] = {
            "clip": (num_classes,),
            "segment": (num_segments, num_classes),
            "num_frames": (),
            "duration": (),
        }
        if not self.no_frames:
            shapes["frame"] = (most_frames, num_classes)
            if self.runner.network.pooling.needs_weights:
                shapes["weight"] = shapes["frame"]
        return shapes

    def batches(self) -> Iterator[tuple[Integers, dict[str, npt.NDArray[np.number[Any]]]]]:
        """Yield, for each batch, the positions (B,) of its clips in `rows`, and the arrays by name.

        The first axis of each array has the length B.
        """
        scored = network_runner.score(
            self.runner, self.features, self.rows, self.samples_per_frame, self.sample_rate
        )
        num_batches = -(-len(self.rows) // self.runner.batch_size)
        for positions, output, segments in progress(scored, "predict", num_batches):
            tensors = {
                "clip": output.clip,
                "segment": segments,
                "frame": output.frame,
                "weight": output.weight,
            }
            arrays: dict[str, npt.NDArray[np.number[Any]]] = {
                name: tensor[..., self.columns].float().cpu().numpy()
                for name, tensor in tensors.items()
                if name in self.shapes and tensor is not None
            }
            arrays["num_frames"] = self.num_frames[positions]
            arrays["duration"] = self.features.durations[self.rows[positions]]
            yield positions, arrays


def _check_frontend(features: FeatureStore, spec: ModelSpec, options: PredictOptions) -> None:
    """Raise InputError if the features and the model have different front ends."""
    if features.frontend == spec.frontend:
        return
    differences = [
        f"{key}: {spec.frontend.get(key)} in the model, "
        f"{features.frontend.get(key)} in the features"
        for key in sorted({*spec.frontend, *features.frontend})
        if spec.frontend.get(key) != features.frontend.get(key)
    ]
    raise InputError(
        f"{options.feats}: the front end of the features (fingerprint {features.fingerprint}) "
        f"differs from the front end of {options.model_dir} (fingerprint "
        f"{config.fingerprint(spec.frontend)}): {'; '.join(differences)}; extract the features "
        "again with the front end of the model (extract --frontend)"
    )


def _choose_rows(
    features: FeatureStore, data_set: PathLike | None
) -> tuple[Integers, dict[str, str]]:
    """Return the rows (N,) of the clips to score, sorted by file name, and the failed clips.

    The failed clips are the clips that failed in `extract`, with the reasons. `data_set` is the
    data directory with the clips to score. None selects all clips of the features.
    """
    if data_set is None:
        return features.order, features.failed
    dataset = datadir.read(data_set)
    rows = features.rows_of_set(dataset, data_set)
    failed = {name: features.failed[name] for name in dataset.filenames[rows < 0].tolist()}
    return rows[rows >= 0], failed


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """The checked inputs, and the fingerprint of the scores to write.

    `labels` are the K classes to write, and `model` is the fingerprint of the model.
    """

    job: _Job
    labels: tuple[str, ...]
    failed: dict[str, str]
    model: str
    fingerprint: str


def _prepare(options: PredictOptions) -> _Prepared:
    """Read the inputs. Raises InputError if an input is missing or wrong."""
    options = dataclasses.replace(options, model_dir=find_model_directory(options.model_dir))
    model = loading.read_model(options.model_dir, options.seconds_per_frame)
    spec, network = model.spec, model.network
    names: Mapping[str, str] = {label: label for label in spec.labels}
    if options.classes is not None:
        names = class_lists.read(options.classes, spec.labels, options.model_dir)
    features = FeatureStore([options.feats])
    _check_frontend(features, spec, options)
    rows, failed = _choose_rows(features, options.data_set)
    if not len(rows):
        raise InputError(
            f"{options.feats}: no clips to score; expected features of at least one clip"
        )
    frontend = spec.frontend_config()
    device = network_runner.pick_device(options.device)
    job = _Job(
        runner=loading.make_runner(model, device, options.precise),
        features=features,
        rows=rows,
        columns=[spec.labels.index(name) for name in names],
        samples_per_frame=frontend.hop * network.time_reduction,
        sample_rate=frontend.sample_rate,
        no_frames=options.no_frames,
    )
    identity = {
        "model": model.fingerprint,
        "frontend": features.fingerprint,
        "features": features.content_fingerprint(rows),
        "precise": options.precise,
        "classes": list(names.items()),
        "seconds_per_frame": job.seconds_per_frame,
    }
    return _Prepared(
        job, tuple(names.values()), failed, model.fingerprint, config.fingerprint(identity)
    )


@network_runner.gpu_memory()
def is_done(options: PredictOptions) -> bool:
    """Return whether the score file already contains the scores that `run` would write."""
    if not Path(options.scores).is_file():
        return False
    try:
        found = store.look(options.scores)
    except InputError:
        return False
    has_frames = "frame" in found["shapes"]
    fingerprint = found["attributes"].get("fingerprint")
    return has_frames != options.no_frames and fingerprint == _prepare(options).fingerprint


@network_runner.gpu_memory()
def run(options: PredictOptions) -> PredictResult:
    """Compute the scores of clips, frames and 1 s segments with a trained model.

    Parameters
    ----------
    options : PredictOptions
        The inputs, the output and the settings.

    Returns
    -------
    PredictResult

    Raises
    ------
    InputError
        If an input is missing or wrong, if the network does not support `seconds_per_frame`, if the
        features and the model have different front ends, or if there is no clip to score.
    """
    prepared = _prepare(options)
    job, features = prepared.job, prepared.job.features
    store.write_scores(
        options.scores,
        features.filenames[job.rows].tolist(),
        list(prepared.labels),
        job.shapes,
        job.batches(),
        failed=prepared.failed,
        seconds_per_frame=job.seconds_per_frame,
        model=prepared.model,
        features=str(Path(options.feats).absolute()),
        features_fingerprint=features.fingerprint,
        audio_fingerprint=features.audio[0],
        precise=options.precise,
        fingerprint=prepared.fingerprint,
        **provenance.made_by(),
    )
    return PredictResult(
        Path(options.scores),
        len(job.rows),
        prepared.labels,
        job.seconds_per_frame,
        prepared.failed,
    )
