"""HDF5 files of features and scores, and extractions in the making."""

import re
from pathlib import Path

from wsedtk.core import atomic, provenance
from wsedtk.core.errors import InputError
from wsedtk.data import folders, store
from wsedtk.data.store import layouts
from wsedtk.inspection.description import (
    About,
    hours,
    listed,
    made_by,
    record_of,
    text_time,
    when_made,
)

_HDF5 = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path):
    """Whether a file is HDF5, or is named as such, or shards or the parts of one stand for it."""
    if path.is_file():
        with open(path, "rb") as file:
            return path.suffix == ".h5" or file.read(len(_HDF5)) == _HDF5
    return (
        path.suffix == ".h5"
        and not path.exists()
        and (bool(_shards(path)) or atomic.hidden(path, "parts").is_dir())
    )


def _shards(path):
    """{number of shards: {number of a shard: its file}} that stand for a feature file."""
    found, pattern = (
        {},
        re.compile(re.escape(path.stem) + r"\.(\d{1,6})-of-(\d{1,6})" + re.escape(path.suffix)),
    )
    for name in folders.look(path.parent)[1] if path.parent.is_dir() else ():
        match = pattern.fullmatch(name)
        if match:
            found.setdefault(int(match.group(2)), {})[int(match.group(1))] = path.with_name(name)
    return found


def shard_of(path):
    """(the feature file that a shard, or its parts' output, is of, [k, n]); (path, None) where it is no shard."""
    match = re.fullmatch(r"(.+)\.(\d{1,6})-of-(\d{1,6})\.h5", path.name)
    return (
        (path.with_name(f"{match.group(1)}.h5"), [int(match.group(2)), int(match.group(3))])
        if match
        else (path, None)
    )


def hdf5(path):
    """Describe a file of features or of scores, or the shards of one of features."""
    if not path.exists():
        shards = _shards(path)
        return _of_shards(path, shards) if shards else parts(atomic.hidden(path, "parts"))
    found = store.look(path)
    return (
        scores(path, found)
        if found["kind"] == "scores"
        else _features(About(str(path), "feature file"), path, [found])
    )


def _of_shards(path, shards):
    """Describe feature files that are shards of one."""
    about = About(str(path), "feature file in shards")
    if len(shards) > 1:
        about.faults.append(
            f"{path}: shards of {' and of '.join(map(str, sorted(shards)))} lie side by side; remove the old ones"
        )
    count, there = max(shards.items(), key=lambda item: len(item[1]))
    missing = [store.shard_path(path, k, count).name for k in range(1, count + 1) if k not in there]
    found = []
    for number in sorted(there):
        try:
            found.append(store.look(there[number]))
        except InputError as error:
            about.faults.append(str(error))
    about.content["shards"] = f"{len(there)} of {count}"
    if missing:
        about.complete = False
        about.content["missing"] = listed(missing)
    for key, what in (
        ("fingerprint", "front ends"),
        ("audio_fingerprint", "versions of the set's audio"),
    ):
        if len({look["attributes"].get(key) for look in found}) > 1:
            about.faults.append(f"{path}: its shards are of different {what}; extract them alike")
    return _features(about, there[min(there)], found) if found else about


def _record_of(path):
    """The record of the extraction that wrote a feature file or, of a shard, this shard."""
    whole, shard = shard_of(path)
    return record_of(whole, shard=shard)


def _features(about, path, found):
    """Fill in what feature files, as `store.look` gives them, are."""
    first = found[0]["attributes"]
    frontend, shape = layouts.frontend(first["frontend"], path), found[0]["shapes"]["features"]
    failed = {name: why for look in found for name, why in look["failed"].items()}
    record = _record_of(Path(about.path))
    about.made = {**made_by(first), **when_made(path, record)}
    about.content.update(
        {
            "clips": sum(look["clips"] for look in found),
            "hours": hours(sum(look["seconds"] for look in found)),
            "failed_clips": len(failed),
            "failed": listed([f"{name}: {why}" for name, why in failed.items()], 5),
            "frames": shape[1],
            "mel_bins": shape[2],
            "precision": found[0]["dtype"],
            "frontend": frontend,
            "frontend_fingerprint": first["fingerprint"],
        }
    )
    making = atomic.hidden(about.path, "parts")
    if making.is_dir():
        about.content["extracted_anew"] = f"{_count(making)[0]} clips, in {making.name}"
    about.add_input("data set", fingerprint=first.get("data_fingerprint"))
    about.add_input("audio", fingerprint=first.get("audio_fingerprint"))
    about.add_files(record)
    return about


def is_parts(path):
    """Whether a folder is the hidden one in which an extraction keeps what it has finished."""
    return path.is_dir() and path.name.startswith(".") and path.name.endswith(".h5.parts")


def _count(folder):
    """Clips that the parts of an extraction hold, how many of them failed, and the parts that are damaged."""
    clips, failed, damaged = 0, 0, []
    for path in sorted(folder.glob("*.h5")):
        try:
            about, reasons = store.read_about(path)
            clips, failed = clips + int(about["count"]), failed + len(reasons)
        except (InputError, KeyError, ValueError):
            damaged.append(path.name)
    return clips, failed, damaged


def parts(path):
    """Describe an extraction that is not finished."""
    output = path.parent / path.name.removeprefix(".").removesuffix(".parts")
    record = _record_of(output)
    about = About(str(path), "features in the making", complete=False, made=when_made(path, record))
    about.add_files(record)
    clips, failed, damaged = _count(path)
    last = max((p.stat().st_mtime for p in path.glob("*.h5")), default=path.stat().st_mtime)
    about.content = {
        "output": output.name,
        "clips_done": clips,
        "clips_in_all": _clips_asked_for(record, output),
        "failed_clips": failed,
        "last_part": text_time(last),
    }
    if damaged:
        about.content["damaged_parts"] = (
            f"{', '.join(damaged[:3])}: made anew when the command is given again"
        )
    return about


def _clips_asked_for(record, output):
    """How many clips the feature file will hold, by its record and the set that this names, where both are there; else None."""
    k, n = shard_of(output)[1] or (1, 1)
    try:
        with open(Path(str(record["options"]["data_set"])) / "clips.tsv", "rb") as file:
            count = sum(1 for line in file if line.strip()) - 1
    except (TypeError, KeyError, OSError, ValueError):
        return None
    return len(range(k - 1, count, n))


def scores(path, found):
    """Describe a score file, as `store.look` gives it."""
    about, attributes = About(str(path), "score file"), found["attributes"]
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
    model = path.absolute().parent.parent
    there = provenance.fingerprint_model_directory(model)
    known = provenance.known_model(attributes)
    if known is None:
        there = None
    about.add_input(
        "model",
        model if there else None,
        attributes["model"],
        there and ("there" if there == known else "changed"),
    )
    if there and there != known:
        about.faults.append(
            f"{path}: was predicted by another model ({attributes['model']}) than {model} ({there}); predict again"
        )
    features = attributes.get("features")
    if features:
        about.add_input(
            "features",
            features,
            attributes.get("audio_fingerprint") or None,
            _state_of_features(features, attributes),
        )
    return about


def _state_of_features(path, attributes):
    """there, changed or gone: the features that scores were made of, by their front end and the audio."""
    try:
        now = store.look(store.find_shards(path)[0])["attributes"]
    except (InputError, OSError, ValueError):
        return "gone"
    same = all(
        now.get(mine) == attributes[theirs]
        for mine, theirs in (
            ("fingerprint", "features_fingerprint"),
            ("audio_fingerprint", "audio_fingerprint"),
        )
        if attributes.get(theirs)
    )
    return "there" if same else "changed"
