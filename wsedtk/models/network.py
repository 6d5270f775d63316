"""The registry of networks, and functions to build and check a network.

`wsedtk.models.layers.Network` describes what a network must provide.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsedtk.core.config import suggest_fraction
from wsedtk.core.errors import InputError
from wsedtk.core.registry import Registry, check_options
from wsedtk.models.layers import Network, Output
from wsedtk.models.pooling import Pooling

NETWORKS: Registry[type[Network]] = Registry("network", "wsedtk.models.networks")
LARGEST_SIZE = 1 << 16  # maximum of each number in the options, and of the number of classes
_CHECKED_FRAMES = 12  # number of output frames that `check_network` computes


def build_network(
    name: str,
    num_classes: int,
    pooling: str = "linear",
    hierarchy: str | None = None,
    groups: Sequence[int] = (),
    **options: object,
) -> Network:
    """Build a network with new weights.

    Parameters
    ----------
    name : str
        The name of a network in `NETWORKS`, or `package.module:Class` of a user-defined network.
        `package.module` is imported. The class must derive from `torch.nn.Module`, and provide what
        `wsedtk.models.layers.Network` describes.
    num_classes : int
        The number of classes K.
    pooling, hierarchy, groups
        See `wsedtk.models.pooling.Pooling`.
    **options
        Options of the network, such as `num_mels`.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        If an argument is wrong, for example if the network, the pooling function or an option is
        unknown.

    Examples
    --------
    >>> network = build_network("dcase-crnn", 17, pooling="attention", num_mels=64)
    >>> network(torch.rand(8, 400, 64)).frame.shape
    torch.Size([8, 100, 17])
    """
    where = f"network {name!r}"
    found = NETWORKS.get(name)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise InputError(f"{where}: is not a subclass of torch.nn.Module")
    _check_sizes({**options, "num_classes": num_classes}, where)
    check_options(found, options, where, "network_options")
    try:
        return found(Pooling(pooling, num_classes, hierarchy, groups), **options)
    except Exception as error:  # wrong options make PyTorch raise various exceptions
        raise InputError(f"{where}: {_first_line(error)} (options: {options})") from error


def _check_sizes(options: dict[str, object], where: str) -> None:
    """Raise InputError if a number or list is too large, or if dropout is below 0 or above 1."""
    for name, value in options.items():
        if _is_too_large(value):
            raise InputError(
                f"{where}: {name} is too large; expected numbers of at most {LARGEST_SIZE}, and "
                "lists of at most 1000 numbers"
            )
    dropout = options.get("dropout", 0)
    if isinstance(dropout, (int, float)) and not 0 <= dropout <= 1:
        raise InputError(
            f"{where}: dropout must be a number from 0 to 1, found "
            f"{dropout:g}{suggest_fraction(dropout)}"
        )


def _is_too_large(value: object) -> bool:
    """Return whether an option, or an element of a list option, is too large."""
    if isinstance(value, (list, tuple)):
        return len(value) > 1000 or any(map(_is_too_large, value))
    return isinstance(value, (int, float)) and not abs(value) <= LARGEST_SIZE


def _first_line(error: Exception) -> str:
    """Return the type of an exception and the first line of its message.

    For an InputError, return the whole message without the type.
    """
    if isinstance(error, InputError):
        return str(error)
    lines = str(error).splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0]}" if lines and lines[0] else name


def check_network(network: Network, name: str, num_mels: int, num_classes: int) -> None:
    """Run a network once on features that are all 0. Check the output and the pooling weights.

    Parameters
    ----------
    network : Network
        The network. It is in training mode afterwards.
    name : str
        The name of the network in messages.
    num_mels : int
        The number of mel bins F of the features.
    num_classes : int
        The number of classes K.

    Raises
    ------
    InputError
        If the network cannot be run, if its attributes or its output are not as
        `wsedtk.models.layers.Network` describes, or if the weights of its pooling function are not
        as `wsedtk.models.pooling_functions.PoolingFunction` describes.
    """
    where = f"network {name!r}"
    reduction = getattr(network, "time_reduction", None)
    if type(reduction) is not int or reduction < 1:
        raise InputError(
            f"{where}: attribute time_reduction: expected a whole number >= 1, found {reduction!r}"
        )
    pooling: object = getattr(network, "pooling", None)
    if not isinstance(pooling, Pooling):
        raise InputError(
            f"{where}: attribute pooling: expected the Pooling that the constructor was called "
            f"with, found {pooling!r}"
        )
    num_frames = _CHECKED_FRAMES * reduction
    mask = torch.arange(num_frames) < torch.tensor([num_frames, num_frames // 2])[:, None]
    try:
        with torch.inference_mode():
            output = network.eval()(torch.zeros(2, num_frames, num_mels), mask)
            _check_output(output, num_frames, num_classes, where)
            _check_weights(network.pooling, output.frame, output.weight, output.mask)
            # The pooling function must accept every probability from 0 to 1, but features of 0 give
            # only a few different probabilities.
            x = torch.linspace(0, 1, num_frames)[None, :, None].expand(2, -1, num_classes)
            _check_weights(network.pooling, x, x, mask)
    except InputError:
        raise
    except Exception as error:  # a user-defined network may raise any exception
        raise InputError(
            f"{where} with pooling {network.pooling.method!r}: can't be run on {num_mels} mel "
            f"bins: {_first_line(error)}; --verbose shows the traceback"
        ) from error
    finally:
        network.train()


def _check_weights(pooling: Pooling, x: Tensor, w: Tensor | None, mask: Tensor) -> None:
    """Raise InputError unless the pooling weights are finite, at least 0, and shaped as `x`."""
    weights = pooling.weights(x, w, mask)
    if weights.shape == x.shape and torch.isfinite(weights).all() and (weights >= 0).all():
        return
    lowest, highest = weights.min(), weights.max()
    raise InputError(
        f"pooling {pooling.method!r}: expected finite weights >= 0 of the shape {tuple(x.shape)}, "
        f"found weights from {lowest:g} to {highest:g} of the shape {tuple(weights.shape)}"
    )


def _check_output(output: Output, num_frames: int, num_classes: int, where: str) -> None:
    shapes = tuple(output.clip.shape), tuple(output.frame.shape), tuple(output.mask.shape)
    expected = (
        (2, num_classes),
        (2, _CHECKED_FRAMES, num_classes),
        (2, _CHECKED_FRAMES),
    )
    is_in_range = bool(((output.frame >= 0) & (output.frame <= 1)).all())
    if shapes != expected or not is_in_range:
        raise InputError(
            f"{where}: expected clip, frame and mask of the shapes {expected} for {num_frames} "
            f"feature frames (time_reduction {num_frames // _CHECKED_FRAMES}), and frame "
            f"probabilities in [0, 1]; found the shapes {shapes}"
            f"{'' if is_in_range else ', and frame probabilities outside [0, 1]'}"
        )
