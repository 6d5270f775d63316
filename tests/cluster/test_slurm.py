"""Test bin/slurm.sh and recipes/mini on a real Slurm with one node, started by cluster.sh."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISPATCHER = ROOT / "bin" / "slurm.sh"
CONFIG = """\
network_options: {channels: [4, 4, 4], num_hidden: 4}
batch_size: 4
checkpoint_every: 40
max_checkpoints: 4
"""
TINY = [
    "--num-train",
    "60",
    "--num-test",
    "12",
    "--num-valid",
    "10",
    "--bootstrap",
    "20",
    "--dispatcher",
    DISPATCHER,
]


@pytest.fixture(scope="module")
def slurm():
    """Start a Slurm cluster, and return the environment to use it.

    The tests are skipped unless WSEDTK_TEST_CLUSTER is set.
    """
    if not os.environ.get("WSEDTK_TEST_CLUSTER"):
        pytest.skip(
            "WSEDTK_TEST_CLUSTER is not set, which has these tests start munge and Slurm "
            "here, where they are installed"
        )
    folder = tempfile.mkdtemp(prefix="slurm")  # paths of sockets must be short
    script = ["bash", str(ROOT / "tests" / "cluster" / "cluster.sh")]
    try:
        subprocess.run([*script, "up", folder], check=True, timeout=60)
        yield {**os.environ, "SLURM_CONF": f"{folder}/slurm.conf"}
    finally:
        subprocess.run([*script, "down", folder], timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def submit(slurm):
    """Start bin/slurm.sh with these arguments, as a process whose output is captured."""

    def start(*words, script=DISPATCHER, cwd=None):
        heeding = [
            "env",
            "--default-signal=INT,HUP",
            "bash",
        ]  # these tests may run where a signal is ignored, for example under nohup
        return subprocess.Popen(
            [*heeding, str(script), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=slurm,
            cwd=cwd,
            start_new_session=True,
        )

    return start


def finish(process, seconds=120):
    """Wait for a process of `submit`, and return (exit status, stdout, stderr)."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def wait_for(what, seconds=60):
    """Wait until `what()` is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.1)


def ask(slurm, *words):
    """Return the output of a Slurm command."""
    return subprocess.run(
        words, env=slurm, capture_output=True, text=True, check=True
    ).stdout.strip()


def queue(slurm):
    """Return the names and states of the jobs in Slurm."""
    return ask(slurm, "squeue", "--noheader", "--format", "%j %T")


@pytest.fixture(scope="module")
def doomed(slurm, tmp_path_factory):
    """Start three jobs with a time limit of one minute before the other tests run.

    The first saves its work when it is warned. The second ignores the warning. The third kills the
    shell that writes the end of its log.
    """
    folder = tmp_path_factory.mktemp("doomed")
    script = (
        "case JOB in 1) trap 'echo saved; exit 75' TERM ;; 2) trap '' TERM ;; 3) kill -9 "
        "$PPID; exit 0 ;; esac; "
        "while :; do sleep 0.2; done"
    )
    (folder / "doomed.3.log").write_text("# ended long ago, exit status 0\n")
    process = subprocess.Popen(
        [
            "bash",
            DISPATCHER,
            "--time",
            "1",
            "JOB=1:3",
            folder / "doomed.JOB.log",
            "bash",
            "-c",
            script,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=slurm,
    )
    yield folder, process
    process.kill()


def test_arguments_and_names_pass_untouched(submit, doomed, tmp_path):
    words = ["a b", "*", "$HOME", "-x", "it's", 'q"q', "", "back\\slash", "new\nline", "100%"]
    log = tmp_path / 'it\'s a "log" of 5% $x' / "l a.log"
    status, out, err = finish(
        submit(log, "python3", "-c", "import sys; print(sys.argv[1:])", *words)
    )
    assert status == 0 and out.strip() == str(words), err
    lines = log.read_text().splitlines()
    assert (
        lines[0].startswith("# python3 -c ")
        and "# host " in lines[1]
        and ", Slurm job " in lines[1]
    )
    assert lines[2] == str(words) and lines[-1].endswith("exit status 0")


def test_a_log_with_a_leading_dash(submit, tmp_path):
    assert finish(submit("-l.log", "true", cwd=tmp_path))[0] == 2  # an unknown option
    assert (
        finish(submit("./-l.log", "true", cwd=tmp_path))[0] == 0 and (tmp_path / "-l.log").exists()
    )


def test_an_array_with_a_job_that_fails(submit, tmp_path):
    # for a second job, if one may run
    wait = "for i in $(seq 100); do [ $(ls | grep -c '^on') -lt 2 ] || break; sleep 0.1; done"
    script = (
        f"cd {tmp_path}; touch on.JOB; {wait}; ls | grep -c '^on' > count.JOB; sleep 0.3; "
        "rm on.JOB; echo said JOB; [ JOB != 3 ]"
    )
    status, _, err = finish(
        submit("--max-jobs-run", 2, "JOB=1:4", tmp_path / "l.JOB.log", "bash", "-c", script)
    )
    assert (
        status == 1
        and "1 of 4 jobs failed" in err
        and "l.3.log (exit status 1)" in err
        and "said 3" in err
    )
    assert "l.2.log" not in err and "said 2" not in err
    assert all(f"said {i}\n# ended" in (tmp_path / f"l.{i}.log").read_text() for i in range(1, 5))
    assert max(int((tmp_path / f"count.{i}").read_text()) for i in range(1, 5)) == 2


def test_only_a_jobs_own_last_line_counts(submit, tmp_path):
    """Only the exit status of the job's own log counts, not one that it or another job prints."""
    log = tmp_path / "l.log"
    assert finish(submit(log, "printf", "no end of the line"))[:2] == (0, "no end of the line\n")
    script = (
        f"cp '{log}' '{tmp_path}/old'; cat '{tmp_path}/old'; "
        f"sed 's/job [0-9]*/job 99/' '{tmp_path}/old'; sleep 3; exit 4"
    )
    (tmp_path / "other.log").write_bytes(log.read_bytes())
    status, _, err = finish(submit(tmp_path / "other.log", "bash", "-c", script))
    assert status == 1 and "other.log (exit status 4)" in err


