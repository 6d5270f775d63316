"""Make the small artefacts in tests/golden/v0_1, with the code of a checkout.

    git worktree add --detach ../old 9398ead
    PYTHONPATH=../old python tests/golden/make_artefacts.py ../old tests/golden/v0_1

Commit 9398ead is the last one before the package was divided into folders. The artefacts are read
by tests/test_golden.py. The sounds are synthesised from a fixed seed and are not kept. The folder
is an experiment directory: data/, feats/, and these model directories:

    attention    gated CRNN, attention pooling with the hierarchy `published`, 40 batches
    general      DCASE CRNN, pooling with learnt exponents (`general`), 40 batches
    stopped      the training of `general`, stopped by a signal after 39 batches
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16000
SECONDS = 2
CLASSES = {"Siren, high": 3000.0, "Engine": 250.0, "Whistle": 1000.0}
FRONTEND = """\
sample_rate: 16000
window: 1024
hop: 400
num_fft: 1024
num_mels: 16
pad_to_seconds: null
"""
TRAINING = [
    "batch_size=6",
    "learning_rate=2e-2",
    "checkpoint_every=20",
    "max_checkpoints=2",
    "keep_checkpoints=1",
    "precision=float32",
    "select_by=loss",
]
SYSTEMS = {
    "attention": [
        "network=gated-crnn",
        "network_options={num_channels: 2, num_top_channels: 4, num_hidden: 4}",
        "pooling=attention",
        "hierarchy=published",
        "groups=[5, 2]",
    ],
    "general": [
        "network=dcase-crnn",
        "network_options={channels: [4, 6, 6], num_hidden: 4}",
        "pooling=general",
    ],
}
STOP = """
import os, signal, sys
from wsedtk import training
from wsedtk.cli import main
original = training.Trainer.run_batch
def run_batch(self, *batch):
    if self.step == 38:
        os.kill(os.getpid(), signal.SIGTERM)
    return original(self, *batch)
training.Trainer.run_batch = run_batch
sys.argv[0] = "wsedtk"
main()
"""


def write_set(folder, numbers, with_events):
    """Write a data directory and its sounds: one or two tones in noise per clip."""
    folder.mkdir(parents=True)
    tables = {
        "clips.tsv": ["filename\tpath\tduration"],
        "tags.tsv": ["filename\tevent_label"],
        "events.tsv": ["filename\tonset\toffset\tevent_label"],
    }
    for number in numbers:
        generator = np.random.default_rng(number)
        samples = generator.normal(0, 0.02, SECONDS * SAMPLE_RATE)
        name = f"clip {number:02d}.wav"
        chosen = generator.choice(len(CLASSES), size=1 + number % 2, replace=False)
        for label in sorted(list(CLASSES)[k] for k in chosen):
            onset = round(generator.uniform(0, 1.2), 3)
            offset = round(onset + generator.uniform(0.3, 0.8), 3)
            begin, end = (round(time * SAMPLE_RATE) for time in (onset, offset))
            time = np.arange(end - begin) / SAMPLE_RATE
            samples[begin:end] += 0.3 * np.sin(2 * np.pi * CLASSES[label] * time)
            tables["tags.tsv"].append(f"{name}\t{label}")
            tables["events.tsv"].append(f"{name}\t{onset}\t{offset}\t{label}")
        audio = folder.parent / "audio"
        audio.mkdir(exist_ok=True)
        soundfile.write(audio / name, samples, SAMPLE_RATE)
        tables["clips.tsv"].append(f"{name}\t../audio/{name}\t{SECONDS}")
    if not with_events:
        del tables["events.tsv"]
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in CLASSES))


def wsedtk(*arguments, program=("-m", "wsedtk"), status=0):
    """Run a verb with one thread, and check its exit status."""
    command = [sys.executable, *program, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, check=False).returncode
    if found != status:
        sys.exit(f"{' '.join(command)}: exit status {found}; expected {status}")


def train(model, settings, **more):
    command = ["train", "data/fit", "data/valid", model, "--feats", "feats/train.h5"]
    for setting in [*TRAINING, *settings]:
        command += ["--set", setting]
    wsedtk(*command, "--device", "cpu", **more)


def main():
    checkout, out = (Path(argument).resolve() for argument in sys.argv[1:])
    shutil.rmtree(out, ignore_errors=True)
    write_set(out / "data/train", range(18), with_events=False)
    write_set(out / "data/test", range(18, 24), with_events=True)
    os.chdir(out)
    os.environ["PYTHONPATH"] = str(checkout)
    Path("frontend.yaml").write_text(FRONTEND)
    for name in ("train", "test"):
        options = ("--config", "frontend.yaml", "--dtype", "float16", "--max-seconds", SECONDS)
        wsedtk("extract", f"data/{name}", f"feats/{name}.h5", *options)
    wsedtk("balance", "data/train", "data/fit", "data/valid", "--num-valid", 6)
    for name, settings in SYSTEMS.items():
        train(name, settings)
        predict = ("predict", name, "--precise", "--device", "cpu")
        wsedtk(*predict, "feats/test.h5", f"{name}/test/scores.h5")
        wsedtk(*predict, "feats/train.h5", f"{name}/valid/scores.h5", "--data", "data/valid")
        point = f"{name}/operating_point.yaml"
        wsedtk("tune", f"{name}/valid/scores.h5", "data/valid", point)
        for mode in ("segment", "frame"):
            folder = f"{name}/test/{mode}"
            wsedtk("decode", f"{name}/test/scores.h5", point, folder, "--mode", mode)
            scores = ("--scores", f"{name}/test/scores.h5", "--bootstrap", 100)
            wsedtk("score", "data/test", folder, *scores)
    train("stopped", SYSTEMS["general"], program=("-c", STOP), status=75)
    shutil.rmtree("data/audio")
    for name in SYSTEMS:  # no test reads these parts
        for part in ("checkpoints", "valid"):
            shutil.rmtree(f"{name}/{part}")
    Path("stopped/checkpoints/step00000020.pt").unlink()
    for folder in Path().glob("*/tensorboard"):
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
