"""Networks: shapes, parameters, initialisation, and padding that has no effect."""

import pytest
import torch
from helpers import stir

from wsedtk.core.errors import InputError
from wsedtk.models import layers
from wsedtk.models.network import build_network, check_network
from wsedtk.models.pooling import HIERARCHIES
from wsedtk.models.pooling_functions import POOLINGS

MELS = 32  # number of mel bins of the small networks
SMALL = {  # each network at a small size, with the time reduction 4
    "dcase-crnn": {"num_mels": MELS, "channels": (4, 5, 6), "num_hidden": 7},
    "talnet": {"num_mels": MELS, "embedding_size": 32, "num_convs": 6, "num_pools": 3},
    "gated-crnn": {"num_mels": MELS, "num_channels": 4, "num_top_channels": 6, "num_hidden": 7},
    "yamnet": {"num_mels": MELS, "num_channels": 2, "dense": 3},
}
GATED = {**SMALL["gated-crnn"], "gru_gate": True, "attention_softmax": "class"}
NETWORKS = pytest.mark.parametrize("name", SMALL)


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    "name, num_classes, shape, num_parameters, num_frames, hidden",
    [
        ("dcase-crnn", 17, (400, 64), 936_041, 100, 200),
        ("talnet", 527, (400, 64), 9_980_527, 100, 1024),
        ("gated-crnn", 17, (500, 80), 1_755_281, 125, 256),
    ],
)
def test_the_published_sizes(name, num_classes, shape, num_parameters, num_frames, hidden):
    network = build_network(name, num_classes)
    assert count(network) == num_parameters
    assert (
        count(build_network(name, num_classes, pooling="attention"))
        == num_parameters + (hidden + 1) * num_classes
    )
    assert (
        count(build_network(name, num_classes, pooling="general"))
        == num_parameters + 2 * num_classes
    )
    with torch.inference_mode():
        output = network.eval()(torch.randn(2, *shape))
    assert (
        output.clip.shape == (2, num_classes)
        and output.frame.shape == (2, num_frames, num_classes)
        and output.weight is None
    )
    assert network.time_reduction == 4


def test_the_gru_computes_on_a_cpu_in_what_autocast_says():
    torch.manual_seed(0)
    gru, x = torch.nn.GRU(8, 5, batch_first=True, bidirectional=True), torch.randn(3, 20, 8)
    part = torch.arange(20) < torch.tensor([20, 11, 4])[:, None]
    for mask in (None, part):
        for is_training in (False, True):
            plain = layers.run_gru(gru.train(is_training), x, mask)
            with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
                rounded = layers.run_gru(gru, x, mask)
            assert rounded.dtype == torch.bfloat16
            assert 1e-4 < (rounded - plain).abs().max() < 0.02
            for hidden in (plain, rounded):
                assert mask is None or not hidden[~mask].any()


@pytest.mark.parametrize("training", [True, False])
def test_autocast_does_not_change_the_precision_of_the_gru_on_a_gpu(training):
    """With autocast, cuDNN would use float16, in which most gradients of a large batch are 0."""

    class OnGpu(torch.Tensor):
        device = torch.device("cuda")

    class Recorded(torch.nn.GRU):
        def forward(self, x):
            seen.append((x.dtype, torch.is_autocast_enabled("cuda")))
            return x, None

    seen = []
    gru = Recorded(8, 4, batch_first=True, bidirectional=True).train(training)
    before = torch.is_autocast_enabled("cuda")
    torch.set_autocast_enabled("cuda", True)
    try:
        layers.run_gru(gru, torch.zeros(2, 5, 8, dtype=torch.bfloat16).as_subclass(OnGpu), None)
        assert torch.is_autocast_enabled("cuda")
    finally:
        torch.set_autocast_enabled("cuda", before)
    assert seen == [(torch.float32, False)]


def convolutions(network, shape):
    """Return the outputs (C, T, F) of the network's convolutions, in order."""
    found, hooks = [], []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            hooks.append(
                module.register_forward_hook(lambda m, i, o: found.append(tuple(o.shape[1:])))
            )
    with torch.inference_mode():
        network.eval()(torch.randn(1, *shape))
    return found


def test_the_published_shapes():
    assert convolutions(build_network("dcase-crnn", 3), (400, 64)) == [
        (32, 400, 64),
        (64, 400, 32),
        (128, 200, 16),
    ]
    assert convolutions(build_network("talnet", 3), (400, 64)) == [
        (32, 400, 64),
        (32, 400, 64),
        (64, 200, 32),
        (64, 200, 32),
        (128, 100, 16),
        (128, 100, 16),
        (256, 100, 8),
        (256, 100, 8),
        (512, 100, 4),
        (512, 100, 4),
    ]
    assert convolutions(build_network("gated-crnn", 3), (500, 80)) == [
        (128, 500, 80),
        (128, 500, 80),
        (128, 250, 40),
        (128, 250, 40),
        (128, 125, 20),
        (128, 125, 20),
        (128, 125, 10),
        (128, 125, 10),
        (256, 125, 5),
    ]


