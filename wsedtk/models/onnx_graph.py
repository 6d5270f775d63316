"""A model as one ONNX graph: samples -> front end -> normalisation -> network -> clip and frame probabilities.

B recordings of one length, S samples, T feature frames, T' output frames, F mel bins, K classes. torch's TorchScript-based exporter
traces it; the newer one fails on a bidirectional GRU over a length that is not known.

Everything is float32. A recording whose bands all hold something is scored as by torch to 1e-3, mostly to 1e-6; where bands are empty,
LogMel's and the graph's levels differ by the rounding of the transform (see LogMel), and scores by up to 4e-3.
"""

import io
import math
import warnings

import numpy as np
import torch
from torch import nn

from wsedtk.audio.frontend import LogMel, window_and_filters
from wsedtk.core.errors import InputError

OPSET = 17  # of 2022
_MOST_BYTES = 2**31 - 2**24  # of the numbers in the graph: the format's own limit is 2 GiB
_CHECKED_SECONDS = (0.0, 1.0, 12.34)  # the first is one frame


def _waves(rows, columns, period):
    """cos and sin of 2 pi r c / period for whole numbers rows (R,) and columns (C,): two (R, C), rounded from float64."""
    angles = 2 * math.pi * ((rows[:, None] * columns) % period).double() / period
    return torch.cos(angles).float(), torch.sin(angles).float()


