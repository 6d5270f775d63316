"""Figures. Each function returns a matplotlib Figure; `render` turns it into the bytes of a PNG, SVG or PDF.

timelines.py    one clip over time: spectrogram, probabilities, attention, events
curves.py       training, precision and recall
comparisons.py  systems side by side: errors, poolings
gradients.py    what a pooling function tells its frames; imports torch, hence not loaded here
"""

from wsedtk.core.caches import matplotlib_importable

with matplotlib_importable():
    from wsedtk.report.plots.comparisons import class_errors, error_rates, pooling_comparison
    from wsedtk.report.plots.curves import HISTORY, precision_recall, training_curves
    from wsedtk.report.plots.style import COLORS, FORMATS, color, png, render
    from wsedtk.report.plots.timelines import Track, timeline, timelines

__all__ = [
    "COLORS",
    "FORMATS",
    "HISTORY",
    "Track",
    "class_errors",
    "color",
    "error_rates",
    "png",
    "pooling_comparison",
    "precision_recall",
    "render",
    "timeline",
    "timelines",
    "training_curves",
]
