"""Networks with the convolutions of PANNs, and their published weights."""

import copy
import dataclasses
import hashlib

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import stir

from wsedtk.core.errors import InputError
from wsedtk.models import checkpoint, layers, published_weights
from wsedtk.models.network import build_network, check_network
from wsedtk.models.pooling_functions import POOLINGS
from wsedtk.models.ready_models import READY_MODELS
from wsedtk.training import training_loop

NUM_MELS = {"cnn8rnn": 16, "panns-cnn14": 32}
CHANNELS = {"cnn8rnn": (4, 4, 6, 8), "panns-cnn14": (4, 4, 4, 6, 6, 8)}
WITHOUT_DROPOUT = {"conv_dropout": 0.0, "fc_dropout": 0.0}
NETWORKS = pytest.mark.parametrize("name", NUM_MELS)
# Each ready model, and the number of feature frames of the stored results
READY = {"cnn8rnn": 43, "panns-cnn14-framewise": 163, "panns-cnn14": 163}


def small(name, method="linear", num_classes=3, **options):
    return build_network(
        name, num_classes, method, num_mels=NUM_MELS[name], channels=CHANNELS[name], **options
    )


def published_tensors(name, num_classes=3):
    """Return float64 tensors with the published names, filled by a fixed formula."""
    shapes, num_inputs = {}, 1
    for block, number in enumerate(CHANNELS[name], start=1):
        for conv, inputs in ((1, num_inputs), (2, number)):
            shapes[f"conv_block{block}.conv{conv}.weight"] = (number, inputs, 3, 3)
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"conv_block{block}.bn{conv}.{part}"] = (number,)
        num_inputs = number
    for part in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"bn0.{part}"] = (NUM_MELS[name],)
    size = CHANNELS[name][-1]
    shapes |= {"fc1.weight": (size, size), "fc1.bias": (size,)}
    shapes |= {"fc_audioset.weight": (num_classes, size), "fc_audioset.bias": (num_classes,)}
    if name == "cnn8rnn":
        for suffix in ("l0", "l0_reverse"):
            shapes |= {f"rnn.weight_ih_{suffix}": (3 * size // 2, size)}
            shapes |= {f"rnn.weight_hh_{suffix}": (3 * size // 2, size // 2)}
            shapes |= {f"rnn.bias_{kind}_{suffix}": (3 * size // 2,) for kind in ("ih", "hh")}
    random, tensors = np.random.RandomState(5), {}
    for key, shape in sorted(shapes.items()):
        values = random.standard_normal(shape)
        if key.endswith("running_var"):
            values = 0.75 + values**2 / 2
        elif len(shape) > 1:
            values *= (3 / np.prod(shape[1:])) ** 0.5
        elif "bn" in key and key.endswith("weight"):
            values = 1 + values / 4
        else:
            values /= 4
        if key in ("bn0.running_mean", "bn0.running_var"):
            values = 150 * values if key.endswith("var") else 20 * values - 40
        tensors[key] = torch.from_numpy(np.asarray(values))
        if key.endswith("running_var"):
            counter = key.replace("running_var", "num_batches_tracked")
            tensors[counter] = torch.tensor(7)
    return tensors


def features(name, num_frames):
    """Return features (2, T, F) in dB, float64."""
    random = np.random.RandomState(6)
    return torch.from_numpy(-40 + 12 * random.standard_normal((2, num_frames, NUM_MELS[name])))


def write_published(path, name, tensors):
    """Write tensors to a file as the authors do. The front end's tensors are added."""
    if name == "cnn8rnn":
        front_end = {"melspec_extractor.mel_scale.fb": torch.zeros(513, 64)}
        safetensors.torch.save_file({**tensors, **front_end}, path)
    else:
        front_end = {"logmel_extractor.melW": torch.zeros(513, 64)}
        torch.save({"iteration": 600000, "model": {**tensors, **front_end}}, path)
    return path


# Results that the authors' code computed in float64 with `published_tensors` and `features`, with
# blocks of the sizes CHANNELS: class Cnn8RnnSoundEventDetection in GitHub
# wsntxxn/AudioSetEventDetection, commit 824cf3d, hf_model.py, and classes Cnn14_DecisionLevelMax
# and Cnn14 in GitHub qiuqiangkong/audioset_tagging_cnn, commit d2f4b8c, pytorch/models.py. The
# front end was left out, and each frame was taken once. "gradient" contains the gradients of the
# sum of the clip probabilities, for features of the first clip.
AUTHORS = {
    "cnn8rnn": {
        "clip": [
            [0.6024121658, 0.5713168601, 0.7528151979],
            [0.5231540321, 0.5088168828, 0.8128776927],
        ],
        "gradient": [-0.001883215578, -0.00620639206, -0.003814151967, 0.002275236668],
        "frame": [
            [0.8697132894, 0.431294452, 0.485671915],
            [0.6206375414, 0.2378097435, 0.1794869896],
            [0.3795740055, 0.7299244243, 0.9524414267],
            [0.3736728344, 0.3089809074, 0.008242099882],
            [0.2092833294, 0.1655996952, 0.008814574098],
        ],
    },
    "panns-cnn14-framewise": {
        "clip": [
            [0.9771504345, 0.9140511603, 0.6435981653],
            [0.9792091789, 0.9092302196, 0.6365476949],
        ],
        "gradient": [-0.0001007548513, -1.537490952e-05, -7.230041098e-05, -6.804734768e-05],
        "frame": [
            [0.6545459672, 0.6151324713, 0.6322230536],
            [0.7221119451, 0.6495028842, 0.6435981653],
            [0.7258203005, 0.7308953687, 0.5957167161],
            [0.9771504345, 0.9140511603, 0.5293208571],
            [0.9731307118, 0.8981350909, 0.5236563846],
        ],
    },
    "panns-cnn14": {
        "clip": [
            [0.9674967322, 0.8688220547, 0.5818619766],
            [0.9700461038, 0.8690627143, 0.5879704802],
        ],
        "gradient": [2.930241009e-05, 7.014321316e-06, 2.101066519e-05, 2.08137261e-05],
    },
}


@pytest.mark.parametrize("ready", READY)
def test_scores_and_gradients_equal_those_of_the_authors_code(ready, tmp_path):
    model = READY_MODELS.get(ready)
    path = write_published(tmp_path / "w", model.network, published_tensors(model.network))
    options = {k: v for k, v in model.network_options.items() if k != "num_mels"}
    network = small(model.network, model.pooling, **options).double().eval()
    tensors = model.read_weights(path)
    checkpoint.check_tensors(tensors, network.state_dict(), "w")
    network.load_state_dict(tensors)
    x = features(model.network, READY[ready]).requires_grad_()
    output = network(x)
    output.clip.sum().backward()
    expected = AUTHORS[ready]
    np.testing.assert_allclose(output.clip.detach(), expected["clip"], rtol=0, atol=1e-9)
    gradient = x.grad[0, 20:24, 5]
    np.testing.assert_allclose(gradient, expected["gradient"], rtol=1e-6, atol=0)
    if "frame" in expected:
        step = 2 if model.network == "cnn8rnn" else 1
        np.testing.assert_allclose(output.frame[0, ::step].detach(), expected["frame"], atol=1e-9)


@pytest.mark.parametrize(
    "ready, num_parameters, num_frames",
    [
        ("cnn8rnn", 6_360_959, 250),
        ("panns-cnn14-framewise", 80_753_615, 31),
        ("panns-cnn14", 80_753_615, 31),
    ],
)
def test_the_published_sizes(ready, num_parameters, num_frames):
    model = READY_MODELS.get(ready)
    with torch.device("meta"):
        network = build_network(
            model.network, model.num_classes, model.pooling, **model.network_options
        )
        x = torch.empty(2, 1000, model.frontend.num_mels)
        # The GRU can't be run without memory, so the body is run without it.
        hidden, _ = network.run_body(x, None, stop=6 if ready == "cnn8rnn" else None)
    assert sum(p.numel() for p in network.parameters()) == num_parameters
    assert hidden.shape == (2, num_frames, network.head.fc_prob.in_features)
    seconds = model.frontend.seconds_per_frame * network.time_reduction
    assert seconds == pytest.approx(0.04 if ready == "cnn8rnn" else 0.32)


def lively(name, method="linear", **options):
    """Return a small network in evaluation mode with random biases and batch norms, float64."""
    torch.manual_seed(0)
    return stir(small(name, method, **options).double()).eval()


def check_padded_is_alone(network, lengths, num_mels):
    x = torch.randn(len(lengths), max(lengths), num_mels, dtype=torch.float64)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    together = network(torch.where(mask[..., None], x, 5.0), mask)
    for clip, length in enumerate(lengths):
        alone = network(x[clip : clip + 1, :length])
        real = max(1, length // network.time_reduction)
        assert int(alone.mask.sum()) == int(together.mask[clip].sum()) == real
        for found, expected in (
            (together.clip[clip], alone.clip[0]),
            (together.frame[clip, :real], alone.frame[0, :real]),
        ):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


LENGTHS = {
    "cnn8rnn": [(40, 37, 20), (41, 4, 1), (7, 2, 3)],
    "panns-cnn14": [(200, 187, 96), (161, 32, 1), (90, 17, 33)],
}


@pytest.mark.parametrize("head", ["linear", "bigru"])
@pytest.mark.parametrize("method", ["linear", "attention", "max"])
@NETWORKS
def test_a_padded_clip_scores_as_it_does_alone(name, method, head):
    for lengths in LENGTHS[name]:
        network = lively(name, method, head=head, num_hidden=3)
        check_padded_is_alone(network, lengths, NUM_MELS[name])


def test_a_padded_clip_has_the_same_embedding_as_it_has_alone():
    for lengths in LENGTHS["panns-cnn14"]:
        check_padded_is_alone(lively("panns-cnn14", "max", clip_embedding=True), lengths, 32)


@pytest.mark.parametrize(
    "name, place",
    [
        ("cnn8rnn", "panns_layers.zero_padding"),
        ("cnn8rnn", "networks.cnn8rnn.run_gru"),
        ("panns-cnn14", "panns_layers.zero_padding"),
        ("panns-cnn14", "networks.panns_cnn14._without_padding"),
    ],
)
def test_padding_leaks_without_the_masks(name, place, monkeypatch):
    """The tests above can fail: they do without the masks."""
    monkeypatch.setattr(
        f"wsedtk.models.{place}",
        (lambda gru, x, mask: gru(x)[0]) if place.endswith("run_gru") else (lambda x, mask: x),
    )
    with pytest.raises(AssertionError):
        check_padded_is_alone(lively(name), LENGTHS[name][0], NUM_MELS[name])


@NETWORKS
def test_any_number_of_frames(name):
    network = small(name, "attention").eval()
    for num_frames in (1, 3, 31, 33, 95, 129):
        output = network(torch.randn(2, num_frames, NUM_MELS[name]))
        expected = max(1, num_frames // network.time_reduction)
        assert output.frame.shape == output.weight.shape == (2, expected, 3)
        assert output.mask.all() and output.clip.shape == (2, 3)


@NETWORKS
def test_every_pooling_function_and_head_can_be_used(name):
    for head in ("linear", "bigru"):
        for method in POOLINGS.names():
            network = small(name, method, head=head, num_hidden=3)
            check_network(network, name, NUM_MELS[name], 3)


def test_frames_are_those_of_the_framewise_network_if_the_clip_has_an_embedding():
    framewise, whole = small("panns-cnn14", "max"), small("panns-cnn14", "max", clip_embedding=True)
    stir(framewise.double())
    whole.double().load_state_dict(framewise.state_dict())
    x = torch.randn(2, 170, 32, dtype=torch.float64)
    one, two = framewise.eval()(x), whole.eval()(x)
    torch.testing.assert_close(one.frame, two.frame, rtol=0, atol=1e-12)
    assert not torch.allclose(one.clip, two.clip, atol=1e-3)


def test_a_clip_of_one_frame_has_twice_its_hidden_state():
    """The maximum and the mean of one frame are the frame itself."""
    network = lively("panns-cnn14", "max", clip_embedding=True)
    x = torch.randn(2, 40, 32, dtype=torch.float64)
    hidden, mask = network.run_body(x, None)
    assert hidden.shape == (2, 1, 8) and mask is None
    expected = torch.sigmoid(network.head.fc_prob(network.fc1(2 * hidden)))[:, 0]
    torch.testing.assert_close(network(x).clip, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name, options",
    [("cnn8rnn", {}), ("panns-cnn14", {}), ("panns-cnn14", {"clip_embedding": True})],
)
def test_folded_batch_norm_computes_the_same(name, options):
    torch.manual_seed(0)
    network = stir(small(name, **options)).eval()
    folded = copy.deepcopy(network)
    layers.fold_batch_norm(folded)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    x = torch.randn(2, 100, NUM_MELS[name])
    for mask in (None, torch.arange(100) < torch.tensor([100, 70])[:, None]):
        one, two = network(x, mask), folded(x, mask)
        torch.testing.assert_close(one.frame, two.frame, rtol=0, atol=1e-5)
        torch.testing.assert_close(one.clip, two.clip, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name, options",
    [
        ("cnn8rnn", {}),
        ("cnn8rnn", {"head": "bigru", "num_hidden": 4}),
        ("panns-cnn14", {}),
        ("panns-cnn14", {"clip_embedding": True}),
    ],
)
def test_one_batch_is_overfitted(name, options):
    torch.manual_seed(0)
    network = small(name, **WITHOUT_DROPOUT, **options)
    start = {key: p.detach().clone() for key, p in network.named_parameters()}
    x = torch.randn(6, 10 * network.time_reduction // 3, NUM_MELS[name])
    target = (torch.arange(18).reshape(6, 3) % 5 < 2).float()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    for _ in range(60):
        loss = training_loop.binary_cross_entropy(network(x).clip, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    for key, parameter in network.named_parameters():
        assert not torch.equal(parameter, start[key]), key


@pytest.mark.parametrize(
    "name, method, options",
    [
        ("cnn8rnn", "linear", {}),
        ("cnn8rnn", "attention", {"head": "bigru", "num_hidden": 4}),
        ("panns-cnn14", "max", {}),
        ("panns-cnn14", "max", {"clip_embedding": True}),
    ],
)
def test_the_onnx_graph_computes_the_same(name, method, options):
    import test_onnx_graph as onnx_tests

    num_mels = NUM_MELS[name]
    config = dataclasses.replace(onnx_tests.FRONTEND, num_mels=num_mels)
    torch.manual_seed(0)
    network = stir(small(name, method, **options))
    runner = onnx_tests.runner_of(network, num_mels)
    session = onnx_tests.session_of(onnx_tests.Graph(config, runner))
    for length in (1, 33 * config.hop, 40_000):
        onnx_tests.assert_same(session, runner, onnx_tests.noise(2, length), config)


@NETWORKS
def test_dropout_is_active_only_in_training(name):
    torch.manual_seed(0)
    network, x = small(name), torch.randn(2, 100, NUM_MELS[name])
    assert torch.equal(network.eval()(x).frame, network(x).frame)
    for part in ("convs", "fc1"):
        network.eval()
        for module in getattr(network, part).modules():
            module.train(isinstance(module, layers.Dropout))
        assert not torch.equal(network(x).frame, network(x).frame), part


@NETWORKS
def test_padded_frames_do_not_change_the_statistics_of_the_mel_bins(name):
    together, alone = (small(name, **WITHOUT_DROPOUT).train() for _ in range(2))
    x = -40 + 10 * torch.randn(2, 80, NUM_MELS[name])
    mask = torch.arange(80) < torch.tensor([80, 50])[:, None]
    together(torch.where(mask[..., None], x, 0.0), mask)
    frames = x[mask]
    bn0 = together.convs.bn0
    torch.testing.assert_close(bn0.running_mean, 0.1 * frames.mean(0), rtol=1e-5, atol=0)
    torch.testing.assert_close(bn0.running_var, 0.9 + 0.1 * frames.var(0), rtol=1e-5, atol=0)
    alone(x)
    assert (alone.convs.bn0.running_mean - 0.1 * x.mean((0, 1))).abs().max() < 1e-4


@NETWORKS
def test_the_layers_of_the_body_have_all_its_parameters(name):
    network = small(name)
    of_layers = {id(p) for layer in network.body_layers for p in layer.parameters()}
    of_body = {id(p) for key, p in network.named_parameters() if not key.startswith("head.")}
    assert of_layers == of_body


@NETWORKS
def test_probabilities_are_float32_under_autocast(name):
    with torch.autocast("cpu", torch.bfloat16):
        output = small(name)(torch.randn(2, 100, NUM_MELS[name]))
    assert output.clip.dtype == output.frame.dtype == torch.float32


def test_cnn8rnns_probabilities_stay_off_0():
    network = small("cnn8rnn")
    torch.nn.init.constant_(network.head.fc_prob.bias, -100.0)
    assert network(torch.randn(1, 8, 16)).frame.min() == torch.tensor(1e-7)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("cnn8rnn", {"num_mels": 40}, "num_mels must be a multiple of 16, found 40"),
        ("panns-cnn14", {"num_mels": 80}, "num_mels must be a multiple of 32, found 80"),
        ("cnn8rnn", {"channels": [4, 4, 4]}, "channels: expected four numbers, the last of which"),
        ("cnn8rnn", {"channels": [4, 4, 4, 5]}, "the last of which is even"),
        ("panns-cnn14", {"channels": [4]}, "channels: expected six numbers"),
        ("panns-cnn14", {"head": "gru"}, 'head must be "linear" or "bigru", found \'gru\''),
        ("panns-cnn14", {"clip_embedding": 1}, "clip_embedding must be true or false, found 1"),
        (
            "panns-cnn14",
            {"clip_embedding": True, "head": "bigru"},
            "clip_embedding needs the head linear, found bigru",
        ),
        (
            "panns-cnn14",
            {"clip_embedding": True, "pooling": "attention"},
            "clip_embedding needs a pooling function without parameters .* found 'attention'",
        ),
        (
            "panns-cnn14",
            {"clip_embedding": True, "pooling": "power"},
            "clip_embedding needs a pooling function without parameters .* found 'power'",
        ),
        ("cnn8rnn", {"conv_dropout": 1.5}, "dropout probability has to be between 0 and 1"),
    ],
)
def test_wrong_networks_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        build_network(name, 3, **options)


@pytest.mark.parametrize("ready", READY)
def test_files_of_other_models_are_refused(ready, tmp_path):
    model, path = READY_MODELS.get(ready), tmp_path / "weights"
    with pytest.raises(InputError, match=f"{path}: no such file"):
        model.read_weights(path)
    write_published(path, model.network, {"conv1.weight": torch.zeros(2)})
    kind = "Cnn8Rnn" if ready == "cnn8rnn" else "Cnn14"
    with pytest.raises(InputError, match=f"{path}: contains no {kind}; expected tensors such as"):
        model.read_weights(path)
    tensors = published_tensors(model.network)
    tensors["bn0.weight"][3] = np.nan
    write_published(path, model.network, tensors)
    with pytest.raises(InputError, match=f"{path}: the tensor 'convs.bn0.weight' contains numbers"):
        published_weights.check_numbers(path, model.read_weights(path))
    content = write_published(path, model.network, published_tensors(model.network)).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"{path}: is not a (safetensors file|checkpoint), or is"):
        model.read_weights(path)


def test_a_missing_tensor_is_named(tmp_path):
    model = READY_MODELS.get("cnn8rnn")
    tensors = published_tensors("cnn8rnn")
    del tensors["rnn.weight_hh_l0"]
    found = model.read_weights(write_published(tmp_path / "w", "cnn8rnn", tensors))
    with pytest.raises(InputError, match=r"w: the tensor 'rnn.weight_hh_l0' of the shape \(12, 4"):
        checkpoint.check_tensors(found, small("cnn8rnn").state_dict(), "w")


def test_the_classes_of_cnn8rnn_are_the_lines_of_its_file(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("Male speech, man speaking\nDog\n")
    model = READY_MODELS.get("cnn8rnn")
    assert model.read_labels(path) == ("Male speech, man speaking", "Dog")
    path.write_text("")
    with pytest.raises(InputError, match="classes.txt"):
        model.read_labels(path)


@pytest.mark.parametrize("ready", ["panns-cnn14", "panns-cnn14-framewise"])
def test_the_classes_of_panns_are_those_of_audioset(ready, real_data):
    model = READY_MODELS.get(ready)
    path = real_data / "audioset" / "class_labels_indices.csv"
    (file,) = [file for file in model.files if file.role == "labels"]
    content = path.read_bytes()
    assert file.num_bytes == len(content)
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    labels = model.read_labels(path)
    assert len(labels) == model.num_classes == 527
    assert labels[0] == "Speech" and labels[526] == "Field recording"
