"""bin/: dispatchers, option parsing and the environment script."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCAL = str(ROOT / "bin" / "local.sh")


def local(*words, **options):
    """Run bin/local.sh."""
    return subprocess.run(
        ["bash", LOCAL, *map(str, words)], capture_output=True, text=True, timeout=60, **options
    )


def test_arguments_pass_untouched(tmp_path):
    words = ["a b", "*", "$HOME", "-x", "it's", 'q"q', "", "back\\slash", "new\nline"]
    process = local(
        tmp_path / "log dir" / "l.log", "python3", "-c", "import sys; print(sys.argv[1:])", *words
    )
    assert process.returncode == 0 and process.stdout.strip() == str(words)
    assert str(words) in (tmp_path / "log dir" / "l.log").read_text()


def test_a_log_has_command_host_times_and_status(tmp_path):
    process = local(
        "--mem",
        "4",
        "--gpu",
        "1",
        tmp_path / "l.log",
        "bash",
        "-c",
        "echo out; echo err >&2; exit 3",
    )
    log = (tmp_path / "l.log").read_text()
    assert process.returncode == 1 and "l.log" in process.stderr
    assert process.stdout == "out\n" and "err" in process.stderr
    assert log.startswith("# bash -c ") and "# host " in log and "out\n" in log and "err\n" in log
    assert log.splitlines()[-1].endswith("exit status 3")


def test_jobs_run_at_once_and_the_failed_ones_are_named(tmp_path):
    process = local("JOB=1:3", tmp_path / "l.JOB.log", "bash", "-c", "echo job JOB; [ JOB != 2 ]")
    assert process.returncode == 1
    assert [f"job {i}" in (tmp_path / f"l.{i}.log").read_text() for i in (1, 2, 3)] == [True] * 3
    assert (
        "1 of 3 jobs failed" in process.stderr
        and "l.2.log" in process.stderr
        and "l.1.log" not in process.stderr
    )


def test_few_jobs_run_at_once(tmp_path):
    script = (
        f"touch {tmp_path}/on.JOB; ls {tmp_path} | grep -c on > {tmp_path}/count.JOB; "
        f"sleep 0.2; rm {tmp_path}/on.JOB"
    )
    assert (
        local(
            "--max-jobs-run", 2, "JOB=1:5", tmp_path / "l.JOB.log", "bash", "-c", script
        ).returncode
        == 0
    )
    assert max(int((tmp_path / f"count.{i}").read_text()) for i in range(1, 6)) <= 2


def test_exit_status_75_means_not_finished(tmp_path):
    assert (
        local(
            "JOB=1:2", tmp_path / "l.JOB.log", "bash", "-c", "exit $((JOB == 2 ? 75 : 0))"
        ).returncode
        == 75
    )
    assert (
        local(
            "JOB=1:2", tmp_path / "l.JOB.log", "bash", "-c", "exit $((JOB == 2 ? 75 : 1))"
        ).returncode
        == 1
    )


def test_a_signal_ends_the_jobs(tmp_path):
    process = subprocess.Popen(
        [
            "bash",
            LOCAL,
            str(tmp_path / "l.log"),
            "bash",
            "-c",
            f"echo $$ > {tmp_path}/pid; sleep 60",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.05)
    job = int((tmp_path / "pid").read_text())
    process.terminate()
    errors = process.communicate(timeout=10)[1].decode()
    assert (
        process.returncode == 75 and "stopped by a signal" in errors and "Terminated" not in errors
    )
    for _ in range(100):
        if not os.path.exists(f"/proc/{job}"):
            return
        time.sleep(0.05)
    raise AssertionError("the job outlived its dispatcher")


@pytest.mark.parametrize("name", ["TERM", "USR1"])
@pytest.mark.parametrize("array", [[], ["--max-jobs-run", 1, "JOB=1:3"]], ids=["one", "array"])
def test_jobs_have_time_to_save_their_work(tmp_path, name, array):
    script = (
        f"trap 'sleep 0.5; echo saved > {tmp_path}/saved; echo said; exit 75' TERM; "
        f"touch {tmp_path}/ready; sleep 60 & wait"
    )
    log = "l.JOB.log" if array else "l.1.log"
    process = subprocess.Popen(
        ["bash", LOCAL, *map(str, array), str(tmp_path / log), "bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(getattr(signal, f"SIG{name}"))
    process.communicate(timeout=10)
    assert process.returncode == 75 and (tmp_path / "saved").exists(), (
        "its dispatcher was gone before it"
    )
    assert (
        "said\n# ended" in (tmp_path / "l.1.log").read_text()
        and "exit status 75" in (tmp_path / "l.1.log").read_text()
    )


SECOND_WAIT_ENDS_EARLY = """
calls=0
wait() {
    calls=$((calls + 1))
    if [ "$calls" = 2 ]; then return 143; fi
    builtin wait "$@"
}
"""
JOB_OF_SLURM = """
. "$1/bin/dispatch.sh"
log=l.log command=(bash job.sh)
run_in_slurm 1
"""
STEP_OF_A_RECIPE = """
eval "$(sed -n '/^guarded() {/,/^}/p' "$1/bin/recipe.sh")"
guarded bash job.sh > l.log
"""


@pytest.mark.parametrize("script", [JOB_OF_SLURM, STEP_OF_A_RECIPE], ids=["job", "recipe"])
def test_of_two_signals_at_the_same_time_none_ends_the_shell_before_its_job(tmp_path, script):
    """In bash, the second of two signals can end the next `wait` without running a trap."""
    (tmp_path / "job.sh").write_text(
        "trap 'sleep 0.3; echo saved; exit 75' TERM; touch on; while :; do sleep 0.05; done\n"
    )
    words = ["env", "--default-signal=TERM", "bash", "-c", SECOND_WAIT_ENDS_EARLY + script, "job"]
    process = subprocess.Popen(
        [*words, str(ROOT)], cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + 60
    while not (tmp_path / "on").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) == 75
    assert "saved" in (tmp_path / "l.log").read_text()


def test_usage(tmp_path):
    assert local(tmp_path / "l.log").returncode == 2
    assert local("--memory", 3, tmp_path / "l.log", "true").returncode == 2
    assert local("JOB=2:1", tmp_path / "l.log", "true").returncode == 2


def parse(*words):
    """Parse options as a recipe does, and print the result."""
    script = f"""set -euo pipefail
