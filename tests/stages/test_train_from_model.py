"""train: from the weights of a model whose network has a body and a head."""

import contextlib
import dataclasses
import shutil
from types import SimpleNamespace

import pytest
import torch
import yaml
from helpers import LABELS, contents

import wsedtk
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.data.store import FeatureStore
from wsedtk.models import checkpoint
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.stages import train
from wsedtk.training import frozen_frames, training_loop

NETWORKS = {  # network, options, number of layers of the body
    "yamnet": ("yamnet", {"num_channels": 4, "dense": 3}, 14),
    "yamnet-patches": ("yamnet", {"num_channels": 4, "patch_hop": 16}, 14),
    "cnn8rnn": ("cnn8rnn", {"channels": [4, 4, 8, 8]}, 7),
    "panns-framewise": ("panns-cnn14", {"channels": [4, 4, 4, 4, 4, 8]}, 8),
    "panns": ("panns-cnn14", {"channels": [4, 4, 4, 4, 4, 8], "clip_embedding": True}, 7),
    "frame-mn": ("frame-mn", {"width": 0.1}, 17),
}
SETTINGS = {
    "batch_size": 6,
    "checkpoint_every": 4,
    "max_checkpoints": 2,
    "learning_rate": 1e-3,
    "precision": "float32",
}


@pytest.fixture
def start(corpus, tmp_path):
    """Write a model directory with other classes and with the front end of the corpus."""

    def start(name, labels=("one", "two", "three"), **more):
        network, options, _ = NETWORKS[name]
        frontend = FeatureStore([corpus / "fit.h5"]).frontend
        num_mels = frontend["num_mels"]
        options = {"num_mels": num_mels, **options, **more}
        spec = ModelSpec(
            network, options, "linear", labels, frontend, (-4.0,) * num_mels, (2.0,) * num_mels
        )
        torch.manual_seed(1)
        built = spec.build()
        for key, tensor in built.state_dict().items():
            if key.endswith(("bias", "running_mean")):
                tensor.normal_(std=0.2)
        folder = tmp_path / f"start_{name}"
        checkpoint.save_model(folder, spec, built.state_dict())
        return folder

    return start


def options_of(corpus, model_dir, init_dir, fit=None, **settings):
    return wsedtk.TrainOptions(
        fit or corpus / "fit",
        corpus / "valid",
        model_dir,
        [corpus / "fit.h5", corpus / "valid.h5"],
        settings={**SETTINGS, **settings},
        init_dir=init_dir,
        device="cpu",
    )


def train_from(*arguments, **settings):
    return wsedtk.train(options_of(*arguments, **settings))


def tensors_of(folder):
    return checkpoint.load_model(folder).network.state_dict()


def without_frozen_frames(monkeypatch):
    """Run the frozen layers for each batch."""
    monkeypatch.setattr(training_loop.Trainer, "can_use_frozen_frames", lambda self: False)


