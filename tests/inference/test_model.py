"""Model: it equals the verbs extract, predict and detect, without side effects."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from helpers import LABELS, contents, make_point, stir, write_model, write_set, write_sound

from wsedtk.audio.frontend import FrontendConfig, LogMel
from wsedtk.core.errors import InputError
from wsedtk.data.store import ScoreFile
from wsedtk.decoding import operating_point
from wsedtk.inference.model import Event, Prediction, load_model
from wsedtk.models import checkpoint

RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model directory."""
    return write_model(tmp_path_factory.mktemp("model") / "the model")


@pytest.fixture
def model(folder):
    return load_model(folder, "cpu")


def tones(seconds, rate=RATE, channels=1):
    """Return samples (S, C) of tones at several times, in noise."""
    rng, time = np.random.default_rng(0), np.arange(round(seconds * rate)) / rate
    samples = rng.normal(0, 0.02, (len(time), channels))
    for frequency, period in ((300, 1.7), (3000, 2.3)):
        samples += 0.3 * (np.sin(2 * np.pi * frequency * time) * (time % period < 0.9))[:, None]
    return samples.astype(np.float32)


def events_of(result):
    """Return the events that `detect --format jsonl` prints."""
    assert result.exit_code == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [(one["onset"], one["offset"], one["event_label"], one["score"]) for one in found]


def rounded(events):
    return [(one.onset, one.offset, one.label, round(one.score, 4)) for one in events]


@pytest.mark.parametrize("pooling, precise", [("linear", False), ("attention", True)])
@pytest.mark.parametrize(
    "seconds, rate, channels", [(1, RATE, 1), (1.09, 44100, 2), (0.01, RATE, 1)]
)
def test_a_prediction_is_that_of_extract_and_predict(
    run, tmp_path, pooling, precise, seconds, rate, channels
):
    folder = write_model(tmp_path / "model", pooling)
    samples = tones(seconds, rate, channels)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    write_set(tmp_path / "set", [("a.wav", "../a.wav", seconds)], LABELS, [])
    assert run("extract", tmp_path / "set", tmp_path / "f.h5", "--dtype", "float32").exit_code == 0
    arguments = ["predict", folder, tmp_path / "f.h5", tmp_path / "s.h5", "--device", "cpu"]
    assert run(*arguments, *([] if precise else ["--fast"])).exit_code == 0
    scores, found = ScoreFile(tmp_path / "s.h5"), load_model(folder, "cpu", precise)
    prediction = found.predict(samples, rate)
    np.testing.assert_array_equal(prediction.clip, scores.clip[0])
    np.testing.assert_array_equal(prediction.frame, scores.frames(0))
    assert prediction.num_frames == scores.num_frames[0] == max(1, round(10 * seconds - 0.49))
    assert (prediction.weight is not None) == scores.has("weight") == (pooling == "attention")
    if prediction.weight is not None:
        np.testing.assert_array_equal(prediction.weight, scores.frames(0, "weight"))
    assert prediction.labels == found.labels == tuple(scores.labels)
    assert prediction.seconds_per_frame == found.seconds_per_frame == scores.seconds_per_frame
    assert found.sample_rate == RATE and "2 classes, 0.1 s per frame" in repr(found)


@pytest.mark.parametrize("rate, channels", [(RATE, 1), (22050, 2)])
def test_events_are_those_of_detect(model, folder, run, tmp_path, rate, channels):
    samples, path = tones(6, rate, channels), tmp_path / "a.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    middle = [float(np.median(model.predict(samples, rate).frame[:, k])) for k in range(2)]
    threshold = dict(zip(LABELS, middle))
    operating_point.write(
        tmp_path / "p.yaml",
        make_point(labels=LABELS, frame_thresholds=np.array(middle), min_seconds=np.full(2, 0.3)),
    )
    detect = ["detect", folder, path, "--format", "jsonl", "--device", "cpu"]
    of_point = [f"--threshold={label}={value!r}" for label, value in threshold.items()]
    for arguments, options in (
        (of_point, {"threshold": threshold}),
        (["--operating-point", tmp_path / "p.yaml"], {"operating_point": tmp_path / "p.yaml"}),
        (
            [*of_point, "--classes", LABELS[1], "--min-duration", "0.5"],
            {"threshold": threshold, "classes": [LABELS[1]], "min_seconds": 0.5},
        ),
        (["--threshold", "0"], {"threshold": 0}),
    ):
        expected = events_of(run(*detect, *arguments))
        for found in (
            model.detect(path, **options),
            model.detect(str(path), **options),
            model.detect(samples, rate, **options),
        ):
            assert rounded(found) == expected and expected
    if channels == 1:
        found = model.detect(samples[:, 0], rate, threshold=threshold)
        assert found == model.detect(path, threshold=threshold)
    else:
        expected = events_of(run(*detect, "--channels", "each", *of_point))
        found = [rounded(model.detect(path, threshold=threshold, channel=k)) for k in range(2)]
        assert found[0] + found[1] == expected
        assert rounded(model.detect(samples, rate, threshold=threshold, channel=1)) == found[1]


