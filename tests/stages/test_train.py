"""train: learning, golden loss curves, resuming, and errors."""

import shutil

import h5py
import numpy as np
import pytest
import torch
from helpers import LABELS, RECIPES, SMALL, write_set
from helpers import train_arguments as arguments

from wsedtk.core.errors import InputError
from wsedtk.data.store import FeatureStore, ScoreFile
from wsedtk.models import checkpoint
from wsedtk.models.layers import Network
from wsedtk.models.network import build_network
from wsedtk.models.pooling_functions import POOLINGS
from wsedtk.training import resuming, training_loop

SIZES = {  # each network at a small size
    "dcase-crnn": {"channels": (8, 8, 8), "num_hidden": 16},
    "talnet": {"embedding_size": 32, "num_convs": 4, "num_pools": 2},
    "gated-crnn": {"num_channels": 6, "num_top_channels": 12, "num_hidden": 16, "dropout": 0.0},
    "yamnet": {"num_channels": 5, "dense": 3},
}


def test_a_model_directory_has_every_part(trained, corpus):
    names = {p.name for p in trained.iterdir()} - {"tensorboard"}  # if TensorBoard is installed
    assert names == {
        "model.safetensors",
        "model.yaml",
        "README.md",
        "config.yaml",
        "history.tsv",
        "train.log",
        "checkpoints",
    }
    spec, network, _ = checkpoint.load_model(trained)
    assert spec.labels == tuple(LABELS) and spec.pooling == "linear" and spec.frontend["hop"] == 400
    store = FeatureStore([corpus / "fit.h5"])
    frames = np.concatenate([store.read(np.array([i]))[0] for i in range(12)]).astype(np.float64)
    rounding = {
        "rtol": 2.0**-24,
        "atol": 1e-9,
    }  # rounding to float32: half of the last bit
    np.testing.assert_allclose(spec.mean, frames.mean(axis=0), **rounding)
    np.testing.assert_allclose(spec.std, frames.std(axis=0), **rounding)
    rows = [line.split("\t") for line in (trained / "history.tsv").read_text().splitlines()]
    assert rows[0][:3] == ["step", "train_loss", "valid_loss"] and [r[0] for r in rows[1:]] == [
        "5",
        "10",
        "15",
    ]
    best = max(rows[1:], key=lambda row: float(row[3]))[0]
    assert {p.name for p in (trained / "checkpoints").iterdir()} == {
        f"step{int(step):08d}.pt" for step in ("10", "15", best)
    }
    assert [
        line.split(" ", 2)[2].split(":")[0]
        for line in (trained / "train.log").read_text().splitlines()
    ] == [f"checkpoint {i} of 3" for i in (1, 2, 3)]


def test_features_that_are_not_finite_are_named(corpus, tmp_path, run):
    shutil.copy(corpus / "fit.h5", tmp_path / "fit.h5")
    with h5py.File(tmp_path / "fit.h5", "r+") as file:
        file["features"][4, 2, 3] = np.nan
    result = run(
        *[
            tmp_path / c.name if c == corpus / "fit.h5" else c
            for c in arguments(corpus, tmp_path / "m")
        ]
    )
    assert (
        result.exit_code == 1
        and "the features of 04.wav contain numbers that are not finite; extract them again"
        in result.stderr
    )


def test_a_finished_training_is_reported_and_other_settings_refused(corpus, trained, run):
    before = (
        (trained / "model.safetensors").stat().st_mtime_ns,
        (trained / "history.tsv").read_bytes(),
    )
    assert "training is finished" in run(*arguments(corpus, trained)).stderr
    assert (trained / "history.tsv").read_bytes() == before[1]
    result = run(*arguments(corpus, trained, "--set", "seed=1"))
    assert (
        result.exit_code == 1
        and "contains a training run with other settings (seed: 0 before, 1 now); choose"
        in result.stderr
    )
    assert "--overwrite" in result.stderr


