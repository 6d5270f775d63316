"""plots: the content of the figures; the same figure gives the same file."""

import numpy as np
import pytest

from wsedtk.report import plots
from wsedtk.report.plots import gradients

LABELS = ["Bell & $x$", "_Dog", "Cat"]


def tracks(weights=True):
    frames = np.linspace(0, 1, 60).reshape(20, 3)
    return [
        plots.Track(name, frames, 0.1, np.full(3, 0.5), found, 3 * frames if weights else None)
        for name, found in (("one", [(0, 1, 0)]), ("two", [(1, 2, 1)]))
    ]


def drawn(figure):
    """Return the panels of a timeline by the label of their y axis; the bars are last."""
    return [axes.get_ylabel() for axes in figure.axes]


def test_a_timeline_of_two_systems_with_attention():
    figure = plots.timelines(
        "",
        2.0,
        LABELS,
        tracks(),
        truth=[(0.5, 1.5, 1)],
        spectrogram=plots.Spectrogram(np.zeros((80, 8)), 0.025),
    )
    assert drawn(figure) == ["mel bin", "probability", "attention", "probability", "attention", ""]
    assert [axes.get_title("left") for axes in figure.axes[1::2]] == ["one", "two", ""]
    attention, bars = figure.axes[2], figure.axes[-1]
    np.testing.assert_allclose(
        attention.patches[1].get_data().values,
        np.linspace(0, 1, 60).reshape(20, 3)[:, 0] / (57 / 59),
    )
    assert [t.get_text() for t in bars.get_yticklabels()] == [
        "Bell & \\$x\\$: true",
        "one",
        "two",
        " _Dog: true",
        "one",
        "two",
    ]
    spans = [
        [(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for p in c.get_paths()]
        for c in bars.collections
    ]
    assert spans == [[], [(0, 1)], [], [(0.5, 1.5)], [], [(1, 2)]]


def test_a_page_of_a_long_recording_has_its_times_and_frequencies():
    """The third of four mel bins has its centre at 4 kHz; 2 kHz is between the first two."""
    scores = np.linspace(0, 1, 600)[:, None]
    track = plots.Track("", scores, 0.1, np.array([0.5]), [(130, 131.5, 0)], start=120.0)
    edges = np.array([0, 1000, 3000, 4000, 7000, 8000])
    spectrogram = plots.Spectrogram(np.zeros((600, 4)), 0.1, edges, 120.0)
    figure = plots.timelines("", 60.0, ["Dog"], [track], spectrogram=spectrogram, start=120.0)
    image, curve, bars = figure.axes
    assert drawn(figure) == ["kHz", "probability", ""]
    ticks = {text.get_text(): y for text, y in zip(image.get_yticklabels(), image.get_yticks())}
    assert ticks == {"0.5": 0, "1": 0.5, "2": 1, "4": 2.5}
    assert image.get_images()[0].get_extent()[:2] == [120, 180]
    assert curve.patches[0].get_data().edges[[0, -1]].tolist() == [120, 180]
    assert bars.get_xlim() == (120, 180) and bars.get_xlabel() == "hours:minutes:seconds"
    assert [130, 140] == [tick for tick in bars.get_xticks() if 125 < tick < 145]
    assert bars.xaxis.get_major_formatter()(130, 0) == "0:02:10"


def test_a_timeline_without_truth_features_or_attention():
    assert drawn(plots.timelines("", 2.0, LABELS, tracks(False)[:1])) == ["probability", ""]


def test_a_timeline_has_room_for_so_many_classes():
    labels, found = [f"class {k}" for k in range(30)], [(0, 0.1 * (k + 1), k) for k in range(29)]
    track = plots.Track("found", np.full((30, 30), 0.5), 0.1, np.full(30, 0.5), found)
    figure = plots.timelines("", 3.0, labels, [track], truth=[(0, 1, 29)])
    bars = figure.axes[-1]
    assert (
        len(bars.get_yticks()) == 16
        and bars.get_xlabel() == "seconds (not shown: events of 22 more classes)"
    )
    assert [t.get_text() for t in bars.get_yticklabels()][::2] == [
        f"class {k}: true" for k in range(22, 30)
    ]
    assert len({line.get_color() for line in figure.legends[0].get_lines()}) == 8


@pytest.mark.parametrize("kind, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_same_figure_is_the_same_file(kind, start):
    first, second = (
        plots.render(
            plots.timelines(
                "",
                2.0,
                LABELS,
                tracks(),
                truth=[],
                spectrogram=plots.Spectrogram(np.eye(80, 8), 0.025),
            ),
            kind,
        )
        for _ in range(2)
    )
    assert first == second and first.startswith(start) and len(first) > 5000


def test_bars_of_errors():
    figure = plots.error_rates([("one", 0.1, 0.2, 0.3), ("two", 0, 0.5, 1)])
    bars = [(p.get_x(), p.get_width()) for p in figure.axes[0].patches]
    np.testing.assert_allclose(bars, [(0, 0.1), (0, 0), (0.1, 0.2), (0, 0.5), (0.3, 0.3), (0.5, 1)])
    assert [t.get_text() for t in figure.axes[0].texts] == [" 0.60", " 1.50"]
    figure = plots.class_errors(
        LABELS[1:],
        [("one", np.array([1, 2]), np.array([3, 0])), ("two", np.array([0, 0]), np.array([4, 5]))],
    )
    assert [p.get_width() for p in figure.axes[0].patches] == [-1, -2, 3, 0, 0, 0, 4, 5]


def test_poolings_side_by_side():
    systems = [
        ("a", "linear", [(0.5, 0.4, 0.6), (None, None, None)]),
        ("b", "", [(0.6, None, None), (1, 0, 2)]),
    ]
    left, right = plots.pooling_comparison(["F1", "ER"], systems).axes
    assert [list(line.get_xdata()) for line in left.lines] == [[0.4, 0.6], [0.5], [0.6]]
    assert [list(line.get_xdata()) for line in right.lines] == [[0, 2], [1]]
    assert [t.get_text() for t in left.get_yticklabels()] == ["a (linear)", "b"]


def test_curves_and_points_of_each_class():
    panels = [
        (f"class {i}", [(0, np.array([0.2, 1]), np.array([1, 0.5]), "AP 0.9")], [(0, 1, 0.4, 0.6)])
        for i in range(5)
    ]
    figure = plots.precision_recall(panels, ["one"], ["clips", "segments"])
    assert [axes.get_visible() for axes in figure.axes] == [True] * 5 + [False] * 3
    curve, point = figure.axes[4].lines
    assert curve.get_xydata().tolist() == [[0.2, 1], [1, 0.5]] and (
        list(point.get_xdata()),
        point.get_marker(),
    ) == ([0.4], "D")


# ---- gradients ----


@pytest.mark.parametrize(
    "method, hierarchy, expected",
    [
        ("max", None, lambda x, y, xs: x == x.max()),
        ("average", None, lambda x, y, xs: np.full(len(x), 1 / len(x))),
        ("linear", None, lambda x, y, xs: (2 * x - y) / x.sum()),
        ("exp", None, lambda x, y, xs: (1 + x - y) * np.exp(x) / np.exp(x).sum()),
        ("attention", None, lambda x, y, xs: np.full(len(x), 1 / len(x))),
        ("linear", "published", lambda x, y, xs: (x + xs - y) / x.sum()),
    ],
)
def test_gradients_are_those_of_the_papers(method, hierarchy, expected):
    """Wang, Li & Metze 2019, table 1; He, Shen & Zhang 2019, table A-1.

    xs is the average of a frame's group of five.
    """
    x = gradients.example()
    y, slope = gradients.gradient(method, x, hierarchy)
    groups = x.reshape(-1, 5)
    xs = np.repeat((groups**2).sum(axis=1) / groups.sum(axis=1), 5)
    np.testing.assert_allclose(slope, len(x) * expected(x, y, xs), rtol=1e-12)


def test_the_picture_of_the_gradients():
    figure = gradients.pooling_gradients()
    slope = gradients.gradient("linear", gradients.example())[1]
    np.testing.assert_allclose(figure.axes[1].lines[1].get_ydata(), np.sort(slope))
    np.testing.assert_allclose(figure.axes[2].patches[1].get_data().values, slope)
    assert figure.axes[3].get_title() == "Pooling with hierarchy published, groups [5, 5]"
    assert len(plots.png(figure)) > 20000
