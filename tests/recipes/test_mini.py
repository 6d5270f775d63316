"""Run recipes/mini as a user does, at a tiny size."""

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

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.data.store import FeatureStore
from wsedtk.models import checkpoint
from wsedtk.models.checkpoint import ModelSpec

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "mini"
TINY = [
    "--num-train",
    "60",
    "--num-test",
    "12",
    "--num-valid",
    "10",
    "--bootstrap",
    "20",
    "--jobs",
    "1",
]
CONFIG = """\
network_options: {channels: [4, 4, 4], num_hidden: 4}
batch_size: 4
checkpoint_every: 3
max_checkpoints: 2
"""


# A dispatcher that records its arguments in a file beside itself. If it is named local, it also
# runs the command.
RECORDER = f"""\
#!/usr/bin/env bash
printf ' %s' "$@" >> "$0.asked"
echo >> "$0.asked"
case $0 in */local) exec bash '{ROOT}/bin/local.sh' "$@" ;; esac
"""


def recorder(path):
    """Write RECORDER to a path, and return the path of its record."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(RECORDER)
    path.chmod(0o755)
    return path.with_name(f"{path.name}.asked")


def call(script, *options, **environment):
    """Run a script of the recipe from another folder, and return the finished process."""
    return subprocess.run(
        ["bash", str(RECIPE / script), *map(str, options)],
        capture_output=True,
        text=True,
        cwd="/",
        timeout=600,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Run the whole recipe in a folder with spaces and quotes: (folder, options, process)."""
    folder = tmp_path_factory.mktemp('it\'s "mine"')
    (folder / "tiny.yaml").write_text(CONFIG)
    options = ["--exp", folder / "exp", "--config", folder / "tiny.yaml", *TINY]
    return folder / "exp", options, call("run.sh", *options)


def test_every_artefact_is_there(experiment):
    exp, _, process = experiment
    assert process.returncode == 0, process.stderr
    names = """
        data/train/clips.tsv data/train/tags.tsv data/train/labels.txt data/train/info.yaml
        data/test/events.tsv
        data/fit/clips.tsv data/valid/clips.tsv feats/train.h5 feats/test.h5 report.html
        tiny/model.safetensors tiny/model.yaml tiny/config.yaml tiny/history.tsv tiny/train.log
        tiny/operating_point.yaml tiny/valid/scores.h5 tiny/test/scores.h5
        tiny/test/segment/report.json tiny/test/frame/clips.tsv tiny/test/frame/tags.tsv
        tiny/test/frame/events.tsv tiny/test/frame/report.json tiny/test/frame/report.txt"""
    for name in names.split():
        assert (exp / name).stat().st_size > 0, name
    assert not (exp / "data/train/events.tsv").exists()  # trained on tags only
    assert not list(exp.rglob("*.tmp"))
    assert len((exp / "data/train/tags.tsv").read_text().splitlines()) > 60


def test_the_table_is_printed(experiment):
    exp, _, process = experiment
    for word in (
        "this system",
        "nothing",
        "everything",
        "its tags, whole clip",
        "true tags, whole clip",
        "12 of 12 clips in the set",
    ):
        assert word in process.stdout
    report = json.loads((exp / "tiny/test/frame/report.json").read_text())
    assert report["baselines"]["nothing"]["segment"]["error_rate"] == 1.0
    assert report["baselines"]["true_tags"]["tagging"]["f1"] == 1.0
    assert report["clips"].items() >= {"scored": 12, "official": 12}.items()


def test_each_stage_leaves_log_and_record(experiment):
    exp, _, _ = experiment
    for name in (
        "01_prepare",
        "02_extract_train",
        "03_balance",
        "04_train.tiny",
        "05_predict_test.tiny",
        "06_tune.tiny",
        "07_decode_frame.tiny",
        "08_score_segment.tiny",
        "09_report",
    ):
        log = (exp / "log" / f"{name}.log").read_text()
        assert "exit status 0" in log and "# host" in log
        record = (exp / "log" / f"{name}.yaml").read_text()
        assert "command: wsedtk" in record and "wsedtk:" in record
    assert "feats/train.h5: " in (exp / "log" / "04_train.tiny.yaml").read_text()


