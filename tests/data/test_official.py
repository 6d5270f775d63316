"""Only sets of published corpora have official clips. Texts about own data never say so."""

import json
import re

import pytest
from helpers import LABELS, make_point, write_perfect_scores

from wsedtk.data import datadir
from wsedtk.data.official import of_all_clips, official_clips
from wsedtk.decoding import operating_point
from wsedtk.report import model_card


@pytest.mark.parametrize(
    "info, number",
    [
        ({"official_clips": 488}, 488),
        ({"official_clips": 488, "corpus": "dcase2017", "made_by": "prepare dcase2017"}, 488),
        ({"official_clips": 488, "corpus": "dcase2017", "made_by": "balance"}, None),
        ({"official_clips": 488, "corpus": "own recordings"}, None),
        ({"official_clips": 488, "corpus": "soundscapes"}, None),
        ({}, None),
    ],
)
def test_official_clips(info, number):
    assert official_clips(info) == number


@pytest.mark.parametrize(
    "is_official, text",
    [
        (True, "1,470 of 4,880 official clips"),
        (False, "1,470 of 4,880 clips in the set"),
        (None, "1,470 of 4,880 clips"),
    ],
)
def test_the_text(is_official, text):
    assert of_all_clips({"scored": 1470, "official": 4880, "is_official": is_official}) == text


@pytest.mark.parametrize(
    "info, is_official",
    [("corpus: own recordings\nofficial_clips: 2\n", False), ("official_clips: 5\n", True)],
)
def test_every_text_about_a_set(run, tmp_path, monkeypatch, info, is_official):
    """score, report, validate and info, and the model card."""
    monkeypatch.chdir(tmp_path)
    write_perfect_scores(tmp_path / "m", LABELS)
    (tmp_path / "m" / "set" / "info.yaml").write_text(info)
    operating_point.write(tmp_path / "m/point.yaml", make_point(labels=LABELS))
    texts = []
    for words in (
        "decode m/s.h5 m/point.yaml m/test/frame --mode frame",
        "score m/set m/test/frame",
        "info m/test/frame/report.json",
        "report m report.html",
        "validate m/set",
        "info m/set",
    ):
        result = run(*words.split())
        assert result.exit_code == 0, result.stderr
        texts.append(result.stdout)
    texts.append(re.sub("<[^>]*>", "", (tmp_path / "report.html").read_text()))
    texts.append("".join(map(str, model_card.facts(datadir.read("m/set")).values())))
    texts.append((tmp_path / "m/test/frame/report.txt").read_text())
    said = [line for text in texts for line in text.splitlines() if "fficial" in line]
    counts = json.loads((tmp_path / "m/test/frame/report.json").read_text())["clips"]
    assert counts["is_official"] == is_official
    if is_official:
        assert "2 of 5 official clips" in texts[1] and len(said) >= 5
        assert "evaluated on 2 of 5 official clips (40.0%)" in texts[-3]
    else:
        assert said == [] and "2 of 2 clips in the set" in texts[1]
        assert "evaluated on all 2 clips in the set" in texts[-3]