def test_overwrite_trains_again(corpus, trained, tmp_path, run):
    model = tmp_path / "m"
    assert run(*arguments(corpus, model, "--set", "seed=1")).exit_code == 0
    other = (model / "model.safetensors").read_bytes()
    assert run(*arguments(corpus, model, "--overwrite")).exit_code == 0
    assert (
        (model / "model.safetensors").read_bytes()
        == (trained / "model.safetensors").read_bytes()
        != other
    )


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("pooling", POOLINGS.names())
def test_one_batch_is_overfitted(name, pooling):
    torch.manual_seed(0)
    network = build_network(name, 3, pooling=pooling, num_mels=32, **SIZES[name])
    x, target = torch.randn(8, 40, 32), (torch.arange(24).reshape(8, 3) % 5 < 2).float()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(120):
        loss = training_loop.binary_cross_entropy(network(x).clip, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        network.pooling.project()
    assert loss.item() < 0.05
    assert all((p >= 0).all() for p in network.pooling.parameters())


def test_the_loss_is_sklearns_log_loss():
    from sklearn.metrics import log_loss

    generator = np.random.default_rng(0)
    p, t = generator.random((7, 3)), generator.random((7, 3)) < 0.4
    expected = np.mean([log_loss(t[:, k], p[:, k], labels=[False, True]) for k in range(3)])
    found = training_loop.binary_cross_entropy(
        torch.from_numpy(p), torch.from_numpy(t).float()
    ).item()
    assert found == pytest.approx(expected, abs=1e-6)  # the loss is computed in float32


def losses_of(run, *command):
    """Return the losses of the batches of a training."""
    losses, original = [], training_loop.Trainer.run_batch

    def recording(self, *batch):
        losses.append(original(self, *batch))
        return losses[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_loop.Trainer, "run_batch", recording)
        result = run(*command)
    assert result.exit_code == 0, result.stderr
    return losses


# Measured with torch 2.13.0 on a CPU, after the initialisation of the GRU was changed to that of
# Wang's code. The curves with dropout were measured with `layers.Dropout`.
GOLDEN = {
    "audioset/conf/talnet_attention.yaml": [0.752406, 0.680443, 0.279665, 0.11301, 0.077797],
    "audioset/conf/talnet_average.yaml": [0.703319, 0.639313, 0.218264, 0.108061, 0.068781],
    "audioset/conf/talnet_exp.yaml": [0.703616, 0.635262, 0.216223, 0.107879, 0.06779],
    "audioset/conf/talnet_linear.yaml": [0.704329, 0.630522, 0.228586, 0.123911, 0.07515],
    "audioset/conf/talnet_max.yaml": [0.699194, 0.562799, 0.208826, 0.175883, 0.053305],
    "audioset/conf/talnet_small.yaml": [0.70469, 0.67656, 0.576691, 0.571361, 0.516278],
    "dcase2017/conf/crnn_attention.yaml": [0.694829, 0.687293, 0.672216, 0.661628, 0.650769],
    "dcase2017/conf/crnn_average.yaml": [0.701513, 0.683623, 0.670021, 0.650961, 0.639398],
    "dcase2017/conf/crnn_exp.yaml": [0.70152, 0.683659, 0.670035, 0.651006, 0.639456],
    "dcase2017/conf/crnn_linear.yaml": [0.701525, 0.683697, 0.670055, 0.651042, 0.639507],
    "dcase2017/conf/crnn_max.yaml": [0.698338, 0.679978, 0.656226, 0.632829, 0.61157],
    "dcase2017/conf/gated_crnn_attention.yaml": [0.704161, 0.701002, 0.64589, 0.611194, 0.598698],
    "dcase2017/conf/gated_crnn_attention_hierarchical.yaml": [
        0.704161,
        0.700796,
        0.645399,
        0.611355,
        0.59784,
    ],
    "dcase2017/conf/gated_crnn_attention_nested.yaml": [
        0.704096,
        0.701002,
        0.645913,
        0.61115,
        0.598729,
    ],
    "dcase2017/conf/gated_crnn_attention_published_all.yaml": [
        0.704161,
        0.7009,
        0.645364,
        0.611406,
        0.598023,
    ],
    "dcase2017/conf/gated_crnn_exp.yaml": [0.697186, 0.670227, 0.660307, 0.636361, 0.604802],
    "dcase2017/conf/gated_crnn_exp_hierarchical.yaml": [
        0.697186,
        0.670176,
        0.660225,
        0.636095,
        0.604413,
    ],
    "dcase2017/conf/gated_crnn_exp_nested.yaml": [0.697185, 0.670226, 0.660291, 0.636324, 0.604667],
    "dcase2017/conf/gated_crnn_exp_published_all.yaml": [
        0.697186,
        0.670252,
        0.660279,
        0.636359,
        0.604642,
    ],
    "dcase2017/conf/gated_crnn_linear.yaml": [0.697566, 0.670956, 0.660652, 0.637213, 0.605136],
    "dcase2017/conf/gated_crnn_linear_hierarchical.yaml": [
        0.697566,
        0.670964,
        0.660707,
        0.637744,
        0.605351,
    ],
    "dcase2017/conf/gated_crnn_linear_nested.yaml": [
        0.697558,
        0.67092,
        0.660708,
        0.637101,
        0.605279,
    ],
    "dcase2017/conf/gated_crnn_linear_published_all.yaml": [
        0.697566,
        0.671069,
        0.660722,
        0.63745,
        0.605627,
    ],
    "dcase2017/conf/ours.yaml": [0.690708, 0.691567, 0.683181, 0.657062, 0.730397],
    "example/conf/crnn.yaml": [0.690352, 0.692193, 0.688384, 0.682857, 0.703316],
    "mini/conf/crnn_attention.yaml": [0.713531, 0.709339, 0.696932, 0.686894, 0.680739],
    "mini/conf/crnn_linear.yaml": [0.658997, 0.700735, 0.677308, 0.679722, 0.685502],
}
for _pooling in ("attention", "exp", "linear"):  # a plain hierarchy equals single pooling
    _single = f"dcase2017/conf/gated_crnn_{_pooling}.yaml"
    GOLDEN[_single.replace(".yaml", "_plain.yaml")] = GOLDEN[_single]


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("config", GOLDEN)
@pytest.mark.usefixtures("one_thread")
def test_the_loss_curve_of_a_fixed_seed_stays(corpus, tmp_path, run, config):
    """Compare the losses of the first five batches in float32 on one thread.

    The numbers detect unintended changes; they are not a target. Adam's first steps amplify
    rounding before batch norm: at this learning rate, one and two threads differ by up to 1.2e-3.
    """
    prefix = "he_" if "gated" in config else ""
    command = [
        "train",
        corpus / "fit",
        corpus / "valid",
        tmp_path / "m",
        "--feats",
        corpus / f"{prefix}fit.h5",
        "--feats",
        corpus / f"{prefix}valid.h5",
        "--config",
        RECIPES / config,
    ]
    for setting in (
        "batch_size=6",
        "precision=float32",
        "checkpoint_every=5",
        "max_checkpoints=1",
        "learning_rate=1e-4",
    ):
        command += ["--set", setting]
    if "published_all" in config:  # with 12 frames, [5, 5] would give one group
        command += ["--set", "groups=[3, 2]"]
    np.testing.assert_allclose(losses_of(run, *command), GOLDEN[config], rtol=1e-3)


def test_every_configuration_of_a_system_has_its_loss_curve():
    systems = [p for p in RECIPES.glob("*/conf/*.yaml") if not p.name.startswith("frontend")]
    assert {str(p.relative_to(RECIPES)) for p in systems} == set(GOLDEN)


def test_a_loss_that_is_not_finite_stops_training(corpus, tmp_path, run, monkeypatch):
    original = training_loop.Trainer.run_batch

    def poisoned(self, *batch):
        if self.step == 7:
            self.runner.network.conv1.bias.data[:] = float("nan")
        return original(self, *batch)

    monkeypatch.setattr(training_loop.Trainer, "run_batch", poisoned)
    result = run(*arguments(corpus, tmp_path / "m"))
    assert result.exit_code == 1 and "the loss is nan at batch 8 (clips " in result.stderr
    assert checkpoint.load_checkpoint(resuming.checkpoints(tmp_path / "m")[0])["step"] == 5
    assert not (tmp_path / "m" / "model.yaml").exists()


def test_dry_run_prints_the_network(corpus, tmp_path, run):
    result = run(*arguments(corpus, tmp_path / "m", "--dry-run", "--set", "network_options={}"))
    assert not (tmp_path / "m").exists()
    assert "conv3" in result.stdout and "1x128x200x16" in result.stdout
    assert "100 frames of 0.1 s in 10 s, 2 classes" in result.stdout
    total = sum(p.numel() for p in build_network("dcase-crnn", 2).parameters())
    assert f"{total:,} parameters" in result.stdout


class Halving(Network):
    """A network with wrong attributes."""

    time_reduction = 1

    def __init__(self, pooling, num_mels, **options):
        super().__init__()
        self.inner = build_network("dcase-crnn", pooling.num_classes, num_mels=num_mels, **options)
        self.head = self.inner.head

    def forward(self, x, mask=None):
        return self.inner(x, mask)


def test_a_model_that_was_not_trained_there_is_kept(corpus, trained, tmp_path, run):
    model = tmp_path / "m"
    shutil.copytree(trained, model)
    (model / "config.yaml").unlink()
    before = (model / "model.safetensors").read_bytes()
    result = run(*arguments(corpus, model))
    assert result.exit_code == 1 and "contains a model, but no training run" in result.stderr
    assert (model / "model.safetensors").read_bytes() == before


def test_training_does_not_resume_with_other_features(corpus, trained, tmp_path, run):
    model = tmp_path / "m"
    shutil.copytree(trained, model)
    command = [tmp_path / c.name if c == corpus / "fit.h5" else c for c in arguments(corpus, model)]
    shutil.copy(corpus / "fit.h5", tmp_path / "fit.h5")
    assert "training is finished" in run(*command).stderr
    with h5py.File(tmp_path / "fit.h5", "r+") as file:
        file["mean"][:] += 1
    result = run(*command)
    assert (
        result.exit_code == 1
        and "contains a training run with other settings (other values of the features"
        in result.stderr
    )


@pytest.mark.parametrize("before, after", [("linear", "attention"), ("attention", "linear")])
def test_another_pooling_keeps_the_other_layers(corpus, tmp_path, run, before, after):
    assert (
        run(
            *arguments(
                corpus, tmp_path / "a", "--set", f"pooling={before}", "--set", "max_checkpoints=1"
            )
        ).exit_code
        == 0
    )
    result = run(
        *arguments(corpus, tmp_path / "b", "--set", f"pooling={after}", "--init", tmp_path / "a")
    )
    assert result.exit_code == 0 and ("head.fc_att.weight" in result.stderr) == (
        after == "attention"
    )
    assert "head.fc_prob" not in result.stderr


# ---- starting from another model ----


def with_other_classes(corpus, folder):
    """The sets of the corpus with one more class, and other names."""
    for name in ("fit", "valid"):
        (folder / name).mkdir()
        for table in ("clips.tsv", "tags.tsv"):
            text = (
                (corpus / name / table)
                .read_text()
                .replace("high, very", "siren")
                .replace("../audio", str(corpus / "audio"))
            )
            (folder / name / table).write_text(text)
        (folder / name / "labels.txt").write_text("low\nnever\nsiren\n")
    return folder


@pytest.mark.parametrize("pooling", ["linear", "attention", "general"])
def test_other_classes_get_a_new_output_layer(corpus, tmp_path, run, pooling):
    first, second = tmp_path / "first", tmp_path / "second"
    assert (
        run(
            *arguments(corpus, first, "--set", f"pooling={pooling}", "--set", "max_checkpoints=1")
        ).exit_code
        == 0
    )
    other = with_other_classes(corpus, tmp_path)
    command = arguments(other, second, "--set", f"pooling={pooling}", "--init", first)
    command = [c if str(c)[-3:] != ".h5" else corpus / c.name for c in command]
    seen = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            training_loop.Trainer,
            "run_to_checkpoint",
            lambda self, _: seen.update(self.runner.network.state_dict()) or exit(),
        )
        result = run(*command)
    assert (
        "start from random weights, because the classes or their order are different"
        in result.stderr
        and "head.fc_prob.weight, head.fc_prob.bias" in result.stderr
    )
    _, source, _ = checkpoint.load_model(first)
    for name, tensor in source.state_dict().items():
        assert torch.equal(seen[name], tensor) != (name.startswith("head.")), name
    assert seen["head.fc_prob.weight"].shape == (3, 16)
    result = run(*command)
    assert result.exit_code == 0
    spec, _, _ = checkpoint.load_model(second)
    before, _, fingerprint = checkpoint.load_model(first)
    assert (
        spec.labels == ("low", "never", "siren")
        and spec.mean == before.mean
        and spec.std == before.std
    )
    assert spec.trained["init"] == fingerprint