class Frontend(nn.Module):
    """`LogMel` in float32 for a graph: samples (B, S), of any S, to levels (B, T, F).

    A DFT of P * Q points is one of P points, a turn of each number, and one of Q points (Cooley & Tukey 1965): sample
    Q p + q, bin i + P j. Each DFT is a product with two matrices. P and Q are as near to each other as `num_fft` lets them be.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.num_columns = max(
            q for q in range(1, math.isqrt(config.num_fft) + 1) if config.num_fft % q == 0
        )  # Q
        num_rows = (
            config.num_fft // self.num_columns
        )  # P; those that hold the window come before those that are 0
        self.num_filled = -(-config.window // self.num_columns)
        if 8 * num_rows * self.num_filled > _MOST_BYTES:
            raise InputError(
                f"a DFT of {config.num_fft} points, by {self.num_columns} and {num_rows}, is too large for an ONNX file"
            )
        window, filters = window_and_filters(config)
        p, q, i, j = (
            torch.arange(n)
            for n in (self.num_filled, self.num_columns, num_rows, self.num_columns // 2 + 1)
        )
        bins = (
            i[:, None] + num_rows * j
        ).flatten()  # (P * (Q / 2 + 1)), those beyond num_fft / 2 mirror others
        weights = (
            filters.T[bins.clamp_max(config.num_fft // 2)] * (bins <= config.num_fft // 2)[:, None]
        )
        for name, tensors in {
            "window": [window.float()],
            "filters": [weights.float()],
            "first": _waves(i, p, num_rows),
            "turn": _waves(i, q, config.num_fft),
            "second": _waves(q, j, self.num_columns),
        }.items():
            for part, tensor in zip(("", "_sin"), tensors):
                self.register_buffer(name + part, tensor)

    def forward(self, samples):
        """Levels in dB, of each recording for itself."""
        config = self.config
        missing = torch.as_tensor(config.min_samples - samples.shape[1]).clamp_min(0)
        samples = nn.functional.pad(samples, (0, missing))
        starts = torch.arange(samples.shape[1] // config.hop) * config.hop
        samples = nn.functional.pad(samples, (config.samples_before, config.window))
        frames = (
            samples[:, starts[:, None] + torch.arange(config.window)] * self.window
        )  # (B, T, window)
        frames = nn.functional.pad(frames, (0, self.num_filled * self.num_columns - config.window))
        frames = frames.reshape(frames.shape[0], -1, self.num_filled, self.num_columns)
        real, imaginary = self.first @ frames, -(self.first_sin @ frames)  # (B, T, P, Q)
        real, imaginary = (
            real * self.turn + imaginary * self.turn_sin,
            imaginary * self.turn - real * self.turn_sin,
        )
        real, imaginary = (
            real @ self.second + imaginary @ self.second_sin,
            imaginary @ self.second - real @ self.second_sin,
        )
        spectrum = real * real + imaginary * imaginary  # (B, T, P, Q / 2 + 1)
        if config.power == 1:
            spectrum = torch.sqrt(spectrum)
        level = 10 * torch.log10((spectrum.flatten(2) @ self.filters).clamp_min(config.min_power))
        if config.top_db is not None:
            level = torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - config.top_db)
        return level


class Graph(nn.Module):
    """What is exported: samples (B, S) -> clip (B, K), frame (B, T', K) and, where the network learns weights, weight (B, T', K).

    frontend: a FrontendConfig; runner: an inference.Runner, precise and on the CPU. Raises InputError where they are too large.
    """

    def __init__(self, frontend, runner):
        super().__init__()
        self.frontend, self.runner, self.network = Frontend(frontend), runner, runner.network
        if sum(tensor.numel() for tensor in self.state_dict().values()) * 4 > _MOST_BYTES:
            raise InputError("the network is too large for an ONNX file, which holds 2 GiB at most")

    @property
    def outputs(self):
        """The names of the outputs."""
        return (
            ("clip", "frame", "weight") if self.network.pooling.needs_weights else ("clip", "frame")
        )

    def forward(self, samples):
        """The outputs, as a tuple."""
        return self.score(self.frontend(samples))

    def score(self, levels):
        """The outputs of levels (B, T, F)."""
        output = self.runner.run(
            *self.runner.normalize(levels, torch.ones(levels.shape[:2], dtype=torch.bool))
        )
        return tuple(getattr(output, name) for name in self.outputs)


def trace(graph):
    """A Graph as the bytes of an ONNX file without metadata. Raises whatever a network raises that can't be traced."""
    samples = torch.zeros(2, 3 * graph.network.time_reduction * graph.frontend.config.hop)
    axes = {name: {0: "batch", 1: "frames"} for name in graph.outputs}
    axes.update(samples={0: "batch", 1: "samples"}, clip={0: "batch"})
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # about the exporter's age, and lengths that might be taken for constants: see `difference`
        torch.onnx.export(
            graph.eval(),
            (samples,),
            content,
            dynamo=False,
            opset_version=OPSET,
            input_names=["samples"],
            output_names=list(graph.outputs),
            dynamic_axes=axes,
        )
    return content.getvalue()


def with_metadata(content, description, metadata):
    """The bytes of an ONNX file with a description and with metadata, a mapping of texts. The same ones for the same input."""
    import onnx

    model = onnx.load_model_from_string(content)
    model.doc_string = description
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def difference(content, graph):
    """The largest difference of an ONNX file's outputs from those of LogMel and the network, on noise of several lengths.

    Infinite where their shapes differ, or one is not a number. Raises onnxruntime's errors, and ImportError where it is not installed.
    """
    import onnxruntime

    options, worst = onnxruntime.SessionOptions(), 0.0
    options.log_severity_level, options.intra_op_num_threads = 4, torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    config, generator = graph.frontend.config, np.random.default_rng(0)
    log_mel = LogMel(config)
    for seconds in _CHECKED_SECONDS:
        samples = generator.normal(
            0, 0.1, (1, max(config.hop, round(seconds * config.sample_rate)))
        ).astype(np.float32)
        with torch.inference_mode():
            expected = graph.score(torch.from_numpy(log_mel(samples)))
        for found, output in zip(session.run(None, {"samples": samples}), expected, strict=True):
            same_shape = found.shape == tuple(output.shape)
            largest = float(np.abs(found - output.numpy()).max()) if same_shape else math.inf
            worst = max(worst, largest if math.isfinite(largest) else math.inf)
    return worst
