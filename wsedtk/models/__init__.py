"""Networks: features (B, T, F) -> frame probabilities (B, T', K) -> clip probabilities (B, K)."""

import importlib

from torch import nn

from wsedtk.errors import InputError
from wsedtk.pooling import Pooling

NETWORKS = {"dcase-crnn": "wsedtk.models.dcase_crnn:DcaseCrnn", "talnet": "wsedtk.models.talnet:TalNet",
            "gated-crnn": "wsedtk.models.gated_crnn:GatedCrnn"}


def build(name, num_classes, pooling="linear", hierarchy=None, groups=(), **options):
    """Build a network: a module whose `forward(x, mask=None)` gives an object with clip, frame, weight and mask.

    name: one of NETWORKS, or `package.module:Class` of one's own. pooling, hierarchy, groups: see wsedtk.pooling. options: the
    network's own, `num_mels` among them. The class is called with a `Pooling` and the options; the module that it makes has
    the attributes `pooling` (that one) and `time_reduction` (feature frames in one output frame), and its output is a
    `wsedtk.models.layers.Output`. `layers.Head` makes one of hidden states.
    Raises InputError on an unknown network, pooling or option.
    """
    module_name, colon, class_name = NETWORKS.get(name, name).partition(":")
    if not colon:
        raise InputError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}, or package.module:Class of your own")
    try:
        network = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"network {name!r}: {error}") from None
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise InputError(f"network {name!r}: is not a torch.nn.Module")
    try:
        return network(Pooling(pooling, num_classes, hierarchy, groups), **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"network {name!r}: {error}") from None
