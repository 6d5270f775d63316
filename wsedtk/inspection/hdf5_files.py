"""Describe HDF5 files of features and scores, and unfinished extractions."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsedtk.core import atomic, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.wording import counted
from wsedtk.data import folders, store, tables
from wsedtk.data.store import layouts
from wsedtk.inspection.description import (
    About,
    Record,
    State,
    hours,
    listed,
    made_by,
    record_of,
    text_time,
    when_made,
)

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMBERS = r"\.(\d{1,6})-of-(\d{1,6})"  # in a file name: number of a shard, number of shards


class ShardOf(NamedTuple):
    """The path of a feature file, and the number of one of its shards."""

    path: Path
    shard: list[int] | None  # [k, n] for shard k of n; None for a file that is not a shard


class _Count(NamedTuple):
    """The numbers of clips in the parts of an unfinished extraction."""

    clips: int
    failed: int  # clips that could not be extracted
    damaged: list[str]  # names of damaged parts


def is_hdf5(path: Path) -> bool:
    """Return whether a path is a file with the extension .h5 or the signature of HDF5.

    Also returns True for a missing .h5 file if its shards, or parts of an unfinished extraction,
    exist.
    """
    if path.is_file():
        with open(path, "rb") as file:
            return path.suffix == ".h5" or file.read(len(_HDF5)) == _HDF5
    if path.suffix != ".h5" or path.exists():
        return False
    return bool(_shards(path)) or atomic.hidden(path, "parts").is_dir()


def _shards(path: Path) -> dict[int, dict[int, Path]]:
    """Return the shards of a feature file as {n: {k: file of shard k of n}}."""
    if not path.parent.is_dir():
        return {}
    found: dict[int, dict[int, Path]] = {}
    pattern = re.compile(re.escape(path.stem) + _NUMBERS + re.escape(path.suffix))
    for name in folders.look(path.parent)[1]:
        match = pattern.fullmatch(name)
        if match:
            found.setdefault(int(match.group(2)), {})[int(match.group(1))] = path.with_name(name)
    return found


def shard_of(path: Path) -> ShardOf:
    """Return the path of the feature file to which a shard belongs, and the number of the shard.

    For a file that is not a shard, return the path of the file itself.
    """
    match = re.fullmatch(rf"(.+){_NUMBERS}\.h5", path.name)
    if match is None:
        return ShardOf(path, None)
    whole = path.with_name(f"{match.group(1)}.h5")
    return ShardOf(whole, [int(match.group(2)), int(match.group(3))])


def describe_hdf5(path: Path) -> About:
    """Describe a feature file or a score file, or the shards or parts of a feature file."""
    if not path.exists():
        shards = _shards(path)
        return _describe_shards(path, shards) if shards else describe_parts(_parts_folder(path))
    found = store.look(path)
    if found["kind"] == "scores":
        return _describe_scores(path, found)
    about = About(str(path), "feature file")
    _add_features(about, path, [found])
    return about


def _parts_folder(path: Path) -> Path:
    """Return the hidden folder with the finished parts of the extraction that writes `path`."""
    return atomic.hidden(path, "parts")


def _describe_shards(path: Path, shards: dict[int, dict[int, Path]]) -> About:
    """Describe the shards of a feature file."""
    about = About(str(path), "feature file in shards")
    if len(shards) > 1:
        counts = " and ".join(map(str, sorted(shards)))
        about.faults.append(
            f"{path}: the file names of its shards contain different numbers of shards: {counts}; "
            "remove the old shards"
        )
    count, existing = max(shards.items(), key=lambda item: len(item[1]))
    missing = [
        store.shard_path(path, k, count).name for k in range(1, count + 1) if k not in existing
    ]
    found = []
    for number in sorted(existing):
        try:
            found.append(store.look(existing[number]))
        except InputError as error:
            about.faults.append(str(error))
    about.content["shards"] = f"{len(existing)} of {count}"
    if missing:
        about.complete = False
        about.content["missing"] = listed(missing)
    for key, how in (
        ("fingerprint", "with different front ends"),
        ("audio_fingerprint", "from different versions of the audio files"),
    ):
        if len({look["attributes"].get(key) for look in found}) > 1:
            about.faults.append(
                f"{path}: the shards were extracted {how}; extract all shards again"
            )
    if found:
        _add_features(about, existing[min(existing)], found)
    return about


def _extraction_record(path: Path) -> Record | None:
    """Return the record of the extraction that wrote a feature file or a shard."""
    whole, shard = shard_of(path)
    return record_of(whole, shard=shard)


def _add_features(about: About, path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Add the properties of a feature file, or of all its shards, to its description.

    found: the result of `store.look` for each file.
    """
    first = found[0]["attributes"]
    frontend, shape = layouts.frontend(first["frontend"], path), found[0]["shapes"]["features"]
    failed = {name: why for look in found for name, why in look["failed"].items()}
    record = _extraction_record(Path(about.path))
    about.made = {**made_by(first), **when_made(path, record)}
    about.content.update(
        clips=sum(look["clips"] for look in found),
        hours=hours(sum(look["seconds"] for look in found)),
        failed_clips=len(failed),
        failed=listed([f"{name}: {why}" for name, why in failed.items()], 5),
        frames=shape[1],
        mel_bins=shape[2],
        precision=found[0]["dtype"],
        frontend=frontend,
        frontend_fingerprint=first["fingerprint"],
    )
    parts = _parts_folder(Path(about.path))
    if parts.is_dir():
        num_clips = _count(parts).clips
        about.content["extracted_anew"] = f"{counted(num_clips, 'clip')}, in {parts.name}"
    about.add_input("data set", fingerprint=first.get("data_fingerprint"))
    about.add_input("audio", fingerprint=first.get("audio_fingerprint"))
    about.add_files(record)


