"""A model as one ONNX graph: samples -> front end -> normalisation -> network -> clip and frame probabilities.

B recordings of one length, S samples, T feature frames, T' frames, F mel bins, K classes. The graph is traced by torch's
TorchScript-based exporter: the other one can't take a bidirectional GRU over an unknown length. What ONNX lacks a fast transform
for is a convolution: the DFT of windowed frames, hop by hop.
"""

import io
import math
import warnings

import torch
from torch import nn

from wsedtk.frontend import window_and_filters

OPSET = 17  # what runtimes from 2022 on take


class Frontend(nn.Module):
    """`LogMel` for a graph: samples (B, S), float32, of any S, to levels (B, T, F)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        window, filters = window_and_filters(config)
        used = filters.any(dim=0).nonzero().flatten()
        bins = torch.arange(int(used[0]), int(used[-1]) + 1)
        turns = bins[:, None] * torch.arange(config.window) % config.num_fft / config.num_fft  # exact, whatever the product
        angle = 2 * math.pi * turns.double()
        kernels = torch.cat([window * torch.cos(angle), window * torch.sin(angle)])  # (2 * bins, window)
        self.register_buffer("kernels", kernels[:, None].float())
        self.register_buffer("filters", filters[:, bins].T.contiguous().float())  # (bins, F)

    def forward(self, samples):
        """Levels in dB of each recording by itself."""
        config = self.config
        missing = torch.as_tensor(config.min_samples - samples.shape[1]).clamp_min(0)
        samples = nn.functional.pad(samples, (0, missing))
        # with window - hop zeros around them, or samples cut off, q * hop + r samples give q frames
        after = config.window - config.hop - config.samples_before
        samples = nn.functional.pad(samples[:, None], (config.samples_before, after))
        real, imaginary = nn.functional.conv1d(samples, self.kernels, stride=config.hop).chunk(2, dim=1)  # (B, bins, T) each
        spectrum = real * real + imaginary * imaginary
        if config.power == 1:
            spectrum = torch.sqrt(spectrum)
        mel = spectrum.transpose(1, 2) @ self.filters
        level = 10 * torch.log10(mel.clamp_min(config.min_power))
        if config.top_db is not None:
            level = torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - config.top_db)
        return level


class Graph(nn.Module):
    """What is exported: samples (B, S) -> clip (B, K), frame (B, T', K) and, where the network learns one, weight (B, T', K).

    runner: an `inference.Runner` on the CPU, precise.
    """

    def __init__(self, frontend, runner):
        super().__init__()
        self.frontend, self.runner, self.network = Frontend(frontend), runner, runner.network

    def forward(self, samples):
        """The outputs, as a tuple."""
        x = self.frontend(samples)
        output = self.runner.run(*self.runner.normalize(x, torch.ones(x.shape[:2], dtype=torch.bool)))
        return (output.clip, output.frame) + (() if output.weight is None else (output.weight,))

    def trace(self):
        """The ONNX file's bytes, without metadata. Raises whatever a network raises that can't be traced."""
        config, network = self.frontend.config, self.network
        samples = torch.zeros(2, 3 * network.time_reduction * config.hop)
        names = ["clip", "frame", "weight"][:3 if network.pooling.needs_weights else 2]
        axes = {"samples": {0: "batch", 1: "samples"}, **{name: {0: "batch", 1: "frames"} for name in names}, "clip": {0: "batch"}}
        content = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is not the newest exporter; of lengths, which are checked afterwards
            torch.onnx.export(self.eval(), (samples,), content, dynamo=False, opset_version=OPSET, input_names=["samples"],
                              output_names=names, dynamic_axes=axes)
        return content.getvalue()
