"""Frame-MobileNet, compared with the authors' code, and the reading of the published files.

The numbers in AUTHORS come from the code of github.com/fschmid56/PretrainedSED, commit 1aa47e4, in
float64: `PredictionsWrapper(FrameMNWrapper(0.6), embed_dim=576, seq_len=11)` with the weights of
`published`, and `AugmentMelSTFT` in evaluation mode.
"""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from test_models import check_padded_is_alone

from wsedtk.audio.frontend import LogMel
from wsedtk.core.errors import InputError
from wsedtk.models import layers
from wsedtk.models.checkpoint import check_tensors
from wsedtk.models.network import build_network, check_network
from wsedtk.models.networks import frame_mn as network_module
from wsedtk.models.ready.frame_mn import read_labels, read_weights
from wsedtk.models.ready_models import READY_MODELS
from wsedtk.training.training_loop import binary_cross_entropy

# For each block of width 0.6: the size of the kernel, and the numbers of inputs, of expanded
# channels, of hidden units of squeeze and excitation (0: none) and of outputs.
BLOCKS = [
    (3, 16, 16, 0, 16),
    (3, 16, 40, 0, 16),
    (3, 16, 40, 0, 16),
    (5, 16, 40, 16, 24),
    (5, 24, 72, 24, 24),
    (5, 24, 72, 24, 24),
    (3, 24, 144, 0, 48),
    (3, 48, 120, 0, 48),
    (3, 48, 112, 0, 48),
    (3, 48, 112, 0, 48),
    (3, 48, 288, 72, 64),
    (3, 64, 400, 104, 64),
    (5, 64, 400, 104, 96),
    (5, 96, 576, 144, 96),
    (5, 96, 576, 144, 96),
]
AUTHORS = {
    "frame": [  # two clips, frames 0, 1, 5 and 10, classes 0, 7, 200 and 446
        [
            [0.999987193, 0.0052457, 0.753635803, 0.995366996],
            [0.999998452, 0.000388349, 0.600797255, 0.82339869],
            [0.999999978, 0.000241435, 0.993540234, 0.99948194],
            [0.998972554, 0.122842913, 0.183975887, 0.994908562],
        ],
        [
            [0.999923333, 0.011686556, 0.7216293, 0.999279732],
            [0.999991159, 0.000292139, 0.448532562, 0.955612576],
            [0.999999552, 0.000122275, 0.959255095, 0.998918121],
            [0.999266547, 0.038780272, 0.189051025, 0.993063701],
        ],
    ],
    "input gradient": [  # two clips, feature frames 0, 1, 20, 42 and 43, mel bin 64
        [0.091145567, 0.001334715, 0.045932271, 0.043038032, 0.020084419],
        [0.01264559, 0.375793796, 0.326280711, 0.095166324, 0.025259488],
    ],
    "gradient of the first kernel": [  # channel 0, the first row: time offsets -1, 0 and 1
        [-16.6485974615657, 1.2890216101716163, 10.459516196504397]
    ],
    "features": [  # frames 0, 1, 12 and 24, mel bins 0, 1, 40, 90 and 127
        [-2.32361913, -0.598371021, -0.290398432, 0.226887201, 0.380525672],
        [-2.32361913, -1.0839069, -0.71603939, 0.111883521, 0.715474229],
        [-2.32361913, -1.462842715, -0.561013188, 0.352424592, 0.649422343],
        [-2.32361913, -1.274011097, -0.740016014, 0.045938526, 0.662291866],
    ],
}
SMALL = {"num_mels": 16, "width": 0.1}


def conv_shapes(name, *shape):
    return {
        f"{name}.0.weight": shape,
        **{
            f"{name}.1.{key}": shape[:1]
            for key in ("weight", "bias", "running_mean", "running_var")
        },
        f"{name}.1.num_batches_tracked": (),
    }