def test_the_same_classes_keep_their_output_layer(corpus, trained, tmp_path, run):
    losses = losses_of(
        run, *arguments(corpus, tmp_path / "m", "--init", trained, "--set", "max_checkpoints=1")
    )
    fresh = losses_of(run, *arguments(corpus, tmp_path / "n", "--set", "max_checkpoints=1"))
    assert losses[0] < 0.8 * fresh[0]


def test_another_start_is_another_training(corpus, trained, tmp_path, run):
    model = tmp_path / "m"
    assert run(*arguments(corpus, model, "--init", trained)).exit_code == 0
    assert "training is finished" in run(*arguments(corpus, model, "--init", trained)).stderr
    result = run(*arguments(corpus, model))
    assert (
        result.exit_code == 1
        and "contains a training run with other settings (another initial model" in result.stderr
    )


@pytest.mark.parametrize(
    "more, message",
    [
        (
            ["--set", "network_options={channels: [4, 6, 9], num_hidden: 8}"],
            "the tensor 'conv3.weight' has the shape (8, 6, 5, 5), expected (9, 6, 5, 5)",
        ),
        (
            ["--set", "network=talnet", "--set", "network_options={}"],
            "but the configuration has a different network, talnet {'num_mels': 64}",
        ),
        (
            ["--set", "network=test_models:OwnNetwork", "--set", "network_options={}"],
            "but the configuration has a different network",
        ),
    ],
)
def test_a_start_from_another_network_is_refused(corpus, trained, tmp_path, run, more, message):
    result = run(*arguments(corpus, tmp_path / "m", "--init", trained, *more))
    assert (
        result.exit_code == 1
        and message in result.stderr
        and "linear: contains the network dcase-crnn {" in result.stderr
    )
    assert not (tmp_path / "m").exists()


