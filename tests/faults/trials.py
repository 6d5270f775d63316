"""Shared parts of the fault trials: run the command line, and check its outputs.

A stage runs in a folder of its own and writes there under a relative name, so that the outputs of
two runs can be compared.
"""

import dataclasses
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import h5py
import torch
import yaml
from helpers import LABELS, write_set, write_sound
from mutations import FULL, count

import wsedtk

NUM_CLIPS, NUM_FIT, NUM_VALID = 400, 60, 40
ROOT = Path(wsedtk.__file__).resolve().parent.parent
MARK = "WSEDTK_TRIAL"
SECONDS = 120  # a process that takes longer hangs
TRAIN = [
    "--set",
    "network_options={channels: [4, 6, 8], num_hidden: 8}",
    "--set",
    "batch_size=10",
    "--set",
    "learning_rate=3e-3",
    "--set",
    "checkpoint_every=10",
    "--set",
    "max_checkpoints=8",
    "--set",
    "mixup_alpha=0.2",
    "--set",
    "resume_seconds=0.1",
    "--device",
    "cpu",
]


# The command line, except that `extract` ends a part after 0.05 s instead of 20 s. Otherwise these
# small sets would have one part.
LAUNCHER = """
import wsedtk.cli.main
from wsedtk.cli.main import systems
stage_of = systems.stage
def quick(name):
    import wsedtk.data.feature_parts
    wsedtk.data.feature_parts.PART_SECONDS = 0.05
    return stage_of(name)
systems.stage = quick
wsedtk.cli.main.main()
"""


def repeat(full, few):
    """Return the numbers of trials, see `count`."""
    return range(count(full, few))


def some(trials, *few):
    """Return all trials if WSEDTK_TEST_FULL is set, otherwise those at the places `few`."""
    return list(trials) if FULL else [list(trials)[place] for place in few]