def published():
    """Return random weights with the names and shapes of the published file of width 0.6."""
    body = "model.frame_mn.features"
    shapes = conv_shapes(f"{body}.0", 16, 1, 3, 3)
    for number, (kernel, inputs, expanded, squeezed, outputs) in enumerate(BLOCKS, start=1):
        sizes = [] if inputs == expanded else [(expanded, inputs, 1, 1)]
        sizes.append((expanded, 1, kernel, kernel))
        for size in sizes:
            name = f"{body}.{number}.block.{sizes.index(size)}"
            shapes |= conv_shapes(name, *size)
        last = len(sizes)
        if squeezed:
            name = f"{body}.{number}.block.{last}.conc_se_layers.0"
            shapes |= {f"{name}.fc1.weight": (squeezed, expanded), f"{name}.fc1.bias": (squeezed,)}
            shapes |= {f"{name}.fc2.weight": (expanded, squeezed), f"{name}.fc2.bias": (expanded,)}
            last += 1
        shapes |= conv_shapes(f"{body}.{number}.block.{last}", outputs, expanded, 1, 1)
    shapes |= conv_shapes(f"{body}.16", 576, 96, 1, 1)
    for head in ("strong_head", "weak_head"):
        shapes |= {f"{head}.weight": (447, 576), f"{head}.bias": (447,)}
    random, tensors = np.random.RandomState(0), {}
    for name, shape in sorted(shapes.items()):
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(0)
            continue
        if name.endswith("running_var"):
            values = random.uniform(0.5, 2, shape)
        elif len(shape) > 1:
            values = random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        elif name.endswith(".1.weight"):
            values = random.uniform(0.5, 1.5, shape)
        else:
            values = random.normal(0, 0.3, shape)
        tensors[name] = torch.from_numpy(values)
    return tensors


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The path of a file with random weights in the published format."""
    path = tmp_path_factory.mktemp("published") / "frame_mn06_strong_1.pt"
    torch.save(published(), path)
    return path


@pytest.fixture(scope="module")
def loaded(weights):
    """The network of width 0.6 with random weights, in float64 and in evaluation mode."""
    network = build_network("frame-mn", 447, width=0.6)
    tensors = read_weights(weights)
    check_tensors(tensors, network.state_dict(), "published")
    network.double().load_state_dict(tensors)
    return network.eval()


def stirred(**options):
    """Return a small network with weights that keep the activations apart from 0, in float64."""
    torch.manual_seed(0)
    network = build_network("frame-mn", 3, **{**SMALL, **options}).double().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif name.endswith(("bias", "running_mean")):
            tensor.normal_(0, 0.3)
        elif tensor.dim() == 4:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        elif tensor.dim() == 2:
            tensor.normal_(0, tensor.shape[1] ** -0.5)
    return network


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_frames_and_gradients_are_those_of_the_authors_code(loaded, layout):
    network = copy.deepcopy(loaded).to(memory_format=layout)
    x = torch.from_numpy(np.random.RandomState(1).normal(0, 1, (2, 44, 128))).requires_grad_()
    frame = network(x).frame
    assert frame.shape == (2, 11, 447)
    expected = torch.tensor(AUTHORS["frame"], dtype=torch.float64)
    found = frame[:, [0, 1, 5, 10]][:, :, [0, 7, 200, 446]]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    factors = np.random.RandomState(2).normal(0, 1, frame.shape)
    (frame * torch.from_numpy(factors)).sum().backward()
    expected = torch.tensor(AUTHORS["input gradient"], dtype=torch.float64)
    torch.testing.assert_close(x.grad[:, [0, 1, 20, 42, 43], 64], expected, rtol=0, atol=1e-8)
    expected = torch.tensor(AUTHORS["gradient of the first kernel"], dtype=torch.float64)
    kernel = network.layers[0].conv.conv.weight  # the axes are time and frequency
    torch.testing.assert_close(kernel.grad[:1, 0, :, 0], expected, rtol=1e-9, atol=0)


def test_features_are_those_of_the_authors_code():
    model = READY_MODELS.get("frame-mn06")
    samples = np.random.RandomState(3).normal(0, 0.01, 4000)
    features = (LogMel(model.frontend)(samples) - model.mean) / model.std
    assert features.shape == (25, 128)
    found = features[[0, 1, 12, 24]][:, [0, 1, 40, 90, 127]]
    np.testing.assert_allclose(found, AUTHORS["features"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("width, count", [(0.6, 1_357_103), (1.0, 3_401_231)])
def test_the_published_sizes(width, count):
    """The authors count 1,615,022 and 3,830,798 parameters, with the layer for clip scores."""
    network = build_network("frame-mn", 447, width=width)
    assert sum(p.numel() for p in network.parameters()) == count
    embedding_size = {0.6: 576, 1.0: 960}[width]
    assert count + (embedding_size + 1) * 447 == {0.6: 1_615_022, 1.0: 3_830_798}[width]
    assert network.head.fc_prob.in_features == embedding_size


@pytest.mark.parametrize("options", [{}, {"head": "bigru", "num_hidden": 5}, {"num_mels": 16}])
@pytest.mark.parametrize("lengths", [(40, 37, 20), (41, 4, 1), (7, 6, 3)])
def test_a_padded_clip_scores_as_it_does_alone(options, lengths):
    check_padded_is_alone(stirred(pooling="attention", **options), lengths)


def test_padding_leaks_without_the_masks(monkeypatch):
    """The test above can fail: it does without masks before the convolutions."""
    monkeypatch.setattr(network_module, "zero_padding", lambda x, mask: x)
    with pytest.raises(AssertionError):
        check_padded_is_alone(stirred(), (40, 37, 20))


@pytest.mark.parametrize("num_mels", [1, 16, 128, 300])
@pytest.mark.parametrize("num_frames", [1, 3, 4, 7, 42])
def test_any_length_and_number_of_bins(num_mels, num_frames):
    network = stirred(num_mels=num_mels)
    output = network(torch.randn(2, num_frames, num_mels, dtype=torch.float64))
    assert output.frame.shape == (2, max(1, num_frames // 4), 3) and output.mask.all()
    assert ((output.frame > 0) & (output.frame < 1)).all()
    check_network(network.float(), "frame-mn", num_mels, 3)


def test_the_last_frames_of_an_odd_length_are_not_rounded_up(loaded):
    """The authors' network has one more frame for a part of four feature frames."""
    x = torch.from_numpy(np.random.RandomState(1).normal(0, 1, (2, 44, 128)))
    assert loaded(x[:, :43]).frame.shape[1] == 10