def test_a_start_from_another_front_end_is_refused(corpus, trained, tmp_path, run):
    feats = ["--feats", corpus / "he_fit.h5", "--feats", corpus / "he_valid.h5"]
    result = run(
        "train", corpus / "fit", corpus / "valid", tmp_path / "m", *feats, *SMALL, "--init", trained
    )
    assert (
        result.exit_code == 1
        and "the front end of this model differs from the front end of the features"
        in result.stderr
    )


# ---- frames, augmentation, balancers, schedules ----


def with_events(corpus, folder, half=True):
    """The fit set of the corpus with an event in each clip: its first or its second half."""
    (folder / "fit").mkdir(parents=True)
    for table in ("clips.tsv", "tags.tsv", "labels.txt"):
        (folder / "fit" / table).write_text(
            (corpus / "fit" / table).read_text().replace("../audio", str(corpus / "audio"))
        )
    rows = [line.split("\t") for line in (corpus / "fit" / "tags.tsv").read_text().splitlines()[1:]]
    spans = "0\t0.5" if half else "0.25\t0.5"
    lines = [
        "filename\tonset\toffset\tevent_label",
        *(f"{name}\t{spans}\t{label}" for name, label in rows),
    ]
    (folder / "fit" / "events.tsv").write_text("\n".join(lines) + "\n")
    return folder / "fit"


