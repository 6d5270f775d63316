"""Running a network: normalisation, padding, batches of similar lengths, device names."""

import numpy as np
import pytest
import torch

from wsedtk.data.store import FeatureLayout, FeatureStore, writing_features
from wsedtk.inference import network_runner
from wsedtk.models.network import build_network


@pytest.fixture
def store(tmp_path):
    """A hundred clips of 4 to 40 frames; some bins are far from zero, and one is constant."""
    generator = np.random.default_rng(0)
    layout = FeatureLayout(40, 8, "float32", {"hop": 1}, "f")
    with writing_features(tmp_path / "f.h5", layout) as (append, _):
        for i in range(100):
            x = generator.normal(-50, 10, (int(generator.integers(4, 41)), 8))
            x[:, 5] = -80
            append(f"{i:03d}", x, 1.0)
    return FeatureStore([tmp_path / "f.h5"])


def test_scores_do_not_depend_on_the_batch_that_a_clip_is_in(store):
    torch.manual_seed(0)
    network = build_network(
        "dcase-crnn", 3, pooling="attention", num_mels=8, channels=(4, 4, 4), num_hidden=5
    )
    mean, std = store.statistics(np.arange(100))
    assert std[5] == 0
    runner = network_runner.Runner.of(
        network, mean, std, network_runner.pick_device("cpu"), precise=True
    )
    rows = np.random.default_rng(1).permutation(100)[:90]
    seen = []
    for positions, output, segments in network_runner.score(runner, store, rows, 4, 10):
        assert len(positions) <= runner.batch_size
        for i, position in enumerate(positions.tolist()):
            x = torch.from_numpy(
                (store.read(rows[[position]])[0] - mean) / np.where(std > 0, std, 1)
            ).float()
            with torch.inference_mode():
                alone = network(x[None])
            torch.testing.assert_close(output.clip[i], alone.clip[0], rtol=0, atol=1e-6)
            length = alone.frame.shape[1]
            torch.testing.assert_close(output.frame[i, :length], alone.frame[0], rtol=0, atol=1e-6)
            first = slice(0, min(2, length))  # centres at 2 and 6 of 10 samples; the next at 10
            expected = network.pooling(alone.frame[:, first], alone.weight[:, first])
            torch.testing.assert_close(segments[i, 0], expected[0], rtol=0, atol=1e-6)
            seen.append(position)
    assert sorted(seen) == list(range(90))


def test_device_names():
    assert network_runner.pick_device("cpu").type == "cpu"
    assert network_runner.pick_device("auto").type in ("cpu", "cuda")