def test_batch_norm_is_folded():
    network, x = stirred(), torch.randn(2, 44, 16, dtype=torch.float64)
    before = network(x)
    layers.fold_batch_norm(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(network(x).frame, before.frame, rtol=0, atol=1e-12)


def test_gradients_reach_all_parameters():
    network = stirred(head="bigru", num_hidden=4, pooling="attention")
    assert len(network.body_layers) == 17
    network(torch.randn(2, 44, 16, dtype=torch.float64)).clip.sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("pooling", ["linear", "attention"])
def test_one_batch_is_overfitted(pooling):
    torch.manual_seed(0)
    network = build_network("frame-mn", 3, pooling=pooling, **SMALL)
    x, target = torch.randn(8, 40, 16), (torch.arange(24).reshape(8, 3) % 5 < 2).float()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(60):
        loss = binary_cross_entropy(network(x).clip, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        network.pooling.project()
    assert loss.item() < 0.05


def test_the_exported_graph_equals_the_network():
    import test_onnx_graph  # skips this test if the extra [export] is not installed

    runner = test_onnx_graph.runner_of(stirred(head="bigru", num_hidden=4).float())
    session = test_onnx_graph.session_of(test_onnx_graph.Graph(test_onnx_graph.FRONTEND, runner))
    for length in test_onnx_graph.LENGTHS:
        test_onnx_graph.assert_same(session, runner, test_onnx_graph.noise(2, length))


@pytest.mark.parametrize("num_bins", [1, 3])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_mean_over_bins_has_right_gradients_before_batch_norm(num_bins, training, layout):
    torch.manual_seed(0)
    bn = torch.nn.BatchNorm2d(6).double().train(training)
    x = torch.randn(2, 6, 10, num_bins, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn(2, 10, 6, dtype=torch.float64)
    found, expected = x.clone().requires_grad_(), x.clone().requires_grad_()
    mean = layers.mean_over_bins(bn(found))
    torch.testing.assert_close(mean, bn(x).sum(dim=3).transpose(1, 2) / num_bins)
    mean.backward(gradient)
    spread = (gradient / num_bins).transpose(1, 2)[..., None].repeat(1, 1, 1, num_bins)
    bn(expected).backward(spread.contiguous(memory_format=layout))
    torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0}, "width must be above 0 and at most 10, found 0"),
        ({"width": 11}, "width must be above 0 and at most 10, found 11"),
        ({"width": "wide"}, "TypeError"),
        ({"num_mels": 0}, "num_mels must be at least 1, found 0"),
        ({"head": "lstm"}, 'head must be "linear" or "bigru", found \'lstm\''),
        ({"dropout": 2}, "dropout must be a number from 0 to 1, found 2"),
        ({"depth": 3}, "has no option 'depth'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        build_network("frame-mn", 3, **options)


@pytest.mark.parametrize("name, width", [("frame-mn06", 0.6), ("frame-mn10", 1.0)])
def test_the_ready_models(name, width):
    model = READY_MODELS.get(name)
    with torch.device("meta"):
        network = build_network(
            model.network, model.num_classes, model.pooling, **model.network_options
        )
    assert network.head.fc_prob.in_features == round(960 * width)
    assert model.frontend.seconds_per_frame * network.time_reduction == pytest.approx(0.04)
    assert [file.role for file in model.files] == ["weights", "labels", "ontology"]
    assert model.files[0].name == f"frame_mn{name[-2:]}_strong_1.pt"
    # The authors' unit is (ln(power) + 4.5) / 5.
    for power in (1e-7, 1.0, 20.0):
        unit = (10 * math.log10(power) - model.mean) / model.std
        assert unit == pytest.approx((math.log(power) + 4.5) / 5)


def test_weights_of_another_width_do_not_fit(weights):
    network = build_network("frame-mn", 447, width=1.0)
    with pytest.raises(InputError, match=r"'head.fc_prob.weight' has the shape \(447, 576\)"):
        check_tensors(read_weights(weights), network.state_dict(), "w")


@pytest.mark.parametrize(
    "content, message",
    [
        ({}, "contains no network; expected a dict of tensors"),
        ({"conv1.weight": torch.zeros(3)}, "start with 'model.frame_mn.features.'"),
        (
            {"model.frame_mn.features.0.0.weight": torch.zeros(16, 1, 3, 3)},
            "start with 'strong_head.'",
        ),
        ({"strong_head.bias": 1.0}, "expected a dict of tensors"),
        ({3: torch.zeros(3)}, "start with 'model.frame_mn.features.'"),
        ([torch.zeros(3)], "expected a dict of tensors"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=rf"w.pt: .*{message}"):
        read_weights(tmp_path / "w.pt")


def test_a_damaged_checkpoint_is_refused(weights, tmp_path):
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"w.pt: is not a checkpoint, or is damaged"):
        read_weights(tmp_path / "w.pt")


CLASSES = tuple(f'Sound "{number}", it\'s' for number in range(447))


def test_classes_are_read_in_order_without_running_the_file(tmp_path):
    path = tmp_path / "audioset_classes.py"
    path.write_text(
        f"as_strong_train_classes = {list(CLASSES)!r}\n"
        "as_weak_classes = ['Speech', '\\d']\n"
        f"open({str(tmp_path / 'run')!r}, 'w')\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_labels(path) == CLASSES
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "expected one list as_strong_train_classes of 447 different classes"),
        ("as_weak_classes = ['Speech']", "expected one list"),
        (f"as_strong_train_classes = {list(CLASSES[:-1])!r}", "expected one list"),
        (f"as_strong_train_classes = {[*CLASSES[:-1], CLASSES[0]]!r}", "expected one list"),
        (f"as_strong_train_classes = {[*CLASSES[:-1], ' ']!r}", "expected one list"),
        (f"as_strong_train_classes = {[*CLASSES[:-1], 446]!r}", "expected one list"),
        (f"as_strong_train_classes = {[*CLASSES[:-1], []]!r}", "expected one list"),
        (f"as_strong_train_classes = {CLASSES!r}", "expected one list"),
        (f"as_strong_train_classes = {list(CLASSES)!r}\n" * 2, "expected one list"),
        (f"as_strong_train_classes += {list(CLASSES)!r}", "expected one list"),
        ("as_strong_train_classes = open('x')", "is not a Python file with a list of classes"),
        (
            "as_strong_train_classes = [str(i) for i in range(447)]",
            "is not a Python file with a list of classes",
        ),
        ("as_strong_train_classes = ['Speech'", "is not a Python file with a list of classes"),
        ("as_strong_train_classes = [{[]}]", "is not a Python file with a list of classes"),
        (
            "as_strong_train_classes = " + "-" * 100_000 + "1",
            "is not a Python file with a list of classes",
        ),
        ("\0", "is not a Python file with a list of classes"),
        (b"\xff\xfe", "is not a Python file with a list of classes"),
    ],
)
def test_other_class_files_are_refused(tmp_path, content, message):
    path = tmp_path / "classes.py"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=f"classes.py: {message}"):
        read_labels(path)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="w.pt: no such file"):
        read_weights(tmp_path / "w.pt")
    with pytest.raises(InputError, match="c.py: can't be read: No such file"):
        read_labels(tmp_path / "c.py")
