"""One clip over time, as one system or several see it (Wang, Li & Metze 2019, figure 3; He, Shen & Zhang 2019, figure 5).

T frames, F mel bins, K classes.
"""

import dataclasses

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from wsedtk.core.progress import clock
from wsedtk.report.plots.style import COLORS, color, legend_columns, plain, styled

MAX_CLASSES, MAX_ROWS = 8, 24  # that a picture has room for
LONG_SECONDS = 300  # from which on times are hours, minutes and seconds
_STEPS = (
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    28800,
)  # seconds from one time that is written to the next
LONGEST_NAME = 24  # of a system beside its events; longer ones are numbered there


@dataclasses.dataclass(frozen=True)
class Track:
    """What one system says of a clip."""

    name: str
    frame_scores: np.ndarray  # (T, K)
    seconds_per_frame: float
    thresholds: np.ndarray  # (K,)
    found: list  # of (onset, offset, class)
    weights: np.ndarray | None = None  # (T, K) attention


def _spectrogram(axes, features, seconds_per_frame):
    axes.imshow(
        features.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        interpolation="nearest",
        extent=(0, len(features) * seconds_per_frame, 0, features.shape[1]),
    )
    axes.set_ylabel("mel bin")


def _curves(axes, track, tints):
    edges = np.arange(len(track.frame_scores) + 1) * track.seconds_per_frame
    for k, tint in tints.items():
        axes.stairs(track.frame_scores[:, k], edges, color=tint, linewidth=1.3)
        if np.isfinite(track.thresholds[k]):
            axes.axhline(track.thresholds[k], color=tint, linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.02, 1.05)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability")


def _attention(axes, track, tints):
    """The weights of each class beside its largest: (T, K) of any scale."""
    edges = np.arange(len(track.weights) + 1) * track.seconds_per_frame
    for k, tint in tints.items():
        largest = track.weights[:, k].max(initial=0)
        axes.stairs(
            track.weights[:, k] / (largest or 1),
            edges,
            color=tint,
            linewidth=0.8,
            fill=True,
            alpha=0.3,
        )
        axes.stairs(track.weights[:, k] / (largest or 1), edges, color=tint, linewidth=0.8)
    axes.set_ylim(-0.02, 1.05)
    axes.set_yticks([0, 1], ["0", "max"])
    axes.set_ylabel("attention")


def _bars(axes, rows, labels, tints):
    """rows: (class, what it is, is it the truth, [(onset, offset)]) from top to bottom."""
    for place, (k, _, is_true, spans) in enumerate(rows):
        axes.broken_barh(
            [(a, b - a) for a, b in spans],
            (place - 0.38, 0.76),
            color=tints[k],
            alpha=0.45 if is_true else 1,
            hatch="///" if is_true else None,
            edgecolor="white" if is_true else tints[k],
            linewidth=0 if is_true else 0.7,
        )
    names = [
        kind if i and rows[i - 1][0] == k else ": ".join(filter(None, [plain(labels[k], 40), kind]))
        for i, (k, kind, *_) in enumerate(rows)
    ]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)


def _shown(tracks, truth):
    """The classes that are drawn, ascending: those of the truth first, then those that were found for the longest time."""
    seconds = {}
    for onset, offset, k in [event for track in tracks for event in track.found]:
        seconds[k] = seconds.get(k, 0) + offset - onset
    true = {k for *_, k in truth or []}
    ranked = [*sorted(true), *sorted(set(seconds) - true, key=lambda k: (-seconds[k], k))]
    most = min(MAX_CLASSES, max(MAX_ROWS // (len(tracks) + 1), 1))
    return sorted(ranked[:most]) or [int(tracks[0].frame_scores.max(axis=0).argmax())], len(
        ranked[most:]
    )


@styled
def timelines(title, duration, labels, tracks, truth=None, features=None, seconds_per_feature=None):
    """One clip: spectrogram; each system's frame probabilities with their thresholds (dotted), and attention; events beside the true ones.

    tracks: a Track a system; truth: a list of (onset, offset, class), None where it is not known; features: (T, F) log-mel or None.
    Of more than MAX_CLASSES classes those that were found for the shortest time are left out.
    """
    shown, num_left_out = _shown(tracks, truth)
    tints = {
        k: color(k if len(labels) <= len(COLORS) else place) for place, k in enumerate(shown)
    }  # its own where there are enough
    kinds = [("true", truth, True)] if truth is not None else []
    is_short = max(len(track.name) for track in tracks) <= LONGEST_NAME
    names = [
        plain(track.name) if is_short else f"{number}" for number, track in enumerate(tracks, 1)
    ]
    kinds += [(name, track.found, False) for name, track in zip(names, tracks)]
    rows = [
        (k, kind, is_true, [(a, b) for a, b, label in spans if label == k])
        for k in shown
        for kind, spans, is_true in kinds
    ]
    heights = [1.3] if features is not None else []
    for track in tracks:
        heights += [1.2] if track.weights is None else [1.2, 0.5]
    heights.append(0.21 * len(rows) + 0.1)
    classes = [plain(labels[k], 40) for k in shown]
    legend_rows = -(-len(classes) // legend_columns(classes))
    figure = Figure(
        figsize=(7.5, sum(heights) + 0.6 + 0.08 * len(heights) + 0.17 * legend_rows),
        layout="constrained",
    )
    panels = list(
        figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    )
    rest = iter(panels)
    if features is not None:
        _spectrogram(next(rest), features, seconds_per_feature)
    for number, track in enumerate(tracks):
        axes = next(rest)
        _curves(axes, track, tints)
        if len(tracks) > 1:
            axes.set_title(
                names[number] if is_short else f"{names[number]}: {plain(track.name)}",
                loc="left",
                fontsize=8,
                pad=3,
            )
        if track.weights is not None:
            _attention(next(rest), track, tints)
    _bars(panels[-1], rows, labels, tints)
    panels[-1].set_xlim(0, duration)
    is_long = duration > LONG_SECONDS
    if is_long:
        panels[-1].xaxis.set_major_locator(
            MultipleLocator(next((s for s in _STEPS if duration <= 8 * s), 86400))
        )
        panels[-1].xaxis.set_major_formatter(lambda seconds, _: clock(seconds))
    panels[-1].set_xlabel(
        ("hours:minutes:seconds" if is_long else "seconds")
        + (f" ({num_left_out} more classes were found, for a shorter time)" if num_left_out else "")
    )
    panels[0].set_title(plain(title), loc="left")
    lines = [Line2D([], [], color=tint) for tint in tints.values()]
    figure.legend(lines, classes, loc="outside upper right", ncols=legend_columns(classes))
    return figure


def timeline(
    title,
    duration,
    labels,
    frame_scores,
    seconds_per_frame,
    thresholds,
    found,
    truth=None,
    features=None,
    seconds_per_feature=None,
    weights=None,
):
    """`timelines` of a single system.

    frame_scores: (T, K); thresholds: (K,); found, truth: lists of (onset, offset, class); weights: (T, K) attention, or None.
    """
    name = "" if truth is None else "found"
    return timelines(
        title,
        duration,
        labels,
        [Track(name, frame_scores, seconds_per_frame, thresholds, found, weights)],
        truth,
        features,
        seconds_per_feature,
    )
