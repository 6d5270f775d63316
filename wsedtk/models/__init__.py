"""Networks: features (B, T, F) -> frame probabilities (B, T', K) -> clip probabilities (B, K)."""

import importlib

from wsedtk.errors import InputError

NETWORKS = {"dcase-crnn": "wsedtk.models.dcase_crnn:DcaseCrnn"}


def build(name, num_classes, pooling="linear", **options):
    """Build a network: a module whose `forward(x, mask=None)` gives an object with clip, frame and weight.

    name: one of NETWORKS, or `package.module:Class` of one's own. pooling: see wsedtk.pooling. options: the network's own.
    Raises InputError on an unknown network, pooling or option.
    """
    module_name, colon, class_name = NETWORKS.get(name, name).partition(":")
    if not colon:
        raise InputError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}, or package.module:Class of your own")
    try:
        network = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"network {name!r}: {error}") from None
    try:
        return network(num_classes, pooling=pooling, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"network {name!r}: {error}") from None
