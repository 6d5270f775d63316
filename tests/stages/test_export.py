"""export: the content of the file, errors, and the README's code that uses it without wsedtk."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from helpers import LABELS, RECIPES, make_point, write_sound

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.data import datadir
from wsedtk.decoding import event_decoding, operating_point
from wsedtk.models import checkpoint
from wsedtk.models.network import build_network
from wsedtk.stages import export

HAS_EXTRA = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
needs_extra = pytest.mark.skipif(not HAS_EXTRA, reason="the extra [export] is not installed")
README = (
    (RECIPES.parent / "README.md")
    .read_text(encoding="utf-8")
    .split("\n## Use a model without wsedtk\n")[1]
    .split("\n## ")[0]
)
EXAMPLE, FILTERS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
# these can't be imported
WITHOUT = "import sys; sys.modules.update(dict.fromkeys(('wsedtk', 'torch', 'librosa', 'scipy')))\n"

OWN = """
import torch
from torch import nn
from wsedtk.models.layers import Head, Network, pad_time


class Good(Network):
    time_reduction = 2

    def __init__(self, pooling, num_mels=8):
        super().__init__()
        self.conv, self.head = nn.Conv1d(num_mels, 4, 2, stride=2), Head(4, pooling)

    def forward(self, x, mask=None):
        x, _ = pad_time(x, mask, 2)
        return self.head(self.conv(x.transpose(1, 2)).transpose(1, 2), None)


class Branches(Good):
    def forward(self, x, mask=None):
        return super().forward(x * 2 if x.shape[1] > 50 else x, mask)


class Constant(Good):
    def forward(self, x, mask=None):
        return super().forward(x + torch.linspace(0, 1, int(x.shape[1]))[:, None], mask)


class Unknown(Good):
    def forward(self, x, mask=None):
        return super().forward(x * torch.linalg.svdvals(x).amax(), mask)


class Frozen(Good):
    def forward(self, x, mask=None):
        return super().forward(torch.from_numpy(x.detach().numpy()) if torch.jit.is_tracing() else x, mask)
"""


@pytest.fixture
def model(trained, tmp_path):
    """A copy of a trained model without an operating point, in a folder with an unusual name."""
    folder = tmp_path / "-a <model> & 'more'"
    shutil.copytree(trained, folder)
    (folder / "operating_point.yaml").unlink(missing_ok=True)
    return folder


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a model directory with one of the networks of OWN."""
    (tmp_path / "own_network_of_a_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WSEDTK_NETWORKS", "own_network_of_a_test")

    def write(name):
        frontend = FrontendConfig(
            sample_rate=4000, window=128, hop=100, num_fft=128, num_mels=8, max_hz=2000.0
        )
        name = f"own_network_of_a_test:{name}"
        spec = checkpoint.ModelSpec(
            name,
            {"num_mels": 8},
            "linear",
            ("a", "b"),
            frontend.settings(),
            (-20.0,) * 8,
            (8.0,) * 8,
        )
        checkpoint.save_model(
            tmp_path / "own", spec, build_network(name, 2, num_mels=8).state_dict()
        )
        return tmp_path / "own"

    yield write
    sys.modules.pop("own_network_of_a_test", None)