def test_jobs_that_are_cancelled_by_hand_have_saved_their_work(submit, slurm, tmp_path):
    """Slurm sends TERM to the shell of the job and to the command at once.

    The signal may reach the command's `sleep` before the command, which must not end by that.
    """
    loop = "while :; do sleep 0.1; done"
    script = f"trap 'echo saved; exit 75' TERM; touch {tmp_path}/on.JOB; {loop}"
    process = submit("JOB=1:6", tmp_path / "byhand.JOB.log", "bash", "-c", script)
    wait_for(lambda: len(list(tmp_path.glob("on.*"))) == 6)
    ask(slurm, "scancel", "--name", "byhand.JOB")
    status, _, err = finish(process)
    assert status == 75 and "6 of 6 jobs were interrupted" in err, err


def test_what_slurm_refuses_is_reported(submit, tmp_path):
    conf = tmp_path / "site.conf"
    conf.write_text("command sbatch --partition=nowhere\n")
    status, _, err = finish(submit("--conf", conf, tmp_path / "l.log", "true"))
    assert status == 1 and "invalid partition" in err and "site.conf" in err


def test_ctrl_c_cancels_what_was_submitted(submit, slurm, tmp_path):
    script = (
        f"trap 'sleep 1; echo saved; exit 75' TERM; touch {tmp_path}/on.JOB; "
        "while :; do sleep 0.1; done"
    )
    process = submit("--max-jobs-run", 1, "JOB=1:3", tmp_path / "l.JOB.log", "bash", "-c", script)
    wait_for((tmp_path / "on.1").exists)
    os.killpg(process.pid, signal.SIGINT)
    status, _, err = finish(process)
    assert status == 75 and "is cancelled" in err
    assert "l.JOB" not in queue(slurm), "left behind"
    assert (
        "saved\n# ended" in (tmp_path / "l.1.log").read_text() and not (tmp_path / "on.2").exists()
    )


