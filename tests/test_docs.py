"""The pages in docs/: every block runs, in order, beside a small model and recordings.

A Python block that begins with the name of a file is a module. `wsedtk` commands of Bash blocks run
in this process.
"""

import logging
import re
import shlex
import shutil
import sys
from pathlib import Path

import published
import pytest
import yaml
from helpers import write_model, write_set, write_sound

import wsedtk
from wsedtk.core import model_cache

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MODULE = re.compile(r"# (\w+)\.py\n")
CLASSES = ["Dog bark", "Siren"]


@pytest.fixture
def folder(tmp_path, run, monkeypatch):
    """The working directory of the pages: exp/linear, data directories, recordings and lists.

    my_recordings contains a folder a class, and backgrounds. labels.csv lists some of these files,
    and recorders.csv all of them. labels contains annotations of the files in recordings, and
    review.tsv is the table that the page of `wsedtk review` would save for these files.

    A small network takes the place of the ready model yamnet, and of the recommended configuration.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(model_cache.VARIABLE, str(tmp_path / "cache"))
    write_model(Path("exp/linear"), labels=CLASSES)
    write_sound(Path("long.flac"), seconds=5, channels=2)
    write_sound(Path("clip.wav"), seconds=1)
    clips, tags, events = [], [], []
    for number in range(4):
        name, label = f"{number}.wav", CLASSES[number % 2]
        write_sound(Path("audio", name), frequency=[300, 3000][number % 2], seed=number)
        clips.append((name, f"../../audio/{name}", 1))
        tags.append((name, label))
        events.append((name, 0.25, 0.75, label))
    write_set(Path("data/test"), clips, CLASSES, tags, events)
    write_set(Path("data/fit"), clips[:2], CLASSES, tags[:2])
    write_set(Path("data/valid"), clips[2:], CLASSES, tags[2:])
    frames = Path("exp/linear/test/frame")
    for words in (
        ["extract", "data/test", "feats/train.h5"],
        ["predict", "exp/linear", "feats/train.h5", "exp/linear/test/scores.h5"],
        [
            "decode",
            "exp/linear/test/scores.h5",
            "exp/linear/operating_point.yaml",
            frames,
            "--mode",
            "frame",
        ],
    ):
        assert run(*words).exit_code == 0
    shutil.copy("data/test/events.tsv", "true_events.tsv")
    shutil.copy("data/test/events.tsv", "my_events.tsv")
    rows = []
    for number, label in enumerate((*CLASSES, "background")):
        for take in range(4):
            path = Path("my_recordings", label, f"{label} {take}.wav")
            write_sound(path, frequency=300 * (number + 1), seed=4 * number + take)
            rows.append(f"{path.name},R{take}")
    Path("recorders.csv").write_text("\n".join(["file,recorder", *rows, ""]))
    Path("labels.csv").write_text(
        "file,site,species\nSiren 1.wav,north,Siren\nDog bark 2.wav,south,Dog bark;Siren\n"
        "background 3.wav,south,\n"
    )
    for number, site in enumerate(("pond", "forest")):
        write_sound(Path("recordings", site, "night.wav"), seconds=61, seed=number)
        Path("labels", site).mkdir(parents=True)
        Path("labels", site, "night.txt").write_text("0.5\t1\tDog bark\n9.5\t10.5\tSiren\n")
    Path("review.tsv").write_text(
        "filename\tonset\toffset\tevent_label\tscore\tstatus\n"
        "pond/night.wav\t0.5\t1\tDog bark\t0.8\taccepted\n"
        "pond/night.wav\t2\t3\tSiren\t\taccepted\n"
        "forest/night.wav\t1\t2\tSiren\t0.6\trejected\n"
        "forest/night.wav\t10.5\t11\tSiren\t0.4\tunreviewed\n"
    )
    Path("mini").mkdir()
    Path("mini/crnn_linear").write_text(
        "network_options: {channels: [4, 6, 8], num_hidden: 8}\nbatch_size: 6\n"
        "checkpoint_every: 2\nmax_checkpoints: 1\n"
    )
    Path("recordings.txt").write_text("0.wav\tDog bark\n1.wav\tSiren\n")
    Path("downloads").mkdir()
    for name, content in published.contents().items():
        Path("downloads", name).write_bytes(content)
    level = logging.getLogger("wsedtk").level
    with published.serving() as server:
        published.register(published.ready_model(server.address, "yamnet"), monkeypatch)
        yield tmp_path
    logging.getLogger("wsedtk").setLevel(level)


@pytest.fixture
def modules(folder, monkeypatch):
    """The folder of the modules that a page defines, whose code model directories may name."""
    names = [f"my_{kind}" for kind in ("pooling", "network", "augmentation", "format", "corpus")]
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("WSEDTK_NETWORKS", ",".join(names))
    yield folder
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


def check_the_loop():
    """The clips with reviewed events have known tags, and the new model was trained on them."""
    data = wsedtk.read_data("data/corrected")
    known = data.select(~data.has_unknown_tags())
    assert known.filenames.tolist() == [f"{s}/night_0.000_10.000.flac" for s in ("forest", "pond")]
    assert known.tag_matrix().tolist() == [[False, False], [True, True]]
    (added,) = yaml.safe_load(Path("exp/corrected/model.yaml").read_text())["trained"]["added"]
    assert (added["clips"], added["share"], added["clips_of_batch"]) == (2, 0.3, 2)
    assert Path("new_events.csv").exists()


AFTER = {"correct_and_retrain.md": check_the_loop}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_blocks_of_a_page_run(page, modules, run, capsys):
    text, names = page.read_text(encoding="utf-8"), {}
    for block in BLOCK.finditer(text):
        language, code = block.groups()
        if module := MODULE.match(code):
            (modules / f"{module.group(1)}.py").write_text(code, encoding="utf-8")
        elif language == "python":
            lines_before = "\n" * text.count("\n", 0, block.start(2))  # for the lines of tracebacks
            exec(compile(lines_before + code, page, "exec"), names)
        else:
            for line in code.replace("\\\n", " ").splitlines():
                program, *arguments = shlex.split(line)
                result = run(*arguments)
                assert program == "wsedtk" and result.exit_code == 0, f"{line}\n{result.stderr}"
    if page.name in AFTER:
        AFTER[page.name]()
    assert capsys.readouterr().err == ""


def test_the_page_of_the_library_has_an_example_of_each_name():
    text = (DOCS / "library.md").read_text(encoding="utf-8")
    blocks = "".join(code for _, code in BLOCK.findall(text))
    assert [name for name in wsedtk.__all__ if f"wsedtk.{name}" not in blocks] == []