option_names='name flag many'; name=default flag=false many=()
. '{ROOT}/bin/parse_options.sh' "$@"
printf '%s|' "$name" "$flag" ${{many[@]+"${{many[@]}}"}}"""
    return subprocess.run(
        ["bash", "-c", script, "script", *words], capture_output=True, text=True, timeout=60
    )


def test_options_keep_every_character():
    assert parse().stdout == "default|false|"
    assert (
        parse("--name", "$(touch x) `y` *; 'q'", "--flag").stdout == "$(touch x) `y` *; 'q'|true|"
    )
    assert parse("--many", "a b", "--many=--c", "--name", "-x").stdout == "-x|false|a b|--c|"
    assert parse("--name=").stdout == "|false|"


def test_wrong_options_exit_with_2():
    for words in (
        ["--nam", "x"],
        ["--name"],
        ["--flag=true"],
        ["name"],
        ["--option-names", "x"],
        ["--many[0]", "x"],
    ):
        process = parse(*words)
        assert process.returncode == 2 and "script: " in process.stderr, words


def test_the_environment_script_never_exits_its_caller(tmp_path):
    """Without a usable Python it prints a message and returns non-zero; the caller continues."""
    script = (
        f". '{ROOT}/bin/env.sh'; "
        "PATH=/usr/bin:/bin PYTHON=/bin/false wsedtk_environment '' || echo still here $?"
    )
    copy = tmp_path / "checkout"  # a checkout without an environment
    (copy / "bin").mkdir(parents=True)
    for name in ("setup.cfg", "constraints.txt", "bin/env.sh"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    process = subprocess.run(
        ["bash", "-c", script.replace(str(ROOT), str(copy))],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert process.stdout == "still here 1\n" and "needs Python >= 3.10" in process.stderr


FAKE = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$(dirname "$0")/asked"
numbers=$(printf '%s\\n' "$@" | sed -n '/^--array$/{n;s/%.*//;s/-/ /p;}')
export SLURM_CPUS_PER_TASK=3 SLURM_JOB_ID=12
if [ -z "$numbers" ]; then bash "${!#}"; fi
for number in ${numbers:+$(seq $numbers)}; do SLURM_ARRAY_JOB_ID=12 SLURM_ARRAY_TASK_ID=$number SLURM_JOB_ID=1$number bash "${!#}"; done
printf 'a line of the site\\n' | tee -a "$(dirname "$0")"/*.log > /dev/null
echo 'noise of a site'
echo '12;cluster'
"""  # an sbatch that runs the jobs at once


