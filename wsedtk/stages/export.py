"""export: a model directory -> one ONNX file, front end included."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import torch

from wsedtk.core import provenance
from wsedtk.core.atomic import writing
from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.decoding import operating_point
from wsedtk.inference import network_runner
from wsedtk.models import checkpoint, onnx_graph

_TOLERANCE = 1e-3  # how far a score may be from torch's


def _metadata(spec, network, fingerprint, point):
    """What a user of the file needs to know, as texts; all but names are JSON. point: an OperatingPoint, or None."""
    frontend = spec.frontend_config()
    step = frontend.hop * network.time_reduction / frontend.sample_rate
    about = {
        "labels": json.dumps(spec.labels),
        "sample_rate": json.dumps(frontend.sample_rate),
        "seconds_per_frame": json.dumps(step),
        "network": spec.network,
        "pooling": spec.pooling,
        "model": fingerprint,
        **provenance.made_by(),
    }
    if point is not None:
        for name in (
            "clip_thresholds",
            "frame_thresholds",
        ):  # JSON has no infinity; no score is beyond 0 and 1
            about[name] = json.dumps(np.clip(getattr(point, name), -1, 2).tolist())
        for name, frames in zip(
            ("median_frames", "min_frames", "max_gap_frames"),
            operating_point.frame_filters(point, step),
        ):
            about[name] = json.dumps(
                np.maximum(frames, name == "min_frames").tolist()
            )  # the shortest event is a frame
        about.update(
            mode=point.mode, gate_by_tags=json.dumps(point.gate_by_tags), tuned_on=point.tuned_on
        )
    return about


def _read_point(model_dir, spec, fingerprint):
    """The model's own operating point; None where it has none. Raises InputError where it is another's."""
    path = Path(model_dir) / "operating_point.yaml"
    if not path.exists():
        say(f"{path}: no such file; what is exported has no thresholds (wsedtk tune makes them)")
        return None
    point = operating_point.read(path)
    operating_point.check(point, path, spec.labels, fingerprint, model_dir)
    return point


def _trace(graph, network, description, metadata):
    """The bytes of the ONNX file. Raises InputError where somebody's own network can't be traced."""
    try:
        return onnx_graph.with_metadata(onnx_graph.trace(graph), description, metadata)
    except Exception as error:
        if ":" not in network:
            raise
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise InputError(
            f"network {network!r}: can't be exported to ONNX ({reason}); torch.onnx.export traces its forward pass, "
            "which must be made of what ONNX knows"
        ) from None


def _check(content, graph, network):
    """The largest difference from torch. Raises InputError where it is more than rounding."""
    try:
        worst, reason = onnx_graph.difference(content, graph), ""
    except Exception as error:  # onnxruntime's own have no common class
        worst, reason = float("inf"), f" ({(str(error).splitlines() or [''])[0]})"
    if worst <= _TOLERANCE:
        return worst
    what = (
        "can't be run"
        if reason
        else f"differs from the network by {worst:.2g}"
        if worst < float("inf")
        else "gives other shapes than the network, or other than numbers,"
    )
    advice = (
        "A forward pass may depend on its input's length through tensor operations alone, not through Python's `if`, `int` or `range`"
        if ":" in network
        else "A std near 0 in model.yaml would magnify rounding so"
    )
    raise InputError(
        f"network {network!r}: the graph {what} on noise of other lengths than it was traced with{reason}; nothing is "
        f"written. {advice}"
    )


def run(model_dir, output):
    """Write the ONNX file, and say how near onnxruntime comes to torch."""
    if importlib.util.find_spec("onnx") is None:
        raise InputError(
            "export: needs the package onnx, which is missing; in the checkout: pip install -c constraints.txt '.[export]'"
        )
    spec, network, fingerprint = checkpoint.load_model(model_dir)
    point, frontend = _read_point(model_dir, spec, fingerprint), spec.frontend_config()
    metadata = _metadata(spec, network, fingerprint, point)
    runner = network_runner.Runner.of(
        network, spec.mean, spec.std, torch.device("cpu"), precise=True
    )
    try:
        graph = onnx_graph.Graph(frontend, runner)
    except InputError as error:
        raise InputError(f"{model_dir}: {error}") from None
    description = (
        f"wsedtk {metadata['wsedtk']}: sound event detection. samples (batch, samples): mono float32 in [-1, 1] at "
        f"{frontend.sample_rate} Hz. clip (batch, classes), frame (batch, frames, classes): probabilities. One frame is "
        f"{metadata['seconds_per_frame']} s."
    )
    content = _trace(graph, spec.network, description, metadata)
    if importlib.util.find_spec("onnxruntime") is None:
        checked = "not checked: onnxruntime is not installed"
    else:
        checked = f"onnxruntime's scores differ from torch's by at most {_check(content, graph, spec.network):.1e} on noise"
    with writing(output) as temporary:
        temporary.write_bytes(content)
    print(
        f"{output}: {', '.join(graph.outputs)} of {len(spec.labels)} classes, {len(content) / 1e6:.1f} MB; {checked}"
    )
