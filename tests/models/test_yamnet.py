"""YAMNet: its resolutions, its patches, and the published files."""

import struct

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from wsedtk.audio import audio_files
from wsedtk.audio.frontend import LogMel
from wsedtk.core.errors import InputError
from wsedtk.models import tflite
from wsedtk.models.checkpoint import LoadedModel
from wsedtk.models.network import build_network
from wsedtk.models.ready import yamnet
from wsedtk.models.ready_directories import describe
from wsedtk.models.ready_models import READY_MODELS
from wsedtk.models.resolution import at_resolution

TFLITE = "yamnet/lite-model_yamnet_classification_tflite_1.tflite"


def small(seed=0, **options):
    """A small network whose weights depend only on the seed."""
    torch.manual_seed(seed)
    network = build_network("yamnet", 5, num_channels=2, **options).eval()
    for name, tensor in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(tensor, std=0.3)
    return network


@torch.inference_mode()
def frames(network, x, mask=None):
    return network(x, mask).frame


@pytest.mark.parametrize("num_frames", [32, 320])
@pytest.mark.parametrize("dense", [1, 2, 5])
def test_a_dense_network_has_the_frames_of_the_strided_one(dense, num_frames):
    x = torch.randn(2, num_frames, 64)
    strided, found = frames(small(), x), frames(small(dense=dense), x)
    assert found.shape[1] == num_frames // (32 >> dense)
    torch.testing.assert_close(found[:, :: 2**dense], strided, rtol=0, atol=1e-5)


@pytest.mark.parametrize("hop", [8, 32, 33, 48, 96])
def test_a_frame_is_the_patch_around_it(hop):
    x, one = torch.randn(2, 230, 64), small(patch_hop=96)
    found = frames(small(patch_hop=hop), x)
    assert found.shape[1] == 230 // hop
    silence = torch.full((2, 96, 64), float(np.log(0.001)))
    longer = torch.cat([silence, x, silence], dim=1)
    for frame in range(found.shape[1]):
        start = 96 + hop * frame + hop // 2 - 48
        patch = frames(one, longer[:, start : start + 96])
        torch.testing.assert_close(found[:, frame : frame + 1], patch, rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"dense": 2}, {"patch_hop": 32}, {"patch_hop": 48}])