def test_frames_are_learnt_from_events(corpus, tmp_path, run):
    """Tones last the whole clip, and events half of it: only the frame loss can teach silence."""
    frames = {}
    fit = with_events(corpus, tmp_path)
    for weight in (0, 3):
        model = tmp_path / f"w{weight}"
        command = [
            "train",
            fit,
            *arguments(
                corpus,
                model,
                "--set",
                f"frame_loss_weight={weight}",
                "--set",
                "checkpoint_every=60",
            )[2:],
        ]
        assert run(*command).exit_code == 0
        assert run("predict", model, corpus / "fit.h5", tmp_path / f"{weight}.h5").exit_code == 0
        scores = ScoreFile(tmp_path / f"{weight}.h5")
        assert scores.filenames[0] == "00.wav"
        frames[weight] = scores.frames(0)[:, 0]
    assert frames[3][:4].min() > frames[3][6:].max() + 0.3
    assert frames[0][6:].min() > 0.5


def test_the_frame_loss_is_the_mean_over_known_real_frames(corpus, tmp_path):
    probability, target = torch.rand(2, 5, 3), torch.rand(2, 5, 3)
    known, mask = (
        torch.tensor([[[1.0, 0, 1]], [[0, 1, 1.0]]]),
        torch.tensor([[1.0] * 5, [1, 1, 0, 0, 0]])[..., None],
    )
    terms = [
        -(t * np.log(p) + (1 - t) * np.log1p(-p))
        for b in range(2)
        for i in range(5)
        for k in range(3)
        if known[b, 0, k] and mask[b, i, 0]
        for p, t in [(float(probability[b, i, k]), float(target[b, i, k]))]
    ]
    assert training_loop.binary_cross_entropy(
        probability, target, known * mask
    ).item() == pytest.approx(np.mean(terms), rel=1e-5)
    assert training_loop.binary_cross_entropy(probability, target, known * 0).item() == 0


def test_a_frame_loss_without_events_is_refused(corpus, tmp_path, run):
    result = run(*arguments(corpus, tmp_path / "m", "--set", "frame_loss_weight=1"))
    assert (
        result.exit_code == 1
        and "has no events, which frame_loss_weight needs; add" in result.stderr
    )


