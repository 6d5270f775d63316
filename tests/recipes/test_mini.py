"""recipes/mini from run.sh, at a tiny size, as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "mini"
TINY = ["--num-train", "60", "--num-test", "12", "--num-valid", "10", "--bootstrap", "20", "--jobs", "1"]
CONFIG = """\
network_options: {channels: [4, 4, 4], num_hidden: 4}
batch_size: 4
checkpoint_every: 3
max_checkpoints: 2
"""


def call(script, *options, **environment):
    """Run a script of the recipe from another folder; returns the finished process."""
    return subprocess.run(["bash", str(RECIPE / script), *map(str, options)], capture_output=True, text=True, cwd="/", timeout=600,
                          env={**os.environ, **environment})


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """The whole recipe, in a folder whose name holds spaces and quotes: (folder, options, process)."""
    folder = tmp_path_factory.mktemp("it's \"mine\"")
    (folder / "tiny.yaml").write_text(CONFIG)
    options = ["--exp", folder / "exp", "--config", folder / "tiny.yaml", *TINY]
    return folder / "exp", options, call("run.sh", *options)


def test_every_artefact_is_there(experiment):
    exp, _, process = experiment
    assert process.returncode == 0, process.stderr
    names = """
        data/train/clips.tsv data/train/tags.tsv data/train/labels.txt data/train/info.yaml data/test/events.tsv
        data/fit/clips.tsv data/valid/clips.tsv feats/train.h5 feats/test.h5 report.html
        tiny/model.safetensors tiny/model.yaml tiny/config.yaml tiny/history.tsv tiny/train.log tiny/operating_point.yaml
        tiny/valid/scores.h5 tiny/test/scores.h5 tiny/test/segment/report.json tiny/test/frame/clips.tsv tiny/test/frame/tags.tsv
        tiny/test/frame/events.tsv tiny/test/frame/report.json tiny/test/frame/report.txt"""
    for name in names.split():
        assert (exp / name).stat().st_size > 0, name
    assert not (exp / "data/train/events.tsv").exists()  # trained on tags alone
    assert not list(exp.rglob("*.tmp"))
    assert len((exp / "data/train/tags.tsv").read_text().splitlines()) > 60


def test_the_table_is_printed(experiment):
    exp, _, process = experiment
    for word in ("this system", "nothing", "everything", "its tags, whole clip", "true tags, whole clip", "12 of 12 official clips"):
        assert word in process.stdout
    report = json.loads((exp / "tiny/test/frame/report.json").read_text())
    assert report["baselines"]["nothing"]["segment"]["error_rate"] == 1.0
    assert report["baselines"]["true_tags"]["tagging"]["f1"] == 1.0
    assert report["clips"].items() >= {"scored": 12, "official": 12}.items()


def test_each_stage_leaves_log_and_record(experiment):
    exp, _, _ = experiment
    for name in ("01_prepare", "02_extract_train", "03_balance", "04_train.tiny", "05_predict_test.tiny", "06_tune.tiny",
                 "07_decode_frame.tiny", "08_score_segment.tiny", "09_report"):
        log = (exp / "log" / f"{name}.log").read_text()
        assert "exit status 0" in log and "# host" in log
        record = (exp / "log" / f"{name}.yaml").read_text()
        assert "command: wsedtk" in record and "wsedtk:" in record
    assert "feats/train.h5: " in (exp / "log" / "04_train.tiny.yaml").read_text()


def test_a_stage_runs_alone_and_changes_nothing(experiment):
    exp, options, _ = experiment
    names = ["tiny/operating_point.yaml", "tiny/test/frame/events.tsv", "tiny/test/frame/report.json", "data/valid/clips.tsv"]
    before = {name: (exp / name).read_bytes() for name in names}
    for script in ("03_balance", "06_tune", "07_decode", "08_score"):
        process = call(f"stages/{script}.sh", *options)
        assert process.returncode == 0, process.stderr
    assert {name: (exp / name).read_bytes() for name in names} == before


def test_the_same_seed_gives_the_same_scores(experiment, tmp_path):
    exp, options, _ = experiment
    assert call("run.sh", *options, "--exp", tmp_path / "again", "--stop-stage", 5).returncode == 0
    for name in ("clip", "frame", "segment"):
        with h5py.File(exp / "tiny/test/scores.h5") as a, h5py.File(tmp_path / "again/tiny/test/scores.h5") as b:
            np.testing.assert_array_equal(a[name][:], b[name][:])


def test_training_goes_on_where_it_was(experiment):
    _, options, _ = experiment
    process = call("run.sh", *options, "--stage", 4, "--stop-stage", 4)
    assert process.returncode == 0 and "training is done" in process.stderr


def test_a_second_system_joins_the_report(experiment):
    exp, options, _ = experiment
    process = call("run.sh", *options, "--stage", 4, "--system", "other one")
    assert process.returncode == 0, process.stderr
    page = (exp / "report.html").read_text()
    assert "tiny/test/frame" in page and "other one/test/frame" in page
    assert (exp / "log" / "04_train.other one.log").exists() and (exp / "log" / "04_train.tiny.log").exists()


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_signal_stops_all_and_a_new_run_goes_on(experiment, tmp_path, name):
    exp, options, _ = experiment
    model = exp / f"stopped {name}"
    (tmp_path / "long.yaml").write_text(CONFIG.replace("max_checkpoints: 2", "max_checkpoints: 30"))  # it must not end first
    options = [*options, "--stage", 4, "--stop-stage", 4, "--system", model.name, "--config", tmp_path / "long.yaml"]
    process = subprocess.Popen(["bash", str(RECIPE / "run.sh"), *map(str, options)], stdout=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # shells ignore it in `&`
                               stderr=subprocess.PIPE, text=True)
    for _ in range(2400):  # until the first checkpoint is there
        if list(model.glob("checkpoints/step*.pt")):
            break
        time.sleep(0.05)
    process.send_signal(getattr(signal, f"SIG{name}"))
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 75 and "run it again with --stage 4 to go on" in errors
    alive = subprocess.run(["pgrep", "-f", f"wsedtk.*{model.name}"], capture_output=True, text=True).stdout
    assert not alive, "the training outlived the recipe"
    assert not (model / "model.yaml").exists()
    process = call("run.sh", *options)
    assert process.returncode == 0 and "going on from batch" in process.stderr and (model / "model.yaml").exists()


def test_a_failing_stage_stops_the_recipe_and_names_its_log(experiment, tmp_path):
    _, options, _ = experiment
    process = call("run.sh", *options, "--exp", tmp_path / "exp", "--bank", tmp_path / "nowhere")
    assert process.returncode != 0
    assert "no such folder; a bank is" in process.stderr and "01_prepare.log" in process.stderr
    assert "stage 2" not in process.stderr


@pytest.mark.parametrize("options, message", [
    (["--stge", "2"], "unknown option '--stge' (--help lists the options)"),
    (["--stage"], "'--stage' needs a value"),
    (["5"], "unexpected argument '5'"),
    (["--root", "/"], "unknown option '--root'"),
    (["--stage", "x"], "--stage x --stop-stage 9: expected numbers"),
    (["--stage", "10"], "stage at most 9"),
    (["--stage", "5", "--stop-stage", "3"], "expected numbers with stage <= stop-stage"),
])
def test_wrong_options_are_refused(options, message):
    process = call("run.sh", *options)
    assert process.returncode == 2 and message in process.stderr


def test_help_is_the_header():
    process = call("run.sh", "--help")
    assert process.returncode == 0 and process.stdout.startswith("The whole chain in minutes") and "--bank DIR" in process.stdout
    assert "pipefail" not in process.stdout


def test_real_recordings(real_data, tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    process = call("run.sh", "--exp", tmp_path / "exp", "--config", tmp_path / "tiny.yaml", *TINY, "--bank", real_data / "esc10",
                   "--background", "002 - Rain", "--background", "003 - Sea waves", "--background=010 - Fire crackling")
    assert process.returncode == 0, process.stderr
    labels = (tmp_path / "exp/data/train/labels.txt").read_text().splitlines()
    assert len(labels) == 7 and "002 - Rain" not in labels and "004 - Baby cry" in labels


def test_every_script_passes_shellcheck():
    shellcheck = shutil.which("shellcheck")
    if not shellcheck:
        pytest.skip("shellcheck is not installed")
    scripts = [p for folder in ("bin", "recipes", "tests") for p in (ROOT / folder).rglob("*.sh") if "exp" not in p.parts]
    scripts += [ROOT / ".ci" / "run"]
    process = subprocess.run([shellcheck, "-x", *map(str, scripts)], capture_output=True, text=True, cwd=ROOT)
    assert len(scripts) > 12 and process.returncode == 0, process.stdout
