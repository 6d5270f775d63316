"""import: the published weights of Wang, Li & Metze's networks (the cmu-thesis checkpoints) -> a model directory.

F mel bins, E embedding size, K classes.
"""

import dataclasses
import io
import re
import warnings
from pathlib import Path

import numpy as np
import torch

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.models import checkpoint
from wsedtk.report import model_card

_CONVERT = (
    "python3 -c \"import pickle, numpy; numpy.savetxt('normalizer.txt', pickle.load(open('normalizer.pkl', 'rb'), "
    "encoding='latin1'))\""
)


def read_normalizer(path, num_mels):
    """Mean and standard deviation (F,), (F,) of a text file of two rows, or of an npz with `mean` and `std`."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a text without numbers
            if content[:2] == b"PK":
                with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                    mean, std = (
                        np.asarray(arrays[name], np.float64).reshape(-1) for name in ("mean", "std")
                    )
            else:
                mean, std = np.loadtxt(
                    io.StringIO(content.decode("utf-8-sig")), dtype=np.float64, ndmin=2
                )
    except KeyError:
        raise InputError(f"{path}: expected arrays named mean and std in it") from None
    except Exception:  # damaged bytes make the readers raise anything
        pickled = path.suffix == ".pkl" or content[:1] in (b"\x80", b"(", b"c")
        raise InputError(
            f"{path}: expected two rows of numbers, the mean and the standard deviation of each mel bin."
            + (
                f" A pickle can run anybody's code and is not read here; if you trust it, convert it:\n    {_CONVERT}"
                if pickled
                else ""
            )
        ) from None
    for name, values in (("mean", mean), ("standard deviation", std)):
        if values.shape != (num_mels,):
            raise InputError(
                f"{path}: the {name}: expected {num_mels} numbers, one a mel bin of the front end, found {values.size}"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{path}: the {name} holds numbers that are not finite")
    if not (std > 0).all():
        raise InputError(
            f"{path}: a standard deviation is not above 0; the first row must be the means, the second the deviations"
        )
    return mean, std


def read_tensors(path):
    """The tensors of a checkpoint by name: those of its entry `model`, or of the file itself."""
    content = checkpoint.load_checkpoint(path)
    tensors = content.get("model", content) if isinstance(content, dict) else None
    if (
        not isinstance(tensors, dict)
        or not tensors
        or not all(isinstance(t, torch.Tensor) for t in tensors.values())
    ):
        raise InputError(
            f"{path}: holds no network: expected a dict of tensors, or one under the key 'model'"
        )
    tensors = {
        str(name).removeprefix("module."): tensor for name, tensor in tensors.items()
    }  # as DataParallel names them
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() and not name.endswith(".num_batches_tracked"):
            raise InputError(
                f"{path}: the tensor {name!r} holds {tensor.dtype}, not floating-point numbers"
            )
        if (
            tensor.is_quantized
            or tensor.layout != torch.strided
            or tensor.is_meta
            or tensor.is_complex()
            or tensor.numel() == 0
        ):
            raise InputError(f"{path}: the tensor {name!r} is no plain array of numbers")
        if not torch.isfinite(tensor).all() or (
            name.endswith(".running_var") and (tensor < 0).any()
        ):
            raise InputError(
                f"{path}: the tensor {name!r} holds numbers that are not finite, or below 0 where that can't be"
            )
    return tensors


def _shape(tensors, name, axis, otherwise):
    tensor = tensors.get(name)
    return tensor.shape[axis] if tensor is not None and tensor.dim() > axis else otherwise


def recognise(tensors, num_mels):
    """The network that the tensors belong to and its options: (name, options). Sizes that they do not show are the published ones."""
    options = {"num_mels": num_mels}
    if any(re.fullmatch(r"conv\d{1,2}\.(conv|bn)\..*", name) for name in tensors):
        embedding_size = _shape(tensors, "gru.weight_ih_l0", 1, 1024)
        num_convs = max(
            int(m.group(1)) for m in (re.match(r"conv(\d{1,2})\.", name) for name in tensors) if m
        )
        num_bins = max(
            1, embedding_size // _shape(tensors, f"conv{num_convs}.conv.weight", 0, 512)
        )  # after the last pooling
        num_pools = max(1, (num_mels // num_bins).bit_length() - 1)
        return "talnet", {
            **options,
            "embedding_size": embedding_size,
            "num_convs": num_convs,
            "num_pools": num_pools,
        }
    channels = [
        _shape(tensors, f"conv{i}.weight", 0, size) for i, size in ((1, 32), (2, 64), (3, 128))
    ]
    return "dcase-crnn", {
        **options,
        "channels": channels,
        "num_hidden": _shape(tensors, "gru.weight_hh_l0", 1, 100),
    }


def run(source, model_dir, labels_path, normalizer, frontend_path, pooling):
    """Write a model directory from a published checkpoint, its normaliser, its classes and its front end."""
    model_dir = Path(model_dir)
    if (model_dir / "model.yaml").exists() or (model_dir / "config.yaml").exists():
        raise InputError(
            f"{model_dir}: holds a model, or the training of one; name another directory, or remove it"
        )
    frontend = config.load(FrontendConfig, frontend_path)
    labels, (mean, std) = (
        tuple(datadir.read_labels(labels_path)),
        read_normalizer(normalizer, frontend.num_mels),
    )
    tensors = read_tensors(source)
    network_name, options = recognise(tensors, frontend.num_mels)
    has_attention = any(name.startswith("fc_att.") for name in tensors)
    assumed = pooling is None and not has_attention
    if pooling is None:
        pooling = "attention" if has_attention else "linear"
    trained = {
        "imported_from": Path(source).name,
        "fingerprint": provenance.fingerprint_file(source),
        **provenance.made_by(),
    }
    spec = checkpoint.ModelSpec(
        network_name,
        options,
        pooling,
        labels,
        config.to_mapping(frontend),
        tuple(mean.tolist()),
        tuple(std.tolist()),
        trained=trained,
    )
    try:
        network = spec.build()
    except InputError as error:
        raise InputError(
            f"{source}: does not fit {frontend_path} and {pooling} pooling: {error}"
        ) from None
    expected = {name.removeprefix("head."): tensor for name, tensor in network.state_dict().items()}
    for name in expected:
        if name.endswith(".num_batches_tracked"):  # older releases of torch did not count them
            tensors.setdefault(name, expected[name])
    num_outputs = _shape(tensors, "fc_prob.weight", 0, len(labels))
    if num_outputs != len(labels):
        raise InputError(
            f"{labels_path}: {len(labels)} classes, but the network in {source} has {num_outputs} outputs"
        )
    checkpoint.check_tensors(
        tensors, expected, f"{source}: is not a {network_name} with {pooling} pooling as published"
    )
    network.load_state_dict(
        {name: tensors[name.removeprefix("head.")] for name in network.state_dict()}
    )
    spec = dataclasses.replace(spec, trained={**spec.trained, **spec.size(network)})
    checkpoint.save_model(model_dir, spec, network.state_dict())
    model_card.refresh(model_dir)
    print(
        f"{model_dir}: {network_name}, {len(labels)} classes, {spec.trained['parameters']:,} parameters, {pooling} pooling"
        + (" (the tensors do not tell; --pooling says otherwise)" if assumed else "")
    )
