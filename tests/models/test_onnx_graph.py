"""The exported graph compared with LogMel and the networks, at lengths other than in tracing."""

import numpy as np
import pytest
import torch
from helpers import stir
from test_models import MELS, SMALL

from wsedtk.audio import audio_files
from wsedtk.audio.frontend import FrontendConfig, LogMel
from wsedtk.core.errors import InputError
from wsedtk.inference import network_runner
from wsedtk.models import checkpoint
from wsedtk.models.network import build_network
from wsedtk.models.onnx_graph import Frontend, Graph, difference, trace, with_metadata
from wsedtk.models.pooling import HIERARCHIES
from wsedtk.models.pooling_functions import POOLINGS
from wsedtk.models.ready_models import READY_MODELS

pytest.importorskip("onnx", reason="the extra [export] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [export] is not installed")

FRONTEND = FrontendConfig(
    sample_rate=4000, window=128, hop=100, num_fft=256, num_mels=MELS, max_hz=2000.0
)
LENGTHS = [1, FRONTEND.hop, 5 * FRONTEND.hop - 1, 40_000, 149_237]  # up to 10 s, and 37.3 s


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def runner_of(network, num_mels=MELS):
    return network_runner.Runner.of(
        network.eval(),
        np.full(num_mels, -20.0),
        np.full(num_mels, 8.0),
        torch.device("cpu"),
        precise=True,
    )


def lively(name, pooling, hierarchy=None, groups=(), **options):
    """A small network with random parameters and batch norms."""
    torch.manual_seed(0)
    return stir(build_network(name, 3, pooling, hierarchy, groups, **{**SMALL[name], **options}))


def session_of(graph):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(trace(graph), options)


def torch_scores(runner, samples, config=FRONTEND):
    """Return {output: array} of the network on features by LogMel."""
    levels = torch.from_numpy(LogMel(config)(samples))
    with torch.inference_mode():
        output = runner.run(
            *runner.normalize(levels, torch.ones(levels.shape[:2], dtype=torch.bool))
        )
    return {
        name: getattr(output, name).numpy()
        for name in ("clip", "frame", "weight")
        if getattr(output, name) is not None
    }


def assert_same(session, runner, samples, config=FRONTEND, atol=1e-5):
    expected = torch_scores(runner, samples, config)
    found = dict(
        zip(
            [output.name for output in session.get_outputs()],
            session.run(None, {"samples": samples}),
            strict=True,
        )
    )
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(
            found[name], values, rtol=0, atol=atol, err_msg=f"{name} of {samples.shape}"
        )


@pytest.mark.parametrize(
    "config",
    [
        FRONTEND,
        FrontendConfig(),
        FrontendConfig(44100, 1764, 882, 2048, 80, 0.0, 22050.0, 2, 1e-10, None),
        FrontendConfig(
            8000, 300, 100, 509, 16, 50.0, 3900.0, 2, 1e-8, 60.0, pad_to_seconds=1.0
        ),  # a prime number of points
        FrontendConfig(8000, 256, 300, 257, 8, 0.0, 4000.0),
        READY_MODELS.get("yamnet").frontend,
        READY_MODELS.get("frame-mn10").frontend,
        FrontendConfig(8000, 200, 80, 200, 16, 0.0, 4000.0),  # hops are longer than the window
        FrontendConfig(8000, 1, 1, 1, 1, 0.0, 4000.0),
        FrontendConfig(8000, 2, 1, 2, 1, 0.0, 4000.0),
    ],
)
def test_the_front_end_is_that_of_features(config):
    """In float64, LogMel equals librosa to 1e-6 dB."""
    graph, log_mel = Frontend(config), LogMel(config)
    # Pre-emphasis lowers the lowest frequencies by 30 dB, but not the rounding errors. The lowest
    # filters contain only one bin each, whose level is lower still in some frames.
    tolerance = 2e-3 if config.preemphasis else 3e-5
    for length in (
        1,
        config.hop - 1,
        config.hop,
        config.hop + 1,
        7 * config.hop + 3,
        config.sample_rate,
    ):
        samples = noise(2, max(1, length))
        samples[1] *= 1e-3  # the recordings have different maxima
        np.testing.assert_allclose(
            graph(torch.from_numpy(samples)),
            log_mel(samples.astype(np.float64)),
            rtol=0,
            atol=tolerance,
        )
    silence = np.zeros((1, 3 * config.hop), np.float32)
    np.testing.assert_array_equal(graph(torch.from_numpy(silence)), log_mel(silence))


@pytest.mark.parametrize("pooling", POOLINGS.names())
@pytest.mark.parametrize("name", SMALL)
def test_any_network_pooling_and_length(name, pooling):
    kinds = [None, *HIERARCHIES]
    hierarchy = kinds[
        (list(SMALL).index(name) + POOLINGS.names().index(pooling)) % 5
    ]  # each pooling with three of them, so that all are used
    options = (
        {"gru_gate": True, "attention_softmax": "class"}
        if (name, pooling) == ("gated-crnn", "attention")
        else {}
    )
    runner = runner_of(lively(name, pooling, hierarchy, (5, 3) if hierarchy else (), **options))
    session = session_of(Graph(FRONTEND, runner))
    for length in LENGTHS:
        assert_same(session, runner, noise(1, length, seed=length))
    assert_same(session, runner, noise(3, 4321))