AUGMENTED = [
    "--set",
    "mixup_alpha=0.4",
    "--set",
    "time_mask_seconds=0.2",
    "--set",
    "mel_mask_bins=8",
    "--set",
    "time_shift_seconds=0.5",
]


def test_augmentation_changes_the_losses_and_resumes_alike(corpus, tmp_path, run):
    plain = losses_of(run, *arguments(corpus, tmp_path / "plain"))
    for setting in AUGMENTED[1::2]:
        assert losses_of(run, *arguments(corpus, tmp_path / setting, "--set", setting)) != plain
    whole = losses_of(run, *arguments(corpus, tmp_path / "whole", *AUGMENTED))
    original = training_loop.Trainer.run_batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            training_loop.Trainer,
            "run_batch",
            lambda self, *batch: original(self, *batch) if self.step < 8 else exit(),
        )
        run(*arguments(corpus, tmp_path / "stopped", *AUGMENTED))
    assert losses_of(run, *arguments(corpus, tmp_path / "stopped", *AUGMENTED)) == whole[5:]


def test_all_options_together(corpus, tmp_path, run):
    fit = with_events(corpus, tmp_path, half=False)
    command = ["train", fit, *arguments(corpus, tmp_path / "m", *AUGMENTED)[2:]]
    for setting in (
        "pooling=general",
        "hierarchy=nested",
        "groups=[2, 5]",
        "balancer=weighted",
        "frame_loss_weight=0.5",
        "schedule_by=null",
        "stop_patience=1",
        "checkpoint_every=null",
    ):
        command += ["--set", setting]
    result = run(*command)
    assert result.exit_code == 0, result.stderr
    spec, network, _ = checkpoint.load_model(tmp_path / "m")
    assert (spec.hierarchy, spec.groups, spec.pooling) == ("nested", (2, 5), "general")
    assert (
        network.pooling.hierarchy == "nested"
        and network.pooling.groups == (2, 5)
        and (network.pooling.alpha >= 0).all()
    )
    assert (tmp_path / "m" / "history.tsv").read_text().splitlines()[1].split("\t")[
        0
    ] == "2"  # an epoch: 12 clips in batches of 6


@pytest.mark.parametrize("balancer", ["classes", "weighted", "none"])
def test_a_balancer_decides_what_is_drawn(corpus, tmp_path, run, balancer):
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        original = training_loop.Trainer.load

        def recording(self, step):
            clips, batch = original(self, step)
            drawn.extend(clips.tolist())
            return clips, batch

        patch.setattr(training_loop.Trainer, "load", recording)
        assert (
            run(*arguments(corpus, tmp_path / "m", "--set", f"balancer={balancer}")).exit_code == 0
        )
    from wsedtk.data import datadir
    from wsedtk.training.sampler import Sampler

    batches = Sampler(datadir.read(corpus / "fit"), 6, 0, balancer)
    assert drawn == np.concatenate([batches.batch(step) for step in range(15)]).tolist()


def test_features_kept_in_memory_train_the_same_model(corpus, trained, tmp_path, run, monkeypatch):
    assert run(*arguments(corpus, tmp_path / "m", "--cache")).exit_code == 0
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == (
        trained / "model.safetensors"
    ).read_bytes()
    monkeypatch.setattr("wsedtk.data.store.features._available_bytes", lambda: 1000)
    result = run(*arguments(corpus, tmp_path / "large", "--cache"))
    assert (
        result.exit_code == 1
        and "18 clips take 0.0 GB of memory, but at most 0.0 GB can be used; omit --cache"
        in result.stderr
    )
    assert (
        "training is finished" in run(*arguments(corpus, tmp_path / "m", "--cache")).stderr
    )  # it needs none


def test_an_error_in_reading_ahead_is_raised(corpus, tmp_path, run, monkeypatch):
    original = training_loop.Trainer.load

    def broken(self, step):
        if step == 7:
            raise InputError("f.h5: the features of 'x' can't be read")
        return original(self, step)

    monkeypatch.setattr(training_loop.Trainer, "load", broken)
    result = run(*arguments(corpus, tmp_path / "m"))
    assert result.exit_code == 1 and "the features of 'x' can't be read" in result.stderr
    assert checkpoint.load_checkpoint(resuming.checkpoints(tmp_path / "m")[0])["step"] == 5