def test_a_stage_runs_alone_and_changes_nothing(experiment):
    exp, options, _ = experiment
    names = [
        "tiny/operating_point.yaml",
        "tiny/test/frame/events.tsv",
        "tiny/test/frame/report.json",
        "data/valid/clips.tsv",
    ]
    before = {name: (exp / name).read_bytes() for name in names}
    for script in ("03_balance", "06_tune", "07_decode", "08_score"):
        process = call(f"stages/{script}.sh", *options)
        assert process.returncode == 0, process.stderr
    assert {name: (exp / name).read_bytes() for name in names} == before


@pytest.fixture(scope="module")
def sharded(experiment, tmp_path_factory):
    """Run stages 1 to 7 with another dispatcher and features in shards.

    Returns (folder, lines of the dispatcher's record).
    """
    _, options, _ = experiment
    folder = tmp_path_factory.mktemp("a cluster's")
    asked = recorder(folder / "local")
    # relative to the working directory of the recipe
    relative = os.path.relpath(folder / "local", "/")
    process = call(
        "run.sh",
        *options,
        "--exp",
        folder / "exp",
        "--stop-stage",
        7,
        "--jobs",
        2,
        "--dispatcher",
        relative,
    )
    assert process.returncode == 0, process.stderr
    return folder / "exp", asked.read_text().splitlines()


def test_the_same_seed_gives_the_same_scores_and_events_in_one_job_and_in_two(experiment, sharded):
    exp, again = experiment[0], sharded[0]
    assert (again / "feats/train.2-of-2.h5").exists() and not (again / "feats/train.h5").exists()
    for path in ("tiny/valid/scores.h5", "tiny/test/scores.h5"):
        with h5py.File(exp / path) as a, h5py.File(again / path) as b:
            for name in ("filename", "clip", "frame", "segment"):
                np.testing.assert_array_equal(a[name][:], b[name][:])
    for path in (
        "model.safetensors",
        *(
            f"test/{mode}/{table}.tsv"
            for mode in ("segment", "frame")
            for table in ("tags", "events")
        ),
    ):
        assert (exp / "tiny" / path).read_bytes() == (again / "tiny" / path).read_bytes(), path


def test_jobs_request_their_resources(sharded):
    exp, asked = sharded
    train, test = f"{exp}/data/train {exp}/feats/train.h5", f"{exp}/data/test {exp}/feats/test.h5"
    for name, command in (("train", train), ("test", test)):
        log = f"{exp}/log/02_extract_{name}.WSEDTK_SHARD"
        assert (
            f" --mem 4 --max-jobs-run 2 WSEDTK_SHARD=1:2 {log}.log wsedtk --record {log}.yaml "
            "extract --config "
            f"{RECIPE}/conf/frontend_wang.yaml --shard WSEDTK_SHARD/2 -- {command}" in asked
        )
        assert [
            f"--shard {k}/2 --" in (exp / f"log/02_extract_{name}.{k}.log").read_text()
            for k in (1, 2)
        ] == [True] * 2
    assert any(
        line.startswith(
            f" --mem 4 --num-threads 2 --gpu 0 {exp}/log/04_train.tiny.log wsedtk --record "
        )
        for line in asked
    )
    assert any(
        line.startswith(f" --mem 4 {exp}/log/03_balance.log wsedtk --record ") for line in asked
    )


@pytest.mark.parametrize("gpus", [0, 1, 3])
def test_training_jobs_request_gpus_with_a_process_on_each(tmp_path, gpus):
    asked = recorder(tmp_path / "only asked")
    for script in ("04_train", "05_predict"):
        process = call(
            f"stages/{script}.sh",
            "--exp",
            tmp_path,
            "--gpus",
            gpus,
            "--dispatcher",
            tmp_path / "only asked",
        )
        assert process.returncode == 0, process.stderr
    train, *predict = asked.read_text().splitlines()
    launch = (
        "wsedtk"
        if gpus < 2
        else f"env -u OMP_NUM_THREADS python3 {ROOT}/bin/torchrun.py --standalone --nproc-per-node {gpus} -m wsedtk"
    )
    log = f"{tmp_path}/log/04_train.crnn_linear"
    assert f" --gpu {gpus} {log}.log {launch} --record {log}.yaml train --" in train
    assert len(predict) == 2
    for line in predict:
        assert f" --gpu {min(gpus, 1)} " in line and ".log wsedtk --record " in line


