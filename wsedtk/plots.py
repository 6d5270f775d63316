"""Figures. Each function returns a matplotlib Figure; `png` turns it into bytes.

T frames, F mel bins, K classes.
"""

import io

import numpy as np
from matplotlib.figure import Figure

from wsedtk.progress import printable

HISTORY = ("step", "train_loss", "valid_loss", "valid_f1", "valid_map")  # the columns of a training history that are drawn
COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c564b", "#17becf", "#bcbd22"]


def png(figure):
    """The figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def color(label):
    """The colour of class number `label`; they repeat after ten."""
    return COLORS[label % len(COLORS)]


def _plain(text):
    """A name as matplotlib shows it: a dollar sign begins no formula, an underscore at the front hides no class, a long one is cut."""
    text = printable(text if len(text) <= 60 else f"{text[:57]}...").replace("\n", " ").replace("\t", " ").replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def training_curves(history, title):
    """Losses on the left, validation F1 and MAP on the right, over batches. history: {column: list of numbers}."""
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, text, style in (("train_loss", "fit", COLORS[0]), ("valid_loss", "valid", COLORS[1])):
        left.plot(history["step"], history[name], color=style, label=text, marker=".")
    for name, text, style in (("valid_f1", "tagging F1", COLORS[2]), ("valid_map", "MAP", COLORS[3])):
        right.plot(history["step"], history[name], color=style, label=text, marker=".")
    left.set_ylabel("loss")
    left.set_ylim(bottom=0)
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("batch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(_plain(title), fontsize=10)
    return figure


def _spectrogram(axes, features, seconds_per_frame):
    axes.imshow(features.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest",
                extent=(0, len(features) * seconds_per_frame, 0, features.shape[1]))
    axes.set_ylabel("mel bin")


def _curves(axes, frame_scores, seconds_per_frame, thresholds, shown, labels):
    edges = np.arange(len(frame_scores) + 1) * seconds_per_frame
    for k in shown:
        axes.stairs(frame_scores[:, k], edges, color=color(k), label=_plain(labels[k]), linewidth=1.3)
        if np.isfinite(thresholds[k]):
            axes.axhline(thresholds[k], color=color(k), linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.02, 1.35)  # the legend has the room above 1
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability")


def _bars(axes, rows, labels):
    """rows: (class, what it is, [(onset, offset)]) from top to bottom."""
    for place, (k, kind, spans) in enumerate(rows):
        axes.broken_barh([(a, b - a) for a, b in spans], (place - 0.38, 0.76), color=color(k), alpha=1 if kind == "found" else 0.45,
                         hatch=None if kind == "found" else "///", edgecolor="white", linewidth=0)
    axes.set_yticks(range(len(rows)), [f"{_plain(labels[k])}: {kind}" for k, kind, _ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def timeline(title, duration, labels, frame_scores, seconds_per_frame, thresholds, found, truth=None, features=None,
             seconds_per_feature=None):
    """One decoded clip: spectrogram, frame probabilities with their thresholds (dotted), events found beside the true ones.

    frame_scores: (T, K); thresholds: (K,); found, truth: lists of (onset, offset, class), truth None where it is not known;
    features: (T, F) log-mel or None.
    """
    shown = sorted({k for _, _, k in [*found, *(truth or [])]}) or [int(frame_scores.max(axis=0).argmax())]
    rows = [(k, kind, [(a, b) for a, b, label in spans if label == k])
            for k in shown for kind, spans in (("true", truth), ("found", found)) if spans is not None]
    heights = ([1.6] if features is not None else []) + [1.4, 0.24 * len(rows) + 0.2]
    figure = Figure(figsize=(8, sum(heights) + 1.0), layout="constrained")
    panels = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    if features is not None:
        _spectrogram(panels[0], features, seconds_per_feature)
    _curves(panels[-2], frame_scores, seconds_per_frame, thresholds, shown, labels)
    _bars(panels[-1], rows, labels)
    panels[-1].set_xlim(0, duration)
    panels[-1].set_xlabel("seconds")
    panels[0].set_title(_plain(title), fontsize=10)
    panels[-2].legend(loc="upper right", fontsize=7, ncols=min(len(shown), 4))
    return figure
