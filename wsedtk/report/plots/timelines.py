"""Draw one clip over time, with the scores and events of one or more systems.

Similar figures are figure 3 of Wang, Li & Metze (2019) and figure 5 of He, Shen & Zhang (2019).

Array dimensions: T frames, F mel bins, K classes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from wsedtk.core.progress import clock
from wsedtk.core.types import Floats
from wsedtk.core.wording import counted
from wsedtk.report.plots.style import COLORS, color, legend_columns, plain, styled

MAX_CLASSES = 8  # largest number of classes in one figure
MAX_ROWS = 24  # largest number of rows of events in one figure
LONG_SECONDS = 300  # in longer recordings, times are in hours, minutes and seconds
# Distances from one tick to the next in long recordings and on pages, in seconds. If all of them
# are too small, the distance is one day.
_STEPS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
_SECONDS_A_DAY = 86400
_TICKS_HZ = 1000 * 2.0 ** np.arange(-1, 8)
# Maximum number of characters in the name of a system. If one name is longer, the rows of events
# show the numbers of the systems instead of their names.
LONGEST_NAME = 24

Tints = Mapping[int, str]  # the colour of each class that is drawn


class TimedEvent(NamedTuple):
    """An event: onset and offset in seconds, and the index of its class."""

    onset: float
    offset: float
    label: int


class Spectrogram(NamedTuple):
    """Log-mel features of a clip.

    Attributes
    ----------
    features : (T, F) float
    seconds_per_frame : float
        The distance between successive frames in seconds.
    edges_hz : (F + 2,) float or None
        The edges of the mel filters in Hz (see `mel.mel_edges`), for an axis in kHz. None for
        an axis of mel bins.
    start : float
        The time of the first frame in seconds.
    """

    features: Floats
    seconds_per_frame: float
    edges_hz: Floats | None = None
    start: float = 0.0


@dataclasses.dataclass(frozen=True)
class Track:
    """The scores and events of one system for a clip.

    Attributes
    ----------
    name : str
    frame_scores : (T, K) float
    seconds_per_frame : float
    thresholds : (K,) float
    found : sequence of (onset, offset, class)
        The detected events: onset and offset in seconds, and the index of the class.
    weights : (T, K) float, optional
        Attention weights. They are drawn relative to the largest weight of the class.
    start : float
        The time of the first frame in seconds.
    """

    name: str
    frame_scores: Floats
    seconds_per_frame: float
    thresholds: Floats
    found: Sequence[tuple[float, float, int]]
    weights: Floats | None = None
    start: float = 0.0


class _Row(NamedTuple):
    """The events of one class, either detected by one system or from the reference."""

    label: int
    source: str
    is_true: bool
    spans: list[tuple[float, float]]


def _draw_spectrogram(axes: Axes, spectrogram: Spectrogram) -> None:
    features, seconds_per_frame, edges_hz, start = spectrogram
    axes.imshow(
        features.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        interpolation="nearest",
        extent=(start, start + len(features) * seconds_per_frame, 0, features.shape[1]),
    )
    if edges_hz is None:
        axes.set_ylabel("mel bin")
        return
    # In the image, the centre of bin k is at k + 0.5. It is the edge k + 1.
    places = np.interp(_TICKS_HZ, edges_hz, np.arange(len(edges_hz)) - 0.5, -1, -1)
    ticks = [(place, hz) for place, hz in zip(places, _TICKS_HZ) if 0 <= place <= len(edges_hz) - 2]
    axes.set_yticks([place for place, _ in ticks], [f"{hz / 1000:g}" for _, hz in ticks])
    axes.set_ylabel("kHz")


def _draw_scores(axes: Axes, track: Track, tints: Tints) -> None:
    edges = track.start + np.arange(len(track.frame_scores) + 1) * track.seconds_per_frame
    for k, tint in tints.items():
        axes.stairs(track.frame_scores[:, k], edges, color=tint, linewidth=1.3)
        if np.isfinite(track.thresholds[k]):
            axes.axhline(track.thresholds[k], color=tint, linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.02, 1.05)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability")


def _draw_attention(axes: Axes, weights: Floats, track: Track, tints: Tints) -> None:
    """Draw the weights of each class, divided by the largest weight of this class."""
    edges = track.start + np.arange(len(weights) + 1) * track.seconds_per_frame
    for k, tint in tints.items():
        relative = weights[:, k] / (weights[:, k].max(initial=0) or 1)
        axes.stairs(relative, edges, color=tint, linewidth=0.8, fill=True, alpha=0.3)
        axes.stairs(relative, edges, color=tint, linewidth=0.8)
    axes.set_ylim(-0.02, 1.05)
    axes.set_yticks([0, 1], ["0", "max"])
    axes.set_ylabel("attention")


def _draw_events(axes: Axes, rows: Sequence[_Row], labels: Sequence[str], tints: Tints) -> None:
    """Draw a bar for each event. The first row is at the top."""
    names = []
    for place, row in enumerate(rows):
        tint = tints[row.label]
        axes.broken_barh(
            [(onset, offset - onset) for onset, offset in row.spans],
            (place - 0.38, 0.76),
            color=tint,
            alpha=0.45 if row.is_true else 1,
            hatch="///" if row.is_true else None,
            edgecolor="white" if row.is_true else tint,
            linewidth=0 if row.is_true else 0.7,
        )
        words = [row.source]
        if not place or rows[place - 1].label != row.label:
            words = list(filter(None, [plain(labels[row.label], 40), row.source]))
        names.append(": ".join(words))
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)


class _Shown(NamedTuple):
    """The indices of the drawn classes, ascending, and the number of other classes with events."""

    classes: list[int]
    num_left_out: int


def _choose_classes(
    tracks: Sequence[Track], truth: Sequence[tuple[float, float, int]] | None
) -> _Shown:
    """Choose the classes to draw, up to a limit.

    Classes with reference events are chosen first. The other classes with events follow, in
    descending order of the total duration of their events. If there are no events, the class with
    the highest frame score of the first track is chosen.
    """
    seconds: dict[int, float] = {}
    for track in tracks:
        for onset, offset, k in track.found:
            seconds[k] = seconds.get(k, 0) + offset - onset
    true = {k for *_, k in truth or []}
    ranked = [*sorted(true), *sorted(set(seconds) - true, key=lambda k: (-seconds[k], k))]
    most = min(MAX_CLASSES, max(MAX_ROWS // (len(tracks) + 1), 1))
    if not ranked:
        return _Shown([int(tracks[0].frame_scores.max(axis=0).argmax())], 0)
    return _Shown(sorted(ranked[:most]), len(ranked[most:]))


def _label_time(axes: Axes, duration: float, is_page: bool, num_left_out: int) -> None:
    """Set ticks and the label of the time axis."""
    unit = "seconds"
    if duration > LONG_SECONDS or is_page:
        unit = "hours:minutes:seconds"
        step = next((step for step in _STEPS if duration <= 8 * step), _SECONDS_A_DAY)
        axes.xaxis.set_major_locator(MultipleLocator(step))
        axes.xaxis.set_major_formatter(lambda seconds, _: clock(seconds))
    remark = f" (not shown: events of {counted(num_left_out, 'more class')})"
    axes.set_xlabel(unit + (remark if num_left_out else ""))


@styled
def timelines(
    title: str,
    duration: float,
    labels: Sequence[str],
    tracks: Sequence[Track],
    *,
    truth: Sequence[tuple[float, float, int]] | None = None,
    spectrogram: Spectrogram | None = None,
    start: float | None = None,
) -> Figure:
    """Draw one clip over time.

    The first panel shows the spectrogram, if it is given. For each system, one panel shows the
    frame probabilities and the thresholds (dotted). If the system has attention weights, another
    panel shows them. The last panel shows the events. If there are too many classes, some of them
    are left out (see `_choose_classes`).

    Parameters
    ----------
    title : str
    duration : float
        The duration of the clip in seconds.
    labels : sequence of str
        The K classes.
    tracks : sequence of Track
        One track for each system.
    truth : sequence of (onset, offset, class), optional
        The reference events, if they are known.
    spectrogram : Spectrogram, optional
    start : float, optional
        If this figure is a page of a longer recording, the time in seconds at which the page
        begins. `duration` is then the duration of the page.
    """
    shown, num_left_out = _choose_classes(tracks, truth)
    # If there are few classes, a class has the same colour in all figures.
    has_own_colors = len(labels) <= len(COLORS)
    tints = {k: color(k if has_own_colors else place) for place, k in enumerate(shown)}
    is_short = max(len(track.name) for track in tracks) <= LONGEST_NAME
    names = [
        plain(track.name) if is_short else f"{number}" for number, track in enumerate(tracks, 1)
    ]
    rows = []
    for k in shown:
        if truth is not None:
            rows.append(_Row(k, "true", True, _spans(truth, k)))
        for name, track in zip(names, tracks):
            rows.append(_Row(k, name, False, _spans(track.found, k)))
    heights = [1.3] if spectrogram is not None else []
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
    if spectrogram is not None:
        _draw_spectrogram(next(rest), spectrogram)
    for name, track in zip(names, tracks):
        axes = next(rest)
        _draw_scores(axes, track, tints)
        if len(tracks) > 1:
            heading = name if is_short else f"{name}: {plain(track.name)}"
            axes.set_title(heading, loc="left", fontsize=8, pad=3)
        if track.weights is not None:
            _draw_attention(next(rest), track.weights, track, tints)
    _draw_events(panels[-1], rows, labels, tints)
    begins = 0.0 if start is None else start
    panels[-1].set_xlim(begins, begins + duration)
    _label_time(panels[-1], duration, start is not None, num_left_out)
    panels[0].set_title(plain(title), loc="left")
    lines = [Line2D([], [], color=tint) for tint in tints.values()]
    figure.legend(lines, classes, loc="outside upper right", ncols=legend_columns(classes))
    return figure


def _spans(events: Sequence[tuple[float, float, int]], label: int) -> list[tuple[float, float]]:
    """Return the onset and offset of each event of a class."""
    return [(onset, offset) for onset, offset, k in events if k == label]