def test_an_extraction_resumes_with_as_many_jobs_or_starts_again(experiment, tmp_path):
    exp, options, _ = experiment
    shutil.copytree(exp / "data", tmp_path / "exp/data")
    options = [*options, "--exp", tmp_path / "exp", "--stage", 2, "--stop-stage", 2]
    feats, clip = tmp_path / "exp/feats", min((tmp_path / "exp/data/audio/train").iterdir())
    clip.rename(tmp_path / "away")
    for from_before in (False, True):
        process = call("run.sh", *options, "--jobs", 2)
        assert (
            process.returncode == 1
            and "1 of 2 jobs failed" in process.stderr
            and "02_extract_train.1.log" in process.stderr
        )
        assert sorted(p.name for p in feats.iterdir()) == [
            ".train.1-of-2.h5.parts",
            "train.2-of-2.h5",
        ]
        log = (tmp_path / "exp/log/02_extract_train.1.log").read_text()
        assert ("of 30 of 30 clips are kept from an earlier run" in log) == from_before
    (tmp_path / "away").rename(clip)
    process = call("run.sh", *options, "--jobs", 1)
    assert process.returncode == 0 and sorted(p.name for p in feats.iterdir()) == [
        "test.h5",
        "train.h5",
    ]


def test_training_resumes(experiment):
    _, options, _ = experiment
    process = call("run.sh", *options, "--stage", 4, "--stop-stage", 4)
    assert process.returncode == 0 and "training is finished" in process.stderr


def test_a_second_system_joins_the_report(experiment):
    exp, options, _ = experiment
    process = call("run.sh", *options, "--stage", 4, "--system", "other one")
    assert process.returncode == 0, process.stderr
    page = (exp / "report.html").read_text()
    assert "tiny/test/frame" in page and "other one/test/frame" in page
    assert (exp / "log" / "04_train.other one.log").exists() and (
        exp / "log" / "04_train.tiny.log"
    ).exists()


