"""What a pooling function tells its frames: dy/dx_i over x_i (Wang, Li & Metze 2019, table 1; He, Shen & Zhang 2019, table A-1).

T frames.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

from wsedtk.models.pooling import Pooling
from wsedtk.report.plots.style import COLORS, styled

NUM_FRAMES, GROUPS, EVENT = 100, (5, 5), (50, 85)  # frames
METHODS = ("max", "average", "linear", "exp", "attention")
_WEIGHTS = np.ones(
    NUM_FRAMES
)  # attention's are the network's: all alike, to show what is left of it


def example(seed=0):
    """Frame probabilities (T,) of a clip with one event: low before and after, high and unsteady inside."""
    rng = np.random.default_rng(seed)
    time = np.arange(NUM_FRAMES) + 0.5
    inside = 1 / (1 + np.exp(-(np.diff(EVENT) / 2 - np.abs(time - np.mean(EVENT))) / 2))
    return np.clip(0.06 + 0.74 * inside + rng.normal(0, 0.07, NUM_FRAMES), 0.01, 0.99)


def gradient(method, x, hierarchy=None):
    """y and dy/dx (T,), times T so that average pooling's is 1, of one clip's frame probabilities x (T,); by autograd, in float64."""
    frames = torch.tensor(x[None, :, None], dtype=torch.float64, requires_grad=True)  # (1, T, 1)
    pooling = Pooling(method, 1, hierarchy, GROUPS if hierarchy else ())
    y = pooling(frames, torch.tensor(_WEIGHTS[None, :, None]) if pooling.needs_weights else None)
    y.sum().backward()
    return float(y.detach()), frames.grad[0, :, 0].numpy() * len(x)


def _over_time(axes, lines):
    """lines: (label, values (T,), colour, more of matplotlib's)."""
    for label, values, tint, more in lines:
        axes.stairs(
            values, np.arange(NUM_FRAMES + 1), baseline=None, label=label, color=tint, **more
        )
    axes.set(xlabel="frame", xlim=(0, NUM_FRAMES))
    axes.legend(fontsize=7, loc="upper left", borderaxespad=0.1)


@styled
def pooling_gradients():
    """A clip's frame probabilities, and the gradient that each pooling function gives its frames: over x_i, and over time."""
    x = example()
    figure = Figure(figsize=(7.5, 5.8), layout="constrained")
    (clip, over_x), (over_time, hierarchical) = figure.subplots(2, 2)
    clip.axvspan(*EVENT, color="#f0f0f0")
    clip.stairs(x, np.arange(NUM_FRAMES + 1), baseline=None, color="#444")
    found = {method: (*gradient(method, x), tint) for method, tint in zip(METHODS, COLORS)}
    for method, (y, _, tint) in found.items():
        if method != "attention":
            clip.axhline(y, color=tint, linewidth=1, label=f"{method}, y = {y:.2f}")
    clip.legend(
        fontsize=7,
        loc="upper left",
        bbox_to_anchor=(0, 0.89),
        frameon=True,
        edgecolor="white",
        framealpha=0.9,
        borderaxespad=0.1,
    )
    clip.set(
        title="Frame probabilities of a clip, and its own",
        xlabel="frame",
        ylabel="$x_i$",
        ylim=(0, 1.02),
        xlim=(0, NUM_FRAMES),
    )
    order, y = np.argsort(x), found["linear"][0]
    for method in METHODS[1:-1]:
        over_x.plot(x[order], found[method][1][order], color=found[method][2], label=method)
    top = found["linear"][1].max()
    over_x.plot(
        x.max(),
        top,
        "^",
        color=COLORS[0],
        clip_on=False,
        label=f"max: {NUM_FRAMES}, one frame alone",
    )
    over_x.plot(y / 2, 0, "o", color=COLORS[2], markersize=4, label="linear: 0 at y / 2")
    over_x.legend(fontsize=7, loc="upper left", borderaxespad=0.1)
    over_x.set(title="Gradient over probability", xlabel="$x_i$")
    single = [(method, found[method][1], found[method][2], {}) for method in METHODS[1:-1]]
    _over_time(
        over_time,
        [
            *single,
            (
                "attention of equal weights",
                found["attention"][1],
                COLORS[4],
                {"linestyle": (0, (2, 3))},
            ),
        ],
    )
    over_time.set_title("Gradient over time")
    lines = [
        (
            f"{method}, {hierarchy or 'single'}",
            gradient(method, x, hierarchy)[1],
            found[method][2],
            {"linewidth": 1.6} if hierarchy else {"alpha": 0.5},
        )
        for method in ("linear", "exp")
        for hierarchy in (None, "published")
    ]
    _over_time(hierarchical, lines)
    hierarchical.set_title("Hierarchical pooling, reading published (5 x 5 frames)")
    hierarchical.sharey(over_time)
    for axes in (over_x, over_time, hierarchical):
        axes.set_ylabel(r"$T \cdot \partial y / \partial x_i$")
        axes.axhline(0, color="#444", linewidth=0.8)
        axes.grid()
    return figure
