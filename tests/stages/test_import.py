"""`wsedtk import`: files in the published format, compared with networks in plain torch."""

import collections
import contextlib
import gc
import hashlib
import os
import pickle
import shutil
import struct
import subprocess

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional

from wsedtk.audio import audio_files
from wsedtk.audio.frontend import FrontendConfig, LogMel
from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.data.store import ScoreFile
from wsedtk.models import checkpoint
from wsedtk.models.normalizers import read_normalizer

TALNET = (32, 32, 64, 64, 128, 128, 256, 256, 512, 512)
SMALL = (
    4,
    4,
    8,
    8,
    16,
    16,
    32,
    32,
)  # TALNet's channels for 16 mel bins, embedding size 32 and 4 poolings


def random_gru(num_inputs, num_hidden):
    """Return the tensors of a bidirectional GRU."""
    shapes = {
        "weight_ih": (3 * num_hidden, num_inputs),
        "weight_hh": (3 * num_hidden, num_hidden),
        "bias_ih": (3 * num_hidden,),
        "bias_hh": (3 * num_hidden,),
    }
    return {
        f"gru.{name}_l0{end}": torch.randn(shape) / num_hidden**0.5
        for end in ("", "_reverse")
        for name, shape in shapes.items()
    }


def random_outputs(num_hidden, num_classes, attention):
    """Return the tensors of one or two output layers."""
    return {
        f"{layer}.{name}": torch.randn(shape) * 4 / num_hidden**0.5
        for layer in ("fc_prob", "fc_att")[: 2 if attention else 1]
        for name, shape in (("weight", (num_classes, num_hidden)), ("bias", (num_classes,)))
    }


