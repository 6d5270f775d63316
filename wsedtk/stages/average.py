"""average: the scores of several systems for the same clips -> their mean.

In the shapes, N is the number of clips, T the number of frames, S the number of segments, and K the
number of classes.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.progress import progress
from wsedtk.core.types import Floats
from wsedtk.core.wording import counted
from wsedtk.data import datadir, score_folders, score_tables, store, tables
from wsedtk.data.clip_names import clip_key, youtube_key
from wsedtk.data.events import num_segments
from wsedtk.data.score_folders import ScoreFolder
from wsedtk.data.store import ScoreFile
from wsedtk.stages.options.results import AverageOptions

Scores = ScoreFile | ScoreFolder
Rows = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class AverageResult:
    """The result of `run`: the mean scores of several systems.

    Attributes
    ----------
    output : Path
        The score file, or the folder of frame scores.
    num_systems, num_clips : int
        The number of systems, and the number of clips in the output.
    labels : tuple of str
        The K classes.
    seconds_per_frame : float
        The hop of the frame scores in seconds.
    """

    output: Path
    num_systems: int
    num_clips: int
    labels: tuple[str, ...]
    seconds_per_frame: float


@dataclasses.dataclass(frozen=True)
class _Member:
    """The scores of one system. `rows` and `columns` select the N clips and the K classes."""

    scores: Scores
    columns: list[int]  # (K,), the column of each class
    rows: Rows  # (N,), the row of each clip
    weight: float  # the weights of all systems sum to 1


@dataclasses.dataclass(frozen=True)
class _Ensemble:
    """The scores of several systems for the same clips and classes."""

    members: list[_Member]
    labels: list[str]
    filenames: list[str]
    num_frames: Rows  # (N,), the number of averaged frames of each clip

    @property
    def first(self) -> Scores:
        """The scores of the first system."""
        return self.members[0].scores

    @property
    def durations(self) -> Floats:
        """The duration (N,) of each clip in seconds."""
        durations: Floats = self.first.durations[self.members[0].rows]
        return durations

    @property
    def model(self) -> str:
        """A fingerprint of the models of all systems, and of the weight of each system.

        The fingerprint does not depend on the order of the systems. For a single system, it is the
        fingerprint of the model of this system.
        """
        models = [str(one.scores.attributes["model"]) for one in self.members]
        if len(models) == 1:
            return models[0]
        weights = [one.weight for one in self.members]
        fingerprint: str = config.fingerprint({"models": sorted(zip(models, weights))})
        return fingerprint

    def clip(self, i: int) -> Floats:
        """Return the mean clip scores (K,) of clip `i`."""
        parts = [one.weight * one.scores.clip[one.rows[i], one.columns] for one in self.members]
        mean: Floats = functools.reduce(np.add, parts)
        return mean

    def segments(self, i: int) -> Floats:
        """Return the mean segment scores (S, K) of clip `i`."""
        return self._mean(
            [one.scores.segments(one.rows[i])[:, one.columns] for one in self.members]
        )

    def frames(self, i: int) -> Floats:
        """Return the mean frame scores (T, K) of clip `i`."""
        count = self.num_frames[i]
        return self._mean(
            [one.scores.frames(one.rows[i])[:count, one.columns] for one in self.members]
        )

    def _mean(self, arrays: Sequence[Floats]) -> Floats:
        """Return the weighted mean of arrays (T, K) or (S, K), one for each system.

        Shorter arrays are padded with zeros to the length of the longest array.
        """
        out = np.zeros((max(map(len, arrays)), arrays[0].shape[1]))
        for one, array in zip(self.members, arrays):
            out[: len(array)] += one.weight * array
        return out


def _open(path: PathLike) -> Scores:
    """Read a score file, or a folder of frame scores."""
    return ScoreFolder(path) if Path(path).is_dir() else ScoreFile(path)


def _writes_file(output: Path) -> bool:
    """Return whether the output is a score file. Otherwise it is a folder."""
    return output.suffix == ".h5"


def _check_output(score_paths: Sequence[Path], output: Path) -> None:
    """Raise InputError if the output exists and must not be overwritten.

    An existing score file must be an output of `average`. An existing folder must contain only
    tables of scores. If the only input is a folder, no folder is overwritten.
    """
    if not _writes_file(output):
        score_folders.check_overwrite(output)
        if output.is_dir() and len(score_paths) == 1 and score_paths[0].is_dir():
            raise InputError(
                f"{output}: the output folder already exists, and {score_paths[0]} is the only "
                "input; to average these two folders, also give the path of an output; otherwise "
                "choose an output that does not exist"
            )
    elif output.is_file() and "average_of" not in _open(output).attributes:
        raise InputError(
            f"{output}: contains scores that are not an average, so it is not overwritten; name "
            "another output, or remove this file"
        )


def _labels(sources: Sequence[Scores], labels_path: PathLike | None) -> list[str]:
    """Return the classes of the mean.

    Raises InputError if a source lacks a class of the file `labels_path`. If `labels_path` is None,
    all sources must have the same classes in the same order.
    """
    if labels_path is None:
        return _common_labels(sources)
    labels: list[str] = datadir.read_labels(labels_path)
    for source in sources:
        missing = [label for label in labels if label not in source.labels]
        if missing:
            raise InputError(
                f"{source.path}: lacks these classes of {labels_path}: "
                f"{tables.first(list(map(repr, missing)))}; "
                f"{config.suggest(missing[0], source.labels)}"
            )
    return labels


def _common_labels(sources: Sequence[Scores]) -> list[str]:
    labels: list[str] = sources[0].labels
    for source in sources[1:]:
        if source.labels != labels:
            odd = [repr(label) for label in sorted(set(source.labels) ^ set(labels))]
            detail = f"in only one of them: {tables.first(odd)}" if odd else "only in their order"
            raise InputError(
                f"{source.path}: its classes differ from those of {sources[0].path} ({detail}); "
                "choose the classes and their order with labels (--labels)"
            )
    return labels


def _full_key(name: str) -> str:
    """Return the `youtube_key` of a name. If there is none, return the name with its extension."""
    key: str = youtube_key(name) or name
    return key


def _key_function(sources: Sequence[Scores]) -> Callable[[str], str]:
    """Return `clip_key`, or `_full_key` if two clips in one input have the same `clip_key`.

    Raises InputError if two clips in one input also have the same `_full_key`.
    """
    if all(len(set(map(clip_key, source.filenames.tolist()))) == len(source) for source in sources):
        key_of: Callable[[str], str] = clip_key
        return key_of
    for source in sources:
        names: dict[str, str] = {}
        for name in source.filenames.tolist():
            other = names.setdefault(_full_key(name), name)
            if other != name:
                raise InputError(
                    f"{source.path}: contains a clip under two names, {other!r} and {name!r}; "
                    "remove one of them"
                )
    return _full_key


def _rows(sources: Sequence[Scores]) -> list[Rows]:
    """Return the rows (N,) of the clips in each source.

    All returned arrays have the same order of clips. The clips are sorted by their file names in
    the first source. Raises InputError if the sources have different clips.
    """
    key_of = _key_function(sources)
    order = np.argsort(sources[0].filenames, kind="stable")
    keys = [key_of(sources[0].filenames[row]) for row in order.tolist()]
    found = []
    for source in sources:
        rows = {key_of(name): row for row, name in enumerate(source.filenames.tolist())}
        missing, odd = [key for key in keys if key not in rows], sorted(set(rows) - set(keys))
        if missing or odd:
            raise InputError(
                f"{source.path}: its clips differ from those of {sources[0].path}"
                + (f"; {len(missing)} missing: {tables.first(missing)}" if missing else "")
                + (f"; {len(odd)} unexpected: {tables.first(odd)}" if odd else "")
                + "; average only scores of the same clips"
            )
        found.append(np.array([rows[key] for key in keys]))
    return found


def _common_frames(sources: Sequence[Scores], rows: Sequence[Rows]) -> Rows:
    """Return how many frames (N,) of each clip are averaged: the minimum over the sources.

    The sources may differ in the number of frames after the end of a clip. Raises InputError if
    they differ in the number of frames before the end of a clip, in the duration of a clip (by more
    than a frame) or in the length of frames, or if only some sources have frame scores.
    """
    has_frames = [source.has("frame") for source in sources]
    if any(has_frames) != all(has_frames):
        without, other = sources[has_frames.index(False)], sources[has_frames.index(True)]
        raise InputError(
            f"{without.path}: contains no frame scores, but {other.path} contains them; run "
            "predict without no_frames (--no-frames)"
        )
    one, durations = sources[0], sources[0].durations[rows[0]]
    counts = [source.num_frames[r] for source, r in zip(sources, rows)]
    num_frames: Rows = np.min(counts, axis=0)
    ends_before = np.round(num_frames * one.seconds_per_frame, 6) < np.round(durations, 6)
    for source, r in zip(sources, rows):
        _check_resolution(source, one, int(num_frames.max()))
        differs = np.abs(source.durations[r] - durations) > one.seconds_per_frame
        if differs.any():
            clip = differs.argmax()
            found, expected = source.durations[r[clip]], durations[clip]
            difference = f"lasts {found:g} s, but {expected:g} s in {one.path}"
            raise _unlike(source, r[clip], difference)
        differs = (source.num_frames[r] > num_frames) & ends_before
        if differs.any():
            clip = differs.argmax()
            found, expected = source.num_frames[r[clip]], num_frames[clip]
            difference = f"has {counted(int(found), 'frame')}, but {expected} in another input"
            raise _unlike(source, r[clip], difference)
    return num_frames


def _check_resolution(source: Scores, other: Scores, most_frames: int) -> None:
    """Raise InputError if the frames of two sources differ in length.

    Differences that rounding can cause are accepted.
    """
    difference = abs(source.seconds_per_frame - other.seconds_per_frame)
    drift = difference * most_frames
    if difference > 1e-3 * other.seconds_per_frame or drift > score_tables.ROUNDING_SECONDS:
        raise InputError(
            f"{source.path}: its frames last {source.seconds_per_frame:g} s, but those of "
            f"{other.path} last {other.seconds_per_frame:g} s; average only scores whose frames "
            "have the same length"
        )


def _unlike(source: Scores, row: int, difference: str) -> InputError:
    name = str(source.filenames[row])
    return InputError(
        f"{source.path}: {name!r} {difference}; average only scores of the same audio"
    )


def _write_file(output: Path, ensemble: _Ensemble) -> int:
    """Write the mean as a score file. Return the number of clips in it."""
    one, num_classes = ensemble.first, len(ensemble.labels)
    durations = ensemble.durations
    most_segments = max(1, int(num_segments(durations).max()))
    shapes: dict[str, tuple[int, ...]] = {
        "clip": (num_classes,),
        "num_frames": (),
        "duration": (),
        "segment": (most_segments, num_classes),
    }
    if one.has("frame"):
        shapes["frame"] = (int(ensemble.num_frames.max()), num_classes)

    def batches() -> Iterator[tuple[Rows, dict[str, npt.NDArray[np.number[Any]]]]]:
        for i in progress(range(len(ensemble.filenames)), "average"):
            arrays = {
                "clip": ensemble.clip(i),
                "segment": ensemble.segments(i)[:most_segments],
                "num_frames": ensemble.num_frames[i],
                "duration": durations[i],
            }
            if "frame" in shapes:
                arrays["frame"] = ensemble.frames(i)
            yield np.array([i]), {name: np.asarray(values)[None] for name, values in arrays.items()}

    sources = [member.scores for member in ensemble.members]
    failed = {name: reason for source in sources for name, reason in source.failed.items()}
    identity = {
        "scores": [[one.scores.attributes["fingerprint"], one.weight] for one in ensemble.members],
        "labels": ensemble.labels,
    }
    store.write_scores(
        output,
        ensemble.filenames,
        ensemble.labels,
        shapes,
        batches(),
        failed=failed,
        seconds_per_frame=one.seconds_per_frame,
        model=ensemble.model,
        fingerprint=config.fingerprint(identity),
        features=_common_attribute(sources, "features"),
        audio_fingerprint=_common_attribute(sources, "audio_fingerprint"),
        average_of=", ".join(config.as_text(source.path) for source in sources),
        **provenance.made_by(),
    )
    return len(ensemble.filenames)


def _common_attribute(sources: Sequence[Scores], key: str) -> str:
    """Return the value of an attribute, or "" if the sources have different values.

    Sources without the attribute are ignored. If all sources lack it, "" is returned.
    """
    values = {str(source.attributes.get(key, "")) for source in sources} - {""}
    return values.pop() if len(values) == 1 else ""


def _write_folder(output: Path, ensemble: _Ensemble) -> int:
    """Write the mean as a folder of frame scores. Return the number of clips in it."""
    if not ensemble.first.has("frame"):
        raise InputError(
            f"{ensemble.first.path}: contains no frame scores, which a folder of tables needs; run "
            "predict without no_frames (--no-frames), or choose an output that ends in .h5"
        )
    durations = ensemble.durations
    clips = (
        (ensemble.frames(i), durations[i])
        for i in progress(range(len(ensemble.filenames)), "average")
    )
    num_clips: int = score_folders.write(
        output, ensemble.filenames, ensemble.labels, ensemble.first.seconds_per_frame, clips
    )
    return num_clips


def _shares(weights: Sequence[float] | None, num_systems: int) -> list[float]:
    """Return the weights, scaled to a sum of 1. If `weights` is None, all weights are equal.

    Raises InputError if the number of weights is wrong, or if all weights are 0.
    """
    if weights is None:
        return [1 / num_systems] * num_systems
    total = sum(weights)
    if len(weights) != num_systems or not total:
        found = ",".join(f"{weight:g}" for weight in weights)
        raise InputError(
            f"weights: found {found}; expected one number for each input ({num_systems} in total), "
            "and at least one number above 0"
        )
    return [weight / total for weight in weights]


def run(options: AverageOptions) -> AverageResult:
    """Write the mean of the scores of several systems, or convert the scores of one system.

    For example, a score file can be converted to a folder of frame scores.

    Parameters
    ----------
    options : AverageOptions
        The inputs, the output and the settings.

    Returns
    -------
    AverageResult

    Raises
    ------
    InputError
        If an input is wrong, if the inputs differ in clips, audio, classes or frames, or if the
        output exists and must not be overwritten.
    """
    weights = _shares(options.weights, len(options.scores))
    output, paths = Path(options.output), [Path(path) for path in options.scores]
    _check_output(paths, output)
    sources = [_open(path) for path in paths]
    first_audio, *audio = [
        str(source.attributes.get("audio_fingerprint", "")) for source in sources
    ]
    for source, its_audio in zip(sources[1:], audio):
        provenance.check_audio(source.path, its_audio, sources[0].path, first_audio)
    labels, rows = _labels(sources, options.labels), _rows(sources)
    members = [
        _Member(source, [source.labels.index(label) for label in labels], r, weight)
        for source, r, weight in zip(sources, rows, weights)
    ]
    filenames = sources[0].filenames[rows[0]].tolist()
    ensemble = _Ensemble(members, labels, filenames, _common_frames(sources, rows))
    if _writes_file(output):
        num_clips = _write_file(output, ensemble)
    else:
        num_clips = _write_folder(output, ensemble)
    step = sources[0].seconds_per_frame
    return AverageResult(output, len(sources), num_clips, tuple(labels), step)
