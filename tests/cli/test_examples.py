"""The examples in --help of all verbs run in a shell, in an order that provides their inputs."""

import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import audioset_lists
import published
import test_dcase2017
import test_download
import torch
from helpers import RECIPES, table, write_sound
from test_cli import VERBS
from test_import import TALNET, talnet_tensors, write_inputs

import wsedtk
from wsedtk.cli.common import CONTEXT
from wsedtk.cli.options import OUT


def conf(folder):
    """Write the configurations of the mini recipe, for a training of seconds.

    They are used instead of the installed configurations, because a file has the name.
    """
    (folder / "mini").mkdir()
    for system in (RECIPES / "mini" / "conf").glob("crnn_*.yaml"):
        text = system.read_text()
        for key, value in (
            ("checkpoint_every", 3),
            ("max_checkpoints", 1),
            ("network_options", "{channels: [4, 6, 8], num_hidden: 8}"),
        ):
            text, count = re.subn(rf"^{key}: .*", f"{key}: {value}", text, flags=re.M)
            assert count == 1
        (folder / "mini" / system.stem).write_text(text)


def sounds(folder, names):
    """Write sound clips with the durations in their names."""
    folder.mkdir(parents=True)
    for name in names:
        start, end = (float(t) for t in name.removesuffix(".wav").split("_")[-2:])
        with wave.open(str(folder / f"Y{name}"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(os.urandom(2 * round(8000 * (end - start))))


def dcase(folder):
    """Write made-up lists of the challenge, and the audio of their clips."""
    test_dcase2017.write_lists(folder / "dcase" / "lists")
    clips = [clip for clips in test_dcase2017.TAGS.values() for clip in clips]
    sounds(folder / "dcase" / "audio", [clip for clip in clips if "." not in clip[:11]])


def audioset(folder):
    """Write made-up lists of AudioSet, and the audio of their clips."""
    audioset_lists.write_lists(folder / "audioset" / "lists")
    sounds(
        folder / "audioset" / "audio",
        [audioset_lists.clip_of(row) for rows in audioset_lists.LISTS.values() for row in rows],
    )


def one_clip_gone(folder):
    """Write a stand-in for yt-dlp, and remove a clip for it to fetch."""
    for program in test_download.StandIn(folder / "stand-in").folder.iterdir():
        program.rename(folder / "bin" / program.name)
    (folder / "dcase" / "audio" / f"Y{table(folder / 'dcase' / 'test')[0][0]}").unlink()


def recordings(folder):
    """Write recordings of a user."""
    for name in (
        "recording.flac",
        "recording.wav",
        "recordings/a.wav",
        "more/b.mp3",
        "season/c.wav",
    ):
        write_sound(folder / name, seconds=12)


def own_recordings(folder):
    """Write a user's recordings of two classes, and backgrounds."""
    for label in ("Owl", "Wren", "background"):
        for number in range(2):
            write_sound(folder / "my_recordings" / label / f"{label}{number}.wav", seed=number)


def annotations(folder):
    """Write the labels of one of the recordings. The folder contains labels of detect, too."""
    (folder / "labels" / "a.wav.txt").write_text("1.5\t2\tOwl\n9\t11\tWren\n")


def published_weights(folder):
    """Write weights in the format of Wang, Li & Metze, with their inputs."""
    torch.save(talnet_tensors(TALNET, 1024), folder / "TALNet.pt")
    write_inputs(folder, num_mels=64)
    (folder / "normalizer.txt").rename(folder / "norm.txt")


WITH_SERVER = """
import published
from wsedtk.cli.main import main
from wsedtk.models.ready_models import READY_MODELS

READY_MODELS.names()
with published.serving() as server:
    READY_MODELS._objects["yamnet"] = published.ready_model(server.address, "yamnet")
    main()
"""


def a_small_yamnet(folder):
    """Replace yamnet by a small network on a server of this computer."""
    (folder / "with_server.py").write_text(WITH_SERVER)
    paths = f"{Path(wsedtk.__file__).parent.parent}{os.pathsep}{Path(published.__file__).parent}"
    (folder / "bin" / "wsedtk").write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{paths}" WSEDTK_MODELS="{folder / "cache"}" no_proxy="*"\n'
        f'exec "{sys.executable}" "{folder / "with_server.py"}" "$@"\n'
    )


# For each verb, the inputs that earlier verbs do not make: a shell command, a function of the
# folder, or None.
ORDER = {
    "prepare soundscapes": None,
    "validate": None,
    "extract": conf,
    "balance": None,
    "train": None,
    "predict": None,
    "tune": None,
    "decode": None,
    "score": None,
    "detect": recordings,
    "export": None,
    "score-files": "cp data/test/events.tsv groundtruth_strong_label_evaluation_set.csv; cp exp/linear/test/frame/events.tsv my_events.tsv",
    "average": "wsedtk predict exp/attention feats/test.h5 exp/attention/test/scores.h5;"
    "wsedtk average exp/linear/test/scores.h5 their_scores_tsv",
    "report": None,
    "info": None,
    "import": published_weights,
    "prepare folders": own_recordings,
    "build": None,
    "prepare table": "printf 'file,label\\nOwl0.wav,Owl\\nWren1.wav,Wren\\n' > labels.csv",
    "prepare annotations": annotations,
    "review": "printf 'filename,onset,offset,event_label,score\\nc.wav,1,2,Owl,0.5\\n' > events.csv",
    "prepare merge": None,
    "prepare dcase2017": dcase,
    "prepare audioset": audioset,
    "download": one_clip_gone,
    "models list": a_small_yamnet,
    "models fetch": None,
    "models remove": None,
}


def examples(command):
    """Return the command lines of a verb's example."""
    text = command.help.partition("Example: ")[2].partition("\n\n")[0]
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line.strip() for line in lines if line.strip()]


def test_the_examples_work_when_pasted(tmp_path):
    assert set(ORDER) == {" ".join(words) for words in VERBS}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "wsedtk").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wsedtk "$@"\n')
    (tmp_path / "bin" / "wsedtk").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(wsedtk.__file__).parent.parent),
    }

    def paste(line):
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    for verb, before in ORDER.items():
        if callable(before):
            before(tmp_path)
        elif before:
            paste(before)
        words = verb.split()
        command = VERBS[tuple(words)]
        assert examples(command), verb
        for line in examples(command):
            assert line.startswith(f"wsedtk {verb} "), line
            paste(line)
            context = command.make_context(words[-1], line.split()[len(words) + 1 :], **CONTEXT)
            for parameter in command.params:
                if parameter.type is OUT and context.params[parameter.name] is not None:
                    assert (tmp_path / context.params[parameter.name]).exists(), line
    assert not (tmp_path / "cache" / "yamnet").exists()  # the last command removed it
    assert (tmp_path / "bin" / "log").exists()  # the stand-in for yt-dlp was used
