"""average: several systems' scores of the same clips -> their mean, as a score file or a folder of tables.

N clips, T frames, S segments, K classes.
"""

import dataclasses
from pathlib import Path

import numpy as np

from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress
from wsedtk.data import datadir, score_folders, score_tables, store, tables
from wsedtk.data.clip_names import clip_key, youtube_key
from wsedtk.data.events import num_segments


def _open(path):
    """A score file, or a folder of tables of them."""
    return score_folders.ScoreFolder(path) if Path(path).is_dir() else store.ScoreFile(path)


def _check_output(score_paths, output, to_file):
    """Raise InputError where the output is there and is no average, as when the last of the scores stands in its place."""
    if to_file and output.is_file():
        if "average_of" not in _open(output).attributes:
            raise InputError(
                f"{output}: holds scores that are no average, so it is not overwritten; name another output, or remove it"
            )
    elif not to_file:
        score_folders.check_overwrite(output)
        if output.is_dir() and len(score_paths) == 1 and score_paths[0].is_dir():
            raise InputError(
                f"{output}: is there already, and {score_paths[0]} alone has no mean; name the output last"
            )


def _columns(sources, labels_path):
    """The classes of the mean, and their columns in each source. Raises InputError where sources differ, or lack one."""
    if labels_path is None:
        labels = sources[0].labels
        for source in sources[1:]:
            if source.labels != labels:
                odd = sorted(set(source.labels) ^ set(labels))
                what = f"in one of them only: {tables.first(odd)}" if odd else "in another order"
                raise InputError(
                    f"{source.path}: its classes are not those of {sources[0].path}, {what}; "
                    "--labels FILE chooses and orders the classes"
                )
    else:
        labels = datadir.read_labels(labels_path)
        for source in sources:
            missing = [label for label in labels if label not in source.labels]
            if missing:
                raise InputError(
                    f"{source.path}: lacks {len(missing)} classes of {labels_path}: {tables.first(missing)}; "
                    f"{config.suggest(missing[0], source.labels)}"
                )
    return labels, [[source.labels.index(label) for label in labels] for source in sources]


def _full_key(name):
    """As `clip_key`, but recordings a.flac and a.mp3 are two."""
    return youtube_key(name) or name


def _key_function(sources):
    """Return `clip_key`, or `_full_key` if names in a source differ by their extension alone.

    Raises InputError if a clip has two names even so.
    """
    if all(len(set(map(clip_key, source.filenames.tolist()))) == len(source) for source in sources):
        return clip_key
    for source in sources:
        names = {}
        for name in source.filenames.tolist():
            other = names.setdefault(_full_key(name), name)
            if other != name:
                raise InputError(
                    f"{source.path}: holds a clip under two names, {other!r} and {name!r}; "
                    "remove one of them"
                )
    return _full_key


def _rows(sources):
    """The rows of each source in the order of the first one's file names: a list of (N,). Raises InputError where clips differ."""
    key_of = _key_function(sources)
    order = np.argsort(sources[0].filenames, kind="stable")
    keys = [key_of(sources[0].filenames[row]) for row in order.tolist()]
    found = []
    for source in sources:
        rows = {key_of(name): row for row, name in enumerate(source.filenames.tolist())}
        missing, odd = [key for key in keys if key not in rows], sorted(set(rows) - set(keys))
        if missing or odd:
            raise InputError(
                f"{source.path}: its clips are not those of {sources[0].path}"
                + (f"; {len(missing)} only there: {tables.first(missing)}" if missing else "")
                + (f"; {len(odd)} only here: {tables.first(odd)}" if odd else "")
            )
        found.append(np.array([rows[key] for key in keys]))
    return found


def _check_frames(sources, rows):
    """The frames (N,) that all sources have of each clip. Raises InputError where frames or durations differ.

    Frames that begin after the clip's end may be there or not.
    """
    one = sources[0]
    has = [source.has("frame") for source in sources]
    if any(has) != all(has):
        raise InputError(
            f"{sources[has.index(False)].path}: holds no frame scores, and {sources[has.index(True)].path} does; "
            "predict without --no-frames"
        )
    durations = one.durations[rows[0]]
    num_frames = np.min([source.num_frames[r] for source, r in zip(sources, rows)], axis=0)
    for source, r in zip(sources, rows):
        step = abs(source.seconds_per_frame - one.seconds_per_frame)
        if (
            step > 1e-3 * one.seconds_per_frame
            or step * num_frames.max() > score_tables.ROUNDING_SECONDS
        ):
            raise InputError(
                f"{source.path}: its frames are {source.seconds_per_frame:g} s long, those of {one.path} "
                f"{one.seconds_per_frame:g} s; only scores at one resolution have a mean"
            )
        ends = np.round(num_frames * one.seconds_per_frame, 6)
        for what, odd in (
            ("lasts {:g} s", np.abs(source.durations[r] - durations) > one.seconds_per_frame),
            (
                "has {} frames",
                (source.num_frames[r] > num_frames) & (ends < np.round(durations, 6)),
            ),
        ):
            if odd.any():
                i = int(odd.argmax())
                here = (source.durations if "lasts" in what else source.num_frames)[r[i]]
                raise InputError(
                    f"{source.path}: {str(source.filenames[r[i]])!r} {what.format(here)}, unlike in the other scores; "
                    "are they of the same audio?"
                )
    return num_frames