def test_a_system_starts_from_a_model_with_its_front_end(experiment, tmp_path):
    exp, options, _ = experiment
    frontend = FrontendConfig(num_mels=32, hop=320).settings()
    network_options = {"num_mels": 32, "num_channels": 2, "dense": 3}
    classes = ("one", "two")
    spec = ModelSpec(
        "yamnet", network_options, "linear", classes, frontend, (-4.0,) * 32, (2.0,) * 32
    )
    checkpoint.save_model(tmp_path / "small", spec, spec.build().state_dict())
    settings = "freeze: all\nbatch_size: 4\ncheckpoint_every: 3\nmax_checkpoints: 2\n"
    (tmp_path / "frozen.yaml").write_text(settings)
    options = [*options, "--config", tmp_path / "frozen.yaml", "--init", tmp_path / "small"]
    process = call("run.sh", *options, "--stage", 2)
    assert process.returncode == 0, process.stderr
    assert FeatureStore([exp / "feats" / "small" / "test.h5"]).frontend == frontend
    found = checkpoint.read_spec(exp / "frozen")
    assert found.network == "yamnet" and found.frontend == frontend and len(found.labels) == 7
    assert "frozen/test/frame" in (exp / "report.html").read_text()


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_signal_stops_all_and_a_new_run_resumes(experiment, tmp_path, name):
    exp, options, _ = experiment
    model = exp / f"stopped {name}"
    (tmp_path / "long.yaml").write_text(
        CONFIG.replace("max_checkpoints: 2", "max_checkpoints: 30")
    )  # it must still run
    options = [
        *options,
        "--stage",
        4,
        "--stop-stage",
        4,
        "--system",
        model.name,
        "--config",
        tmp_path / "long.yaml",
    ]
    script, environment = RECIPE / "run.sh", None
    if name == "TERM":  # as Slurm runs it: a copy of the script, which alone gets the signal
        (tmp_path / "my checkout").symlink_to(ROOT)
        script = shutil.copy(RECIPE / "batch.sbatch", tmp_path / "slurm_script")
        environment = {**os.environ, "SLURM_SUBMIT_DIR": str(tmp_path / "my checkout")}
    process = subprocess.Popen(
        ["bash", str(script), *map(str, options)],
        stdout=subprocess.PIPE,
        env=environment,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # shells ignore it in background processes
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(2400):  # until the first checkpoint exists
        if list(model.glob("checkpoints/step*.pt")):
            break
        time.sleep(0.05)
    process.send_signal(getattr(signal, f"SIG{name}"))
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 75 and "run it again with --stage 4 to resume" in errors
    alive = subprocess.run(
        ["pgrep", "-f", f"wsedtk.*{model.name}"], capture_output=True, text=True
    ).stdout
    assert not alive, "the training outlived the recipe"
    assert not (model / "model.yaml").exists()
    process = call("run.sh", *options)
    assert (
        process.returncode == 0
        and "resuming from batch" in process.stderr
        and (model / "model.yaml").exists()
    )


def test_a_failing_stage_stops_the_recipe_and_names_its_log(experiment, tmp_path):
    _, options, _ = experiment
    process = call("run.sh", *options, "--exp", tmp_path / "exp", "--bank", tmp_path / "nowhere")
    assert process.returncode != 0
    assert "no such folder; a bank is" in process.stderr and "01_prepare.log" in process.stderr
    assert "stage 2" not in process.stderr


@pytest.mark.parametrize(
    "options, message",
    [
        (["--stge", "2"], "unknown option '--stge' (--help lists the options)"),
        (["--stage"], "'--stage' needs a value"),
        (["5"], "unexpected argument '5'"),
        (["--root", "/"], "unknown option '--root'"),
        (["--stage", "x"], "--stage x --stop-stage 9: expected numbers"),
        (["--stage", "10"], "stage at most 9"),
        (["--jobs", "0"], "--jobs '0': expected a number from 1 to 9999"),
        (["--gpus", "all"], "--gpus 'all': expected a number from 0 to 9999"),
        (["--dispatcher", "no/such"], "--dispatcher //no/such: is not an executable file"),
        (["--dispatcher", "/tmp"], "--dispatcher /tmp: is not an executable file"),
        (["--stage", "5", "--stop-stage", "3"], "expected numbers with stage <= stop-stage"),
    ],
)
def test_wrong_options_are_refused(options, message):
    process = call("run.sh", *options)
    assert process.returncode == 2 and message in process.stderr


@pytest.mark.parametrize("recipe", ["mini", "dcase2017", "audioset"])
def test_a_batch_job_outside_the_checkout_is_an_error(tmp_path, recipe):
    script = shutil.copy(ROOT / "recipes" / recipe / "batch.sbatch", tmp_path / "slurm_script")
    elsewhere, here = (
        {**os.environ, "SLURM_SUBMIT_DIR": str(folder)} for folder in (tmp_path, ROOT)
    )
    process = subprocess.run(
        ["bash", script], capture_output=True, text=True, env=elsewhere, timeout=60
    )
    assert (
        process.returncode == 2
        and f"{tmp_path}: is not the root of a checkout of wsedtk; run sbatch in the root of the checkout"
        in process.stderr
    )
    process = subprocess.run(
        ["bash", script, "--help"], capture_output=True, text=True, env=here, timeout=60
    )
    assert process.returncode == 0 and f"bash recipes/{recipe}/run.sh " in process.stdout


def test_help_is_the_header():
    process = call("run.sh", "--help")
    assert (
        process.returncode == 0
        and process.stdout.startswith("Mix soundscapes, train")
        and "--bank DIR" in process.stdout
    )
    assert "pipefail" not in process.stdout


def test_real_recordings(real_data, tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    process = call(
        "run.sh",
        "--exp",
        tmp_path / "exp",
        "--config",
        tmp_path / "tiny.yaml",
        *TINY,
        "--bank",
        real_data / "esc10",
        "--background",
        "002 - Rain",
        "--background",
        "003 - Sea waves",
        "--background=010 - Fire crackling",
    )
    assert process.returncode == 0, process.stderr
    labels = (tmp_path / "exp/data/train/labels.txt").read_text().splitlines()
    assert len(labels) == 7 and "002 - Rain" not in labels and "004 - Baby cry" in labels


def test_every_script_passes_shellcheck():
    shellcheck = shutil.which("shellcheck")
    if not shellcheck:
        pytest.skip("shellcheck is not installed")
    scripts = [
        p
        for folder in ("bin", "recipes", "tests")
        for kind in ("*.sh", "*.sbatch")
        for p in (ROOT / folder).rglob(kind)
        if "exp" not in p.parts
    ]
    scripts += [ROOT / ".ci" / "run"]
    process = subprocess.run(
        [shellcheck, "-x", *map(str, scripts)], capture_output=True, text=True, cwd=ROOT
    )
    assert len(scripts) > 12 and process.returncode == 0, process.stdout
