"""The configuration files of the recipes: they load, build networks, and agree with the papers."""

import dataclasses
from pathlib import Path

import pytest
import torch

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import config
from wsedtk.models.network import build_network
from wsedtk.models.pooling_functions import POOLINGS
from wsedtk.training.train_config import TrainConfig

RECIPES = Path(__file__).parents[2] / "recipes"
FILES = sorted(RECIPES.glob("*/conf/*.yaml"))
SYSTEMS = [path for path in FILES if not path.name.startswith("frontend_")]


def name(path):
    return str(path.relative_to(RECIPES))


def frontend_of(path, cfg):
    """Return the front end of a system's network, from the folder of its file."""
    return config.load(
        FrontendConfig,
        path.with_name("frontend_he.yaml" if cfg.network == "gated-crnn" else "frontend_wang.yaml"),
    )


def test_the_recipes_have_front_ends_and_systems():
    assert (
        len(SYSTEMS) >= 6
        and len(FILES) - len(SYSTEMS) >= 4
        and {path.parts[-3] for path in FILES} >= {"mini", "dcase2017", "audioset"}
    )


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_file_loads_and_begins_with_a_comment(path):
    config.load(TrainConfig if path in SYSTEMS else FrontendConfig, path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ") and text.endswith("\n") and max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("path", SYSTEMS, ids=name)
def test_every_system_builds_its_network(path):
    cfg = config.load(TrainConfig, path)
    frontend, num_classes = frontend_of(path, cfg), 527 if "audioset" in name(path) else 17
    network = build_network(
        cfg.network,
        num_classes,
        cfg.pooling,
        cfg.hierarchy,
        cfg.groups,
        num_mels=frontend.num_mels,
        **cfg.network_options,
    ).eval()
    with torch.inference_mode():
        output = network(torch.randn(1, round(1 / frontend.seconds_per_frame), frontend.num_mels))
    assert output.clip.shape == (1, num_classes) and torch.isfinite(output.clip).all()
    assert set(POOLINGS.names()) & set(path.stem.split("_")) <= {
        cfg.pooling
    }  # what the name says about the pooling is true
    sizes = {
        "dcase2017/conf/crnn_linear.yaml": 936_041,
        "audioset/conf/talnet_linear.yaml": 9_980_527,
        "dcase2017/conf/gated_crnn_linear.yaml": 1_755_281,
    }
    assert sum(p.numel() for p in network.parameters()) == sizes.get(
        name(path), sum(p.numel() for p in network.parameters())
    )


@pytest.mark.parametrize(
    "file, expected",
    [
        (
            "dcase2017/conf/crnn_linear.yaml",
            {
                "network": "dcase-crnn",
                "network_options": {},
                "batch_size": 100,
                "learning_rate": 3e-4,
                "checkpoint_every": 500,
                "max_checkpoints": 50,
                "schedule_by": "loss",
                "schedule_factor": 0.5,
                "schedule_patience": 3,
                "stop_patience": None,
                "select_by": "f1",
            },
        ),
        (
            "audioset/conf/talnet_linear.yaml",
            {
                "network": "talnet",
                "network_options": {},
                "batch_size": 250,
                "learning_rate": 1e-3,
                "checkpoint_every": 1000,
                "max_checkpoints": 30,
                "schedule_by": "map",
                "schedule_factor": 0.8,
                "schedule_patience": 3,
                "stop_patience": None,
                "select_by": "map",
            },
        ),
        (
            "dcase2017/conf/gated_crnn_linear.yaml",
            {
                "network": "gated-crnn",
                "network_options": {"dropout": 0.2},
                "batch_size": 128,
                "learning_rate": 1e-3,
                "checkpoint_every": None,
                "schedule_by": None,
                "stop_patience": 10,
                "select_by": "loss",
            },
        ),
    ],
)
def test_systems_are_trained_as_published(file, expected):
    cfg = config.to_mapping(config.load(TrainConfig, RECIPES / file))
    assert {key: cfg[key] for key in expected} == expected
    assert (cfg["pooling"], cfg["hierarchy"], cfg["groups"], cfg["balancer"]) == (
        "linear",
        None,
        [],
        "classes",
    )
    extras = (
        "frame_loss_weight",
        "mixup_alpha",
        "time_mask_seconds",
        "mel_mask_bins",
        "time_shift_seconds",
    )
    assert not any(cfg[key] for key in extras)  # the papers use none of these


@pytest.mark.parametrize(
    "suffix, hierarchy",
    [
        ("hierarchical", "published"),
        ("published_all", "published-all"),
        ("plain", "plain"),
        ("nested", "nested"),
    ],
)
@pytest.mark.parametrize("pooling", ["linear", "exp", "attention"])
def test_hierarchical_systems_differ_in_the_hierarchy_alone(pooling, suffix, hierarchy):
    single = config.load(TrainConfig, RECIPES / f"dcase2017/conf/gated_crnn_{pooling}.yaml")
    expected = dataclasses.replace(single, hierarchy=hierarchy, groups=(5, 5))
    assert (
        config.load(TrainConfig, RECIPES / f"dcase2017/conf/gated_crnn_{pooling}_{suffix}.yaml")
        == expected
    )


@pytest.mark.parametrize(
    "path", [path for path in SYSTEMS if not {"mini", "example"} & set(path.parts)], ids=name
)
def test_the_papers_systems_train_in_float32(path):
    ours = path.stem in ("ours", "talnet_small")
    assert config.load(TrainConfig, path).precision == ("bf16" if ours else "float32")


@pytest.mark.parametrize(
    "path", [path for path in SYSTEMS if path.stem.startswith("gated_crnn")], ids=name
)
def test_hes_systems_say_that_the_loss_is_binary(path):
    comment = " ".join(path.read_text(encoding="utf-8").replace("\n# ", " ").split())
    assert "binary cross-entropy" in comment and '"categorical"' in comment and "(A-1)" in comment


COMPARED = [
    (path, method)
    for path in SYSTEMS
    for method in POOLINGS.names()
    if path.stem in (f"crnn_{method}", f"gated_crnn_{method}", f"talnet_{method}")
]


@pytest.mark.parametrize("path, method", COMPARED, ids=[name(path) for path, _ in COMPARED])
def test_systems_that_are_compared_differ_in_the_pooling_alone(path, method):
    linear = config.load(TrainConfig, path.with_name(path.name.replace(f"_{method}.", "_linear.")))
    assert config.load(TrainConfig, path) == dataclasses.replace(linear, pooling=method)