@dataclasses.dataclass(frozen=True)
class _Ensemble:
    """Several systems' scores of the same N clips and K classes."""

    sources: list
    columns: list  # of each source, those of the K classes
    rows: list  # of each source, those of the clips (N,)
    weights: list  # of each source; their sum is 1
    num_frames: np.ndarray  # (N,)

    def clip(self, i):
        """The mean clip scores (K,) of clip i."""
        return sum(w * source.clip[r[i], k] for source, k, r, w in self._parts())

    def segments(self, i):
        """The mean segment scores (S, K) of clip i."""
        return self._mean([source.segments(r[i])[:, k] for source, k, r, _ in self._parts()])

    def frames(self, i):
        """The mean frame scores (T, K) of clip i."""
        return self._mean(
            [source.frames(r[i])[: self.num_frames[i], k] for source, k, r, _ in self._parts()]
        )

    def model(self):
        """What names the model: that of the scores where there is one, else that of the ensemble, in whatever order it is given."""
        models = [source.attributes["model"] for source in self.sources]
        return (
            models[0]
            if len(models) == 1
            else config.fingerprint({"models": sorted(zip(models, self.weights))})
        )

    def _parts(self):
        return zip(self.sources, self.columns, self.rows, self.weights)

    def _mean(self, arrays):
        """The mean of (L, K) arrays; where one is shorter than the longest, 0 stands."""
        out = np.zeros((max(map(len, arrays)), arrays[0].shape[1]))
        for array, weight in zip(arrays, self.weights):
            out[: len(array)] += weight * array
        return out


def _write_file(output, ensemble, filenames, labels):
    """The mean as a score file. Returns the number of clips in it."""
    one, num_classes = ensemble.sources[0], len(labels)
    durations = one.durations[ensemble.rows[0]]
    shapes = {
        "clip": (num_classes,),
        "num_frames": (),
        "duration": (),
        "segment": (max(1, int(num_segments(durations).max())), num_classes),
    }
    if one.has("frame"):
        shapes["frame"] = (int(ensemble.num_frames.max()), num_classes)

    def batches():
        for i in progress(range(len(filenames)), "average"):
            arrays = {
                "clip": ensemble.clip(i),
                "segment": ensemble.segments(i)[: shapes["segment"][0]],
                "num_frames": ensemble.num_frames[i],
                "duration": durations[i],
            }
            if "frame" in shapes:
                arrays["frame"] = ensemble.frames(i)
            yield np.array([i]), {name: np.asarray(values)[None] for name, values in arrays.items()}

    failed = {name: reason for source in ensemble.sources for name, reason in source.failed.items()}
    features, audio = (
        {source.attributes.get(key, "") for source in ensemble.sources} - {""}
        for key in ("features", "audio_fingerprint")
    )
    identity = {
        "scores": [
            [s.attributes["fingerprint"], w] for s, w in zip(ensemble.sources, ensemble.weights)
        ],
        "labels": labels,
    }
    about = {
        "features": features.pop() if len(features) == 1 else "",
        "audio_fingerprint": audio.pop() if len(audio) == 1 else "",
        "average_of": ", ".join(config.as_text(source.path) for source in ensemble.sources),
        **provenance.made_by(),
    }
    store.write_scores(
        output,
        filenames,
        labels,
        shapes,
        batches(),
        failed=failed,
        seconds_per_frame=one.seconds_per_frame,
        model=ensemble.model(),
        fingerprint=config.fingerprint(identity),
        **about,
    )
    return len(filenames)


def _write_folder(output, ensemble, filenames, labels):
    """The mean of the frame scores as a folder of tables. Returns the number of clips in it."""
    one = ensemble.sources[0]
    if not one.has("frame"):
        raise InputError(
            f"{one.path}: holds no frame scores, which a folder of tables is made of; predict without --no-frames, "
            "or name an output that ends in .h5"
        )
    clips = (
        (ensemble.frames(i), one.durations[row])
        for i, row in enumerate(progress(ensemble.rows[0], "average"))
    )
    return score_folders.write(output, filenames, labels, one.seconds_per_frame, clips)


def run(score_paths, output, weights, labels_path):
    """Write the mean of the scores: a score file where the output's name ends in .h5, else a folder of tables."""
    if weights is not None and (len(weights) != len(score_paths) or not sum(weights)):
        raise InputError(
            f"--weights {','.join(f'{w:g}' for w in weights)}: expected {len(score_paths)} numbers, "
            "one for each of the scores, not all of them 0"
        )
    output = Path(output)
    to_file = output.suffix == ".h5"
    _check_output(score_paths, output, to_file)
    sources = [_open(path) for path in score_paths]
    weights = [w / sum(weights) for w in weights] if weights else [1 / len(sources)] * len(sources)
    for source in sources[1:]:
        provenance.check_audio(
            source.path,
            source.attributes.get("audio_fingerprint"),
            sources[0].path,
            sources[0].attributes.get("audio_fingerprint"),
        )
    (labels, columns), rows = _columns(sources, labels_path), _rows(sources)
    ensemble = _Ensemble(sources, columns, rows, weights, _check_frames(sources, rows))
    filenames = sources[0].filenames[rows[0]].tolist()
    num_clips = (_write_file if to_file else _write_folder)(output, ensemble, filenames, labels)
    print(
        f"{output}: the mean of {len(sources)} systems, {num_clips} clips, "
        f"{len(labels)} classes, {sources[0].seconds_per_frame:g} s a frame"
    )