@pytest.mark.parametrize("is_cached", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_frozen_layers_keep_every_bit(corpus, tmp_path, start, name, is_cached, monkeypatch):
    init_dir = start(name)
    if not is_cached:
        without_frozen_frames(monkeypatch)
    train_from(corpus, tmp_path / "m", init_dir, freeze="all")
    before, model = tensors_of(init_dir), checkpoint.load_model(tmp_path / "m")
    of_body = model.network.body_tensors()
    assert len(model.network.body_layers) == NETWORKS[name][2] and of_body
    for key, tensor in model.network.state_dict().items():
        is_new = key.startswith(("head.", "fc1.")) and key not in of_body
        assert (key in of_body) != is_new
        same = key in before and before[key].shape == tensor.shape
        assert same and torch.equal(before[key], tensor) or is_new, key


@pytest.mark.parametrize(
    "name, freeze",
    [(name, "all") for name in NETWORKS] + [("yamnet", 6), ("yamnet-patches", 6), ("yamnet", 1)],
)
def test_frozen_frames_give_the_losses_of_the_whole_network(
    corpus, tmp_path, start, name, freeze, monkeypatch
):
    """The clips have different lengths, and the frame loss needs the number of output frames."""
    shutil.copytree(corpus / "fit", tmp_path / "fit")
    clips = (tmp_path / "fit" / "clips.tsv").read_text()
    (tmp_path / "fit" / "clips.tsv").write_text(clips.replace("../audio", str(corpus / "audio")))
    lines = [f"{i:02d}.wav\t0.1\t0.4\t{LABELS[i % 2]}" for i in range(6)]
    text = "\n".join(["filename\tonset\toffset\tevent_label", *lines])
    (tmp_path / "fit" / "events.tsv").write_text(text + "\n")
    init_dir = start(name)
    settings = {"freeze": freeze, "frame_loss_weight": 1.0, "network_options": {"dropout": 0.3}}
    results = []
    for _ in range(2):
        model_dir = tmp_path / f"m{len(results)}"
        results.append(train_from(corpus, model_dir, init_dir, tmp_path / "fit", **settings))
        without_frozen_frames(monkeypatch)
    for one, two in zip(*(result.history for result in results)):
        assert one.train_loss == pytest.approx(two.train_loss, rel=1e-4)
        assert one.valid_loss == pytest.approx(two.valid_loss, rel=1e-4)


def test_the_frames_are_removed_at_the_end(corpus, tmp_path, start):
    train_from(corpus, tmp_path / "m", start("yamnet"), freeze="all")
    names = {path.name for path in (tmp_path / "m" / "checkpoints").iterdir()}
    assert names == {"step00000004.pt", "step00000008.pt"}


class Stop(list):
    """A list of signals that contains SIGTERM from the given question on."""

    def __init__(self, questions):
        super().__init__()
        self.questions = questions

    def __bool__(self):
        self.questions -= 1
        if self.questions < 0 and not len(self):
            self.append("SIGTERM")
        return len(self) > 0


@pytest.mark.parametrize("head", ["linear", "bigru"])
def test_an_interrupted_training_gives_the_same_bits(corpus, tmp_path, start, head, monkeypatch):
    init_dir = start("yamnet")
    settings = {"freeze": 6, "body_learning_rate": 1e-4, "precision": "bf16"}
    settings["network_options"] = {"head": head, "num_hidden": 4, "dropout": 0.3}
    train_from(corpus, tmp_path / "whole", init_dir, **settings)
    options = options_of(corpus, tmp_path / "m", init_dir, **settings)
    number = []
    original = frozen_frames._write

    def counting(*arguments):
        number.append(None)
        return original(*arguments)

    monkeypatch.setattr(frozen_frames, "_write", counting)
    for questions in (0, 5, 3):
        with pytest.raises(NotFinished, match="stopped by SIGTERM"):
            train.run(options, stop_signals=lambda: contextlib.nullcontext(Stop(questions)))
    train.run(options)
    assert (
        contents(tmp_path / "m")["model.safetensors"]
        == (contents(tmp_path / "whole")["model.safetensors"])
    )
    assert len(number) == 2  # the first run was stopped before the frames were complete


@pytest.mark.parametrize("damage", ["cut", "other", "text"])
def test_damaged_frames_are_computed_again(corpus, tmp_path, start, damage):
    init_dir, settings = start("yamnet"), {"freeze": "all"}
    train_from(corpus, tmp_path / "whole", init_dir, **settings)
    options = options_of(corpus, tmp_path / "m", init_dir, **settings)
    with pytest.raises(NotFinished):
        train.run(options, stop_signals=lambda: contextlib.nullcontext(Stop(7)))
    index, frames = (tmp_path / "m" / "checkpoints" / f"frozen_frames.{e}" for e in ("json", "bin"))
    if damage == "cut":
        frames.write_bytes(frames.read_bytes()[:-4])
    elif damage == "other":
        index.write_text(index.read_text().replace('"identity": "', '"identity": "x'))
        frames.write_bytes(bytes(len(frames.read_bytes())))
    else:
        index.write_text("[")
    train.run(options)
    assert all(
        torch.equal(tensor, tensors_of(tmp_path / "whole")[key])
        for key, tensor in tensors_of(tmp_path / "m").items()
    )


def test_the_body_has_its_own_learning_rate(corpus, tmp_path, start):
    """The first step of Adam changes each weight by the learning rate."""
    init_dir = start("yamnet", LABELS)
    settings = {"checkpoint_every": 1, "max_checkpoints": 1, "freeze": 3}
    train_from(corpus, tmp_path / "m", init_dir, body_learning_rate=1e-5, **settings)
    before, after = tensors_of(init_dir), tensors_of(tmp_path / "m")
    steps = {key: (after[key] - before[key]).abs().max().item() for key in before}
    for key, step in steps.items():
        expected = 1e-3 if key.startswith("head.") else 1e-5
        if key.startswith(("layers.0.", "layers.1.", "layers.2.")):
            expected = 0
        assert step == pytest.approx(expected, rel=0.02), key


def test_the_network_is_that_of_the_model(corpus, tmp_path, start):
    """Options in the settings replace options of the model."""
    init_dir = start("yamnet-patches", relu6=True)
    settings = {"network_options": {"patch_hop": 0, "dense": 4, "head": "bigru", "num_hidden": 4}}
    result = train_from(corpus, tmp_path / "m", init_dir, freeze="all", pooling="exp", **settings)
    spec = checkpoint.read_spec(tmp_path / "m")
    expected = {"num_mels": 64, "num_channels": 4, "relu6": True, **settings["network_options"]}
    assert spec.network == "yamnet" and spec.network_options == expected
    assert spec.labels == tuple(LABELS) and spec.pooling == "exp"
    assert spec.mean == (-4.0,) * 64 and spec.std == (2.0,) * 64
    written = yaml.safe_load((tmp_path / "m" / "config.yaml").read_text())
    assert written["network"] == "yamnet" and written["freeze"] == "all"
    assert result.best.step in (4, 8)
    body = {k: v for k, v in tensors_of(init_dir).items() if k.startswith("layers.")}
    assert all(torch.equal(tensors_of(tmp_path / "m")[key], value) for key, value in body.items())


def test_a_gru_is_kept_for_other_classes(corpus, tmp_path, start, caplog):
    caplog.set_level("INFO")
    init_dir = start("yamnet", head="bigru", num_hidden=4)
    settings = {"checkpoint_every": 1, "max_checkpoints": 1, "learning_rate": 1e-9}
    train_from(corpus, tmp_path / "m", init_dir, **settings)
    before, after = tensors_of(init_dir), tensors_of(tmp_path / "m")
    for key, tensor in after.items():
        if not key.startswith("head."):
            torch.testing.assert_close(tensor, before[key], rtol=0, atol=1e-7)
    what = "start from random weights, because the"
    assert f"head.fc_prob.weight, head.fc_prob.bias {what} classes or" in caplog.text
    spec = checkpoint.read_spec(init_dir)
    spec = dataclasses.replace(spec, labels=(*LABELS,), network_options={"num_channels": 4})
    linear = spec.build()
    linear.head.fc_prob.bias.data.fill_(3)
    body = {key: value for key, value in before.items() if key.startswith("layers.")}
    linear.load_state_dict({**linear.state_dict(), **body})
    checkpoint.save_model(tmp_path / "linear", spec, linear.state_dict())
    options = {"network_options": {"dense": 3, "head": "bigru", "num_hidden": 4}}
    train_from(corpus, tmp_path / "n", tmp_path / "linear", **settings, **options)
    assert f"head.fc_prob.weight, head.fc_prob.bias {what} initial model has" in caplog.text
    assert tensors_of(tmp_path / "n")["head.fc_prob.bias"].abs().max() < 1
    assert "start from random weights" in (tmp_path / "n/train.log").read_text()
    caplog.clear()
    train_from(corpus, tmp_path / "n", tmp_path / "linear", **settings, **options)
    assert "start from random weights" not in caplog.text  # the training has ended


def test_clips_that_the_initial_model_was_trained_on_are_no_validation_clips(
    corpus, tmp_path, start, caplog
):
    few = {"max_checkpoints": 1, "checkpoint_every": 1}
    train_from(corpus, tmp_path / "first", start("yamnet", LABELS), **few)
    assert "initial model" not in caplog.text
    options = options_of(corpus, tmp_path / "second", tmp_path / "first", **few)
    swapped = {"fit_set": options.valid_set, "valid_set": options.fit_set}
    wsedtk.train(dataclasses.replace(options, **swapped))
    count = len(wsedtk.read_data(corpus / "fit"))
    message = f"{corpus / 'fit'}: {count} clips were used to train the initial model"
    assert caplog.text.count(message) == 1
    caplog.clear()
    wsedtk.train(dataclasses.replace(options, model_dir=tmp_path / "third"))
    assert "were used to train" not in caplog.text


def test_augmentations_see_every_frame(corpus, tmp_path, start, monkeypatch):
    """With augmentations, the outputs of the frozen layers differ from batch to batch."""
    monkeypatch.setattr(frozen_frames, "collect", None)
    train_from(corpus, tmp_path / "m", start("yamnet"), freeze="all", time_mask_seconds=0.3)
    train_from(corpus, tmp_path / "n", start("yamnet"), freeze="all", mixup_alpha=1.0)


def test_without_space_the_layers_are_run_for_each_batch(
    corpus, tmp_path, start, caplog, monkeypatch
):
    caplog.set_level("INFO")
    init_dir = start("yamnet")
    train_from(corpus, tmp_path / "a", init_dir, freeze="all")
    usage = SimpleNamespace(free=(1 << 30) + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    train_from(corpus, tmp_path / "b", init_dir, freeze="all")
    assert "not enough space for the outputs of the frozen layers" in caplog.text
    one, two = tensors_of(tmp_path / "a"), tensors_of(tmp_path / "b")
    assert all(torch.allclose(one[key], two[key], atol=1e-4) for key in one)


def test_frames_that_float16_cannot_hold_are_an_error(corpus, tmp_path, start):
    init_dir = start("yamnet")
    spec, network, _ = checkpoint.load_model(init_dir)
    tensors = network.state_dict()
    tensors["layers.13.pointwise.weight"] *= 1e12
    checkpoint.save_model(init_dir, spec, tensors)
    with pytest.raises(InputError, match="not finite in float16; train with --set precision=float"):
        train_from(corpus, tmp_path / "m", init_dir, freeze="all", precision="bf16")
    assert list((tmp_path / "m" / "checkpoints").glob("frozen*")) == []


@pytest.mark.parametrize(
    "settings, init, message",
    [
        ({"freeze": "all"}, None, "freeze is all, but there is no initial model whose layers"),
        ({"freeze": 15}, "yamnet", "found 15, but the body of the network yamnet has 14 layers"),
        ({"freeze": -1}, "yamnet", 'freeze must be "all", "none" or a whole number >= 0, found -1'),
        (
            {"freeze": "al"},
            "yamnet",
            "did you mean 'all'? (a whole number is valid, too)",
        ),
        ({"freeze": 1.5}, "yamnet", "freeze: 1.5 is not a valid value"),
        ({"freeze": True}, "yamnet", "freeze: True is not a valid value"),
        ({"body_learning_rate": 0}, "yamnet", "body_learning_rate must be a finite number above 0"),
        (
            {"body_learning_rate": 1e-3, "freeze": "all"},
            "yamnet",
            "body_learning_rate has no effect if all layers of the body are frozen",
        ),
        (
            {"body_learning_rate": 1e-3},
            None,
            "body_learning_rate: the network dcase-crnn does not consist of a body and a head",
        ),
        (
            {"network_options": {"num_channels": 5}},
            "yamnet",
            "the tensor 'layers.0.conv.weight' has the shape",
        ),
        ({"network_options": {"head": "gru"}}, "yamnet", 'head must be "linear" or "bigru"'),
    ],
)
def test_wrong_settings_are_refused(corpus, tmp_path, start, settings, init, message):
    init_dir = None if init is None else start(init)
    with pytest.raises(InputError) as error:
        train_from(corpus, tmp_path / "m", init_dir, **settings)
    assert message in str(error.value)
    assert not (tmp_path / "m").exists()


def test_a_network_without_body_cannot_be_frozen(corpus, trained, tmp_path):
    with pytest.raises(InputError, match="freeze: the network dcase-crnn does not consist of a"):
        train_from(corpus, tmp_path / "m", trained, freeze=1)


def test_the_table_of_the_network_counts_what_is_trained(corpus, tmp_path, start):
    """The linear layer of the head has 4 * 32 weights and a bias for each class."""
    options = options_of(corpus, tmp_path / "m", start("yamnet"), freeze="all")
    *_, last = train.describe(options).splitlines()
    assert f" parameters ({(4 * 32 + 1) * len(LABELS)} of them are trained), linear pooling" in last


def test_the_trained_model_is_one_graph(corpus, tmp_path, start, run):
    pytest.importorskip("onnxruntime")
    settings = {"network_options": {"head": "bigru", "num_hidden": 4}, "freeze": "all"}
    train_from(corpus, tmp_path / "m", start("yamnet"), **settings)
    result = run("export", tmp_path / "m", tmp_path / "m.onnx")
    assert result.exit_code == 0 and "onnxruntime" in result.stdout


def test_features_have_the_front_end_of_a_model(corpus, tmp_path, start, run):
    init_dir = start("yamnet")
    found = tmp_path / "f.h5"
    assert run("extract", corpus / "fit", found, "--frontend", init_dir).exit_code == 0
    one, two = FeatureStore([found]), FeatureStore([corpus / "fit.h5"])
    assert one.fingerprint == two.fingerprint
    rows = two.rows(one.filenames)
    assert (one.read(range(len(one))) == two.read(rows)).all()
    both = ["--frontend", init_dir, "--config", "frontend_wang"]
    result = run("extract", corpus / "fit", tmp_path / "g.h5", *both)
    assert result.exit_code == 1 and "are both given; give one of them" in result.stderr


def test_the_model_names_the_ready_model_it_began_with(corpus, tmp_path, start):
    init_dir = start("yamnet")
    spec, network, _ = checkpoint.load_model(init_dir)
    spec = dataclasses.replace(spec, trained={"ready_model": "yamnet"})
    checkpoint.save_model(init_dir, spec, network.state_dict())
    settings = {"checkpoint_every": 1, "max_checkpoints": 1}
    train_from(corpus, tmp_path / "m", init_dir, **settings)
    train_from(corpus, tmp_path / "n", tmp_path / "m", **settings)
    for name in ("m", "n"):
        assert checkpoint.read_spec(tmp_path / name).trained["first_model"] == "yamnet"
        card = (tmp_path / name / "README.md").read_text()
        assert "- began with the weights of: yamnet\n" in card