def test_a_schedule_lowers_the_rate_without_improvement(corpus, tmp_path, run, monkeypatch):
    monkeypatch.setattr(training_loop, "validate", lambda *_: {"loss": 1.0, "f1": 0.0, "map": 0.0})
    for schedule in ("loss", "null"):
        settings = ("schedule_patience=1", f"schedule_by={schedule}", "max_checkpoints=4")
        run(*arguments(corpus, tmp_path / schedule, *[a for s in settings for a in ("--set", s)]))
    rates = {
        s: [
            row.split("\t")[5]
            for row in (tmp_path / s / "history.tsv").read_text().splitlines()[1:]
        ]
        for s in ("loss", "null")
    }
    assert rates == {"null": ["0.003"] * 4, "loss": ["0.003"] * 3 + ["0.0015"]}


def test_monotone_attention_keeps_its_order_after_training(corpus, tmp_path, run):
    assert (
        run(*arguments(corpus, tmp_path / "m", "--set", "pooling=monotone-attention")).exit_code
        == 0
    )
    _, network, _ = checkpoint.load_model(tmp_path / "m")
    store = FeatureStore([corpus / "fit.h5"])
    with torch.inference_mode():
        output = network(torch.from_numpy(store.read(np.arange(12))) / 30)
        weights = network.pooling.weights(output.frame, output.weight, output.mask)
    higher = output.frame[:, :, None] > output.frame[:, None]  # (B, T, T', K)
    assert higher.any() and (weights[:, :, None] >= weights[:, None])[higher].all()


@pytest.mark.parametrize(
    "more, message",
    [
        (["--set", "poling=linear"], "unknown key 'poling'; did you mean 'pooling'?"),
        (
            ["--set", "batch_size=0"],
            "batch_size must be at least 1, found 0",
        ),
        (["--set", "pooling=mean"], "unknown pooling 'mean'"),
        (["--set", "learning_rate=.nan"], "learning_rate: expected a number, found NaN"),
        (
            ["--set", "seed=-1"],
            "seed must be at least 0 and below 2^63, found -1",
        ),
        (
            ["--set", "hierarchy=published"],
            "expected both a hierarchy and groups, or neither of them; found hierarchy 'published' and groups []",
        ),
        (
            ["--set", "hierarchy=published-all", "--set", "groups=[2, 5]"],
            "groups [2, 5]: one group contains all 10 output frames of the longest clip of",
        ),
        (
            ["--set", "hierarchy=published", "--set", "groups=[10]"],
            "linear pooling with hierarchy published have no gradient; choose groups whose first number is smaller than 10",
        ),
        (["--set", "hierarchy=deep"], "hierarchy: 'deep' is not a valid value"),
        (
            ["--set", "groups=[5, 0]", "--set", "hierarchy=plain"],
            "groups: expected whole numbers >= 1, found [5, 0]",
        ),
        (["--set", "balancer=all"], "balancer: 'all' is not a valid value"),
        (
            ["--set", "schedule_factor=50"],
            "schedule_factor must be above 0 and below 1, found 50; did you mean 0.5?",
        ),
        (["--set", "learning_rate=0"], "learning_rate must be a finite number above 0, found 0"),
        (
            ["--set", "network_options={dropout: 30}"],
            "dropout must be a number from 0 to 1, found 30; did you mean 0.3?",
        ),
        (
            ["--set", "mixup_alpha=-1"],
            "mixup_alpha must be at least 0 and at most 3600, found -1.0",
        ),
        (["--set", "frame_loss_weight=.inf"], "frame_loss_weight must be at least 0"),
        (["--init", "nowhere"], "nowhere: there is no such folder"),
        (["--set", "stop_patience=0"], "stop_patience must be at least 1, or null, found 0"),
        (
            ["--set", "time_mask_seconds=0.001"],
            "time_mask_seconds 0.001: 0.001 s is at most half of a frame of 0.025 s, so it has no "
            "effect; 0 turns the augmentation off",
        ),
        (
            ["--set", "time_shift_seconds=1e18"],
            "time_shift_seconds must be at least 0 and at most 3600, found 1e+18",
        ),
        (
            ["--set", "mel_mask_bins=65"],
            "mel_mask_bins 65: found 65; expected a number from 0 to 64, because the features have 64 "
            "mel bins; 0 turns the augmentation off",
        ),
        (
            ["--set", "augmentations=[{level: 1}]"],
            "augmentations: found {'level': 1}; expected a mapping with the key `name`",
        ),
        (
            ["--set", "augmentations=[{name: mixap}]"],
            "unknown augmentation 'mixap'; did you mean 'mixup'?",
        ),
        (
            ["--set", "augmentations=[{name: mixup, beta: 1}]"],
            "augmentations: 'mixup': ",
        ),
        (
            ["--set", "augmentations=[{name: 'os:sep'}]"],
            "augmentations: 'os:sep' is not a subclass of wsedtk.training.augmentations.Augmentation",
        ),
        (
            ["--set", "augmentations=[mixup]"],
            "augmentations: expected `key: value` lines, found 'mixup'",
        ),
        (
            ["--set", "network_options={pooling: max}"],
            "network_options: 'pooling' can't be set here",
        ),
        (
            ["--set", "network_options={1: 2}"],
            "1 can't be a key; if it is a name, put it in quotes",
        ),
        (["--set", "network_options={channels: [-1, 4, 4]}"], "network 'dcase-crnn': "),
        (["--set", "network_options={channels: [0, 4, 4]}"], "network 'dcase-crnn': "),
        (
            ["--set", "network_options={num_mels: 32}"],
            "network_options: num_mels is 32, but the features have 64 mel bins; remove num_mels",
        ),
        (
            ["--set", "network=torch.nn:Identity", "--set", "network_options={}"],
            "attribute time_reduction: expected a whole number >= 1",
        ),
        (
            ["--set", "network=test_train:Halving"],
            "network 'test_train:Halving': expected clip, frame and mask of the shapes",
        ),
        (["--device", "cuda:99"], "device cuda:99: can't be used here"),
        (["--device", "foo"], "device foo: can't be used here"),
        (["--set", "learning_rate"], "setting learning_rate: expected key=value"),
        (["--feats", "no.h5"], "no.h5: no such file or shards"),
    ],
)
def test_wrong_settings_are_refused(corpus, tmp_path, run, more, message):
    result = run(*arguments(corpus, tmp_path / "m", *more))
    assert result.exit_code == 1 and message in result.stderr
    assert not (tmp_path / "m").exists()