def test_results_are_frozen(model):
    for one in (model.predict(tones(1), RATE), Event(0.0, 1.0, "low", 0.5)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.labels = ()
    assert [field.name for field in dataclasses.fields(Prediction)] == [
        "clip",
        "frame",
        "weight",
        "labels",
        "seconds_per_frame",
    ]


def test_a_saved_model_is_the_same(model, folder, tmp_path):
    model.save(tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(folder)
    again, samples = load_model(tmp_path / "copy", "cpu"), tones(3)
    assert again.detect(samples, RATE, threshold=0.5) == model.detect(samples, RATE, threshold=0.5)
    with pytest.raises(InputError, match="already contains model.yaml"):
        model.save(tmp_path / "copy")


def test_a_point_of_an_older_model_stays_valid(folder, tmp_path):
    """model.yaml lacks keys, so the fingerprint of the saved model differs."""
    write_model(tmp_path / "old")
    lines = (tmp_path / "old" / "model.yaml").read_text().splitlines(keepends=True)
    (tmp_path / "old" / "model.yaml").write_text(
        "".join(line for line in lines if not line.startswith("weights_fingerprint"))
    )
    old = load_model(tmp_path / "old")
    point = operating_point.read(tmp_path / "old" / "operating_point.yaml")
    operating_point.write(
        tmp_path / "old" / "operating_point.yaml",
        dataclasses.replace(point, model=old._fingerprint),
    )
    old.save(tmp_path / "new")
    load_model(tmp_path / "new").detect(tones(1), RATE)


@pytest.mark.parametrize(
    "samples, rate, message",
    [
        (np.zeros(RATE, np.int16), RATE, "found int16; expected floating-point numbers"),
        (np.zeros((1, 2, 3)), RATE, r"found the shape \(1, 2, 3\)"),
        (np.zeros(0), RATE, r"found the shape \(0,\)"),
        (np.zeros((2, RATE)), RATE, "found 16000 channels of 2 samples; .* transpose"),
        (np.full(RATE, np.nan), RATE, "not finite"),
        (np.full(RATE, 1e39), RATE, "not finite"),
        (np.zeros(RATE), 16.0, "sample_rate: found 16.0"),
        (np.zeros(RATE), 0, "sample_rate: found 0"),
    ],
)
def test_samples_at_fault(model, samples, rate, message):
    for method in (model.predict, model.detect):
        with pytest.raises(InputError, match=message):
            method(samples, rate)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"threshold": 1.5}, "threshold '1.5': expected a number from 0 to 1"),
        ({"threshold": {"Low": 0.5}}, "threshold 'Low=0.5': the model has no class 'Low'; did you"),
        ({"threshold": np.inf}, "threshold inf: no class has a threshold that a score can reach"),
        ({"classes": ["lwo"]}, "classes: the model has no class 'lwo'; did you mean 'low'"),
        ({"min_seconds": -1}, "min_seconds: found -1"),
        ({"channel": 1}, "samples: channel 1 does not exist; expected 0 <= channel < 1"),
        ({"operating_point": "none.yaml"}, "none.yaml: no such file; .* threshold 0.5"),
        ({"sample_rate": None}, "sample_rate: missing"),
    ],
)
def test_arguments_of_detect_at_fault(model, options, message):
    with pytest.raises(InputError, match=message):
        model.detect(np.zeros(RATE), **{"sample_rate": RATE, **options})


def test_files_at_fault(model, tmp_path):
    write_sound(tmp_path / "a.wav")
    for arguments, message in (
        ((tmp_path / "b.wav",), "b.wav: no such file"),
        (
            (tmp_path / "a.wav", RATE),
            "sample_rate: the sample rate of .*a.wav is read from the file",
        ),
    ):
        with pytest.raises(InputError, match=message):
            model.detect(*arguments)
    with pytest.raises(InputError, match="a.wav: channel 1 does not exist; expected 0 <= channel"):
        model.detect(tmp_path / "a.wav", channel=1)
    with pytest.raises(InputError, match="device nothing: can't be used here"):
        load_model(tmp_path, "nothing")
    with pytest.raises(InputError, match="has no model.yaml"):
        load_model(tmp_path)