def test_a_job_that_can_never_start_is_reported_and_cancelled(submit, slurm, tmp_path):
    # the partition has a limit of 60 minutes
    process = submit("--time", 100, tmp_path / "never.log", "true")
    assert (
        "job " in process.stderr.readline()
        and "waits: PartitionTimeLimit" in process.stderr.readline()
    )
    process.send_signal(signal.SIGHUP)
    assert finish(process)[0] == 75 and "never" not in queue(slurm)


@pytest.mark.parametrize("moment", [0.05, 0.1, 0.2, 0.3, 0.5])
def test_ctrl_c_at_any_moment_leaves_nothing_behind(submit, slurm, tmp_path, moment):
    process = submit("JOB=1:60", tmp_path / "many.JOB.log", "sleep", 60)
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process)[0] in (
        75,
        -signal.SIGINT,
    )  # the latter if bash had not yet set its trap
    wait_for(lambda: "many" not in queue(slurm))


@pytest.fixture(scope="module")
def experiment(slurm, tmp_path_factory):
    """Run the mini recipe through bin/slurm.sh, in a folder with spaces and quotes in its name.

    Returns (folder, options, process).
    """
    folder = tmp_path_factory.mktemp('it\'s "ours"')
    (folder / "tiny.yaml").write_text(CONFIG)
    options = ["--exp", folder / "exp", "--config", folder / "tiny.yaml", "--jobs", "2", *TINY]
    process = subprocess.run(
        ["bash", ROOT / "recipes/mini/run.sh", *map(str, options)],
        capture_output=True,
        text=True,
        cwd="/",
        timeout=600,
        env=slurm,
    )
    assert process.returncode == 0, process.stderr
    return folder / "exp", options, process


def test_the_mini_recipe_runs_on_it(experiment):
    exp, _, process = experiment
    assert "this system" in process.stdout and "12 of 12 clips in the set" in process.stdout
    assert json.loads((exp / "tiny/test/frame/report.json").read_text())["clips"]["scored"] == 12
    assert {p.name for p in (exp / "feats").iterdir()} == {
        f"{s}.{k}-of-2.h5" for s in ("train", "test") for k in (1, 2)
    }
    for log in (exp / "log").glob("*.log"):
        assert ", Slurm job " in log.read_text() and "exit status 0" in log.read_text(), log