def metadata(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map


@needs_extra
def test_metadata_of_the_file(model, tmp_path, run):
    _, _, fingerprint = checkpoint.load_model(model)
    point = make_point(
        labels=LABELS,
        clip_thresholds=np.array([0.3, np.inf]),
        frame_thresholds=np.array([-np.inf, 0.25]),
        mode="frame",
        median_seconds=np.array([0.5, 0]),
        min_seconds=np.array([0, 0.31]),
        max_gap_seconds=np.array([0.2, 0]),
        gate_by_tags=True,
        tuned_on="a <set>",
        model=fingerprint,
    )
    operating_point.write(model / "operating_point.yaml", point)
    output = tmp_path / "folder & co" / "a b.onnx"
    result = run("export", "--", model, output)
    assert re.search(
        r"/a b.onnx: outputs clip, frame for 2 classes, \d\.\d MB; the scores of onnxruntime and torch differ by at most \d\.\de-0[5-9] "
        r"on noise\n$",
        result.stdout,
    )
    about = metadata(output)
    assert (
        json.loads(about["labels"]) == LABELS
        and about["sample_rate"] == "16000"
        and about["seconds_per_frame"] == "0.1"
    )
    assert (
        about["model"] == fingerprint
        and about["network"] == "dcase-crnn"
        and about["pooling"] == "linear"
    )
    assert json.loads(about["clip_thresholds"]) == [0.3, 2] and json.loads(
        about["frame_thresholds"]
    ) == [-1, 0.25]
    assert json.loads(about["median_frames"]) == [5, 1] and json.loads(about["min_frames"]) == [
        1,
        4,
    ]
    assert json.loads(about["max_gap_frames"]) == [2, 0]
    assert (about["mode"], about["gate_by_tags"], about["tuned_on"]) == ("frame", "true", "a <set>")
    before = output.read_bytes()
    assert run("export", "--", model, output).exit_code == 0 and output.read_bytes() == before
    assert [p.name for p in output.parent.iterdir()] == ["a b.onnx"]


@needs_extra
def test_a_model_without_an_operating_point(model, tmp_path, run):
    result = run("export", "--", model, tmp_path / "m.onnx")
    assert result.exit_code == 0 and "the ONNX file has no thresholds" in result.stderr
    assert not {"frame_thresholds", "mode"} & metadata(tmp_path / "m.onnx").keys()


@needs_extra
@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"model": "another"},
            r"operating_point.yaml: was tuned on the scores of another model \(another\)",
        ),
        (
            {"labels": LABELS[::-1]},
            r"operating_point.yaml: its classes are not those of .* \(only their order differs\)",
        ),
        (
            {"labels": ["low", "x"]},
            r"operating_point.yaml: its classes are not those of .* \(in only one of them: high, very, x\)",
        ),
    ],
)
def test_an_operating_point_of_another_model(model, tmp_path, run, changes, message):
    operating_point.write(
        model / "operating_point.yaml", make_point(**{"labels": LABELS, **changes})
    )
    result = run("export", "--", model, tmp_path / "m.onnx")
    assert (
        result.exit_code == 1
        and re.search(message, result.stderr)
        and not (tmp_path / "m.onnx").exists()
    )


@needs_extra
def test_a_network_of_a_user(own, tmp_path, run):
    assert run("export", own("Good"), tmp_path / "m.onnx").exit_code == 0


@needs_extra
@pytest.mark.parametrize(
    "name, message",
    [
        ("Branches", "the graph .*, it differs from the network by"),
        ("Constant", "the graph .*, it (returns wrong shapes|can't be run)"),
        ("Unknown", "can't be exported to ONNX .*linalg_svdvals"),
        ("Frozen", "the graph .*, it (returns wrong shapes|can't be run)"),
    ],
)
def test_a_network_that_can_not_be_traced(own, tmp_path, run, name, message):
    (tmp_path / "m.onnx").write_text("of before")
    result = run("export", own(name), tmp_path / "m.onnx")
    assert result.exit_code == 1 and re.search(
        f"network 'own_network_of_a_test:{name}': {message}", result.stderr
    )
    assert (tmp_path / "m.onnx").read_text() == "of before"


