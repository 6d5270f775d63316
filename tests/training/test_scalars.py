"""TensorBoard curves of a training, read by its own EventAccumulator."""

import builtins
import warnings

import pytest
from helpers import train_arguments

from wsedtk.core.errors import InputError
from wsedtk.training import resuming, tensorboard

NEEDS = pytest.mark.skipif(
    tensorboard._writer_class() is None,
    reason="TensorBoard is not installed: pip install 'wsedtk[tensorboard]'",
)


def points(folder):
    """Return {name: [(step, value), ...]} of the event files of a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        found.Reload()
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def history(model):
    """Return the same from history.tsv."""
    header, *rows = [line.split("\t") for line in (model / "history.tsv").read_text().splitlines()]
    return {
        name: [(int(row[0]), pytest.approx(float(row[k]), rel=1e-5)) for row in rows]
        for k, name in enumerate(header)
        if k
    }


@NEEDS
def test_a_folder_that_tensorboard_cannot_name_has_no_curves(tmp_path, caplog):
    writer = tensorboard.Scalars(tmp_path / "no\udcff")
    writer.write(1, {"a": 1.0})
    writer.write(2, {"a": 2.0})
    writer.close()
    told = [record.getMessage() for record in caplog.records]
    assert (
        len(told) == 1
        and "no curves are written for TensorBoard, because this path is not UTF-8" in told[0]
    )


@NEEDS
def test_the_points_are_those_of_the_history(corpus, tmp_path, run):
    model = tmp_path / "a <b> 'model'"
    assert run(*train_arguments(corpus, model)).exit_code == 0
    assert points(model / "tensorboard") == history(model) and set(history(model)) == set(
        resuming.HISTORY[1:]
    )
    before = sorted((model / "tensorboard").iterdir())
    assert (
        len(before) == 1 and run(*train_arguments(corpus, model)).exit_code == 0
    )  # prints that it is done
    assert sorted((model / "tensorboard").iterdir()) == before


@NEEDS
def test_a_resumed_training_has_each_point_once(corpus, trained, tmp_path, run, monkeypatch):
    """The points of a lost checkpoint are replaced by those of the run that repeats it."""
    save, write, model = resuming.save, tensorboard.Scalars.write, tmp_path / "m"

    def losing(trainer, *rest):
        if trainer.step == 10:
            raise RuntimeError("lost")
        save(trainer, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(resuming, "save", losing)
        patch.setattr(
            tensorboard.Scalars,
            "write",
            lambda self, step, values: write(self, step, {**values, "train_loss": float(step)}),
        )
        with pytest.raises(RuntimeError, match="lost"):
            run(*train_arguments(corpus, model))
    assert points(model / "tensorboard")["train_loss"] == [(5, 5.0), (10, 10.0)]
    assert run(*train_arguments(corpus, model)).exit_code == 0
    found, expected = points(model / "tensorboard"), history(model)
    assert (
        found.pop("train_loss") == [(5, 5.0), *expected.pop("train_loss")[1:]] and found == expected
    )
    assert (model / "model.safetensors").read_bytes() == (
        trained / "model.safetensors"
    ).read_bytes()


@NEEDS
def test_a_new_training_replaces_the_points(corpus, tmp_path, run):
    model = tmp_path / "m"
    assert run(*train_arguments(corpus, model)).exit_code == 0
    (model / "tensorboard" / "mine.txt").write_text("a note")
    assert (
        run(*train_arguments(corpus, model, "--overwrite", "--set", "checkpoint_every=7")).exit_code
        == 0
    )
    assert (
        points(model / "tensorboard") == history(model)
        and (model / "tensorboard" / "mine.txt").exists()
    )


@pytest.mark.parametrize(
    "error", [ImportError("no module"), TypeError("Descriptors cannot be created directly")]
)
def test_without_tensorboard_nothing_is_written_or_printed(
    corpus, trained, tmp_path, run, monkeypatch, error
):
    usual = builtins.__import__

    def lacking(name, *rest):
        if name.startswith(("tensorboard", "torch.utils.tensorboard")):
            raise error
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    result = run(*train_arguments(corpus, tmp_path / "m"))
    assert (
        result.exit_code == 0
        and not (tmp_path / "m" / "tensorboard").exists()
        and "ensor" not in result.stderr
    )
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == (
        trained / "model.safetensors"
    ).read_bytes()


@NEEDS
def test_a_folder_that_cant_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="tensorboard: can't be written: Not a directory"):
        tensorboard.Scalars(tmp_path / "file" / "tensorboard").write(1, {"a": 1.0})
