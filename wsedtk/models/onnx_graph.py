"""A model as one ONNX graph, which computes probabilities from samples.

Array dimensions: B recordings of equal length, S samples, T feature frames, T' output frames, F mel
bins, K classes.

The graph contains the front end, the normalisation and the network. The TorchScript-based exporter
of PyTorch traces the graph. The newer exporter of PyTorch fails on a bidirectional GRU if the
number of frames is not fixed.

Samples, levels and scores are float32. The scores of the graph usually differ from the scores of
PyTorch by about 1e-6. On noise, `wsedtk export` accepts differences of at most 1e-3. In mel bins
without energy, the levels come only from rounding errors of the Fourier transform, which differ
between the graph and `LogMel`. On recordings with such mel bins, the scores were found to differ by
up to 4e-3.
"""

import io
import math
import warnings
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from wsedtk.audio.frontend import FrontendConfig, LogMel, window_and_filters
from wsedtk.core.errors import InputError
from wsedtk.models.layers import Network, Output

OPSET = 17  # the version of the ONNX operators, released in 2022
_MOST_BYTES = 2**31 - 2**24  # maximum total size of the tensors; an ONNX file has at most 2 GiB
_CHECKED_SECONDS = (0.0, 1.0, 12.34)  # durations of the noise in `difference`; 0.0 means one hop


class Runner(Protocol):
    """A network with the normalisation of its features; see `wsedtk.inference.network_runner`."""

    @property
    def network(self) -> Network:
        """The network."""

    def normalize(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise features (B, T, F) with their mask (B, T)."""

    def run(self, x: Tensor, mask: Tensor) -> Output:
        """Run the network on normalised features."""


def _waves(rows: Tensor, columns: Tensor, period: int) -> tuple[Tensor, Tensor]:
    """Return cos and sin of 2 pi r c / period for whole numbers r in rows and c in columns.

    `rows` is (R,), and `columns` is (C,). Both results are (R, C). They are computed in float64 and
    rounded to float32.
    """
    angles = 2 * math.pi * ((rows[:, None] * columns) % period).double() / period
    return torch.cos(angles).float(), torch.sin(angles).float()


class Frontend(nn.Module):
    """The front end `LogMel` as a module, which computes levels (B, T, F) from samples (B, S).

    Samples, levels and matrices are float32. S can be any number. A DFT of P * Q points is computed
    as Q DFTs of P points each, a multiplication of each result by a complex number of magnitude 1,
    and P DFTs of Q points each (Cooley & Tukey 1965). The index of a sample is Q p + q, and the
    index of a bin is i + P j, with p, i < P and q, j < Q. Each DFT is computed as products with two
    matrices, which contain cosines and sines. P * Q is `num_fft`. P and Q are as close to each
    other as possible, with P >= Q.

    Parameters
    ----------
    config : FrontendConfig
        The front end.

    Raises
    ------
    InputError
        If the DFT is too large for an ONNX file.
    """

    window: Tensor
    filters: Tensor
    first: Tensor
    first_sin: Tensor
    turn: Tensor
    turn_sin: Tensor
    second: Tensor
    second_sin: Tensor

    def __init__(self, config: FrontendConfig) -> None:
        super().__init__()
        self.config = config
        num_fft = config.num_fft
        self.num_columns = max(q for q in range(1, math.isqrt(num_fft) + 1) if num_fft % q == 0)
        num_rows = num_fft // self.num_columns
        # A frame is arranged in P rows and Q columns. Only the first `num_filled` rows contain
        # samples of the window. The other rows are 0.
        self.num_filled = -(-config.window // self.num_columns)
        if 8 * num_rows * self.num_filled > _MOST_BYTES:
            raise InputError(
                f"a DFT of {num_fft} points, factored as {self.num_columns} x {num_rows}, is too "
                "large for an ONNX file; train with features whose num_fft is a power of 2"
            )
        window, filters = window_and_filters(config)
        p, q = torch.arange(self.num_filled), torch.arange(self.num_columns)
        i, j = torch.arange(num_rows), torch.arange(self.num_columns // 2 + 1)
        bins = (i[:, None] + num_rows * j).flatten()  # (P * (Q // 2 + 1),)
        # Bins above num_fft / 2 are complex conjugates of lower bins, and are not used.
        is_used = bins <= num_fft // 2
        weights = filters.T[bins.clamp_max(num_fft // 2)] * is_used[:, None]
        self.register_buffer("window", window.float())
        self.register_buffer("filters", weights.float())
        self._register_waves("first", _waves(i, p, num_rows))
        self._register_waves("turn", _waves(i, q, num_fft))
        self._register_waves("second", _waves(q, j, self.num_columns))

    def _register_waves(self, name: str, waves: tuple[Tensor, Tensor]) -> None:
        cosine, sine = waves
        self.register_buffer(name, cosine)
        self.register_buffer(f"{name}_sin", sine)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute levels (B, T, F) in dB from samples (B, S)."""
        config = self.config
        shortest = max(config.min_samples, 2 if config.preemphasis else 1)
        missing = torch.as_tensor(shortest - samples.shape[1]).clamp_min(0)
        samples = nn.functional.pad(
            samples,
            (0, missing),  # type: ignore[arg-type]  # a trace has tensors as sizes
        )
        starts = torch.arange(samples.shape[1] // config.hop) * config.hop
        if config.preemphasis:
            samples = samples[:, 1:] - config.preemphasis * samples[:, :-1]
        index = starts[:, None] + torch.arange(config.window)
        if config.center and config.pad_mode == "reflect":
            last = torch.as_tensor(samples.shape[1] - 1)
            index = (index - config.samples_before).remainder((2 * last).clamp_min(1))
            index = torch.minimum(index, 2 * last - index).clamp_min(0)
        else:
            samples = nn.functional.pad(samples, (config.samples_before, config.window))
        frames = samples[:, index] * self.window  # (B, T, window)
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
        spectrum = real * real + imaginary * imaginary  # (B, T, P, Q // 2 + 1)
        if config.power == 1:
            spectrum = torch.sqrt(spectrum)
        mel = spectrum.flatten(2) @ self.filters + config.log_offset
        level = 10 * torch.log10(mel.clamp_min(config.min_power))
        if config.top_db is not None:
            level = torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - config.top_db)
        return level


class Graph(nn.Module):
    """A module that computes the outputs of a model from samples. `trace` exports it to ONNX.

    The input is `samples` (B, S). The outputs are the clip probabilities `clip` (B, K), the frame
    probabilities `frame` (B, T', K) and the frame weights `weight` (B, T', K). If the pooling
    function needs no frame weights from the network, the graph has no output `weight`.

    Parameters
    ----------
    frontend : FrontendConfig
        The front end of the model.
    runner : Runner
        The network with the normalisation of its features. It runs on the CPU in float32.

    Raises
    ------
    InputError
        If the front end or the network is too large for an ONNX file.
    """

    def __init__(self, frontend: FrontendConfig, runner: Runner) -> None:
        super().__init__()
        self.frontend, self.runner, self.network = Frontend(frontend), runner, runner.network
        if sum(tensor.numel() for tensor in self.state_dict().values()) * 4 > _MOST_BYTES:
            raise InputError("the model is too large for an ONNX file, which has at most 2 GiB")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        if self.network.pooling.needs_weights:
            return ("clip", "frame", "weight")
        return ("clip", "frame")

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs from samples (B, S)."""
        return self.score(self.frontend(samples))

    def score(self, levels: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs from levels (B, T, F)."""
        mask = torch.ones(levels.shape[:2], dtype=torch.bool)
        output = self.runner.run(*self.runner.normalize(levels, mask))
        return tuple(getattr(output, name) for name in self.outputs)


def trace(graph: Graph) -> bytes:
    """Export a graph to ONNX.

    Parameters
    ----------
    graph : Graph
        The graph. It is in evaluation mode afterwards.

    Returns
    -------
    bytes
        The content of an ONNX file without metadata.

    Raises
    ------
    Exception
        If the network cannot be traced. Any exception is possible.
    """
    samples = torch.zeros(2, 3 * graph.network.time_reduction * graph.frontend.config.hop)
    axes = {name: {0: "batch", 1: "frames"} for name in graph.outputs}
    axes.update(samples={0: "batch", 1: "samples"}, clip={0: "batch"})
    content = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter warns that it is outdated, and that sizes may have become constants of the
        # exported graph. `difference` detects such constants.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval(),
            (samples,),
            content,  # type: ignore[arg-type]  # without dynamo, a file object is allowed
            dynamo=False,
            opset_version=OPSET,
            input_names=["samples"],
            output_names=list(graph.outputs),
            dynamic_axes=axes,
        )
    return content.getvalue()