@pytest.mark.parametrize("length", [1, 40, 131])
def test_a_padded_clip_is_the_clip_alone(options, length):
    network, x = small(**options), torch.randn(2, 200, 64)
    mask = torch.arange(200) < torch.tensor([200, length])[:, None]
    with torch.inference_mode():
        together, alone = network(x * mask[..., None], mask), network(x[1:, :length])
    num_frames = alone.frame.shape[1]
    assert together.mask[1].sum() == num_frames == max(1, length // network.time_reduction)
    torch.testing.assert_close(together.frame[1, :num_frames], alone.frame[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(together.clip[1], alone.clip[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_mels": 40}, "num_mels must be a multiple of 32, found 40"),
        ({"dense": 6}, "dense must be a whole number from 0 to 5, found 6"),
        ({"patch_hop": 97}, "patch_hop must be a whole number from 0 to 96, found 97"),
        ({"patch_hop": 32, "dense": 1}, "dense must be 0 if patch_hop is above 0, found 1"),
        ({"relu6": 1}, "relu6 must be true or false, found 1"),
        ({"head": "lstm"}, 'head must be "linear" or "bigru", found \'lstm\''),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        small(**options)


def test_a_head_with_a_gru():
    network = small(head="bigru", num_hidden=3, dropout=0.5, dense=2)
    assert network.head.fc_prob.in_features == 6 and len(network.body_layers) == 14
    network(torch.randn(2, 64, 64)).clip.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    "options, seconds, expected",
    [
        ({"patch_hop": 32}, 0.08, {"patch_hop": 8}),
        ({"patch_hop": 32}, 0.48, {"patch_hop": 48}),
        ({"dense": 0}, 0.08, {"dense": 2}),
    ],
)
def test_other_resolutions(options, seconds, expected):
    spec = describe(READY_MODELS.get("yamnet"), ("a", "b", "c", "d", "e"))
    network, wanted = small(**options), small(**{**options, **expected})
    options = {"num_mels": 64, "num_channels": 2, **options}
    loaded = LoadedModel(spec.__class__(**{**vars(spec), "network_options": options}), network, "f")
    found = at_resolution(loaded, seconds)
    assert found.spec.network_options == {**options, **expected} and found.fingerprint == "f"
    x = torch.randn(1, 200, 64)
    torch.testing.assert_close(frames(found.network, x), frames(wanted, x))
    with pytest.raises(InputError, match="--seconds-per-frame 0.1: is not a time resolution"):
        at_resolution(loaded, 0.1)


def keras_file(path, rng):
    """Write random weights as Keras does. Return them by layer, in float64.

    The scales of the weights are such that the scores depend on the patch.
    """
    sizes = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    arrays = {}

    def norm(group, channels):
        arrays[f"{group}/bn/beta:0"] = rng.normal(0, 0.1, channels)
        arrays[f"{group}/bn/moving_mean:0"] = rng.normal(0, 0.1, channels)
        arrays[f"{group}/bn/moving_variance:0"] = rng.uniform(0.5, 1.5, channels)

    arrays["layer1/conv/kernel:0"] = rng.normal(0, 0.4, (3, 3, 1, 32))
    norm("layer1/conv", 32)
    for number, (before, after) in enumerate(zip(sizes, sizes[1:]), start=2):
        arrays[f"layer{number}/depthwise_conv/depthwise_kernel:0"] = rng.normal(
            0, 0.47, (3, 3, before, 1)
        )
        norm(f"layer{number}/depthwise_conv", before)
        shape = (1, 1, before, after)
        arrays[f"layer{number}/pointwise_conv/kernel:0"] = rng.normal(0, 1.41 * before**-0.5, shape)
        norm(f"layer{number}/pointwise_conv", after)
    arrays["logits/kernel:0"] = rng.normal(0, 0.01, (1024, 521))
    arrays["logits/bias:0"] = rng.normal(0, 0.1, 521)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            layer = name.rpartition("/")[0]
            file[f"{layer}/{name}"] = array.astype(np.float32)
    return {name: torch.from_numpy(a.astype(np.float32)).double() for name, a in arrays.items()}


def keras_scores(arrays, x):
    """Compute the scores of a patch (96, 64) as the published code does, in float64."""

    def conv(x, name, kernel, stride, **options):
        pad = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)
        x = nn.functional.pad(x, pad if kernel.shape[-1] == 3 else (0, 0, 0, 0))
        x = nn.functional.conv2d(x, kernel, stride=stride, **options)
        mean, variance, beta = (
            arrays[f"{name}/bn/{what}:0"][:, None, None]
            for what in ("moving_mean", "moving_variance", "beta")
        )
        return torch.relu((x - mean) / torch.sqrt(variance + 1e-4) + beta)

    x = conv(x[None, None], "layer1/conv", arrays["layer1/conv/kernel:0"].permute(3, 2, 0, 1), 2)
    for number in range(2, 15):
        kernel = arrays[f"layer{number}/depthwise_conv/depthwise_kernel:0"].permute(2, 3, 0, 1)
        stride = 2 if number in (3, 5, 7, 13) else 1
        x = conv(x, f"layer{number}/depthwise_conv", kernel, stride, groups=len(kernel))
        kernel = arrays[f"layer{number}/pointwise_conv/kernel:0"].permute(3, 2, 0, 1)
        x = conv(x, f"layer{number}/pointwise_conv", kernel, 1)
    logits = x.mean((2, 3)) @ arrays["logits/kernel:0"] + arrays["logits/bias:0"]
    return torch.sigmoid(logits)[0]


def test_the_file_of_keras(tmp_path):
    arrays = keras_file(tmp_path / "yamnet.h5", np.random.default_rng(0))
    network = build_network("yamnet", 521, patch_hop=96).double().eval()
    network.load_state_dict(yamnet.read_keras(tmp_path / "yamnet.h5"))
    x = torch.randn(96, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x.requires_grad_()
    found, expected = network(x[None]).frame[0, 0], keras_scores(arrays, x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.1
    with torch.no_grad():
        assert (keras_scores(arrays, x.flip(0)) - expected).abs().mean() > 0.01
    gradients = [torch.autograd.grad(scores.sum(), x)[0] for scores in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4 * float(gradients[1].abs().max()))


# Outputs of the published code (tensorflow/models, research/audioset/yamnet) with the weights of
# `keras_file(path, numpy.random.default_rng(0))`, in tf_keras 2.21.0. The levels and the
# scores of the noise were computed in float32, the other numbers in float64.
LEVELS = [  # of frames 0, 100 and 247 of the noise, in every 8th mel bin
    [0.66101, 0.54798, 0.45156, 0.94831, 1.35637, 1.39711, 1.47242, 1.91349],
    [0.73389, -0.66414, 0.23466, 0.57210, 0.89025, 2.00615, 1.87251, 2.05908],
    [0.76448, 0.54115, 0.79918, -0.42212, 0.80281, 1.11184, 1.65001, 2.36717],
]
NOISE_SCORES = [  # of the patches of the noise, of every 104th class
    [0.540650, 0.628543, 0.596602, 0.531211, 0.461725, 0.507306],
    [0.546045, 0.632651, 0.603602, 0.532019, 0.453926, 0.512300],
    [0.542375, 0.625352, 0.602381, 0.529968, 0.451850, 0.505442],
    [0.542516, 0.624618, 0.599588, 0.527596, 0.454229, 0.503530],
    [0.693598, 0.835969, 0.792616, 0.427474, 0.246311, 0.411480],
]
SCORES = [  # of a random patch, of every 52nd class
    *(0.637345, 0.690134, 0.789253, 0.456550, 0.728018, 0.416502),
    *(0.548194, 0.793132, 0.336733, 0.397891, 0.473652),
]
GRADIENT = [  # of the sum of every 2nd score, at every 24th frame and 16th mel bin of the patch
    [8.91058e-06, -1.06001e-03, 7.30779e-04, 6.74662e-04],
    [4.64830e-04, -2.31235e-02, -1.81760e-02, -1.76059e-02],
    [-5.39065e-03, 2.12037e-02, 4.71399e-03, 6.79969e-03],
    [3.54427e-05, -7.49544e-03, -3.26572e-02, 5.41341e-03],
]


def close(found, expected, atol):
    torch.testing.assert_close(found, found.new_tensor(expected), rtol=0, atol=atol)


def test_the_published_code(tmp_path):
    keras_file(tmp_path / "yamnet.h5", np.random.default_rng(0))
    network = build_network("yamnet", 521, patch_hop=96).eval()
    network.load_state_dict(yamnet.read_keras(tmp_path / "yamnet.h5"))
    noise = np.random.default_rng(3).normal(0, 0.1, 40000).astype(np.float32)
    padded = np.pad(noise, (0, 15600 + 4 * 7680 - 40000))  # as the published code does
    ready = READY_MODELS.get("yamnet")
    levels = torch.from_numpy(LogMel(ready.frontend)(padded) / ready.std).float()
    close(levels[[0, 100, 247], ::8], LEVELS, atol=1e-4)
    patches = levels.unfold(0, 96, 48).transpose(1, 2)  # (P, 96, F)
    close(frames(network, patches)[:, 0, ::104], NOISE_SCORES, atol=1e-5)
    x = torch.from_numpy(np.random.default_rng(2).normal(0, 2, (1, 96, 64))).requires_grad_()
    scores = network.double()(x).frame[0, 0]
    close(scores[::52], SCORES, atol=1e-6)
    (gradient,) = torch.autograd.grad(scores[::2].sum(), x)
    close(gradient[0, ::24, ::16], GRADIENT, atol=1e-7)


@pytest.mark.parametrize("reader", [yamnet.read_keras, yamnet.read_tflite])
@pytest.mark.parametrize("content", [b"", b"abc", b"\x1c\0\0\0TFL3" + bytes(40), bytes(1000)])
def test_wrong_files(tmp_path, reader, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match="file: "):
        reader(tmp_path / "file")
    with pytest.raises(InputError, match="no such file|can't be read"):
        reader(tmp_path / "missing")


def test_the_class_map(tmp_path):
    path, read = tmp_path / "map.csv", READY_MODELS.get("yamnet").read_labels
    path.write_text('index,mid,display_name\n0,/m/1,Speech\n1,/m/2,"Child speech, kid speaking"\n')
    assert read(path) == ("Speech", "Child speech, kid speaking")
    path.write_text("index,mid,display_name\n1,/m/1,Speech\n")
    with pytest.raises(InputError, match="map.csv:2: expected the index 0, a class ID and a class"):
        read(path)


def test_the_published_tflite_file(real_data):
    path = real_data / TFLITE
    labels = yamnet.read_tflite_labels(path)
    read = READY_MODELS.get("yamnet").read_labels
    assert labels == read(real_data / "yamnet" / "yamnet_class_map.csv")
    layers = tflite.read_layers(path)
    assert sum(layer.is_depthwise for layer in layers) == 13
    tensors = yamnet.read_tflite(path)
    assert sum(tensor.numel() for tensor in tensors.values()) == 3_729_481


def test_damaged_tflite_files(real_data, tmp_path):
    content = (real_data / TFLITE).read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(12):
        damaged = bytearray(content)
        for place in rng.integers(0, 300_000, 40):  # most of the structure is in this part
            struct.pack_into("<B", damaged, int(place), int(rng.integers(256)))
        (tmp_path / "a.tflite").write_bytes(damaged[: int(rng.integers(1, len(content)))])
        try:
            yamnet.read_tflite(tmp_path / "a.tflite")
        except InputError as error:
            assert "a.tflite: " in str(error), trial


def test_scores_are_those_of_the_tflite_interpreter(real_data):
    """Its logits are quantised in steps of 0.35. A tie with its top class counts as the same."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is missing")
    ready, path = READY_MODELS.get("yamnet-tflite"), real_data / TFLITE
    interpreter = litert.Interpreter(str(path))
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    scores = interpreter.get_output_details()[0]["index"]
    network = build_network("yamnet", 521, patch_hop=96, relu6=True).eval()
    network.load_state_dict(ready.read_weights(path))
    log_mel = LogMel(ready.frontend)
    recordings = [
        file
        for folder in sorted((real_data / "esc10").glob("0*"))
        for file in sorted(folder.glob("*.ogg"))[::10]
    ]
    differences, is_same = [], []
    for file in recordings:
        samples, _ = audio_files.read(file, 16000)
        for start in range(0, len(samples) - 15600, 7680):
            patch = samples[start : start + 15600]
            interpreter.set_tensor(given, patch)
            interpreter.invoke()
            expected = interpreter.get_tensor(scores)[0]
            x = torch.from_numpy(log_mel(patch)[:96] / ready.std).float()
            found = frames(network, x[None])[0, 0].numpy()
            differences.append(np.abs(found - expected).mean())
            is_same.append(expected[found.argmax()] == expected.max())
    assert len(is_same) > 300 and np.mean(is_same) >= 0.95 and np.mean(differences) <= 0.01
