"""Augmentations of a user's own, and the list of augmentations in a configuration."""

import sys

import numpy as np
import pytest
import torch
import yaml
from helpers import train_arguments
from test_resume import equal_but_for_time
from test_train_python import SETTINGS, options_of

import wsedtk
from wsedtk.training.augmentations import AUGMENTATIONS, Augmentation

OWN = """
import dataclasses
import torch
from wsedtk.training.augmentations import Augmentation

seen = []

class Level(Augmentation):
    def __init__(self, layout, deviation=1.0):
        super().__init__(layout)
        if deviation < 0:
            raise ValueError(f"deviation must be at least 0, found {deviation}")
        self.deviation = deviation

    def __call__(self, batch, generators):
        seen.append((batch, [generator.normal() for generator in generators], self.layout))
        levels = torch.tensor(seen[-1][1], dtype=batch.x.dtype)[:, None, None]
        x = batch.x + self.deviation * levels * batch.mask[:, :, None]
        return dataclasses.replace(batch, x=x)

class Function:
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own, with an augmentation."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "own_levels.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield "own_levels"
    sys.modules.pop("own_levels", None)


def settings_of(*entries, **more):
    return {**SETTINGS, "augmentations": list(entries), **more}


def losses(result):
    return [one.train_loss for one in result.history]


def test_a_transform_of_ones_own(corpus, trained, own, tmp_path, run):
    entry = {"name": f"{own}:Level", "deviation": 2}
    first = wsedtk.train(options_of(corpus, tmp_path / "a", settings=settings_of(entry)))
    plain = wsedtk.train(options_of(corpus, tmp_path / "plain"))
    assert losses(first) != losses(plain)
    seen = sys.modules[own].seen
    assert len(seen) == 15 and not torch.equal(seen[0][0].x, seen[1][0].x)
    batch, draws, layout = seen[3]
    assert batch.x.shape == (6, *batch.mask.shape[1:], 64) and batch.tags.shape[0] == 6
    assert draws == [np.random.default_rng((0, 4, 3, row)).normal() for row in range(6)]
    assert (layout.seconds_per_frame, layout.time_reduction, layout.num_mels) == (0.025, 4, 64)
    command = train_arguments(corpus, tmp_path / "b")
    setting = f"augmentations=[{{name: '{own}:Level', deviation: 2}}]"
    assert run(*command, "--set", setting).exit_code == 0
    assert equal_but_for_time(tmp_path / "a", tmp_path / "b")
    again = wsedtk.train(options_of(corpus, tmp_path / "a", settings=settings_of(entry)))
    assert again.was_done
    with pytest.raises(wsedtk.InputError, match="augmentations: .*deviation': 2.* before, "):
        wsedtk.train(options_of(corpus, tmp_path / "a"))


def test_it_comes_after_the_settings_of_the_configuration(corpus, own, tmp_path):
    entry = {"name": f"{own}:Level", "deviation": 0}
    masked = {"mel_mask_bins": 8}
    options = options_of(corpus, tmp_path / "a", settings=settings_of(entry, **masked))
    first = wsedtk.train(options)
    batch, *_ = sys.modules[own].seen[0]
    assert (batch.x == 0).all(dim=1).any()  # masked bins
    plain = wsedtk.train(options_of(corpus, tmp_path / "b", settings={**SETTINGS, **masked}))
    assert losses(first) == losses(plain)


def test_built_in_ones_are_listed_by_name(corpus, tmp_path):
    values = {"time_shift_seconds": 0.5, "mixup_alpha": 0.4, "time_mask_seconds": 0.2}
    by_setting = wsedtk.train(options_of(corpus, tmp_path / "a", settings={**SETTINGS, **values}))
    entries = (
        {"name": "time-shift", "seconds": 0.5},
        {"name": "mixup", "alpha": 0.4},
        {"name": "time-masks", "seconds": 0.2},
    )
    listed = wsedtk.train(options_of(corpus, tmp_path / "b", settings=settings_of(*entries)))
    assert losses(listed) == losses(by_setting)
    assert AUGMENTATIONS.names() == ("time-shift", "mixup", "time-masks", "mel-masks")
    assert all(issubclass(AUGMENTATIONS.get(name), Augmentation) for name in AUGMENTATIONS.names())


def test_a_training_from_before_the_list_is_resumed(corpus, trained, tmp_path, run):
    """Its config.yaml has no `augmentations`."""
    command = train_arguments(corpus, tmp_path / "m")
    assert run(*command, "--set", "max_checkpoints=1").exit_code == 0
    for path in (tmp_path / "m" / "model.yaml", tmp_path / "m" / "model.safetensors"):
        path.unlink()
    file = tmp_path / "m" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    assert config.pop("augmentations") == []
    file.write_text(yaml.safe_dump({**config, "max_checkpoints": 3}, sort_keys=False))
    state = next((tmp_path / "m" / "checkpoints").glob("*.pt"))
    torch.save({**torch.load(state), "finished": False}, state)
    result = run(*command)
    assert result.exit_code == 0 and "resuming from batch 5" in result.stderr
    assert equal_but_for_time(tmp_path / "m", trained)


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"name": "own_levels:Level", "deviation": -1}, "deviation must be at least 0, found -1"),
        (
            {"name": "own_levels:Level", "sigma": 1},
            "augmentations: 'own_levels:Level': has no option 'sigma'; known: deviation",
        ),
        ({"name": "mixup", "alhpa": 1}, "'mixup': has no option 'alhpa'; did you mean 'alpha'?"),
        ({"name": "own_levels:Levels"}, "augmentation 'own_levels:Levels': .* no attribute"),
        ({"name": "own_levels:Function"}, "is not a subclass of wsedtk.*.Augmentation"),
        ({"name": "no_module:Level"}, "augmentation 'no_module:Level': No module named"),
        ({"name": 3}, "augmentations: found {'name': 3}; expected a mapping with the key `name`"),
    ],
)
def test_entries_at_fault(corpus, own, tmp_path, entry, message):
    with pytest.raises(wsedtk.InputError, match=message):
        wsedtk.train(options_of(corpus, tmp_path / "m", settings=settings_of(entry)))
    assert not (tmp_path / "m").exists()
