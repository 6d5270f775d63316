"""Describe model directories, checkpoints, exported models and operating points."""

import importlib.util
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point
from wsedtk.inspection.description import About, State, listed, made_by, record_of, when_made

if TYPE_CHECKING:
    import onnx

# Each file that `wsedtk export` writes contains these keys in its metadata.
_EXPORTED = (
    "labels",
    "sample_rate",
    "seconds_per_frame",
    "network",
    "pooling",
    "model",
)
_LARGEST_ONNX = 1 << 31  # bytes; the format allows only smaller files
_TO_SHARE = ("model.safetensors", "model.yaml", "operating_point.yaml", "README.md")
_CHECKPOINT_KEYS = {"step", "network", "optimizer", "history", "finished"}


def is_model_directory(path: Path) -> bool:
    """Return whether a folder contains a model or an unfinished training run."""
    if (path / "model.yaml").is_file():
        return True
    return (path / "config.yaml").is_file() and (path / "checkpoints").is_dir()


def describe_model_directory(path: Path) -> About:
    """Describe a model directory.

    If no fault is found in the model, the description lists what is missing for sharing the model.
    """
    if not (path / "model.yaml").is_file():
        return _describe_training(path)
    from wsedtk.models import checkpoint  # imports torch, which is slow and rarely needed here

    about = About(str(path), "model directory")
    spec = checkpoint.read_spec(path)
    fingerprint, network = provenance.fingerprint_model_directory(path), None
    trained, record = dict(spec.trained), record_of(path)
    about.made = {**made_by(trained), **when_made(path / "model.yaml", record)}
    about.content = {
        "network": spec.network,
        "network_options": spec.network_options,
        "pooling": spec.pooling,
    }
    if spec.hierarchy:
        about.content["hierarchy"] = f"{spec.hierarchy}, {list(spec.groups)}"
    if checkpoint.is_trusted(spec):
        try:
            spec, network, fingerprint = checkpoint.load_model(path)
        except InputError as error:
            about.faults.append(str(error))
            about.complete = False
    else:
        about.content["not_looked_at"] = (
            "the model names code from outside wsedtk, and this code is not run; to trust this "
            f"code, add its package to the environment variable {checkpoint.TRUSTED}"
        )
    if network is not None:
        about.content.update(spec.size(network))
    about.content.update(
        fingerprint=fingerprint,
        frontend=spec.frontend,
        frontend_fingerprint=config.fingerprint(spec.frontend),
        classes=len(spec.labels),
        labels=listed(spec.labels),
    )
    about.content["trained"] = {
        key: value
        for key, value in trained.items()
        if key not in ("wsedtk", "commit", "init", "added") and "fingerprint" not in key
    }
    about.content["trained"].update(_added_sets(trained))
    _add_sources(about, trained)
    about.add_input("initial model", fingerprint=trained.get("init"))
    about.add_input("published weights", trained.get("imported_from"), trained.get("fingerprint"))
    about.add_files(record)
    about.content["last_validation"] = _last_validation(path)
    if not about.faults:  # damaged weights have no valid fingerprint
        _check_point(about, path / "operating_point.yaml", list(spec.labels), fingerprint)
        about.content["to_share"] = _to_share(path, fingerprint)
    return about


def _check_point(about: About, path: Path, labels: list[str], fingerprint: str | None) -> None:
    """Check whether the operating point of a model directory fits the model.

    The result is added to `about`, as content or as a fault.
    """
    if not path.is_file():
        about.content["operating_point"] = "none; wsedtk tune writes one"
        return
    try:
        point = operating_point.read(path)
    except InputError as error:
        about.faults.append(str(error))
        return
    if point.labels != labels:
        about.faults.append(f"{path}: the classes differ from those of the model; tune again")
    elif point.model not in (None, provenance.UNKNOWN_MODEL, fingerprint):
        about.faults.append(
            f"{path}: was tuned on the scores of another model ({point.model}); the model of this "
            f"directory is {fingerprint}; tune again"
        )
    else:
        about.content["operating_point"] = (
            "of this model" if point.model == fingerprint else "for any model"
        )


def _to_share(path: Path, fingerprint: str | None) -> list[str]:
    """Return a message for each reason why a model directory is not ready to be shared."""
    from wsedtk.report import model_card

    missing = [f"{name} is missing" for name in _TO_SHARE if not (path / name).is_file()]
    return missing + model_card.faults(path, fingerprint)


