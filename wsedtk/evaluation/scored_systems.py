"""Find systems, and read their evaluated folders: `<system>/<set>/<mode>/` with a report.json.

In the shapes, N is the number of clips and K is the number of classes.
"""

import dataclasses
import functools
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Floats, Integers
from wsedtk.data import datadir
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.folders import below, open_folders
from wsedtk.data.store import FeatureStore, ScoreFile
from wsedtk.decoding import operating_point
from wsedtk.decoding.operating_point import OperatingPoint
from wsedtk.evaluation import report_data, staleness
from wsedtk.evaluation.evidence import Evidence, match_clips

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Scored:
    """A decoded folder that was evaluated. Files other than report.json are read at first use.

    Attributes
    ----------
    system : str
        The name of the system in tables and plots.
    folder : Path
        The folder `<system>/<set>/<mode>/`.
    report : dict
        The content of report.json, as `report_data.read_report` returns it.
    """

    system: str
    folder: Path
    report: dict[str, Any]

    @property
    def set(self) -> str:
        """The name of the set."""
        return self.folder.parent.name

    @property
    def mode(self) -> str:
        """The name of the folder, usually "segment", "frame" or "box"."""
        return self.folder.name

    @property
    def labels(self) -> list[str]:
        """The K classes."""
        return list(self.report["classes"])

    @property
    def has_events(self) -> bool:
        """Whether segments and events were evaluated, and the segment F1 is defined."""
        return self.report["segment"]["f1"] is not None

    @property
    def has_reference(self) -> bool:
        """Whether the folder contains a copy of the reference.

        Older versions of wsedtk did not write this copy.
        """
        return (self.folder / "reference").is_dir()

    @functools.cached_property
    def model(self) -> str | None:
        """The fingerprint of the model of the system. None if its files are missing or invalid."""
        return provenance.fingerprint_model_directory(self.folder.parent.parent)

    @functools.cached_property
    def info(self) -> dict[str, Any]:
        """The content of the info.yaml of the folder."""
        return staleness.read_info(self.folder)

    @functools.cached_property
    def truth(self) -> DataSet:
        """The reference tags and events of the evaluated clips."""
        return datadir.read_decoded(self.folder / "reference", self.labels)

    @functools.cached_property
    def decoded(self) -> DataSet:
        """The decoded tags and events of the evaluated clips."""
        decoded = datadir.read_decoded(self.folder, self.labels)
        return match_clips(decoded, self.truth.filenames)[0]

    @functools.cached_property
    def evidence(self) -> Evidence:
        """The reference and the decoded set, without scores, for metrics that need no scores."""
        return Evidence(self.truth, self.decoded)

    @functools.cached_property
    def scores(self) -> ScoreFile | None:
        """The score file of the set.

        None if the file is missing, lacks an evaluated clip, or has other classes than the report.
        """
        path = self.folder.parent / "scores.h5"
        if not path.exists():
            return None
        scores = ScoreFile(path)
        if scores.labels != self.labels or (scores.rows(self.truth.filenames) < 0).any():
            return None
        return scores

    @functools.cached_property
    def rows(self) -> Integers:
        """The row (N,) of each evaluated clip in `scores`.

        Raises ValueError if `scores` is None.
        """
        if self.scores is None:
            raise ValueError(f"{self.folder}: the folder has no scores")
        rows: Integers = self.scores.rows(self.truth.filenames)
        return rows

    @functools.cached_property
    def point(self) -> OperatingPoint | None:
        """The operating point that was used for decoding.

        None if its file is missing, or if its classes are not those of the report.
        """
        path = self.folder / "operating_point.yaml"
        if not path.exists():
            return None
        point = operating_point.read(path)
        return point if point.labels == self.labels else None

    @property
    def by_frames(self) -> bool:
        """Whether events were decoded from frame scores, and not from scores of 1 s segments."""
        return self._decoding in ("frame", "box")

    @property
    def by_boxes(self) -> bool:
        """Whether events were decoded as boxes."""
        return self._decoding == "box"

    @property
    def _decoding(self) -> object:
        return self.info.get("mode", self.mode)

    @property
    def thresholds(self) -> Floats:
        """The thresholds (K,) with which events were decoded. All are +inf if they are unknown."""
        if self.point is None:
            return np.full(len(self.labels), np.inf)
        if self.by_boxes:
            return self.point.thresholds_of("box")
        return self.point.frame_thresholds if self.by_frames else self.point.clip_thresholds

    @functools.cached_property
    def features(self) -> FeatureStore | None:
        """The features from which the scores were predicted.

        None if the features are unknown or missing or have changed, or if `scores` is None.
        """
        if self.scores is None:
            return None
        attributes = self.scores.attributes
        path = attributes.get("features")
        if not path:
            return None
        try:
            features = FeatureStore([str(path)])
        except InputError:
            return None
        expected = [attributes.get(f"{name}_fingerprint") for name in ("features", "audio")]
        if expected in ([None, None], [features.fingerprint, features.audio[0]]):
            return features
        return None

    @functools.cached_property
    def recordings(self) -> dict[str, str]:
        """The audio files of the clips, {name of the clip: path of the file}.

        The paths are read from the data directory that the folder was evaluated against. The result
        is {} if this data directory is unknown, missing or invalid, or if its content or audio has
        changed.
        """
        place = self.truth.info.get("data_set")
        if not isinstance(place, str):
            return {}
        try:
            data = datadir.read(place)
        except InputError:
            return {}
        if data.fingerprint() != self.report["made_from"].get("data"):
            return {}
        ours, theirs = (info.get("audio_fingerprint") for info in (self.info, data.info))
        if ours is not None and theirs is not None and ours != theirs:
            return {}
        paths = zip(data.filenames.tolist(), data.paths.tolist())
        return {name: path for name, path in paths if path}