@pytest.mark.parametrize(
    "name, options",
    [
        ("yamnet", {"num_channels": 2, "patch_hop": 32, "relu6": True}),
        ("yamnet", {"num_channels": 2, "patch_hop": 1}),
        ("yamnet", {"num_channels": 2, "patch_hop": 96}),
        ("yamnet", {"num_channels": 2, "dense": 2, "head": "bigru", "num_hidden": 3}),
    ],
)
def test_the_options_of_ready_models(name, options):
    torch.manual_seed(0)
    network = stir(build_network(name, 3, "linear", None, (), num_mels=MELS, **options))
    runner = runner_of(network)
    session = session_of(Graph(FRONTEND, runner))
    for length in LENGTHS:
        assert_same(session, runner, noise(1, length, seed=length))
    assert_same(session, runner, noise(3, 4321))


@pytest.mark.parametrize("pooling", POOLINGS.names())
def test_nested_groups_larger_than_the_recording(pooling):
    runner = runner_of(lively("dcase-crnn", pooling, "nested", (7, 100)))
    session = session_of(Graph(FRONTEND, runner))
    for length in (FRONTEND.hop, 4 * 7 * FRONTEND.hop, 4 * 8 * FRONTEND.hop, 40_000):
        assert_same(session, runner, noise(1, length))


@pytest.mark.parametrize("pooling", POOLINGS.names())
def test_scores_of_0_and_weights_that_underflow(pooling):
    network = lively("dcase-crnn", pooling)
    with torch.no_grad():
        network.head.fc_prob.bias.copy_(
            torch.tensor([-1e4, 1e4, -95.0])
        )  # 0, 1, and less than the smallest normal number
        for name in {"alpha", "beta"} & dict(network.pooling.named_parameters()).keys():
            getattr(network.pooling, name).fill_(1e4)
        if network.head.fc_att is not None:
            network.head.fc_att.weight.mul_(1e4)
    runner = runner_of(network)
    session = session_of(Graph(FRONTEND, runner))
    for samples in (noise(1, 9000), np.zeros((1, 9000), np.float32)):
        assert all(np.isfinite(output).all() for output in session.run(None, {"samples": samples}))
        found, expected = (
            session.run(["clip", "frame"], {"samples": samples}),
            torch_scores(runner, samples),
        )
        np.testing.assert_allclose(found[0], expected["clip"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(found[1], expected["frame"], rtol=0, atol=1e-5)
        assert not found[1][..., 0].any() and (found[1][..., 1] == 1).all()


def test_the_same_model_gives_the_same_bytes():
    files = [
        with_metadata(
            trace(Graph(FRONTEND, runner_of(lively("talnet", "attention")))),
            "what it is",
            {"b": "1", "a": "2"},
        )
        for _ in range(2)
    ]
    assert files[0] == files[1]


def test_the_difference_is_reported():
    graph = Graph(FRONTEND, runner_of(lively("dcase-crnn", "linear")))
    content = trace(graph)
    assert difference(content, graph) < 1e-5
    with torch.no_grad():
        graph.network.head.fc_prob.bias.add_(1.0)
    assert 0.01 < difference(content, graph) < 1
    graph.network.head.fc_prob.bias.data.fill_(torch.nan)
    assert difference(content, graph) == float("inf")


def test_unsupported_networks_are_refused_first():
    with pytest.raises(
        InputError, match="a DFT of 1048573 points, factored as 1 x 1048573, is too large"
    ):
        Frontend(FrontendConfig(window=1 << 19, num_fft=1048573, num_mels=4))
    network = lively("dcase-crnn", "linear")
    network.register_buffer("huge", torch.empty(1 << 30, device="meta"))
    runner = network_runner.Runner(
        network, torch.zeros(MELS), torch.ones(MELS), torch.device("cpu"), True
    )
    with pytest.raises(InputError, match="the model is too large for an ONNX file"):
        Graph(FRONTEND, runner)


def test_real_recordings(real_data, trained):
    """Scores differ by less than 1e-3 from torch's, with a model trained on other sounds."""
    spec, network, _ = checkpoint.load_model(trained)
    config = spec.frontend_config()
    runner = network_runner.Runner.of(
        network, spec.mean, spec.std, torch.device("cpu"), precise=True
    )
    session = session_of(Graph(config, runner))
    paths = sorted((real_data / "esc10").glob("*/*.ogg"))[::8]
    assert len(paths) == 40
    for path in paths:
        samples, _ = audio_files.read(path, config.sample_rate)
        assert_same(session, runner, samples[None], config, atol=1e-3)