class Job:
    """A running `wsedtk ARGUMENT...`. Its processes are marked in their environment."""

    def __init__(self, folder, arguments, before=lambda: None, stdout=None):
        self.mark, self.started, self.stderr = uuid.uuid4().hex, time.monotonic(), None
        self.before = listing(Path(folder))  # earlier content
        self._said = (
            tempfile.TemporaryFile()
        )  # with a pipe, reading would wait for orphaned processes
        environment = {
            **os.environ,
            MARK: self.mark,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }

        def prepare():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # shells ignore it in background processes
            before()

        program = ["-c", LAUNCHER] if arguments[0] == "extract" else ["-m", "wsedtk"]
        self.process = subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout or subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
            preexec_fn=prepare,
        )

    @property
    def is_running(self):
        """Whether the command has not ended."""
        return self.process.poll() is None

    def end(self):
        """Wait for the end, and return the exit status; `stderr` then has the output."""
        if self.stderr is not None:
            return self.process.returncode
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            status = f"none after {SECONDS} s: it hangs"
        with self._said:
            self._said.seek(0)
            self.stderr = self._said.read().decode()
        return status

    def survivors(self, patience=10.0):
        """Return the marked processes that remain after `patience` seconds, and kill them."""
        deadline = time.monotonic() + patience
        while (found := self._marked()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid, _ in found:
            os.kill(pid, signal.SIGKILL)
        return found

    def _marked(self):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if (
                    entry.name.isdecimal()
                    and f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes()
                ):
                    found.append(
                        (
                            int(entry.name),
                            (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(),
                        )
                    )
            except OSError:
                continue
        return found


def listing(folder):
    """Return the names, sizes and times of all files below a folder."""
    found = {}
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except OSError:
            continue
        found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def wait_for_change(job, folder, before):
    """Wait until a job changes its folder from the listing `before`, or ends; return seconds."""
    while job.is_running and listing(folder) == before:
        time.sleep(0.002)
    return time.monotonic() - job.started


def strike_at(job, reference, when, folder):
    """Wait until a moment (number, share).

    Every fifth number is while modules are imported; the others are while the stage works or
    writes. share: the moment as a fraction of the time in the undisturbed run.
    """
    number, share = when
    if number % 5 == 4:
        time.sleep(share * reference.first)
    else:
        wait_for_change(job, folder, job.before)
        time.sleep(share * (reference.total - reference.first))


def _store_content(path):
    """Return the content of an HDF5 file, for comparison."""
    found = {}
    with h5py.File(path, "r") as file:
        for name, value in file.attrs.items():
            found[f"@{name}"] = value.tolist() if hasattr(value, "tolist") else value
        for name, dataset in file.items():
            values = dataset.asstr()[:] if h5py.check_string_dtype(dataset.dtype) else dataset[:]
            found[name] = (
                str(dataset.dtype),
                dataset.shape,
                hashlib.sha256(
                    repr(values.tolist()).encode() if values.dtype == object else values.tobytes()
                ).hexdigest(),
            )
    return found


def _history(path):
    """Return the rows of history.tsv without their seconds, and the whole header."""
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    place = header.index("seconds")
    return [header, *(row[:place] + row[place + 1 :] for row in rows)]


def is_hidden(path):
    """Whether a relative path contains a hidden name, except the lock files, which remain."""
    return any(part.startswith(".") for part in path.parts) and not path.name.endswith("lock")


def content(folder):
    """Return {relative path: content} of the visible files of a folder; all must be readable."""
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        unseen = any(
            part.startswith(".") or part == "tensorboard" for part in relative.parts
        )  # those of TensorBoard contain times
        if not path.is_file() or unseen or path.name == "train.log":
            continue
        if path.suffix == ".h5":
            found[str(relative)] = _store_content(path)
        elif path.suffix == ".pt":
            torch.load(
                path, map_location="cpu", weights_only=True
            )  # each must be complete; their number depends on the kills
        elif path.name == "history.tsv":
            found[str(relative)] = _history(path)
        elif path.name == "config.yaml":
            settings = yaml.safe_load(path.read_text(encoding="utf-8"))
            settings.pop("inputs", None)  # the paths of the inputs, which differ between the runs
            found[str(relative)] = settings
        else:
            found[str(relative)] = path.read_bytes()
    return found


def check_whole(folder, *references):
    """Check that each file equals one of `references`; a history equals its first rows."""
    found = content(folder)
    for name, value in found.items():
        wholes = [reference[name] for reference in references if name in reference]
        if Path(name).name == "history.tsv":
            assert any(value == whole[: len(value)] for whole in wholes), (
                f"{name}: not the beginning of the undisturbed one"
            )
        else:
            assert value in wholes, f"{name}: not as an undisturbed run leaves it"


def check_same(folder, reference):
    """Check that a folder equals that of an undisturbed run, without hidden files."""
    found = content(folder)
    assert sorted(found) == sorted(reference)
    for name, value in found.items():
        assert value == reference[name], f"{name}: not as an undisturbed run leaves it"
    hidden = [str(p) for p in folder.rglob("*") if is_hidden(p.relative_to(folder))]
    assert not hidden, f"left over: {hidden}"


@dataclasses.dataclass(frozen=True)
class Reference:
    """An undisturbed run: its outputs, the seconds until its first write, and the total seconds."""

    folder: Path
    content: dict
    first: float
    total: float


class Site:
    """Inputs of the stages, under `inputs`, and their undisturbed runs, each made on first use."""

    def __init__(self, folder):
        self.folder, self.inputs, self._references = folder, folder / "inputs", {}
        for i in range(40):
            write_sound(
                self.inputs / "audio" / f"{i:02d}.wav",
                1.0,
                frequency=3000 if i % 2 == 0 else 300,
                seed=i,
            )
        clips = [(f"{i:04d}.wav", f"../audio/{i % 40:02d}.wav", 1.0) for i in range(NUM_CLIPS)]
        for name, part in (
            ("all", slice(None)),
            ("fit", slice(NUM_FIT)),
            ("valid", slice(NUM_FIT, NUM_FIT + NUM_VALID)),
        ):
            rows = list(enumerate(clips))[part]
            write_set(
                self.inputs / name,
                [clip for _, clip in rows],
                LABELS,
                [(clip[0], LABELS[i % 2]) for i, clip in rows],
                [(clip[0], 0, 0.5 + 0.01 * (i % 50), LABELS[i % 2]) for i, clip in rows],
            )

    def copy_inputs(self, folder):
        """The data sets and their audio, which may be changed."""
        return shutil.copytree(self.inputs, folder)

    def arguments(self, stage, inputs=None, feats=None, model=None):
        """Return the command line of a stage that writes below its working directory.

        inputs, feats, model: replacements for those of the site.
        """
        inputs, made = inputs or self.inputs, self.made
        if stage.startswith("extract"):
            return [
                "extract",
                inputs / "all",
                "all.h5",
                "--max-seconds",
                "1",
                "--jobs",
                stage[-1:],
                "--device",
                "cpu",
            ]
        feats = feats or (made("extract1") / "all.h5" if stage in ("train", "predict") else None)
        if stage == "train":
            return ["train", inputs / "fit", inputs / "valid", "model", "--feats", feats, *TRAIN]
        if stage == "predict":
            return [
                "predict",
                model or made("train") / "model",
                feats,
                "scores.h5",
                "--device",
                "cpu",
            ]
        if stage == "balance":
            return ["balance", inputs / "all", "fit", "valid", "--num-valid", "100"]
        if stage == "tune":
            return [
                "tune",
                made("predict") / "scores.h5",
                inputs / "all",
                "point.yaml",
                "--criterion",
                "segments",
            ]
        if stage == "decode":
            return [
                "decode",
                made("predict") / "scores.h5",
                made("tune") / "point.yaml",
                "model/all/frame",
            ]
        if stage == "score":
            return [
                "score",
                inputs / "all",
                "model/all/frame",
                "--scores",
                made("predict") / "scores.h5",
                "--bootstrap",
                "10",
            ]
        if stage == "report":
            return ["report", "model", "report.html", "--figures", "figures"]
        raise ValueError(stage)

    def prepare(self, stage, folder):
        """Copy the files that a stage extends into its working directory."""
        folder.mkdir(parents=True, exist_ok=True)
        if stage == "score":
            shutil.copytree(self.made("decode"), folder, dirs_exist_ok=True)
        if stage == "report":
            shutil.copytree(self.made("train"), folder, dirs_exist_ok=True)
            shutil.copytree(self.made("score"), folder, dirs_exist_ok=True)
            shutil.copy(self.made("predict") / "scores.h5", folder / "model/all/scores.h5")
        return folder

    def made(self, stage):
        """Return the folder of the undisturbed run of a stage."""
        return self.reference(stage).folder

    def reference(self, stage):
        """Return the undisturbed run of a stage."""
        if stage not in self._references:
            arguments = self.arguments(stage)
            self._references[stage] = undisturbed(
                self.prepare(stage, self.folder / "undisturbed" / stage), arguments
            )
        return self._references[stage]


def undisturbed(folder, arguments):
    """Run a command in its folder, and return its outputs as a Reference."""
    before = listing(folder)
    job = Job(folder, arguments)
    first = wait_for_change(job, folder, before)
    status = job.end()
    assert status == 0, job.stderr
    return Reference(folder, content(folder), first, time.monotonic() - job.started)


def complete(folder, arguments, reference):
    """Run a command, and check that it succeeds with the outputs of `reference`."""
    job = Job(folder, arguments)
    status = job.end()
    assert status == 0, f"exit status {status}\n{job.stderr}"
    assert not job.survivors()
    check_same(folder, reference)
    return job


def check_refusal(job, *words, status=1):
    """Check that a command ended with an exit status and one message that contains all words."""
    found, text = job.end(), job.stderr
    assert found == status, f"exit status {found}\n{text}"
    assert "Traceback" not in text, text
    for word in words:
        assert str(word) in text, f"{word!r} is not in: {text}"
    assert not job.survivors()