def is_parts(path: Path) -> bool:
    """Return whether a path is a hidden folder with the finished parts of an extraction."""
    return path.is_dir() and path.name.startswith(".") and path.name.endswith(".h5.parts")


def _count(folder: Path) -> _Count:
    """Count the clips in the parts of an extraction."""
    clips, failed = 0, 0
    damaged: list[str] = []
    for path in sorted(folder.glob("*.h5")):
        try:
            about, reasons = store.read_about(path)
            clips, failed = clips + int(about["count"]), failed + len(reasons)
        except (InputError, KeyError, ValueError):
            damaged.append(path.name)
    return _Count(clips, failed, damaged)


def describe_parts(path: Path) -> About:
    """Describe an unfinished extraction."""
    output = path.parent / path.name.removeprefix(".").removesuffix(".parts")
    record = _extraction_record(output)
    about = About(str(path), "unfinished features", complete=False, made=when_made(path, record))
    about.add_files(record)
    clips, failed, damaged = _count(path)
    last = max((part.stat().st_mtime for part in path.glob("*.h5")), default=path.stat().st_mtime)
    about.content = {
        "output": output.name,
        "clips_done": clips,
        "clips_in_all": _num_requested(record, output),
        "failed_clips": failed,
        "last_part": text_time(last),
    }
    if damaged:
        about.content["damaged_parts"] = (
            f"{tables.first(damaged)}; run wsedtk extract again to replace the damaged parts"
        )
    return about


def _num_requested(record: Record | None, output: Path) -> int | None:
    """Return the number of clips from which `output` is extracted; None if it is unknown."""
    if record is None or "data_set" not in record.options:
        return None
    k, n = shard_of(output).shard or (1, 1)
    try:
        with open(Path(str(record.options["data_set"])) / "clips.tsv", "rb") as file:
            count = sum(1 for line in file if line.strip()) - 1
        return len(range(k - 1, count, n))
    except (OSError, ValueError):
        return None


def _describe_scores(path: Path, found: Mapping[str, Any]) -> About:
    """Describe a score file. found: the result of `store.look`."""
    attributes = found["attributes"]
    about = About(str(path), "score file")
    about.made = {**made_by(attributes), **when_made(path, record_of(path))}
    about.content = {
        "clips": found["clips"],
        "hours": hours(found["seconds"]),
        "failed_clips": len(found["failed"]),
        "classes": len(found["labels"]),
        "labels": listed(found["labels"]),
        "scores_of": [
            name for name in ("clip", "frame", "segment", "weight") if name in found["shapes"]
        ],
        "seconds_per_frame": attributes["seconds_per_frame"],
        "fingerprint": attributes["fingerprint"],
        "frontend_fingerprint": attributes.get("features_fingerprint"),
    }
    _add_model(about, path, attributes)
    features = attributes.get("features")
    if features:
        about.add_input(
            "features",
            features,
            attributes.get("audio_fingerprint") or None,
            _state_of_features(features, attributes),
        )
    return about


def _add_model(about: About, path: Path, attributes: Mapping[str, Any]) -> None:
    """Add the model of a score file, and whether the model directory still contains this model."""
    folder, model = path.absolute().parent.parent, attributes["model"]
    known = provenance.known_model(attributes)
    found = None if known is None else provenance.fingerprint_model_directory(folder)
    if not found:
        about.add_input("model", fingerprint=model)
        return
    about.add_input("model", folder, model, "there" if found == known else "changed")
    if found != known:
        about.faults.append(
            f"{path}: the scores are from the model {model}, but {folder} now contains the model "
            f"{found}; predict again"
        )


def _state_of_features(path: str, attributes: Mapping[str, Any]) -> State:
    """Compare the fingerprints in a feature file with the fingerprints recorded in a score file.

    The fingerprints are of the front end and of the audio files.
    """
    try:
        now = store.look(store.find_shards(path)[0])["attributes"]
    except (InputError, OSError, ValueError):
        return "gone"
    for mine, theirs in (
        ("fingerprint", "features_fingerprint"),
        ("audio_fingerprint", "audio_fingerprint"),
    ):
        if attributes.get(theirs) and now.get(mine) != attributes[theirs]:
            return "changed"
    return "there"
