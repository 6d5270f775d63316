"""wsedtk: weakly supervised sound event detection, from recordings to evaluated events.

Examples:

    model = wsedtk.load_model("exp/linear")
    prediction = model.predict(samples, sample_rate)
    events = model.detect("long.flac")
    report = wsedtk.evaluate("data/test", "exp/linear/test/frame")
    data = wsedtk.read_data("data/test")
    result = wsedtk.train(wsedtk.TrainOptions("data/fit", "data/valid", "exp/new", "train.h5"))

Each name is imported when it is first used, so that `import wsedtk` is fast. Use `help` to read the
description of a name, for example `help(wsedtk.load_model)`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsedtk.core.errors import InputError
    from wsedtk.data.clip_sets import DataSet
    from wsedtk.data.datadir import read as read_data
    from wsedtk.data.events import Event
    from wsedtk.evaluation.evaluate import evaluate
    from wsedtk.evaluation.report import Report
    from wsedtk.inference.model import Model, Prediction, load_model
    from wsedtk.models.pooling import Pooling
    from wsedtk.stages.options.systems import TrainOptions
    from wsedtk.stages.train import TrainResult
    from wsedtk.stages.train import run as train

__version__ = "0.1.0"

__all__ = [
    "DataSet",
    "Event",
    "InputError",
    "Model",
    "Pooling",
    "Prediction",
    "Report",
    "TrainOptions",
    "TrainResult",
    "evaluate",
    "load_model",
    "read_data",
    "train",
]

_PLACES = {
    "DataSet": "wsedtk.data.clip_sets:DataSet",
    "Event": "wsedtk.data.events:Event",
    "InputError": "wsedtk.core.errors:InputError",
    "Model": "wsedtk.inference.model:Model",
    "Pooling": "wsedtk.models.pooling:Pooling",
    "Prediction": "wsedtk.inference.model:Prediction",
    "Report": "wsedtk.evaluation.report:Report",
    "TrainOptions": "wsedtk.stages.options.systems:TrainOptions",
    "TrainResult": "wsedtk.stages.train:TrainResult",
    "evaluate": "wsedtk.evaluation.evaluate:evaluate",
    "load_model": "wsedtk.inference.model:load_model",
    "read_data": "wsedtk.data.datadir:read",
    "train": "wsedtk.stages.train:run",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    found: object = getattr(importlib.import_module(module), attribute)
    globals()[name] = found  # later uses of the name do not call this function
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