@pytest.mark.parametrize(
    "embedding, num_convs, num_pools",
    [(1024, 5, 5), (512, 8, 4), (768, 12, 6), (256, 3, 1), (1024, 15, 5)],
)
def test_talnets_general_form(embedding, num_convs, num_pools):
    """Compare the number of maps with section 4 of Wang, Li & Metze 2019.

    A pooled layer has E / f maps, where f is the number of its output bins. Another layer has
    2 E / f maps, where f is the number of its input bins.
    """
    network = build_network(
        "talnet", 4, embedding_size=embedding, num_convs=num_convs, num_pools=num_pools
    )
    num_bins, expected = 64, []
    for layer in range(num_convs):
        pooled = (layer + 1) % (num_convs // num_pools) == 0
        expected.append(embedding // (num_bins // 2) if pooled else 2 * embedding // num_bins)
        num_bins = num_bins // 2 if pooled else num_bins
    assert [shape[0] for shape in convolutions(network, (40, 64))] == expected
    assert network.time_reduction == (4 if num_pools > 1 else 2)
    assert network.gru.input_size == expected[-1] * num_bins == embedding
    assert network(torch.randn(2, 41, 64)).frame.shape == (2, 41 // network.time_reduction, 4)


@pytest.mark.parametrize("name", ["dcase-crnn", "talnet", "gated-crnn"])
def test_initialisation_is_the_published_one(name):
    torch.manual_seed(0)
    network = build_network(name, 5, pooling="attention")
    for key, parameter in network.named_parameters():
        fan_in = parameter.shape[1] * parameter[0, 0].numel() if parameter.dim() == 4 else 0
        if name == "talnet" and key.endswith(
            ".conv.bias"
        ):  # torch's default: uniform, bounded by 1 / sqrt(fan in)
            weight = network.get_parameter(key.replace("bias", "weight"))
            assert 0.7 < parameter.abs().max() * (weight.shape[1] * 9) ** 0.5 <= 1, key
        elif ".bn." in key:
            assert (parameter == (1 if key.endswith("weight") else 0)).all(), key
        elif "bias" in key:
            assert not parameter.any(), key
        elif "gru" in key:  # (3 H, inputs) is one orthogonal matrix, as in the authors' code
            values = torch.linalg.svdvals(parameter.detach())
            torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-5)
        else:  # Xavier-uniform: bounded by sqrt(6 / (fan in + fan out)), and nearly reaching it
            field = fan_in // parameter.shape[1] if parameter.dim() == 4 else 1
            bound = (6 / (field * (parameter.shape[0] + parameter.shape[1]))) ** 0.5
            assert 0.95 * bound < parameter.abs().max() <= bound, key


@pytest.mark.parametrize("name, hidden", [("dcase-crnn", 100), ("talnet", 512)])
def test_recurrent_weights_start_as_large_as_in_the_published_code(name, hidden):
    """Three gates of H x H in one orthogonal matrix have the standard deviation 1 / sqrt(3 H).

    It is 0.0577 for H = 100.
    """
    gru = build_network(name, 17).gru
    for weight in (gru.weight_hh_l0, gru.weight_hh_l0_reverse):
        assert weight.shape == (3 * hidden, hidden)
        assert weight.std().item() == pytest.approx((3 * hidden) ** -0.5, rel=1e-3)
        assert hidden != 100 or weight.std().item() == pytest.approx(0.0577, abs=1e-4)


def lively(name, method, **options):
    """Return a small network in evaluation mode with random biases and batch norms.

    These fill the padding if nothing masks it.
    """
    torch.manual_seed(0)
    return stir(
        build_network(name, 3, pooling=method, **{**SMALL[name], **options}).double().eval()
    )


def check_padded_is_alone(network, lengths):
    x = torch.randn(3, max(lengths), MELS, dtype=torch.float64)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    together = network(torch.where(mask[..., None], x, 5.0), mask)
    for clip, length in enumerate(lengths):
        alone = network(x[clip : clip + 1, :length])
        torch.testing.assert_close(together.clip[clip], alone.clip[0], rtol=0, atol=1e-12)
        real = int(alone.mask.sum())
        assert real == int(together.mask[clip].sum()) == max(1, length // network.time_reduction)
        torch.testing.assert_close(
            together.frame[clip, :real], alone.frame[0, :real], rtol=0, atol=1e-12
        )
        if alone.weight is not None:
            torch.testing.assert_close(
                together.weight[clip, :real], alone.weight[0, :real], rtol=0, atol=1e-12
            )


@NETWORKS
@pytest.mark.parametrize("method", POOLINGS.names())
@pytest.mark.parametrize("lengths", [(40, 37, 20), (41, 4, 1), (7, 2, 3)])
def test_a_padded_clip_scores_as_it_does_alone(name, method, lengths):
    check_padded_is_alone(lively(name, method), lengths)


@pytest.mark.parametrize(
    "options", [{"gru_gate": True}, {"attention_softmax": "class"}, {"time_pools": (1, 3, 1, 1)}]
)
def test_the_gated_networks_options_keep_padding_out(options):
    check_padded_is_alone(lively("gated-crnn", "attention", **options), (40, 37, 20))


@NETWORKS
def test_padding_leaks_without_the_masks(name, monkeypatch):
    """The tests above can fail: they do without masks before the convolutions."""
    module = name.replace("-", "_")
    monkeypatch.setattr(f"wsedtk.models.networks.{module}.zero_padding", lambda x, mask: x)
    with pytest.raises(AssertionError):
        check_padded_is_alone(lively(name, "linear"), (40, 37, 20))
    monkeypatch.undo()
    if name == "yamnet":  # has no GRU
        return
    monkeypatch.setattr(f"wsedtk.models.networks.{module}.run_gru", lambda gru, x, mask: gru(x)[0])
    with pytest.raises(AssertionError):
        check_padded_is_alone(lively(name, "linear"), (40, 37, 20))


@NETWORKS
@pytest.mark.parametrize("num_frames", [1, 3, 40, 401])
@pytest.mark.parametrize("num_classes", [1, 6])
def test_any_length_and_number_of_classes(name, num_frames, num_classes):
    network = build_network(name, num_classes, pooling="attention", **SMALL[name])
    output = network(torch.randn(2, num_frames, MELS))
    assert output.frame.shape == output.weight.shape == (2, max(1, num_frames // 4), num_classes)
    assert output.clip.shape == (2, num_classes) and output.mask.all()
    assert ((output.frame > 0) & (output.frame < 1)).all()


def test_attentions_softmax_runs_over_time_or_over_classes():
    x = torch.randn(2, 40, MELS)
    time = build_network("gated-crnn", 5, pooling="attention", **SMALL["gated-crnn"])(x).weight
    torch.testing.assert_close(time.sum(1), torch.ones(2, 5))
    classes = build_network("gated-crnn", 5, pooling="attention", **GATED)(x).weight
    torch.testing.assert_close(classes.sum(2), torch.ones(2, 10))


def test_the_gate_of_the_gru_halves_its_outputs(monkeypatch):
    network = build_network("gated-crnn", 5, **GATED)
    assert network.gru.hidden_size == 14 and network.head.fc_prob.in_features == 14
    seen = {}

    def run_gru(gru, x, mask):
        seen["gru"] = layers.run_gru(gru, x, mask)
        return seen["gru"]

    monkeypatch.setattr("wsedtk.models.networks.gated_crnn.run_gru", run_gru)
    network.head.register_forward_pre_hook(lambda m, i: seen.update(head=i[0]))
    network(torch.randn(2, 40, MELS))
    forward, backward = seen["gru"][..., :14], seen["gru"][..., 14:]
    expected = torch.cat(
        [half[..., :7] * torch.sigmoid(half[..., 7:]) for half in (forward, backward)], dim=-1
    )
    torch.testing.assert_close(seen["head"], expected)


def test_a_gated_convolution_is_one_half_times_the_sigmoid_of_the_other():
    from wsedtk.models.networks.gated_crnn import GatedConv

    layer, x = GatedConv(2, 3).eval(), torch.randn(2, 2, 6, 5)
    y = (
        torch.nn.functional.conv2d(x, layer.conv.weight, layer.conv.bias, padding=1)
        / (1 + 1e-5) ** 0.5
    )  # batch norm with its initial statistics
    torch.testing.assert_close(layer(x), y[:, :3] * torch.sigmoid(y[:, 3:]))


def test_talnets_probabilities_stay_off_0_and_1():
    network = build_network("talnet", 2, **SMALL["talnet"])
    torch.nn.init.constant_(network.head.fc_prob.bias, 100.0)
    assert network(torch.randn(1, 8, MELS)).frame.max() == torch.tensor(1 - 1e-7)
    torch.nn.init.constant_(network.head.fc_prob.bias, -100.0)
    assert network(torch.randn(1, 8, MELS)).frame.min() == torch.tensor(1e-7)


@NETWORKS
@pytest.mark.parametrize("method", ["linear", "attention", "monotone-attention"])
def test_probabilities_are_float32_under_autocast(name, method):
    network = build_network(name, 3, pooling=method, **SMALL[name])
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.randn(2, 20, MELS))
    assert output.clip.dtype == output.frame.dtype == torch.float32
    assert output.weight is None or output.weight.dtype == torch.float32


@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_a_hierarchy_reaches_the_pooling(hierarchy):
    network = build_network(
        "dcase-crnn", 3, hierarchy=hierarchy, groups=[5, 2], **SMALL["dcase-crnn"]
    )
    assert network.pooling.hierarchy == hierarchy and network.pooling.groups == (5, 2)
    output = network(torch.randn(2, 80, MELS))
    assert (hierarchy == "nested") == (
        not torch.allclose(output.clip, (output.frame**2).sum(1) / output.frame.sum(1))
    )


def test_dropout_is_off_as_published_and_in_evaluation():
    assert build_network("dcase-crnn", 3).dropout.p == 0
    assert build_network("gated-crnn", 3).dropout.p == 0.2
    for name in ("dcase-crnn", "gated-crnn"):
        network = build_network(name, 3, **{**SMALL[name], "dropout": 0.5})
        x = torch.randn(2, 40, MELS)
        network.eval()
        network.dropout.train()
        assert not torch.equal(network(x).clip, network(x).clip)
        assert torch.equal(network.eval()(x).clip, network(x).clip)


class OwnNetwork(torch.nn.Module):
    """A network of a user."""

    time_reduction = 1

    def __init__(self, pooling, num_mels=3, width=2):
        super().__init__()
        self.hidden = torch.nn.Linear(num_mels, width)
        self.head = layers.Head(width, pooling)
        self.pooling = pooling

    def forward(self, x, mask=None):
        return self.head(
            torch.tanh(self.hidden(x)),
            mask if mask is not None else torch.ones(x.shape[:2], dtype=torch.bool),
        )


def test_a_network_of_a_user():
    output = build_network("test_models:OwnNetwork", 4, pooling="exp", width=3)(
        torch.randn(2, 5, 3)
    )
    assert output.clip.shape == (2, 4)


def test_a_network_without_its_pooling_function_is_refused():
    network = build_network("test_models:OwnNetwork", 4)
    del network.pooling
    with pytest.raises(InputError, match="attribute pooling: expected the Pooling .* found None"):
        check_network(network, "test_models:OwnNetwork", 3, 4)


@pytest.mark.parametrize(
    "name, options, message",
    [
        (
            "transformer",
            {},
            "unknown network 'transformer'; known: .*dcase-crnn, .*gated-crnn, .*talnet",
        ),
        ("no.such:Thing", {}, "network 'no.such:Thing': No module named 'no'"),
        ("wsedtk.models:Thing", {}, "has no attribute 'Thing'"),
        ("os:system", {}, "network 'os:system': is not a subclass of torch.nn.Module"),
        (
            "subprocess:Popen",
            {},
            "network 'subprocess:Popen': is not a subclass of torch.nn.Module",
        ),
        (
            "dcase-crnn",
            {"depth": 3},
            r"has no option 'depth' \(network_options\); known: num_mels, ",
        ),
        (
            "talnet",
            {"num_chanels": 3},
            r"has no option 'num_chanels' \(network_options\); did you mean",
        ),
        ("dcase-crnn", {"pooling": "mean"}, "unknown pooling 'mean'"),
        (
            "dcase-crnn",
            {"hierarchy": "deep", "groups": [5]},
            "unknown hierarchy 'deep'; known: published, published-all, plain, nested",
        ),
        ("dcase-crnn", {"hierarchy": "plain"}, "expected both a hierarchy and groups, or neither"),
        ("dcase-crnn", {"num_mels": 50}, "num_mels must be a multiple of 8, found 50"),
        ("dcase-crnn", {"channels": [1, 2]}, "channels: expected three numbers"),
        (
            "talnet",
            {"num_convs": 10, "num_pools": 4},
            "num_convs a multiple of num_pools, found num_pools 4 and num_convs 10",
        ),
        ("talnet", {"num_mels": 80}, "num_mels must be a multiple of 32 for num_pools 5, found 80"),
        (
            "talnet",
            {"embedding_size": 1000},
            "embedding_size must be even and a multiple of num_mels / 2, found embedding_size 1000 and num_mels 64",
        ),
        (
            "gated-crnn",
            {"num_mels": 40},
            "num_mels must be a multiple of 16 for 4 blocks, found 40",
        ),
        (
            "gated-crnn",
            {"time_pools": [2, 0, 1, 1]},
            "time_pools: expected a whole number >= 1 for each block",
        ),
        (
            "gated-crnn",
            {"pooling": "attention", "attention_softmax": "frame"},
            'attention_softmax must be "time" or "class", found \'frame\'',
        ),
    ],
)
def test_wrong_networks_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        build_network(name, 3, **options)