def with_metadata(content: bytes, description: str, metadata: Mapping[str, str]) -> bytes:
    """Add a description and metadata to the content of an ONNX file.

    The same arguments give the same bytes.
    """
    import onnx

    model = onnx.load_model_from_string(content)
    model.doc_string = description
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    described: bytes = model.SerializeToString(deterministic=True)
    return described


def difference(content: bytes, graph: Graph) -> float:
    """Compare the outputs of an ONNX file with the outputs of the network on `LogMel` features.

    Parameters
    ----------
    content : bytes
        The content of the ONNX file.
    graph : Graph
        The graph that the file was exported from.

    Returns
    -------
    float
        The largest absolute difference between two corresponding output values, for noise of
        several durations. It is infinite if shapes differ or an output is not finite.

    Raises
    ------
    ImportError
        If onnxruntime is not installed.
    Exception
        If onnxruntime fails. Any exception is possible.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    config, generator = graph.frontend.config, np.random.default_rng(0)
    log_mel = LogMel(config)
    worst = 0.0
    for seconds in _CHECKED_SECONDS:
        num_samples = max(config.hop, round(seconds * config.sample_rate))
        samples = generator.normal(0, 0.1, (1, num_samples)).astype(np.float32)
        with torch.inference_mode():
            expected = graph.score(torch.from_numpy(log_mel(samples)))
        for found, output in zip(session.run(None, {"samples": samples}), expected, strict=True):
            if found.shape != tuple(output.shape):
                return math.inf
            largest = float(np.abs(found - output.numpy()).max())
            if not math.isfinite(largest):
                return math.inf
            worst = max(worst, largest)
    return worst