def talnet_tensors(channels=SMALL, embedding_size=32, num_classes=3, attention=False):
    """Return random tensors with the names and shapes of TALNet.pt."""
    tensors, num_inputs = {}, 1
    for i, size in enumerate(channels, 1):
        tensors[f"conv{i}.conv.weight"] = (
            torch.randn(size, num_inputs, 3, 3) * (2 / (9 * num_inputs)) ** 0.5
        )
        tensors |= {
            f"conv{i}.{name}": torch.randn(size)
            for name in ("conv.bias", "bn.bias", "bn.running_mean")
        }
        tensors |= {
            f"conv{i}.{name}": torch.rand(size) + 0.5 for name in ("bn.weight", "bn.running_var")
        }
        tensors[f"conv{i}.bn.num_batches_tracked"] = torch.tensor(30000)
        num_inputs = size
    return {
        **tensors,
        **random_gru(embedding_size, embedding_size // 2),
        **random_outputs(embedding_size, num_classes, attention),
    }


def dcase_tensors(channels=(4, 5, 6), num_mels=16, num_hidden=7, num_classes=3, attention=False):
    """Return random tensors with the names and shapes of Wang's DCASE networks."""
    tensors, num_inputs = {}, 1
    for i, size in enumerate(channels, 1):
        tensors[f"conv{i}.weight"] = (
            torch.randn(size, num_inputs, 5, 5) * (2 / (25 * num_inputs)) ** 0.5
        )
        tensors[f"conv{i}.bias"] = torch.randn(size)
        num_inputs = size
    return {
        **tensors,
        **random_gru(num_inputs * num_mels // 8, num_hidden),
        **random_outputs(2 * num_hidden, num_classes, attention),
    }


def plain_head(t, x, pooling):
    """Compute clip and frame probabilities from feature maps (B, C, T, F) in plain torch."""
    x = torch.stack(
        [x[:, :, frame].reshape(len(x), -1) for frame in range(x.shape[2])], dim=1
    )  # channel by frequency
    gru = torch.nn.GRU(
        x.shape[2], t["gru.weight_hh_l0"].shape[1], batch_first=True, bidirectional=True
    )
    gru.load_state_dict(
        {name.removeprefix("gru."): tensor for name, tensor in t.items() if name.startswith("gru.")}
    )
    hidden = gru(x)[0]
    frame = torch.sigmoid(functional.linear(hidden, t["fc_prob.weight"], t["fc_prob.bias"])).clamp(
        1e-7, 1 - 1e-7
    )
    if pooling == "attention":
        weight = torch.exp(functional.linear(hidden, t["fc_att.weight"], t["fc_att.bias"]))
    else:
        weight = {"linear": frame, "exp": torch.exp(frame), "average": torch.ones_like(frame)}[
            pooling
        ]
    return (frame * weight).sum(dim=1) / weight.sum(dim=1), frame


@torch.no_grad()
def plain_talnet(t, x, num_pools, pooling="linear"):
    """Compute TALNet on features (B, T, F) in evaluation mode."""
    x, num_convs = x[:, None], sum(name.endswith(".conv.weight") for name in t)
    for i in range(1, num_convs + 1):
        x = functional.conv2d(x, t[f"conv{i}.conv.weight"], t[f"conv{i}.conv.bias"], padding=1)
        x = functional.batch_norm(
            x,
            *(
                t[f"conv{i}.bn.{name}"]
                for name in ("running_mean", "running_var", "weight", "bias")
            ),
        )
        x, (pool, left) = functional.relu(x), divmod(i, num_convs // num_pools)
        x = functional.max_pool2d(x, (2 if pool <= 2 else 1, 2)) if left == 0 else x
    return plain_head(t, x, pooling)


@torch.no_grad()
def plain_dcase(t, x, pooling="linear"):
    """Compute Wang's DCASE network on features (B, T, F)."""
    x = x[:, None]
    for i, factor in ((1, 1), (2, 2), (3, 2)):
        x = functional.relu(
            functional.conv2d(x, t[f"conv{i}.weight"], t[f"conv{i}.bias"], padding=2)
        )
        x = functional.max_pool2d(x, (factor, 2))
    return plain_head(t, x, pooling)


def write_inputs(folder, num_mels=16, num_classes=3):
    """Write labels.txt, normalizer.txt and frontend.yaml into the folder."""
    (folder / "labels.txt").write_text("".join(f"class {k}, of many\n" for k in range(num_classes)))
    np.savetxt(
        folder / "normalizer.txt", [np.linspace(-40, -50, num_mels), np.linspace(9, 11, num_mels)]
    )
    (folder / "frontend.yaml").write_text(f"num_mels: {num_mels}\n")


@pytest.fixture(autouse=True)
def inputs(tmp_path):
    """The small inputs of all tests, and fixed random numbers."""
    torch.manual_seed(0)
    write_inputs(tmp_path)


@pytest.fixture
def command(run, tmp_path):
    """Run `wsedtk import` on the files of the folder, and return click's result."""

    def command(
        *options,
        source="n.pt",
        labels="labels.txt",
        normalizer="normalizer.txt",
        frontend="frontend.yaml",
        model_dir="model",
        anew=False,
    ):
        if anew:
            shutil.rmtree(tmp_path / model_dir, ignore_errors=True)
        return run(
            "import",
            tmp_path / source,
            tmp_path / model_dir,
            "--labels",
            tmp_path / labels,
            "--normalizer",
            tmp_path / normalizer,
            "--frontend",
            tmp_path / frontend,
            *options,
        )

    return command


@pytest.fixture
def imported(command, tmp_path):
    """Save a checkpoint, import it and load the model; return (ModelSpec, network)."""

    def imported(content, *options, **save):
        torch.save(content, tmp_path / "n.pt", **save)
        result = command(*options, anew=True)
        assert result.exit_code == 0, result.stderr
        return checkpoint.load_model(tmp_path / "model")[:2]

    return imported


@pytest.fixture
def refused(command, tmp_path):
    """Check that an import fails with a matching message and writes nothing."""

    def refused(match, *options, **files):
        result = command(*options, **files)
        assert result.exit_code == 1 and not result.stdout
        with pytest.raises(ValueError, match=match):
            raise ValueError(result.stderr)
        assert not (tmp_path / "model").exists()
        return result.stderr

    return refused


def features(num_mels=16, num_frames=42, num_clips=2):
    return torch.randn(num_clips, num_frames, num_mels)


@torch.no_grad()
def assert_same_outputs(network, x, expected):
    """Compare clip and frame probabilities with expected ones, and check that these vary."""
    clip, frame = expected
    found = network(x)
    torch.testing.assert_close(found.clip, clip, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.frame, frame, rtol=1e-4, atol=1e-6)
    assert frame.std() > 0.05 and (frame[0] - frame[1]).abs().max() > 0.01


def test_the_published_talnet(command, tmp_path):
    write_inputs(tmp_path, 64, 527)
    tensors = talnet_tensors(TALNET, 1024, 527)
    tensors["fc_prob.bias"][:2] = torch.tensor([-90.0, 90.0])
    torch.save({"model": tensors}, tmp_path / "n.pt")
    assert command().stdout == (
        f"{tmp_path}/model: talnet, 527 classes, 9,980,527 parameters, linear pooling "
        "(assumed, because the file does not name the pooling; --pooling changes it)\n"
    )
    spec, network, _ = checkpoint.load_model(tmp_path / "model")
    assert (spec.network, spec.pooling, len(spec.labels), spec.labels[5]) == (
        "talnet",
        "linear",
        527,
        "class 5, of many",
    )
    x = features(64, 81)
    assert_same_outputs(network, x, plain_talnet(tensors, x, 5))
    frame = network(x).frame
    assert (
        frame.shape == (2, 20, 527)
        and (frame[..., 0] == 1e-7).all()
        and (frame[..., 1] == torch.tensor(1 - 1e-7)).all()
    )


@pytest.mark.parametrize(
    "channels, embedding_size, num_mels, num_pools",
    [
        (SMALL, 32, 16, 4),
        ((4, 4, 4, 8, 8, 8), 32, 16, 2),
        ((3, 6), 24, 16, 2),
        ((4, 4, 4), 16, 8, 1),
        ((1, 1, 2, 2, 4, 4, 8, 8), 40, 80, 4),
        ((2, 2, 4, 4, 8, 8, 16, 16, 32, 32), 64, 64, 5),
        ((4, 8, 16), 48, 24, 3),
    ],
)
def test_talnets_of_other_sizes(imported, tmp_path, channels, embedding_size, num_mels, num_pools):
    write_inputs(tmp_path, num_mels)
    tensors = talnet_tensors(channels, embedding_size)
    spec, network = imported({"model": tensors})
    assert spec.network_options == {
        "num_mels": num_mels,
        "embedding_size": embedding_size,
        "num_convs": len(channels),
        "num_pools": num_pools,
    }
    x = features(num_mels)
    assert_same_outputs(network, x, plain_talnet(tensors, x, num_pools))


@pytest.mark.parametrize("pooling", ["linear", "attention", "exp", "average"])
@pytest.mark.parametrize("kind", ["talnet", "dcase-crnn"])
def test_every_pooling_of_both_networks(imported, kind, pooling):
    attention, x = pooling == "attention", features()
    tensors = (
        talnet_tensors(attention=attention)
        if kind == "talnet"
        else dcase_tensors(attention=attention)
    )
    expected = (
        plain_talnet(tensors, x, 4, pooling)
        if kind == "talnet"
        else plain_dcase(tensors, x, pooling)
    )
    choices = [("--pooling", pooling)] + ([()] if pooling in ("linear", "attention") else [])
    for options in choices:
        spec, network = imported({"model": tensors}, *options)
        assert (spec.network, spec.pooling) == (kind, pooling)
        assert_same_outputs(network, x, expected)


@pytest.mark.parametrize("attention", [False, True])
def test_the_published_dcase_network(imported, command, tmp_path, attention):
    write_inputs(tmp_path, 64, 17)
    tensors = dcase_tensors((32, 64, 128), 64, 100, 17, attention)
    spec, network = imported({"model": tensors})
    assert spec.network_options == {"num_mels": 64, "channels": [32, 64, 128], "num_hidden": 100}
    x = features(64)
    assert_same_outputs(network, x, plain_dcase(tensors, x, spec.pooling))
    told = command(anew=True).stdout
    assert told.endswith(
        "17 classes, 939,458 parameters, attention pooling\n"
        if attention
        else "17 classes, 936,041 parameters, linear pooling "
        "(assumed, because the file does not name the pooling; --pooling changes it)\n"
    )


@pytest.mark.parametrize(
    "make, plain, names",
    [
        (
            talnet_tensors,
            lambda t, x: plain_talnet(t, x, 4),
            [f"conv{i}.conv.bias" for i in range(1, 9)],
        ),
        (dcase_tensors, plain_dcase, [f"conv{i}.bias" for i in (1, 2, 3)]),
    ],
    ids=["talnet", "dcase-crnn"],
)
def test_the_biases_of_the_convolutions_count(imported, make, plain, names):
    tensors, x = make(), features()
    before = imported({"model": tensors})[1](x).frame
    for name in names:
        changed = {**tensors, name: tensors[name] + 0.5}
        network = imported({"model": changed})[1]
        assert (network(x).frame - before).abs().max() > 1e-3, name
        assert_same_outputs(network, x, plain(changed, x))


def test_what_the_model_directory_says(imported, tmp_path):
    spec, network = imported({"model": talnet_tensors(), "epoch": 7, "optimizer": {"lr": 1e-3}})
    assert (
        spec.labels == ("class 0, of many", "class 1, of many", "class 2, of many")
        and not network.training
    )
    np.testing.assert_allclose(
        [spec.mean, spec.std],
        [np.linspace(-40, -50, 16), np.linspace(9, 11, 16)],
        rtol=0,
        atol=1e-12,
    )
    assert spec.frontend_config() == FrontendConfig(num_mels=16) and spec.hierarchy is None
    assert spec.trained == {
        "imported_from": "n.pt",
        "fingerprint": hashlib.sha256((tmp_path / "n.pt").read_bytes()).hexdigest()[:16],
        **provenance.made_by(),
        **spec.size(network),
    }
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "README.md",
        "model.safetensors",
        "model.yaml",
    ]


class Storage:
    """A tensor on a GPU."""

    def __init__(self, tensor):
        self.tensor, self.key = tensor, str(94000000 + tensor.data_ptr())
        self.kind = (
            torch.cuda.LongStorage if tensor.dtype == torch.int64 else torch.cuda.FloatStorage
        )


class Python2Pickler(pickle._Pickler):
    """Writes pickles as Python 2.7 and torch 0.4 do.

    Strings are byte strings, OrderedDicts are lists of pairs, and the numbers of tensors are stored
    elsewhere.
    """

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file):
        super().__init__(file, 2)
        self.storages = {}

    def save_text(self, text):
        """Write a str of Python 2: SHORT_BINSTRING or BINSTRING."""
        data = text.encode("ascii") if isinstance(text, str) else text
        self.write(
            (
                b"U" + struct.pack("<B", len(data))
                if len(data) < 256
                else b"T" + struct.pack("<I", len(data))
            )
            + data
        )
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_text

    def reducer_override(self, item):
        """Write the calls that create an OrderedDict or a tensor."""
        if isinstance(item, torch.Tensor):
            storage = self.storages.setdefault(id(item), Storage(item))
            return torch._utils._rebuild_tensor_v2, (
                storage,
                0,
                tuple(item.shape),
                item.stride(),
                False,
                collections.OrderedDict(),
            )
        if type(item) is collections.OrderedDict:
            return collections.OrderedDict, ([[k, v] for k, v in item.items()],), vars(item) or None
        return NotImplemented

    def persistent_id(self, item):
        """Return the persistent ID of a storage."""
        return (
            ("storage", item.kind, item.key, "cuda:0", item.tensor.numel(), None)
            if isinstance(item, Storage)
            else None
        )


def write_as_python_2_did(content, path):
    """Save as torch.save of Python 2.7 and torch 0.4 does on a machine with a GPU."""
    with open(path, "wb") as file:
        sizes = {
            "protocol_version": 1001,
            "little_endian": True,
            "type_sizes": {"short": 2, "int": 4, "long": 4},
        }
        for value in (0x1950A86A20F9469CFC6C, 1001, sizes):
            Python2Pickler(file).dump(value)
        pickler = Python2Pickler(file)
        pickler.dump(content)
        storages = sorted(pickler.storages.values(), key=lambda s: s.key)
        Python2Pickler(file).dump([s.key for s in storages])
        for storage in storages:
            file.write(struct.pack("<q", storage.tensor.numel()) + storage.tensor.numpy().tobytes())


def as_published(tensors):
    """A state dict with the metadata that torch attaches."""
    state = collections.OrderedDict(tensors)
    state._metadata = collections.OrderedDict({"": {"version": 1}, "conv1.bn": {"version": 2}})
    return state


@pytest.mark.parametrize(
    "wrap",
    [dict, as_published, lambda t: {"model": as_published(t)}],
    ids=["bare", "ordered", "model"],
)
@pytest.mark.parametrize("age", ["new", "legacy", "python 2", "not counted"])
def test_files_of_every_age(imported, command, tmp_path, wrap, age):
    tensors, x = talnet_tensors(), features()
    expected = plain_talnet(tensors, x, 4)
    if age == "python 2":
        write_as_python_2_did(wrap(tensors), tmp_path / "n.pt")
        data = (tmp_path / "n.pt").read_bytes()
        assert (
            b"U\x11conv1.conv.weight" in data
            and b"ctorch.cuda\nFloatStorage" in data
            and b"X\x11\0\0\0conv" not in data
        )
        result = command()
        assert result.exit_code == 0, result.stderr
        network = checkpoint.load_model(tmp_path / "model")[1]
    elif age == "not counted":
        network = imported(
            wrap({name: t for name, t in tensors.items() if "num_batches" not in name})
        )[1]
    else:
        network = imported(wrap(tensors), _use_new_zipfile_serialization=age == "new")[1]
    assert_same_outputs(network, x, expected)
    assert network.state_dict()["conv1.bn.num_batches_tracked"] == (
        0 if age == "not counted" else 30000
    )


def test_double_precision_and_parameters_are_taken(imported):
    tensors, x = dcase_tensors(), features()
    network = imported({name: torch.nn.Parameter(t.double()) for name, t in tensors.items()})[1]
    assert network.conv1.weight.dtype == torch.float32
    assert_same_outputs(network, x, plain_dcase(tensors, x))


def statistics(num_mels=16):
    return np.random.default_rng(0).normal(-45, 5, num_mels), np.random.default_rng(1).uniform(
        5, 15, num_mels
    )


@pytest.mark.parametrize("shape", [(16,), (1, 16)])
def test_a_normalizer_as_npz(imported, command, tmp_path, shape):
    mean, std = statistics()
    np.savez(
        tmp_path / "n.npz", mean=mean.reshape(shape), std=std.astype(np.float32).reshape(shape)
    )
    imported(dcase_tensors())
    assert command(normalizer="n.npz", anew=True).exit_code == 0
    spec = checkpoint.load_model(tmp_path / "model")[0]
    assert spec.mean == tuple(mean) and spec.std == tuple(std.astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("python", [2, 3])
def test_a_pickled_normalizer_is_refused_with_a_command_that_converts_it(
    refused, command, tmp_path, python
):
    torch.save(dcase_tensors(), tmp_path / "n.pt")
    pair = tuple(v.astype(np.float32) for v in statistics())
    with open(tmp_path / "normalizer.pkl", "wb") as file:
        Python2Pickler(file).dump(pair) if python == 2 else pickle.dump(pair, file)
    told = refused(
        "normalizer.pkl: expected two rows .*; a pickle can run any code, so wsedtk does not read it; if you trust the file, convert it",
        normalizer="normalizer.pkl",
    )
    (line,) = [line.strip() for line in told.splitlines() if "python3" in line]
    (tmp_path / "normalizer.txt").unlink()
    subprocess.run(line, shell=True, cwd=tmp_path, check=True, timeout=60)
    assert command(normalizer="normalizer.txt").exit_code == 0
    spec = checkpoint.load_model(tmp_path / "model")[0]
    np.testing.assert_array_equal(np.array([spec.mean, spec.std], np.float32), pair)


def test_a_normalizer_saved_by_a_windows_editor(imported, command, tmp_path):
    first = imported(dcase_tensors())[0]
    text = (tmp_path / "normalizer.txt").read_text()
    for start in ("", "\ufeff"):
        (tmp_path / "normalizer.txt").write_bytes((start + text.replace("\n", "\r\n")).encode())
        result = command(anew=True)
        assert result.exit_code == 0, result.stderr
        assert checkpoint.load_model(tmp_path / "model")[0] == first


ROW, DEVIATIONS = " ".join(["-40.5"] * 16), " ".join(["10"] * 16)


@pytest.mark.parametrize(
    "text, match",
    [
        ("", "expected two rows of numbers, the mean and the standard deviation of each mel bin"),
        ("\n", "expected two rows of numbers"),
        ("# mean, then deviation\n", "expected two rows of numbers"),
        (ROW, "expected two rows of numbers"),
        (f"{ROW}\n{DEVIATIONS}\n{DEVIATIONS}", "expected two rows of numbers"),
        ("\n".join(["-40 10"] * 16), "expected two rows of numbers"),
        (f"{ROW}\n{DEVIATIONS} 10", "expected two rows of numbers"),
        ("mean\nstd", "expected two rows of numbers"),
        ("\udcff\udcfe", "expected two rows of numbers"),
        (
            f"{ROW} -40\n{DEVIATIONS} 10",
            "the mean: expected 16 numbers, one per mel bin of the front end, found 17",
        ),
        (
            f"{ROW[5:]}\n{DEVIATIONS[3:]}",
            "the mean: expected 16 numbers, one per mel bin of the front end, found 15",
        ),
        (f"nan {ROW[5:]}\n{DEVIATIONS}", "the mean contains numbers that are not finite"),
        (
            f"{ROW}\ninf {DEVIATIONS[3:]}",
            "the standard deviation contains numbers that are not finite",
        ),
        (
            f"{ROW}\n0 {DEVIATIONS[3:]}",
            "a standard deviation is 0; expected numbers above 0, in the second row",
        ),
        (f"{DEVIATIONS}\n{ROW}", "a standard deviation is -40.5"),
    ],
)
def test_normalizers_at_fault_are_refused(refused, tmp_path, text, match):
    torch.save(dcase_tensors(), tmp_path / "n.pt")
    (tmp_path / "bad.txt").write_text(text, errors="surrogateescape")
    assert "pickle" not in refused(f"bad.txt: {match}", normalizer="bad.txt")


def test_npz_normalizers_at_fault_are_refused(refused, tmp_path):
    torch.save(dcase_tensors(), tmp_path / "n.pt")
    mean, std = statistics()
    np.savez(tmp_path / "a.npz", mean=mean)
    refused("a.npz: expected two arrays, named mean and std", normalizer="a.npz")
    np.savez(tmp_path / "a.npz", mean=mean[:3], std=std[:3])
    refused(
        "a.npz: the mean: expected 16 numbers, one per mel bin of the front end, found 3",
        normalizer="a.npz",
    )
    np.savez(tmp_path / "a.npz", mean=np.array([Evil()]), std=std)
    refused("a.npz: expected two rows", normalizer="a.npz")
    assert not (tmp_path / "evil").exists()
    refused("missing.txt: can't be read: No such file", normalizer="missing.txt")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_npz_normalizers_are_refused(tmp_path, save):
    mean, std = statistics()
    save(tmp_path / "a.npz", mean=mean, std=std)
    whole = (tmp_path / "a.npz").read_bytes()
    for place in range(0, len(whole), 5):
        (tmp_path / "a.npz").write_bytes(
            whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
        )
        with contextlib.suppress(InputError):  # changes of some bytes have no effect
            assert read_normalizer(tmp_path / "a.npz", 16)[0].tolist() == mean.tolist()


def test_a_truncated_npz_normalizer_is_refused_and_closed(tmp_path):
    mean, std = statistics()
    np.savez(tmp_path / "a.npz", mean=mean, std=std)
    whole = (tmp_path / "a.npz").read_bytes()
    for size in (2, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.npz").write_bytes(whole[:size])
        with pytest.raises(InputError, match="a.npz: expected two rows"):
            read_normalizer(tmp_path / "a.npz", 16)
    gc.collect()  # an open file is reported here, not in a later test


@pytest.mark.parametrize(
    "text, match",
    [
        ("a\nb\n", "bad.txt: the number of classes is 2; expected 3, one class for .*n.pt"),
        ("a\nb\nc\nd", "bad.txt: the number of classes is 4; expected 3, "),
        ("a, b\nc\na, b\n", "bad.txt:3: the class 'a, b' occurs twice"),
        ("a\n\tb\tc\n", "bad.txt:2: expected a class without tabs"),
        ("a\n\nb\n", "bad.txt: the number of classes is 2; expected 3, one class for .*n.pt"),
        ("", "bad.txt: contains no classes; write one class per line"),
        (None, "bad.txt: no such file"),
    ],
)
def test_labels_at_fault_are_refused(refused, tmp_path, text, match):
    torch.save(dcase_tensors(), tmp_path / "n.pt")
    if text is not None:
        (tmp_path / "bad.txt").write_text(text)
    refused(match, labels="bad.txt")


class Evil:
    """Return the content of a hostile file."""

    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize(
    "name",
    [
        "conv1.conv.weight",
        "conv3.conv.bias",
        "conv5.bn.weight",
        "conv7.bn.running_mean",
        "conv8.bn.running_var",
        "gru.weight_hh_l0",
        "gru.bias_hh_l0_reverse",
        "fc_prob.weight",
        "fc_prob.bias",
    ],
)
def test_a_missing_or_misshapen_tensor_of_talnet_is_named(refused, tmp_path, name):
    tensors = talnet_tensors()
    whole, kind = tensors.pop(name), "n.pt: is not a published talnet with linear pooling"
    shape = ", ".join(map(str, whole.shape))
    torch.save({"model": tensors}, tmp_path / "n.pt")
    refused(f"{kind}: the tensor '{name}' of the shape \\({shape},?\\) is missing")
    torch.save({"model": {**tensors, name: whole[..., :-1]}}, tmp_path / "n.pt")
    refused(
        f"{kind}: the tensor '{name}' has the shape \\({', '.join(map(str, whole[..., :-1].shape))},?\\), expected \\({shape},?\\)"
    )
    torch.save({"model": {**tensors, name: whole[..., None]}}, tmp_path / "n.pt")
    refused(f"{kind}: the tensor '{name}' has the shape \\({shape}, 1\\), expected")


@pytest.mark.parametrize(
    "name, shape", [("conv10.conv.weight", "512, 512, 3, 3"), ("gru.weight_ih_l0", "1536, 1024")]
)
def test_a_missing_tensor_that_shows_the_size_is_named(refused, tmp_path, name, shape):
    write_inputs(tmp_path, 64, 5)
    tensors = talnet_tensors(TALNET, 1024, 5)
    del tensors[name]
    torch.save({"model": tensors}, tmp_path / "n.pt")
    refused(
        f"n.pt: is not a published talnet with linear pooling: the tensor '{name}' of the shape \\({shape}\\) is missing"
    )


@pytest.mark.parametrize(
    "name",
    ["conv2.weight", "conv3.bias", "gru.weight_hh_l0_reverse", "fc_prob.bias", "fc_att.bias"],
)
def test_a_missing_or_misshapen_tensor_of_the_dcase_network_is_named(refused, tmp_path, name):
    tensors = dcase_tensors((32, 64, 128), attention=True)
    whole, kind = tensors.pop(name), "n.pt: is not a published dcase-crnn with attention pooling"
    torch.save({"model": tensors}, tmp_path / "n.pt")
    refused(f"{kind}: the tensor '{name}' .* is missing")
    torch.save({"model": {**tensors, name: whole[..., 1:]}}, tmp_path / "n.pt")
    refused(f"{kind}: the tensor '{name}' has the shape ")


def test_the_first_of_several_faults_is_named(refused, tmp_path):
    tensors = talnet_tensors()
    for name in ("fc_prob.bias", "conv4.bn.bias", "gru.bias_ih_l0"):
        tensors.pop(name)
    torch.save(tensors, tmp_path / "n.pt")
    refused("the tensor 'conv4.bn.bias' .* is missing")


@pytest.mark.parametrize("make", [talnet_tensors, dcase_tensors])
def test_unknown_tensors_are_named(refused, tmp_path, make):
    for name in ("fc_prob2.weight", "conv1.weight2", "gru.weight_ih_l1", "extra"):
        torch.save({**make(), name: torch.zeros(2, 3)}, tmp_path / "n.pt")
        refused(f"the network does not have the tensor '{name}' of the shape \\(2, 3\\)")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["conv2.bn.running_var", "gru.weight_hh_l0", "fc_prob.bias"])
def test_tensors_that_are_not_finite_are_named(refused, tmp_path, name, value):
    tensors = talnet_tensors()
    tensors[name].view(-1)[1] = value
    torch.save({"model": tensors}, tmp_path / "n.pt")
    refused(f"n.pt: the tensor '{name}' contains numbers that are not finite")


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(3)],
        {},
        {"model": {}},
        {"model": [1]},
        {"model": {"conv1.weight": 3}},
        torch.zeros(3),
        {"weights": talnet_tensors()},
        {"model": None},
        3,
    ],
    ids=range(9),
)
def test_a_file_without_a_network_is_an_error(refused, tmp_path, content):
    torch.save(content, tmp_path / "n.pt")
    refused(
        "n.pt: contains no network; expected a dict of tensors, either directly or under the key 'model'"
    )