def test_a_shard_that_fails_is_named(experiment, slurm, tmp_path):
    """One missing recording is more than the allowed hundredth of a shard."""
    exp, options, _ = experiment
    shutil.copytree(exp / "data", tmp_path / "exp" / "data")
    (
        tmp_path
        / "exp/data/train"
        / (tmp_path / "exp/data/train/clips.tsv").read_text().splitlines()[1].split("\t")[1]
    ).unlink()
    process = subprocess.run(
        [
            "bash",
            ROOT / "recipes/mini/stages/02_extract.sh",
            *map(str, options),
            "--exp",
            tmp_path / "exp",
        ],
        env=slurm,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (
        process.returncode == 1
        and "slurm.sh: 1 of 2 jobs failed" in process.stderr
        and "no such file" in process.stderr
    )
    assert [p.name for p in (tmp_path / "exp/feats").glob("*.h5")] == ["train.2-of-2.h5"]


def test_a_stopped_recipe_cancels_its_jobs_and_resumes(experiment, submit, slurm):
    exp, options, _ = experiment
    words = [*options, "--system", "stopped", "--stage", 4, "--stop-stage", 4]
    process = submit(*words, script=ROOT / "recipes/mini/run.sh")
    wait_for(lambda: list((exp / "stopped/checkpoints").glob("step*.pt")))
    os.killpg(process.pid, signal.SIGINT)
    status, _, err = finish(process)
    assert status == 75 and "run it again with --stage 4" in err and "04_train" not in queue(slurm)
    assert "exit status 75" in (exp / "log/04_train.stopped.log").read_text()
    status, _, err = finish(submit(*words, script=ROOT / "recipes/mini/run.sh"))
    assert (
        status == 0
        and (exp / "stopped/model.safetensors").read_bytes()
        == (exp / "tiny/model.safetensors").read_bytes()
    )


def test_a_training_that_is_requeued_ends_with_the_same_weights(experiment, submit, slurm):
    exp, options, _ = experiment
    process = submit(
        *options,
        "--system",
        "again",
        "--stage",
        4,
        "--stop-stage",
        4,
        script=ROOT / "recipes/mini/run.sh",
    )
    wait_for(lambda: list((exp / "again/checkpoints").glob("step*.pt")))
    number = ask(slurm, "squeue", "--noheader", "--name", "04_train.again", "--format", "%i")
    ask(slurm, "scontrol", "requeue", number)
    wait_for(lambda: "04_train.again PENDING" in queue(slurm))
    ask(slurm, "scontrol", "update", f"JobId={number}", "StartTime=now")
    status, _, err = finish(process)
    log = (exp / "log/04_train.again.log").read_text()
    assert status == 0, err + log
    assert (
        log.count("# host ") == 2
        and "exit status 75" in log
        and "resuming from batch" in log
        and log.rstrip().endswith("exit status 0")
    )
    assert (exp / "again/model.safetensors").read_bytes() == (
        exp / "tiny/model.safetensors"
    ).read_bytes()


def test_a_training_in_two_processes(experiment, submit, slurm):
    """The training uses two GPUs if there are any, otherwise two CPUs."""
    exp, options, _ = experiment
    process = submit(
        *options,
        "--system",
        "two",
        "--gpus",
        2,
        "--stage",
        4,
        "--stop-stage",
        4,
        script=ROOT / "recipes/mini/run.sh",
    )
    wait_for(lambda: "04_train.two RUNNING" in queue(slurm))
    assert "gpu:2" in ask(
        slurm, "squeue", "--noheader", "--name", "04_train.two", "--Format", "tres-per-node"
    )
    status, _, err = finish(process)
    assert status == 0, err
    assert (
        "processes: 2" in (exp / "two/config.yaml").read_text()
        and (exp / "two/model.yaml").exists()
    )


def test_a_recipe_as_one_job(experiment, slurm, tmp_path):
    exp, options, _ = experiment
    here = options.index("--dispatcher")
    words = [
        *options[:here],
        *options[here + 2 :],
        "--exp",
        tmp_path / "one job",
        "--stop-stage",
        4,
    ]
    process = subprocess.run(
        [
            "sbatch",
            "--wait",
            "--output",
            tmp_path / "out.txt",
            "recipes/mini/batch.sbatch",
            *map(str, words),
        ],
        cwd=ROOT,
        env=slurm,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr + (tmp_path / "out.txt").read_text()
    assert (tmp_path / "one job/tiny/model.safetensors").read_bytes() == (
        exp / "tiny/model.safetensors"
    ).read_bytes()


def test_jobs_that_exceed_their_time_limit_or_lose_their_shell(doomed):
    folder, process = doomed
    status, _, err = finish(process, 240)
    assert status == 1 and "3 of 3 jobs failed" in err
    assert (
        "doomed.1.log (exit status 75)" in err
        and "saved\n# ended" in (folder / "doomed.1.log").read_text()
    )
    assert (
        "doomed.2.log (no exit status; Slurm says TIMEOUT)" in err
        and "DUE TO TIME LIMIT" in (folder / "doomed.2.log").read_text()
    )
    assert "doomed.3.log (no exit status; Slurm says FAILED)" in err