def _added_sets(trained: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of each set that was added to the training set, by a name for it."""
    return {
        what: {key: value for key, value in one.items() if key != "fingerprint"}
        for what, one in _named_added(trained)
    }


def _named_added(mapping: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a name and the properties of each set that was added to the training set."""
    added = mapping.get("added")
    sets = [one for one in added if isinstance(one, dict)] if isinstance(added, list) else []
    for number, one in enumerate(sets, 1):
        yield ("added set" if len(sets) == 1 else f"added set {number}"), one


def _add_sources(about: About, mapping: Mapping[str, Any]) -> None:
    """Add the sets and the front end of a training run as inputs.

    mapping: the values of model.yaml or config.yaml, with the fingerprints of these inputs.
    """
    for what, one in _named_added(mapping):
        about.add_input(what, fingerprint=one.get("fingerprint"))
    for key, what in (
        ("fit", "training set"),
        ("valid", "validation set"),
        ("features", "front end"),
    ):
        about.add_input(what, fingerprint=mapping.get(f"{key}_fingerprint"))


def _last_validation(path: Path) -> dict[str, float] | None:
    """Return the last row of history.tsv.

    Returns None if the file is missing, empty or damaged, or if a value of the row is not finite.
    """
    if not (path / "history.tsv").is_file():
        return None
    try:
        text = (path / "history.tsv").read_text(encoding="utf-8")
        header, *rows = [line.split("\t") for line in text.splitlines()]
        values = [int(value) if value.isdecimal() else float(value) for value in rows[-1]]
        row = dict(zip(header, values, strict=True))
        return row if all(map(math.isfinite, values)) else None
    except (OSError, ValueError, IndexError, OverflowError):
        return None


def _batch_of(checkpoint: str) -> int:
    """Return the batch number in a checkpoint's name: 15 for step00000015, -1 without a number."""
    return int(re.sub(r"[^0-9]", "", checkpoint)[:18] or -1)


def _describe_training(path: Path) -> About:
    """Describe a model directory whose training run is not finished."""
    record = record_of(path)
    about = About(
        str(path), "model directory", complete=False, made=when_made(path / "config.yaml", record)
    )
    resolved = config.read_yaml(path / "config.yaml")
    if not isinstance(resolved, dict):
        resolved = {}
    if isinstance(resolved.get("made_by"), dict):
        about.made = {**made_by(resolved["made_by"]), **about.made}
    checkpoints = [file.stem for file in (path / "checkpoints").glob("*.pt")]
    every, most = resolved.get("checkpoint_every"), resolved.get("max_checkpoints")
    about.content = {
        "network": resolved.get("network"),
        "pooling": resolved.get("pooling"),
        "state": "in training, or stopped",
        "last_checkpoint": max(checkpoints, key=_batch_of, default=None),
        "last_validation": _last_validation(path),
    }
    if isinstance(every, int) and isinstance(most, int):
        about.content["batches_in_all"] = f"at most {every * most}"
    _add_sources(about, resolved)
    about.add_files(record)
    return about


def is_checkpoint(path: Path) -> bool:
    """Return whether a file has the extension .pt or .pth."""
    return path.is_file() and path.suffix in (".pt", ".pth")


def describe_checkpoint(path: Path) -> About:
    """Describe a checkpoint of `wsedtk train`, or another PyTorch file."""
    from wsedtk.models import checkpoint

    found: Any = checkpoint.load_checkpoint(path)
    about = About(str(path), "training checkpoint", made=when_made(path))
    if not isinstance(found, dict) or not set(found) >= _CHECKPOINT_KEYS:
        about.kind = "PyTorch file"
        tensors = found if isinstance(found, dict) else {}
        about.content = {
            "tensors": sum(hasattr(value, "shape") for value in tensors.values()),
            "hint": "this is not a checkpoint of wsedtk train; "
            "wsedtk import converts published weights to a model directory",
        }
        return about
    try:
        best = found["best"]
        about.content = {
            "step": int(found["step"]),
            "validations": len(found["history"]),
            "training_finished": bool(found["finished"]),
            "best": f"{abs(best[0]):.4f} at batch {int(best[1])}" if best else best,
            "parameters": sum(
                t.numel() for t in found["network"].values() if t.is_floating_point()
            ),
            "processes": 1 + len(found.get("random_of_others", [])),
        }
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        about.faults.append(f"{path}: is not a complete checkpoint ({error})")
    return about


def is_onnx(path: Path) -> bool:
    """Return whether a file has the extension .onnx.

    Raises InputError if the file has this extension, but the package onnx is not installed.
    """
    if not path.is_file() or path.suffix != ".onnx":
        return False
    if importlib.util.find_spec("onnx") is None:
        raise InputError(
            f"{path}: the package onnx is not installed; run pip install 'wsedtk[export]'"
        )
    return True


def _read_onnx(path: Path) -> "onnx.ModelProto":
    """Read an ONNX model without its external data files.

    Raises InputError if the file is too large or is not a valid ONNX file.
    """
    import onnx

    num_bytes = path.stat().st_size
    if num_bytes >= _LARGEST_ONNX:
        raise InputError(
            f"{path}: has {num_bytes} bytes; expected an ONNX file with fewer than "
            f"{_LARGEST_ONNX} bytes"
        )
    try:
        return onnx.load_model(path, format="protobuf", load_external_data=False)
    except Exception as error:  # the errors of protobuf and onnx have no other common base class
        reason = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path}: is not an ONNX file, or is damaged ({reason[0]})") from None


