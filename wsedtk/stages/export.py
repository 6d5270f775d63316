"""export: a model directory -> one ONNX file that includes the front end."""

import dataclasses
import importlib.util
import json
import logging
from pathlib import Path

import numpy as np
import torch

from wsedtk.core import provenance
from wsedtk.core.atomic import writing
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.decoding import operating_point
from wsedtk.decoding.operating_point import OperatingPoint
from wsedtk.inference import network_runner
from wsedtk.models import checkpoint, onnx_graph
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.ready_directories import find_model_directory
from wsedtk.stages.options.systems import ExportOptions

_LOG = logging.getLogger(__name__)


_TOLERANCE = 1e-3  # the largest accepted difference between scores of onnxruntime and of torch


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """The result of `run`: an ONNX file.

    Attributes
    ----------
    output : Path
        The file that was written.
    outputs : tuple of str
        The names of the outputs of the graph.
    num_classes : int
        Number of classes.
    num_bytes : int
        Size of the file.
    difference : float or None
        The largest difference between the scores that onnxruntime and torch compute for noise. None
        if onnxruntime is not installed.
    """

    output: Path
    outputs: tuple[str, ...]
    num_classes: int
    num_bytes: int
    difference: float | None


def _metadata(
    spec: ModelSpec, seconds_per_frame: float, fingerprint: str, point: OperatingPoint | None
) -> dict[str, str]:
    """Return the metadata of the ONNX file. Numbers, booleans and lists are written as JSON."""
    metadata = {
        "labels": json.dumps(spec.labels),
        "sample_rate": json.dumps(spec.frontend_config().sample_rate),
        "seconds_per_frame": json.dumps(seconds_per_frame),
        "network": spec.network,
        "pooling": spec.pooling,
        "model": fingerprint,
        **provenance.made_by(),
    }
    if point is None:
        return metadata
    for name in ("clip_thresholds", "frame_thresholds"):
        # JSON has no infinity. Scores are from 0 to 1. Therefore the thresholds -1 and 2 have the
        # same effect as -inf and inf.
        metadata[name] = json.dumps(np.clip(getattr(point, name), -1, 2).tolist())
    filters = operating_point.frame_filters(point, seconds_per_frame)
    for name, frames in zip(("median_frames", "min_frames", "max_gap_frames"), filters):
        least = 1 if name == "min_frames" else 0  # an event lasts at least one frame
        metadata[name] = json.dumps(np.maximum(frames, least).tolist())
    if point.box_thresholds is not None:
        metadata["box_thresholds"] = json.dumps(np.clip(point.box_thresholds, -1, 2).tolist())
        for name in operating_point.BOX_DEFAULTS:
            # JSON has no infinity. Scores from 0 to 1 cannot reach the limit 10,000.
            metadata[name] = json.dumps(np.minimum(getattr(point, name), 1e4).tolist())
    metadata["mode"] = point.mode
    metadata["gate_by_tags"] = json.dumps(point.gate_by_tags)
    metadata["tuned_on"] = point.tuned_on
    return metadata


def _read_point(model_dir: PathLike, spec: ModelSpec, fingerprint: str) -> OperatingPoint | None:
    """Read the model's operating point, or return None if there is no file.

    Raises InputError if the operating point is wrong, or belongs to another model.
    """
    path = Path(model_dir) / "operating_point.yaml"
    if not path.exists():
        _LOG.info(
            f"{path}: no such file, so the ONNX file has no thresholds; to include thresholds, "
            "write this file with wsedtk tune, then export the model again"
        )
        return None
    point = operating_point.read(path)
    operating_point.check(point, path, spec.labels, fingerprint, model_dir)
    return point


def _trace(
    graph: onnx_graph.Graph, network: str, description: str, metadata: dict[str, str]
) -> bytes:
    """Return the content of the ONNX file.

    Raises InputError if a user-defined network can't be traced.
    """
    try:
        content: bytes = onnx_graph.with_metadata(onnx_graph.trace(graph), description, metadata)
        return content
    except Exception as error:
        if ":" not in network:
            raise
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise InputError(
            f"network {network!r}: can't be exported to ONNX ({reason}); in the forward pass, use "
            "only operations that torch.onnx.export supports"
        ) from None


def _check(content: bytes, graph: onnx_graph.Graph, network: str) -> float:
    """Return the largest difference between scores of onnxruntime and of torch.

    Raises InputError if the difference exceeds _TOLERANCE, or if onnxruntime can't run the graph.
    """
    reason = ""
    try:
        difference: float = onnx_graph.difference(content, graph)
    except Exception as error:  # the exceptions of onnxruntime have no common base class
        difference, reason = float("inf"), f" ({(str(error).splitlines() or [''])[0]})"
    if difference <= _TOLERANCE:
        return difference
    if reason:
        fault = "can't be run"
    elif difference < float("inf"):
        fault = f"differs from the network by {difference:.2g}"
    else:
        fault = "returns wrong shapes, or values that are not finite"
    advice = "a std near 0 in model.yaml can be the cause, because it magnifies rounding errors"
    if ":" in network:
        advice = (
            "in the forward pass, use the length of the input only in tensor operations, not in "
            "Python's `if`, `int` or `range`"
        )
    raise InputError(
        f"network {network!r}: the graph was traced with an input of one length; with noise of "
        f"other lengths, it {fault}{reason}; no file is written; {advice}"
    )


def run(options: ExportOptions) -> ExportResult:
    """Write a model as an ONNX file, as `wsedtk export` does.

    Parameters
    ----------
    options : ExportOptions
        The model directory and the file.

    Returns
    -------
    ExportResult

    Raises
    ------
    InputError
        If the package onnx is missing, the model or its operating point is wrong, the network can't
        be exported, or the graph differs from the network.
    """
    if importlib.util.find_spec("onnx") is None:
        raise InputError(
            "export: the package onnx is not installed; in the checkout of wsedtk, run pip install "
            "-c constraints.txt '.[export]'"
        )
    options = dataclasses.replace(options, model_dir=find_model_directory(options.model_dir))
    spec, network, fingerprint = checkpoint.load_model(options.model_dir)
    frontend = spec.frontend_config()
    point = _read_point(options.model_dir, spec, fingerprint)
    seconds_per_frame = frontend.hop * network.time_reduction / frontend.sample_rate
    metadata = _metadata(spec, seconds_per_frame, fingerprint, point)
    runner = network_runner.Runner.of(
        network, spec.mean, spec.std, torch.device("cpu"), precise=True
    )
    try:
        graph = onnx_graph.Graph(frontend, runner)
    except InputError as error:
        raise InputError(f"{options.model_dir}: {error}") from None
    description = (
        f"wsedtk {metadata['wsedtk']}: sound event detection. The input `samples` (batch, samples) "
        f"is mono audio, float32 in [-1, 1], at {frontend.sample_rate} Hz. The outputs `clip` "
        "(batch, classes) and `frame` (batch, frames, classes) are probabilities. One frame lasts "
        f"{metadata['seconds_per_frame']} s."
    )
    content = _trace(graph, spec.network, description, metadata)
    difference = None
    if importlib.util.find_spec("onnxruntime") is not None:
        difference = _check(content, graph, spec.network)
    with writing(options.output) as temporary:
        temporary.write_bytes(content)
    return ExportResult(
        Path(options.output), tuple(graph.outputs), len(spec.labels), len(content), difference
    )