@pytest.mark.parametrize(
    "data", [b"", b"conv1.weight 3 4 5\n", b"PK\x03\x04", pickle.dumps([1, 2], 2), None]
)
def test_a_file_that_is_no_checkpoint_is_an_error(refused, tmp_path, data):
    if data is not None:
        (tmp_path / "n.pt").write_bytes(data)
    refused(
        "n.pt: is not a checkpoint, or is damaged" if data is not None else "n.pt: no such file"
    )


def test_code_in_a_file_does_not_run(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content, save in (
        ({"model": Evil()}, {}),
        ({**dcase_tensors(), "x": Evil()}, {"_use_new_zipfile_serialization": False}),
    ):
        torch.save(content, "n.pt", **save)
        refused("n.pt: is not a checkpoint, or is damaged")
    (tmp_path / "n.pt").write_bytes(pickle.dumps(Evil(), 2))
    refused("n.pt: is not a checkpoint, or is damaged")
    (tmp_path / "n.pkl").write_bytes(pickle.dumps(Evil(), 2))
    torch.save(dcase_tensors(), "n.pt")
    refused("n.pkl: expected two rows .*a pickle can run any code", normalizer="n.pkl")
    assert not (tmp_path / "evil").exists()


def test_other_objects_in_a_checkpoint_are_reported(refused, tmp_path):
    torch.save({"model": Evil()}, tmp_path / "n.pt")
    told = refused("n.pt: is not a checkpoint, or is damaged .*mkdir")
    assert "weights_only` set to `False`" not in told  # it does not advise to run the file


@pytest.mark.parametrize(
    "name, tensor",
    [
        ("conv8.conv.weight", torch.zeros(0, 32, 3, 3)),
        ("gru.weight_ih_l0", torch.zeros(48, 0)),
        ("fc_prob.bias", torch.ones(3).to_sparse()),
        ("fc_prob.bias", torch.ones(3, device="meta")),
    ],
    ids=["no channels", "no inputs", "sparse", "meta"],
)
def test_odd_tensors_are_refused(refused, tmp_path, name, tensor):
    torch.save({**talnet_tensors(), name: tensor}, tmp_path / "n.pt")
    refused("n.pt: ")


@pytest.mark.parametrize("make", [talnet_tensors, dcase_tensors])
def test_a_pooling_that_the_tensors_contradict_is_refused(refused, tmp_path, make):
    torch.save(make(attention=True), tmp_path / "n.pt")
    refused(
        "with linear pooling: the network does not have the tensor 'fc_att.weight'",
        "--pooling",
        "linear",
    )
    torch.save(make(), tmp_path / "n.pt")
    refused(
        "with attention pooling: the tensor 'fc_att.weight' .* is missing",
        "--pooling",
        "attention",
    )


def test_a_front_end_that_does_not_fit_is_refused(refused, tmp_path):
    write_inputs(tmp_path, 32)
    torch.save(dcase_tensors(), tmp_path / "n.pt")
    refused(r"'gru.weight_ih_l0' has the shape \(21, 12\), expected \(21, 24\)")
    (tmp_path / "frontend.yaml").write_text("num_mel: 32\n")
    refused("frontend.yaml: unknown key 'num_mel'")


def test_a_front_end_that_does_not_fit_talnet_is_reported_with_a_file(refused, tmp_path):
    write_inputs(tmp_path, 32)
    torch.save(talnet_tensors(), tmp_path / "n.pt")
    refused("n.pt: the weights do not fit the front end .*frontend.yaml")


@pytest.mark.parametrize("name", ["model.yaml", "config.yaml"])
def test_existing_models_and_trainings_are_kept(imported, command, tmp_path, name):
    imported(dcase_tensors())
    (tmp_path / "model" / "model.yaml").rename(tmp_path / "model" / name)
    before = {p: p.read_bytes() for p in (tmp_path / "model").iterdir()}
    result = command()
    assert (
        result.exit_code == 1
        and "model: contains a model or a training run; choose another directory" in result.stderr
    )
    assert before == {p: p.read_bytes() for p in (tmp_path / "model").iterdir()}


@pytest.mark.parametrize(
    "kind, attention", [("talnet", False), ("talnet", True), ("dcase-crnn", True)]
)
def test_an_imported_model_predicts(run, command, small_set, tmp_path, kind, attention):
    make, plain = (
        (talnet_tensors, lambda *a: plain_talnet(a[0], a[1], 4, a[2]))
        if kind == "talnet"
        else (dcase_tensors, plain_dcase)
    )
    tensors = make(num_classes=2, attention=attention)
    torch.save({"model": tensors}, tmp_path / "n.pt")
    for arguments in (
        ("extract", small_set, tmp_path / "f.h5", "--config", tmp_path / "frontend.yaml"),
        (
            "import",
            tmp_path / "n.pt",
            tmp_path / "model",
            "--labels",
            small_set / "labels.txt",
            "--normalizer",
            tmp_path / "normalizer.txt",
            "--frontend",
            tmp_path / "frontend.yaml",
        ),
        (
            "predict",
            tmp_path / "model",
            tmp_path / "f.h5",
            tmp_path / "s.h5",
            "--precise",
            "--device",
            "cpu",
        ),
    ):
        result = run(*arguments)
        assert result.exit_code == 0, result.stderr
    scores, clips = ScoreFile(tmp_path / "s.h5"), datadir.read(small_set)
    assert scores.labels == ["high, very", "low"] and scores.seconds_per_frame == 0.1
    levels = np.stack(
        [
            LogMel(FrontendConfig(num_mels=16))(audio_files.read(path, 16000)[0])
            for path in clips.paths
        ]
    )
    mean, std = np.loadtxt(tmp_path / "normalizer.txt")
    clip, frame = plain(
        tensors,
        torch.from_numpy((levels - mean) / std).float(),
        "attention" if attention else "linear",
    )
    np.testing.assert_allclose(scores.clip, clip, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        np.stack([scores.frames(row) for row in range(12)]), frame, rtol=1e-4, atol=1e-6
    )
    assert yaml.safe_load((tmp_path / "model" / "model.yaml").read_text())["labels"] == [
        "high, very",
        "low",
    ]
