"""Draw figures as matplotlib Figures, which `render` converts to bytes.

timelines.py    one clip over time: spectrogram, probabilities, attention, events
curves.py       curves of training, curves of precision and recall
comparisons.py  systems side by side: errors, and metric values with their intervals
gradients.py    gradients of pooling functions (not imported here, because it imports torch)
"""

from wsedtk.core.caches import matplotlib_importable

with matplotlib_importable():
    from matplotlib.figure import Figure

    from wsedtk.report.plots.comparisons import (
        ErrorRates,
        Interval,
        SystemErrors,
        SystemFigures,
        class_errors,
        error_rates,
        pooling_comparison,
    )
    from wsedtk.report.plots.curves import (
        HISTORY,
        Curve,
        Panel,
        Point,
        precision_recall,
        training_curves,
    )
    from wsedtk.report.plots.style import COLORS, FORMATS, color, png, render
    from wsedtk.report.plots.timelines import Spectrogram, TimedEvent, Track, timelines

__all__ = [
    "COLORS",
    "FORMATS",
    "HISTORY",
    "Curve",
    "ErrorRates",
    "Figure",
    "Interval",
    "Panel",
    "Point",
    "Spectrogram",
    "SystemErrors",
    "SystemFigures",
    "TimedEvent",
    "Track",
    "class_errors",
    "color",
    "error_rates",
    "png",
    "pooling_comparison",
    "precision_recall",
    "render",
    "timelines",
    "training_curves",
]