def test_sets_that_do_not_fit_are_refused(corpus, tmp_path, run):
    rest = ["--feats", corpus / "fit.h5"]
    shared = run("train", corpus / "fit", corpus / "fit", tmp_path / "m", *rest)
    assert shared.exit_code == 1 and "contains clips that are also in" in shared.stderr
    missing = run("train", corpus / "fit", corpus / "valid", tmp_path / "m", *rest)
    assert missing.exit_code == 1 and "valid: 6 of 6 clips have no features in" in missing.stderr
    other = write_set(
        tmp_path / "other", [("x.wav", "", 1)], ["low", "high, very"], [("x.wav", "low")]
    )
    labels = run("train", corpus / "fit", other, tmp_path / "m", *rest)
    assert labels.exit_code == 1 and "labels.txt differs from labels.txt in" in labels.stderr


def test_clips_without_tags_are_reported(corpus, tmp_path, run):
    names = [(f"{i:02d}.wav", "", 1) for i in range(12)]
    fit = write_set(tmp_path / "fit", names, LABELS, [("00.wav", LABELS[0]), ("01.wav", LABELS[1])])
    result = run(
        "train",
        fit,
        corpus / "valid",
        tmp_path / "m",
        "--feats",
        corpus / "fit.h5",
        "--feats",
        corpus / "valid.h5",
        *SMALL,
    )
    assert result.exit_code == 0 and "in the clips without tags (10 of 12 clips)" in result.stderr


def test_a_model_cannot_be_written_to_a_data_set(corpus, tmp_path, run):
    other = shutil.copytree(corpus / "valid", tmp_path / "other")
    before = sorted(p.name for p in other.iterdir())
    for folder, message in (
        (other, "other: contains a data set; choose another folder for the model"),
        (corpus / "valid", "valid: is an input of this command and would be overwritten"),
    ):
        result = run(*arguments(corpus, folder))
        assert result.exit_code == 1 and message in result.stderr
        assert sorted(p.name for p in folder.iterdir()) == before


def test_a_full_gpu_ends_training_with_advice(corpus, tmp_path, run, monkeypatch):
    def fail(*_):
        raise torch.cuda.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 9 GiB."
        )

    monkeypatch.setattr(training_loop.Trainer, "run_batch", fail)
    result = run(*arguments(corpus, tmp_path / "m"))
    assert result.exit_code == 1
    assert (
        "CUDA out of memory. Tried to allocate 2.00 GiB; end other programs that use the memory of "
        "the GPU, or train with a smaller batch_size (--set batch_size=N)" in result.stderr
    )
