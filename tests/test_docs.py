"""The pages in docs/: all Python blocks run, in order, beside a small model and recordings."""

import logging
import re
import shutil
from pathlib import Path

import pytest
from helpers import write_model, write_set, write_sound

import wsedtk

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CLASSES = ["Dog bark", "Siren"]


@pytest.fixture
def folder(tmp_path, run, monkeypatch):
    """The working directory of the pages: exp/linear, data directories, recordings and lists."""
    monkeypatch.chdir(tmp_path)
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
    level = logging.getLogger("wsedtk").level
    yield tmp_path
    logging.getLogger("wsedtk").setLevel(level)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_blocks_of_a_page_run(page, folder, capsys):
    text, names = page.read_text(encoding="utf-8"), {}
    for block in BLOCK.finditer(text):
        # so that tracebacks show the right lines
        lines_before = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(lines_before + block.group(1), page, "exec"), names)
    assert capsys.readouterr().err == ""


def test_the_page_of_the_library_has_an_example_of_each_name():
    text = (DOCS / "library.md").read_text(encoding="utf-8")
    blocks = "".join(BLOCK.findall(text))
    assert [name for name in wsedtk.__all__ if f"wsedtk.{name}" not in blocks] == []
