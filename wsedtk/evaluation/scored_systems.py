"""Scored systems: what lies in `<model>/<set>/<mode>/` once `wsedtk score` was there, and whether it belongs together.

N clips, K classes.
"""

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.data import datadir
from wsedtk.data.folders import below, open_folders
from wsedtk.data.store import FeatureStore, ScoreFile
from wsedtk.decoding import operating_point
from wsedtk.evaluation import report_data, staleness


@dataclasses.dataclass(frozen=True)
class Scored:
    """One scored folder. What else it holds is read when it is asked for, and kept."""

    system: str  # its name on the page
    folder: Path
    report: dict  # report.json

    @property
    def set(self):
        """The name of the set that it was scored on."""
        return self.folder.parent.name

    @property
    def mode(self):
        """How it was decoded: segment or frame, the name of the folder."""
        return self.folder.name

    @property
    def labels(self):
        """K class names."""
        return list(self.report["classes"])

    @property
    def has_events(self):
        """Whether segments and events were scored."""
        return self.report["segment"]["f1"] is not None

    @property
    def has_reference(self):
        """Whether the truth that it was scored against is there, which older versions did not keep."""
        return (self.folder / "reference").is_dir()

    @functools.cached_property
    def model(self):
        """The fingerprint of the model directory that it is in; None where that is none."""
        return provenance.fingerprint_model_directory(self.folder.parent.parent)

    @functools.cached_property
    def info(self):
        """What decode says of the folder: a mapping."""
        return staleness.read_info(self.folder)

    @functools.cached_property
    def truth(self):
        """The truth of the scored clips, a DataSet."""
        return datadir.read_decoded(self.folder / "reference", self.labels)

    @functools.cached_property
    def decoded(self):
        """What the system says of the scored clips, a DataSet."""
        decoded = datadir.read_decoded(self.folder, self.labels)
        return report_data.matched(decoded, self.truth.filenames)[0]

    @functools.cached_property
    def scores(self):
        """The scores that it was decoded from; None where they are gone, or are not of these clips and classes."""
        path = self.folder.parent / "scores.h5"
        scores = ScoreFile(path) if path.exists() else None
        return (
            scores
            if scores
            and scores.labels == self.labels
            and (scores.rows(self.truth.filenames) >= 0).all()
            else None
        )

    @functools.cached_property
    def rows(self):
        """The row (N,) of each clip of the truth in `scores`."""
        return self.scores.rows(self.truth.filenames)

    @functools.cached_property
    def point(self):
        """The operating point that it was decoded with, or None."""
        path = self.folder / "operating_point.yaml"
        point = operating_point.read(path) if path.exists() else None
        return point if point and point.labels == self.labels else None

    @property
    def by_frames(self):
        """Whether its events were decoded from frames, and not from 1 s segments."""
        return self.info.get("mode", self.mode) == "frame"

    @property
    def thresholds(self):
        """The thresholds (K,) that its events come from; +inf where they are not known."""
        if self.point is None:
            return np.full(len(self.labels), np.inf)
        return self.point.frame_thresholds if self.by_frames else self.point.clip_thresholds

    @functools.cached_property
    def features(self):
        """The features that the scores were made from, where they are still there, and still those; else None."""
        path = self.scores.attributes.get("features")
        expected = [self.scores.attributes.get(f"{k}_fingerprint") for k in ("features", "audio")]
        try:
            features = FeatureStore([path]) if path else None
        except InputError:
            return None
        return (
            features
            if features is None
            or expected in ([None, None], [features.fingerprint, features.audio[0]])
            else None
        )

    @functools.cached_property
    def recordings(self):
        """{file name: path} of the scored clips' audio, as the data set says it that they were scored against; {} where it is gone."""
        place = self.truth.info.get("data_set")
        if not isinstance(place, str):
            return {}
        try:
            data = datadir.read(place)
        except InputError:
            return {}
        audio = [info.get("audio_fingerprint") for info in (self.info, data.info)]
        if (
            data.fingerprint() != self.report["made_from"].get("data")
            or None not in audio
            and audio[0] != audio[1]
        ):
            return {}
        return {
            name: path for name, path in zip(data.filenames.tolist(), data.paths.tolist()) if path
        }


def _is_system(folder):
    """Whether a folder is a model directory, or holds a scored folder."""
    return any((folder / name).is_file() for name in ("model.yaml", "history.tsv")) or any(
        folder.glob("*/*/report.json")
    )


def find_systems(folders):
    """{name: folder} of the systems that folders are, or hold as experiment directories, in their order; each once.

    Systems of the same name, from several experiments, are named with their experiment. Raises InputError where a folder is and
    holds none.
    """
    unique = {}
    for folder in map(Path, folders):
        systems, closed = [], []
        if os.path.isdir(folder):
            inside = open_folders(folder, closed)
            systems = [folder] if _is_system(folder) else list(filter(_is_system, inside))
        for reason in closed:
            say(f"warning: {reason}")
        if not systems:
            raise InputError(
                f"{folder}: no report.json in SET/MODE/ there; wsedtk score writes it"
                if folder.is_dir()
                else f"{folder}: {'not a' if folder.exists() else 'no such'} folder; name a model directory or an experiment "
                "directory"
            )
        for system in systems:
            unique.setdefault(system.resolve(), system)
    places = [system.absolute().parts for system in unique.values()]
    for count in range(1, 1 + max(map(len, places))):
        names = ["/".join(parts[-count:]) for parts in places]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, unique.values()))


def read_systems(systems):
    """Every scored folder of the systems ({name: folder}), checked against each other and its own sources. Raises InputError."""
    found = [
        Scored(name, path.parent, report_data.read_report(path))
        for name, system in systems.items()
        for path in below(system, ("*", "*", "report.json"))
    ]
    if not found:
        raise InputError(
            f"{', '.join(map(str, systems.values()))}: no report.json in SET/MODE/ there; wsedtk score writes it"
        )
    check_sets(found)
    for one in found:  # model, scores, decoded folder and report must come from one another
        for message in staleness.breaks(one.folder.parent.parent, one.folder, one.report):
            raise InputError(message)
    return found


def check_sets(found):
    """Raise InputError where folders of one set's name were scored against other truth, on other clips, or with other classes."""
    seen = {}
    for one in found:
        sources = {
            "truth": one.report["made_from"].get("data"),
            "clips": one.report["clips"].get("fingerprint"),
            "classes": provenance.fingerprint("\n".join(one.labels).encode()),
        }
        for what, fingerprint in sources.items():
            other, before = seen.setdefault((one.set, what), (one.folder, fingerprint))
            if before and fingerprint and before != fingerprint:
                raise InputError(
                    f"{one.folder}: scored against other {what} of the set {one.set!r} ({fingerprint}) than {other} "
                    f"({before}); score both against the same, or make two reports"
                )