def describe_onnx(path: Path) -> About:
    """Describe an ONNX file. If `wsedtk export` wrote it, its metadata are described, too."""
    model = _read_onnx(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    about = About(
        str(path), "exported model", made={**made_by(metadata), **when_made(path, record_of(path))}
    )
    about.content = {
        "inputs": [value.name for value in model.graph.input],
        "outputs": [value.name for value in model.graph.output],
    }
    if not about.content["outputs"]:
        raise InputError(f"{path}: is not an ONNX file, or is damaged (it has no outputs)")
    if not set(_EXPORTED) <= set(metadata):
        about.kind = "ONNX file"
        about.content["hint"] = "the metadata of wsedtk export are missing"
        return about
    try:
        read = {
            key: json.loads(metadata[key])
            for key in ("labels", "sample_rate", "seconds_per_frame", "gate_by_tags")
            if key in metadata
        }
        about.content.update(
            network=metadata["network"],
            pooling=metadata["pooling"],
            sample_rate=int(read["sample_rate"]),
            seconds_per_frame=float(read["seconds_per_frame"]),
            classes=len(read["labels"]),
            labels=listed(map(str, read["labels"])),
            operating_point="inside" if "frame_thresholds" in metadata else "none",
            mode=metadata.get("mode"),
            gate_by_tags=read.get("gate_by_tags"),
            tuned_on=metadata.get("tuned_on"),
        )
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        about.faults.append(f"{path}: the metadata are damaged ({error})")
    about.add_input("model", fingerprint=metadata["model"])
    return about


def describe_operating_point(path: Path) -> About:
    """Describe a file with an operating point."""
    found = operating_point.read(path)
    tuned = found.tuned or {}
    about = About(
        str(path), "operating point", made={**made_by(tuned), **when_made(path, record_of(path))}
    )
    never = [
        label for label, value in zip(found.labels, found.clip_thresholds) if value == math.inf
    ]
    about.content = {
        "mode": found.mode,
        "classes": len(found.labels),
        "never_predicted": listed(never),
        "gate_by_tags": found.gate_by_tags,
        "tuned_on": found.tuned_on,
        "tuned": {key: value for key, value in tuned.items() if key not in ("wsedtk", "commit")},
    }
    folder = path.absolute().parent
    beside = provenance.fingerprint_model_directory(folder)
    state: State | None = None
    if beside is not None and found.model not in (None, provenance.UNKNOWN_MODEL):
        state = "there" if beside == found.model else "changed"
    about.add_input("model", folder if beside else None, found.model, state)
    if state == "changed":
        about.faults.append(
            f"{path}: was tuned on the scores of another model ({found.model}); the model in the "
            f"same folder is {beside}; tune again"
        )
    about.add_input("scores", fingerprint=tuned.get("scores"))
    about.add_input("data set", fingerprint=tuned.get("set_fingerprint"))
    return about
