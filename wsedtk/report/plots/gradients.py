"""Draw the gradients dy/dx_i of pooling functions.

Table 1 of Wang, Li & Metze (2019) and table A-1 of He, Shen & Zhang (2019) list these gradients. In
shapes, T is the number of frames.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsedtk.core.types import Floats
from wsedtk.models.pooling import Pooling
from wsedtk.report.plots.style import COLORS, styled

# GROUPS is the argument `groups` of `Pooling`. EVENT is the start and the end of the event, in
# frames.
NUM_FRAMES, GROUPS, EVENT = 100, (5, 5), (50, 85)
METHODS = ("max", "average", "linear", "exp", "attention")
# Attention weights come from a network. This example has no network, so all weights are equal.
_WEIGHTS = np.ones(NUM_FRAMES)


class Gradient(NamedTuple):
    """The clip probability y, and T times its gradient dy/dx (T,).

    For average pooling, all values of T dy/dx are 1.
    """

    y: float
    over_x: Floats


class _Line(NamedTuple):
    """A line over time: its label, values (T,) and colour, and other options for matplotlib."""

    label: str
    values: Floats
    tint: str
    options: dict[str, Any]


def example(seed: int = 0) -> Floats:
    """Return frame probabilities (T,) of a clip with one event.

    The probabilities are high within the event and low outside. Noise is added to all frames.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(NUM_FRAMES) + 0.5
    inside = 1 / (1 + np.exp(-(np.diff(EVENT) / 2 - np.abs(time - np.mean(EVENT))) / 2))
    noisy: Floats = np.clip(0.06 + 0.74 * inside + rng.normal(0, 0.07, NUM_FRAMES), 0.01, 0.99)
    return noisy


def gradient(method: str, x: Floats, hierarchy: str | None = None) -> Gradient:
    """Compute the clip probability and the gradient of a pooling function.

    The gradient is computed with autograd, in float64.

    Parameters
    ----------
    method : str
    x : (T,) float
        Frame probabilities of one clip.
    hierarchy : str, optional
        The name of the hierarchy. Its groups are `GROUPS`. By default, single pooling is used.
    """
    frames = torch.tensor(x[None, :, None], dtype=torch.float64, requires_grad=True)  # (1, T, 1)
    pooling = Pooling(method, 1, hierarchy, GROUPS if hierarchy else ())
    y = pooling(frames, torch.tensor(_WEIGHTS[None, :, None]) if pooling.needs_weights else None)
    y.sum().backward()
    if frames.grad is None:
        raise RuntimeError("the pooling function has no gradient")
    return Gradient(float(y.detach()), frames.grad[0, :, 0].numpy() * len(x))


def _over_time(axes: Axes, lines: Iterable[_Line]) -> None:
    edges = np.arange(NUM_FRAMES + 1)
    for label, values, tint, options in lines:
        axes.stairs(values, edges, baseline=None, label=label, color=tint, **options)
    axes.set(xlabel="frame", xlim=(0, NUM_FRAMES))
    axes.legend(fontsize=7, loc="upper left", borderaxespad=0.1)


@styled
def pooling_gradients() -> Figure:
    """Draw frame probabilities of a clip, and the gradient of each pooling function.

    The first panel shows the frame probabilities and the clip probabilities. The second panel plots
    the gradients against the frame probability x_i, and the third panel plots them against time.
    The last panel compares the gradients of hierarchical pooling with those of single pooling.
    """
    x = example()
    figure = Figure(figsize=(7.5, 5.8), layout="constrained")
    (clip, over_x), (over_time, hierarchical) = figure.subplots(2, 2)
    clip.axvspan(*EVENT, color="#f0f0f0")
    clip.stairs(x, np.arange(NUM_FRAMES + 1), baseline=None, color="#444")
    found = {method: gradient(method, x) for method in METHODS}
    tints = dict(zip(METHODS, COLORS))
    for method, one in found.items():
        if method != "attention":
            label = f"{method}, y = {one.y:.2f}"
            clip.axhline(one.y, color=tints[method], linewidth=1, label=label)
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
        title="Frame probabilities $x_i$ and clip probabilities y",
        xlabel="frame",
        ylabel="$x_i$",
        ylim=(0, 1.02),
        xlim=(0, NUM_FRAMES),
    )
    order, linear = np.argsort(x), found["linear"]
    for method in METHODS[1:-1]:
        over_x.plot(x[order], found[method].over_x[order], color=tints[method], label=method)
    label = f"max: {NUM_FRAMES}, in one frame"
    over_x.plot(x.max(), linear.over_x.max(), "^", color=COLORS[0], clip_on=False, label=label)
    over_x.plot(linear.y / 2, 0, "o", color=COLORS[2], markersize=4, label="linear: 0 at y / 2")
    over_x.legend(fontsize=7, loc="upper left", borderaxespad=0.1)
    over_x.set(title="Gradient over probability", xlabel="$x_i$")
    lines = [_Line(method, found[method].over_x, tints[method], {}) for method in METHODS[1:-1]]
    dotted = {"linestyle": (0, (2, 3))}
    equal = _Line("attention, equal weights", found["attention"].over_x, COLORS[4], dotted)
    _over_time(over_time, [*lines, equal])
    over_time.set_title("Gradient over time")
    lines = []
    for method in ("linear", "exp"):
        single, published = gradient(method, x), gradient(method, x, "published")
        tint = tints[method]
        lines.append(_Line(f"{method}, single", single.over_x, tint, {"alpha": 0.5}))
        lines.append(_Line(f"{method}, published", published.over_x, tint, {"linewidth": 1.6}))
    _over_time(hierarchical, lines)
    hierarchical.set_title("Pooling with hierarchy published, groups [5, 5]")
    hierarchical.sharey(over_time)
    for axes in (over_x, over_time, hierarchical):
        axes.set_ylabel(r"$T \cdot \partial y / \partial x_i$")
        axes.axhline(0, color="#444", linewidth=0.8)
        axes.grid()
    return figure