@pytest.fixture
def slurm(tmp_path):
    """Run bin/slurm.sh with a stand-in for sbatch and these lines as configuration.

    Returns (process, arguments of sbatch).
    """

    def run(lines, *words):
        (tmp_path / "sbatch").write_text(FAKE)
        (tmp_path / "sbatch").chmod(0o755)
        (tmp_path / "site.conf").write_text(lines)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        environment.pop("OMP_NUM_THREADS", None)
        process = subprocess.run(
            [
                "bash",
                str(ROOT / "bin/slurm.sh"),
                "--conf",
                str(tmp_path / "site.conf"),
                *map(str, words),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
        asked = tmp_path / "asked"
        return process, asked.read_text().splitlines() if asked.exists() else None

    return run


def test_arguments_of_sbatch(slurm, tmp_path):
    conf = (ROOT / "recipes/conf/slurm.conf").read_text()
    log = tmp_path / "a b" / "100%.JOB.log"
    process, asked = slurm(
        conf,
        "--mem",
        4,
        "--time",
        "2:30:00",
        "--num-threads",
        3,
        "--max-jobs-run",
        2,
        "JOB=1:2",
        log,
        "echo",
        "*",
    )
    assert process.returncode == 0, process.stderr
    assert asked[:8] == [
        "--export=ALL",
        "--requeue",
        "--signal=B:USR1@60",
        "--mem=4G",
        "--time=2:30:00",
        "--cpus-per-task=3",
        "--parsable",
        "--open-mode=append",
    ]
    assert asked[asked.index("--array") + 1] == "1-2%2"
    assert asked[asked.index("--output") + 1] == f"{tmp_path}/a b/100%%.%a.log"
    assert [
        line
        for line in (tmp_path / "a b" / "100%.2.log").read_text().splitlines()
        if line[0] != "#"
    ] == ["*"]
    process, asked = slurm(
        conf, "--gpu", 2, "--mem", "500M", tmp_path / "l.log", "bash", "-c", "echo $OMP_NUM_THREADS"
    )
    assert (
        process.stdout == "3\n"
        and asked[3:5] == ["--gres=gpu:2", "--mem=500M"]
        and "--array" not in asked
    )


def test_a_site_configures_its_slurm(slurm, tmp_path):
    conf = """# ours
command sbatch -A lab
option gpu=0 -p cpu   # no GPU
option gpu=* -p gpu --gpus=$0
default gpu=0
option time=*"""
    assert slurm(conf, tmp_path / "l.log", "true")[1][:4] == ["-A", "lab", "-p", "cpu"]
    assert slurm(conf, "--gpu", 3, "--time", 5, tmp_path / "l.log", "true")[1][:5] == [
        "-A",
        "lab",
        "-p",
        "gpu",
        "--gpus=3",
    ]


@pytest.mark.parametrize(
    "conf, words, message",
    [
        ("option gpu=*\n", [], "has no line 'command sbatch ...'"),
        (
            "command sbatch\nqueue=gpu\n",
            [],
            "site.conf:2: 'queue=gpu': the first word must be command, option or default",
        ),
        (
            "command sbatch\noption gpus=1 -G\n",
            [],
            "site.conf:2: 'gpus=1': expected NAME=VALUE, where NAME is gpu, mem, time or num_threads",
        ),
        ("command sbatch\n", ["--mem", 3], "no line 'option mem=3G ...' or 'option mem=* ...'"),
        ("command sbatch\n", ["--mem", "lots"], "--mem 'lots': expected a number of gigabytes"),
        (
            "command sbatch\n",
            ["--num-threads", 0],
            "--num-threads '0': expected a number of threads",
        ),
    ],
)
def test_a_wrong_configuration_or_option_is_reported_before_anything_is_submitted(
    slurm, tmp_path, conf, words, message
):
    process, asked = slurm(conf, *words, tmp_path / "l.log", "true")
    assert process.returncode == 2 and message in process.stderr and asked is None


def test_only_logs_are_overwritten(tmp_path):
    (tmp_path / "mine.sh").write_text("echo mine\n")
    process = local(tmp_path / "mine.sh", "true")
    assert process.returncode == 1 and "mine.sh: is not a log" in process.stderr
    assert (tmp_path / "mine.sh").read_text() == "echo mine\n"


def test_output_without_a_newline_does_not_change_the_last_line(tmp_path):
    assert local("JOB=1:1", tmp_path / "l.JOB.log", "printf", "no end").returncode == 0
    lines = (tmp_path / "l.1.log").read_text().splitlines()
    assert lines[2] == "no end" and lines[3].startswith("# ended ")


def test_an_array_without_a_log_for_each_job_is_refused(tmp_path):
    process = local("JOB=1:2", tmp_path / "l.log", "true")
    assert process.returncode == 2 and "expected JOB in the name" in process.stderr