def test_without_the_extra(model, tmp_path, run, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    result = run("export", "--", model, tmp_path / "m.onnx")
    assert result.exit_code == 1
    assert (
        "the package onnx is not installed; in the checkout of wsedtk, run pip install -c constraints.txt '.[export]'"
        in result.stderr
    )


@needs_extra
def test_without_onnxruntime_it_says_that_nothing_was_checked(model, tmp_path, run, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        export.importlib.util,
        "find_spec",
        lambda name: None if name == "onnxruntime" else found(name),
    )
    assert run("export", "--", model, tmp_path / "m.onnx").stdout.endswith(
        "MB; the scores were not checked, because onnxruntime is not installed\n"
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("none", "m.onnx"), "none: there is no such folder"),
        (("set", "m.onnx"), "set: has no model.yaml"),
        (("set", "m.pt"), "must have a name that ends in .onnx"),
    ],
)
@needs_extra
def test_mistakes(small_set, tmp_path, run, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run("export", *arguments)
    assert result.exit_code == 1 and message in result.stderr


# --- the README's code ---


def example(folder, sound):
    """Run the README's code on a sound file, in a Python without wsedtk.

    Returns its rows (onset, offset, label), or its error.
    """
    (folder / "events.py").write_text(WITHOUT + EXAMPLE)
    result = subprocess.run(
        [sys.executable, "events.py", sound],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        (float(a), float(b), c)
        for a, b, c in (line.split("\t") for line in result.stdout.splitlines())
    ], result.stderr


def test_the_example_has_ten_lines():
    assert "ten lines" in README and len(EXAMPLE.splitlines()) == 10
    assert re.findall(r"^import (.*)$", EXAMPLE, re.MULTILINE) == [
        "json, numpy, onnxruntime, soundfile, sys"
    ]


@needs_extra
def test_the_example_finds_the_events_that_decode_finds(model, corpus, tmp_path, run):
    point, scores, out = model / "operating_point.yaml", tmp_path / "s.h5", tmp_path / "out"
    assert run("predict", "--precise", "--", model, corpus / "fit.h5", scores).exit_code == 0
    no_filters = ["--median-seconds", "0", "--min-seconds", "0", "--max-gap-seconds", "0"]
    assert run("tune", *no_filters, "--", scores, corpus / "fit", point).exit_code == 0
    assert run("decode", "--mode", "frame", "--", scores, point, out).exit_code == 0
    assert run("export", "--", model, tmp_path / "linear.onnx").exit_code == 0
    decoded = datadir.read_decoded(out, LABELS)
    rows = [
        (decoded.filenames[clip], round(onset, 2), round(offset, 2), LABELS[k])
        for clip, onset, offset, k in decoded.events.rows()
    ]
    found = []
    for name in decoded.filenames:
        printed, _ = example(tmp_path, corpus / "audio" / name)
        found += [(name, *row) for row in printed]
    assert sorted(found) == sorted(rows) and len({row[3] for row in rows}) == 2


@needs_extra
def test_the_example_without_thresholds_and_at_another_rate(model, tmp_path, run):
    run("export", "--", model, tmp_path / "linear.onnx")
    write_sound(tmp_path / "-s <1>.wav", seconds=0.01, channels=2)
    rows, stderr = example(tmp_path, "./-s <1>.wav")
    assert stderr == "" and all(offset <= 0.01 for _, offset, _ in rows)
    soundfile.write(tmp_path / "other.wav", np.zeros(100), 44100)
    assert (
        "AssertionError: resample it from 44100 to 16000 Hz first"
        in example(tmp_path, "other.wav")[1]
    )


@pytest.mark.parametrize("seed", range(30))
def test_the_readmes_filters_are_those_of_decode(seed):
    generator, scope = np.random.default_rng(seed), {"numpy": np}
    exec(FILTERS, scope)
    active = np.repeat(generator.random(generator.integers(1, 30)) < 0.5, generator.integers(1, 4))
    median, shortest, gap = (
        2 * generator.integers(0, 6) + 1,
        generator.integers(1, 12),
        generator.integers(0, 12),
    )
    found = scope["smooth"](active, median, shortest, gap)
    np.testing.assert_array_equal(
        found, event_decoding.smooth(active[:, None], median, shortest, gap)[:, 0]
    )
