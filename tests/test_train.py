"""train: learning, the golden start of a loss curve, resuming, and what is refused. Also predict, on what was trained."""

import h5py
import numpy as np
import pytest
import torch
import yaml
from helpers import write_set, write_sound

from wsedtk import checkpoint, models
from wsedtk.errors import InputError
from wsedtk.stages import train
from wsedtk.store import FeatureStore, ScoreFile

SMALL = ["--set", "network_options={channels: [4, 6, 8], num_hidden: 8}", "--set", "batch_size=6", "--set", "learning_rate=3e-3",
         "--set", "checkpoint_every=5", "--set", "max_checkpoints=3"]
LABELS = ["high, very", "low"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve clips to fit on and six to validate on, of 1 s, one of them of 0.5 s; their features."""
    folder = tmp_path_factory.mktemp("corpus")
    sets = {}
    for name, numbers in (("fit", range(12)), ("valid", range(12, 18))):
        clips, tags = [], []
        for i in numbers:
            seconds = 0.5 if i == 3 else 1.0
            write_sound(folder / "audio" / f"{i:02d}.wav", seconds, frequency=3000 if i % 2 == 0 else 300, seed=i)
            clips.append((f"{i:02d}.wav", f"../audio/{i:02d}.wav", seconds))
            tags.append((f"{i:02d}.wav", LABELS[i % 2]))
        sets[name] = write_set(folder / name, clips, LABELS, tags)
    from wsedtk.stages import extract
    for name, data_set in sets.items():
        extract.run(data_set, folder / f"{name}.h5", None, 1, None, 10.0, "float32", False, 0.0)
    return folder


def arguments(corpus, model, *more):
    """The command line of a small training."""
    return ["train", corpus / "fit", corpus / "valid", model, "--feats", corpus / "fit.h5", "--feats", corpus / "valid.h5", *SMALL, *more]


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """A model trained without interruption."""
    from click.testing import CliRunner

    from wsedtk import cli
    model = tmp_path_factory.mktemp("trained") / "linear"
    assert CliRunner().invoke(cli.cli, [str(a) for a in arguments(corpus, model)], catch_exceptions=False).exit_code == 0
    return model


def test_a_model_directory_has_every_part(trained, corpus):
    names = {p.name for p in trained.iterdir()}
    assert names == {"model.safetensors", "model.yaml", "config.yaml", "history.tsv", "train.log", "checkpoints"}
    spec, network, _ = checkpoint.load_model(trained)
    assert spec.labels == tuple(LABELS) and spec.pooling == "linear" and spec.frontend["hop"] == 400
    store = FeatureStore([corpus / "fit.h5"])
    frames = np.concatenate([store.read(np.array([i]))[0] for i in range(12)]).astype(np.float64)
    np.testing.assert_allclose(spec.mean, frames.mean(axis=0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(spec.std, frames.std(axis=0), rtol=0, atol=1e-9)
    rows = [line.split("\t") for line in (trained / "history.tsv").read_text().splitlines()]
    assert rows[0][:3] == ["step", "train_loss", "valid_loss"] and [r[0] for r in rows[1:]] == ["5", "10", "15"]
    assert len(list((trained / "checkpoints").glob("*.pt"))) == 2
    assert [line.split(" ", 2)[2].split(":")[0] for line in (trained / "train.log").read_text().splitlines()] == [
        f"checkpoint {i} of 3" for i in (1, 2, 3)]


class Stopped(Exception):
    """What ends a training half-way."""


def test_stop_and_resume_equals_never_stopped(corpus, trained, tmp_path, run, monkeypatch):
    stopped = tmp_path / "stopped"
    original, calls = train.Trainer.run_batch, []

    def failing(self):
        calls.append(1)
        if len(calls) == 8:  # in the middle of the second checkpoint
            raise Stopped
        return original(self)

    monkeypatch.setattr(train.Trainer, "run_batch", failing)
    with pytest.raises(Stopped):
        run(*arguments(corpus, stopped))
    assert not (stopped / "model.yaml").exists()
    monkeypatch.setattr(train.Trainer, "run_batch", original)
    result = run(*arguments(corpus, stopped))
    assert "going on from batch 5" in result.stderr
    assert (stopped / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    histories = [[line.rsplit("\t", 1)[0] for line in (m / "history.tsv").read_text().splitlines()] for m in (stopped, trained)]
    assert histories[0] == histories[1]  # all but the seconds


def test_a_damaged_newest_checkpoint_falls_back(corpus, trained, tmp_path, run):
    model = tmp_path / "m"
    run(*arguments(corpus, model, "--set", "max_checkpoints=3"))
    newest = train.checkpoints(model)[0]
    newest.write_bytes(newest.read_bytes()[:1000])
    result = run(*arguments(corpus, model))
    assert "damaged" in result.stderr and "going on from batch 10" in result.stderr
    assert (model / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_done_is_said_and_other_settings_are_refused(corpus, trained, run):
    before = (trained / "model.safetensors").stat().st_mtime_ns, (trained / "history.tsv").read_bytes()
    assert "training is done" in run(*arguments(corpus, trained)).stderr
    assert (trained / "history.tsv").read_bytes() == before[1]
    result = run(*arguments(corpus, trained, "--set", "seed=1"))
    assert result.exit_code == 1 and "trained with other settings (seed)" in result.stderr and "--overwrite" in result.stderr


def test_overwrite_trains_anew(corpus, trained, tmp_path, run):
    model = tmp_path / "m"
    assert run(*arguments(corpus, model, "--set", "seed=1")).exit_code == 0
    other = (model / "model.safetensors").read_bytes()
    assert run(*arguments(corpus, model, "--overwrite")).exit_code == 0
    assert (model / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes() != other


@pytest.mark.parametrize("pooling", ["linear", "attention"])
def test_one_batch_is_overfitted(pooling):
    torch.manual_seed(0)
    network = models.build("dcase-crnn", 3, pooling=pooling, num_mels=16, channels=(8, 8, 8), num_hidden=16)
    x, target = torch.randn(8, 40, 16), (torch.arange(24).reshape(8, 3) % 5 < 2).float()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(150):
        loss = train.binary_cross_entropy(network(x).clip, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_the_loss_is_sklearns_log_loss():
    from sklearn.metrics import log_loss
    generator = np.random.default_rng(0)
    p, t = generator.random((7, 3)), generator.random((7, 3)) < 0.4
    expected = np.mean([log_loss(t[:, k], p[:, k], labels=[False, True]) for k in range(3)])
    found = train.binary_cross_entropy(torch.from_numpy(p), torch.from_numpy(t).float()).item()
    assert found == pytest.approx(expected, abs=1e-6)  # the loss is taken in float32


def test_the_loss_curve_of_a_fixed_seed_stays(corpus, tmp_path, run):
    """The first five batches in float32. The numbers guard against changes that no one meant; they are not a target."""
    losses, original = [], train.Trainer.run_batch

    def recording(self):
        losses.append(original(self))
        return losses[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Trainer, "run_batch", recording)
        run(*arguments(corpus, tmp_path / "m", "--set", "precision=float32", "--set", "max_checkpoints=1"))
    np.testing.assert_allclose(losses, GOLDEN, rtol=2e-4)


GOLDEN = [0.714343, 0.693611, 0.655005, 0.613302, 0.585529]  # measured with torch 2.13.0 on a CPU


def test_a_loss_that_is_not_finite_stops_training(corpus, tmp_path, run, monkeypatch):
    original = train.Trainer.run_batch

    def poisoned(self):
        if self.step == 7:
            self.runner.network.conv1.bias.data[:] = float("nan")
        return original(self)

    monkeypatch.setattr(train.Trainer, "run_batch", poisoned)
    result = run(*arguments(corpus, tmp_path / "m"))
    assert result.exit_code == 1 and "the loss is nan at batch 8 (clips " in result.stderr
    assert checkpoint.load_checkpoint(train.checkpoints(tmp_path / "m")[0])["step"] == 5
    assert not (tmp_path / "m" / "model.yaml").exists()


def test_dry_run_prints_the_network(corpus, tmp_path, run):
    result = run(*arguments(corpus, tmp_path / "m", "--dry-run", "--set", "network_options={}"))
    assert not (tmp_path / "m").exists()
    assert "conv3" in result.stdout and "1x128x200x16" in result.stdout
    assert "100 frames of 0.1 s in 10 s, 2 classes" in result.stdout
    total = sum(p.numel() for p in models.build("dcase-crnn", 2).parameters())
    assert f"{total:,} parameters" in result.stdout


@pytest.mark.parametrize("more, message", [
    (["--set", "poling=linear"], "unknown key 'poling'; did you mean 'pooling'?"),
    (["--set", "batch_size=0"], "batch_size, checkpoint_every and max_checkpoints must be at least 1"),
    (["--set", "pooling=mean"], "unknown pooling 'mean'"),
    (["--set", "learning_rate=.nan"], "learning_rate: expected a number, found NaN"),
    (["--set", "seed=-1"], "seed, schedule_patience and stop_patience must be at least 0"),
    (["--device", "cuda:99"], "--device cuda:99: can't be used here"),
    (["--device", "foo"], "--device foo: can't be used here"),
    (["--set", "learning_rate"], "--set learning_rate: expected key=value"),
    (["--feats", "no.h5"], "no.h5: no such file, nor shards of it"),
])
def test_wrong_settings_are_refused(corpus, tmp_path, run, more, message):
    result = run(*arguments(corpus, tmp_path / "m", *more))
    assert result.exit_code == 1 and message in result.stderr
    assert not (tmp_path / "m").exists()


def test_sets_that_do_not_fit_are_refused(corpus, tmp_path, run):
    rest = ["--feats", corpus / "fit.h5"]
    shared = run("train", corpus / "fit", corpus / "fit", tmp_path / "m", *rest)
    assert shared.exit_code == 1 and "shares 12 clips with" in shared.stderr
    missing = run("train", corpus / "fit", corpus / "valid", tmp_path / "m", *rest)
    assert missing.exit_code == 1 and "valid: 6 of 6 clips have no features in" in missing.stderr
    other = write_set(tmp_path / "other", [("x.wav", "", 1)], ["low", "high, very"], [("x.wav", "low")])
    labels = run("train", corpus / "fit", other, tmp_path / "m", *rest)
    assert labels.exit_code == 1 and "its labels.txt is not that of" in labels.stderr


def test_clips_without_tags_are_told(corpus, tmp_path, run):
    names = [(f"{i:02d}.wav", "", 1) for i in range(12)]
    fit = write_set(tmp_path / "fit", names, LABELS, [("00.wav", LABELS[0]), ("01.wav", LABELS[1])])
    result = run("train", fit, corpus / "valid", tmp_path / "m", "--feats", corpus / "fit.h5", "--feats", corpus / "valid.h5", *SMALL)
    assert result.exit_code == 0 and "fit: 10 clips without tags" in result.stderr


# ---- predict ----

@pytest.mark.parametrize("pooling", ["linear", "attention"])
def test_scores_are_those_of_the_network(corpus, tmp_path, run, pooling):
    model = tmp_path / pooling
    assert run(*arguments(corpus, model, "--set", f"pooling={pooling}", "--set", "max_checkpoints=1")).exit_code == 0
    result = run("predict", model, corpus / "fit.h5", tmp_path / "s.h5", "--precise", "--device", "cpu")
    assert "12 clips, 2 classes, 0.1 s a frame" in result.stdout
    spec, network, fingerprint = checkpoint.load_model(model)
    scores, store = ScoreFile(tmp_path / "s.h5"), FeatureStore([corpus / "fit.h5"])
    assert scores.attributes["model"] == fingerprint and scores.labels == LABELS
    assert scores.has("weight") == (pooling == "attention")
    for row, name in enumerate(scores.filenames.tolist()):
        x = (store.read(store.rows([name]))[0] - np.float32(spec.mean)) / np.float32(spec.std)
        with torch.inference_mode():
            alone = network(torch.from_numpy(x)[None])
        np.testing.assert_allclose(scores.clip[row], alone.clip[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(scores.frames(row), alone.frame[0], rtol=0, atol=1e-6)
        weight = None if alone.weight is None else alone.weight
        segment = network.pooling(alone.frame, weight)  # a second at most: one segment
        np.testing.assert_allclose(scores.segments(row), segment, rtol=0, atol=1e-6)
    assert scores.num_frames[scores.filenames.tolist().index("03.wav")] == 5


def test_half_precision_is_near(corpus, trained, tmp_path, run):
    for option in ((), ("--precise",)):
        run("predict", trained, corpus / "valid.h5", tmp_path / f"{len(option)}.h5", *option)
    rough, precise = (ScoreFile(tmp_path / f"{i}.h5").clip for i in (0, 1))
    np.testing.assert_allclose(rough, precise, rtol=0, atol=2e-2)
    assert (rough != precise).any()


def test_predict_of_a_set_and_without_frames(corpus, trained, tmp_path, run):
    few = write_set(tmp_path / "few", [("03.wav", "", 0.5), ("00.wav", "", 1)], LABELS, [])
    assert run("predict", trained, corpus / "fit.h5", tmp_path / "s.h5", "--data", few, "--no-frames").exit_code == 0
    scores = ScoreFile(tmp_path / "s.h5")
    assert scores.filenames.tolist() == ["00.wav", "03.wav"] and not scores.has("frame")
    with pytest.raises(InputError, match="holds no frame scores; predict without --no-frames"):
        scores.frames(0)
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["segment"].shape == (2, 1, 2)


def test_features_of_another_front_end_are_refused(corpus, trained, tmp_path, run):
    (tmp_path / "f.yaml").write_text(yaml.safe_dump({"hop": 500}))
    assert run("extract", corpus / "valid", tmp_path / "f.h5", "--config", tmp_path / "f.yaml").exit_code == 0
    result = run("predict", trained, tmp_path / "f.h5", tmp_path / "s.h5")
    assert result.exit_code == 1 and "made with another front end" in result.stderr and "hop: 400 there, 500 here" in result.stderr
    assert not (tmp_path / "s.h5").exists()


def test_prediction_is_deterministic(corpus, trained, tmp_path, run):
    for name in "ab":
        run("predict", trained, corpus / "fit.h5", tmp_path / f"{name}.h5")
    a, b = ScoreFile(tmp_path / "a.h5"), ScoreFile(tmp_path / "b.h5")
    assert (a.clip == b.clip).all() and a.attributes == b.attributes