def _is_system(folder: Path) -> bool:
    """Return whether a folder is a model directory, or contains evaluated folders."""
    names = ("model.yaml", "history.tsv")
    return any((folder / name).is_file() for name in names) or any(folder.glob("*/*/report.json"))


def _systems_in(folder: Path) -> list[Path]:
    """Return [folder] if the folder is a system. Otherwise return its subfolders that are systems.

    Raises InputError if no system is found.
    """
    closed: list[str] = []
    systems = []
    if os.path.isdir(folder):
        inside = open_folders(folder, closed)
        systems = [folder] if _is_system(folder) else list(filter(_is_system, inside))
    for reason in closed:
        _LOG.warning(f"{reason}")
    if systems:
        return systems
    if folder.is_dir():
        raise InputError(
            f"{folder}: found no model and no SET/MODE/report.json; give a model directory or an "
            "experiment directory (wsedtk score writes report.json)"
        )
    what = "is not a folder" if folder.exists() else "no such folder"
    raise InputError(f"{folder}: {what}; give a model directory or an experiment directory")


def find_systems(folders: Iterable[PathLike]) -> dict[str, Path]:
    """Return the systems {name: folder} in model directories and experiment directories.

    A system that is found twice is returned once. The name of a system is the name of its folder.
    If two systems have the same name, all names are extended by parent folders until they are
    unique.

    Raises
    ------
    InputError
        If a folder is missing, or is not a system and does not contain a system.
    """
    unique: dict[str, Path] = {}
    for folder in map(Path, folders):
        for system in _systems_in(folder):
            unique.setdefault(os.path.realpath(system), system)
    places = [system.absolute().parts for system in unique.values()]
    names: list[str] = []
    for count in range(1, 1 + max(map(len, places))):
        names = ["/".join(parts[-count:]) for parts in places]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, unique.values()))


def read_systems(systems: Mapping[str, Path]) -> list[Scored]:
    """Return all evaluated folders of the systems {name: folder}.

    Raises
    ------
    InputError
        If there are no evaluated folders, if a report is invalid, if folders of the same set were
        evaluated with different references, clips or classes, or if a folder is stale.
    """
    found = [
        Scored(name, path.parent, report_data.read_report(path))
        for name, system in systems.items()
        for path in below(system, ("*", "*", "report.json"))
    ]
    if not found:
        raise InputError(
            f"{', '.join(map(str, systems.values()))}: found no SET/MODE/report.json; run wsedtk "
            "score, which writes this file"
        )
    check_sets(found)
    for one in found:
        for message in staleness.breaks(one.folder.parent.parent, one.folder, one.report):
            raise InputError(message)
    return found


def check_sets(found: Iterable[Scored]) -> None:
    """Check that folders of the same set were evaluated with the same reference, clips and classes.

    Raises
    ------
    InputError
        If two folders of the same set differ in the reference, the clips or the classes.
    """
    seen: dict[tuple[str, str], tuple[Path, str]] = {}
    for one in found:
        sources = {
            "reference tags and events": one.report["made_from"].get("data"),
            "clips": one.report["clips"].get("fingerprint"),
            "classes": provenance.fingerprint("\n".join(one.labels).encode()),
        }
        for what, fingerprint in sources.items():
            if not fingerprint:  # unknown, in a report of an older version
                continue
            other, before = seen.setdefault((one.set, what), (one.folder, fingerprint))
            if before != fingerprint:
                raise InputError(
                    f"{one.folder}: the {what} of the set {one.set!r} differ from those of {other} "
                    f"(fingerprints {fingerprint} and {before}); score both with the same {what}, "
                    "or make two reports"
                )