def test_faults_of_recordings_are_logged(model, tmp_path, caplog):
    soundfile.write(tmp_path / "cut.wav", tones(4, 8000), 8000)
    content = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    model.detect(tmp_path / "cut.wav")
    low, cut = [record.getMessage() for record in caplog.records]
    assert "cut.wav: the sample rate is 8000 Hz" in low
    assert "cut.wav: breaks off after 2 of 4 s" in cut
    for record in caplog.records:
        assert (record.name, record.levelname) == ("wsedtk.inference.model", "WARNING")


STATE = """
import logging, os, random, signal, sys, warnings
import numpy as np, torch

def state():
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    flags = [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32,
             torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic,
             torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
             torch.is_grad_enabled(), torch.get_default_dtype(), torch.is_autocast_enabled("cpu"),
             torch.get_float32_matmul_precision(), torch.get_rng_state().tolist()]
    return (dict(os.environ), handlers, flags, list(warnings.filters), np.geterr(),
            np.random.get_state()[1].tolist(), random.getstate(), logging.root.level,
            list(logging.root.handlers), os.getcwd())
"""


@pytest.mark.parametrize(
    "network, options",
    [
        ("dcase-crnn", {"channels": [4, 6, 8], "num_hidden": 8}),
        ("gated-crnn", {"num_channels": 4, "num_top_channels": 8, "num_hidden": 8}),
        ("talnet", {"embedding_size": 64, "num_convs": 5}),
    ],
)
def test_the_first_prediction_is_that_of_the_network(tmp_path, network, options):
    spec = checkpoint.ModelSpec(
        network,
        {"num_mels": 64, **options},
        "linear",
        tuple(LABELS),
        FrontendConfig().settings(),
        (-20.0,) * 64,
        (8.0,) * 64,
    )
    plain = stir(spec.build()).eval()
    checkpoint.save_model(tmp_path / "m", spec, plain.state_dict())
    samples = tones(2)
    found = load_model(tmp_path / "m", "cpu").predict(samples, RATE)
    features = torch.from_numpy(LogMel(FrontendConfig())(samples[:, 0].astype(np.float32)))
    with torch.inference_mode():
        output = plain(((features + 20) / 8)[None])
    np.testing.assert_allclose(found.frame, output.frame[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.clip, output.clip[0], rtol=0, atol=1e-5)


def test_nothing_else_changes(folder, tmp_path):
    """Environment, torch's flags, random state and signals are unchanged; nothing is printed."""
    soundfile.write(tmp_path / "a.wav", tones(3, 22050, 2), 22050)
    code = (
        STATE
        + """
import wsedtk.inference.model
before = state()
for precise in (False, True):
    model = wsedtk.inference.model.load_model(sys.argv[1], precise=precise)
    model.predict(np.zeros(16000), 16000)
    assert model.detect(sys.argv[2], threshold=0)
model.save("copy")
for old, new in zip(before, state(), strict=True):
    assert old == new, (old, new)
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, "a.wav"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_precision_is_no_global_flag(folder):
    torch.backends.cudnn.allow_tf32 = True
    on_cpu, on_gpu = (
        load_model(folder, name, precise=True).predict(tones(1), RATE) for name in ("cpu", "cuda")
    )
    np.testing.assert_allclose(on_gpu.frame, on_cpu.frame, atol=1e-5)
    assert torch.backends.cudnn.allow_tf32


def test_a_class_of_the_ontology_chooses_the_classes_below(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    entries = [
        {"id": "1", "name": "Tone", "child_ids": ["2", "3"]},
        {"id": "2", "name": "low", "child_ids": []},
        {"id": "3", "name": "Chord", "child_ids": []},
    ]
    (tmp_path / "m" / "ontology.json").write_text(json.dumps(entries))
    found = load_model(tmp_path / "m", "cpu")
    events = found.detect(tones(8), RATE, threshold=0.1, classes=["Tone"])
    assert events == found.detect(tones(8), RATE, threshold=0.1, classes=["low"]) and events
    with pytest.raises(InputError, match="no class 'Chord'; "):
        found.detect(tones(8), RATE, classes=["Chord"])
