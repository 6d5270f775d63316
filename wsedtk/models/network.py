"""Networks: features (B, T, F) -> frame probabilities (B, T', K) -> clip probabilities (B, K)."""

import importlib

import torch
from torch import nn

from wsedtk.core.config import suggest, suggest_fraction
from wsedtk.core.errors import InputError
from wsedtk.models.pooling import Pooling

NETWORKS = {
    "dcase-crnn": "wsedtk.models.networks.dcase_crnn:DcaseCrnn",
    "talnet": "wsedtk.models.networks.talnet:TalNet",
    "gated-crnn": "wsedtk.models.networks.gated_crnn:GatedCrnn",
}


MOST = 1 << 16  # units of a layer, layers, classes


def _is_absurd(value):
    """Whether a network's option is a size, or holds one, that no network has."""
    if isinstance(value, (list, tuple)):
        return len(value) > 1000 or any(map(_is_absurd, value))
    return isinstance(value, (int, float)) and not abs(value) <= MOST


def build_network(name, num_classes, pooling="linear", hierarchy=None, groups=(), **options):
    """Build a network: a module whose `forward(x, mask=None)` gives an object with clip, frame, weight and mask.

    name: one of NETWORKS, or `package.module:Class` of one's own. pooling, hierarchy, groups: see wsedtk.models.pooling. options: the
    network's own, `num_mels` among them. The class is called with a `Pooling` and the options; the module that it makes has
    the attributes `pooling` (that one) and `time_reduction` (feature frames in one output frame), and its output is a
    `wsedtk.models.layers.Output`. `layers.Head` makes one of hidden states.
    Raises InputError on an unknown network, pooling or option.
    """
    module_name, colon, class_name = NETWORKS.get(name, name).partition(":")
    if not colon:
        raise InputError(
            f"unknown network {name!r}; {suggest(name, NETWORKS)} (or package.module:Class of your own)"
        )
    odd = next((key for key, value in options.items() if _is_absurd(value)), None)
    if odd is not None or num_classes > MOST:
        raise InputError(
            f"network {name!r}: {odd or 'num_classes'}: sizes of at most {MOST} are built"
        )
    dropout = options.get("dropout", 0)
    if isinstance(dropout, (int, float)) and not 0 <= dropout <= 1:
        raise InputError(
            f"network {name!r}: dropout must be a number from 0 to 1, found "
            f"{dropout:g}{suggest_fraction(dropout)}"
        )
    try:
        network = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # somebody's own module may raise anything
        raise InputError(f"network {name!r}: {error or type(error).__name__}") from None
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise InputError(f"network {name!r}: is not a torch.nn.Module")
    try:
        return network(Pooling(pooling, num_classes, hierarchy, groups), **options)
    except Exception as error:  # sizes that can't be, of whatever kind
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise InputError(f"network {name!r}: {reason} (options: {options})") from None


def check_network(network, name, num_mels, num_classes):
    """Run a network once on silence. Raises InputError where it can't be run, or its output is not what is expected of it."""
    reduction = getattr(network, "time_reduction", None)
    if type(reduction) is not int or reduction < 1:
        raise InputError(
            f"network {name!r}: needs the attribute time_reduction, a whole number >= 1, found {reduction!r}"
        )
    num_frames = 12 * reduction
    mask = torch.arange(num_frames) < torch.tensor([num_frames, num_frames // 2])[:, None]
    try:
        with torch.inference_mode():
            output = network.eval()(torch.zeros(2, num_frames, num_mels), mask)
        shapes = tuple(output.clip.shape), tuple(output.frame.shape), tuple(output.mask.shape)
        in_range = bool(((output.frame >= 0) & (output.frame <= 1)).all())
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise InputError(
            f"network {name!r}: can't be run on {num_mels} mel bins: {reason}"
        ) from None
    finally:
        network.train()
    expected = (2, num_classes), (2, 12, num_classes), (2, 12)
    if shapes != expected or not in_range:
        raise InputError(
            f"network {name!r}: expected clip, frame and mask of shapes {expected} and frames in [0, 1] for {num_frames} "
            f"feature frames (time_reduction {reduction}), found {shapes}"
            + ("" if in_range else " and others than that")
        )
