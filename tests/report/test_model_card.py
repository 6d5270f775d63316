"""The model card: its statements are true, it names no user or path, and keeps the owner's text.

Labels are shown unchanged.
"""

import dataclasses
import getpass
import html
import json
import os
import re
import shutil
import socket

import pytest
import yaml
from helpers import LABELS
from test_checkpoint import small_spec

from wsedtk.core import provenance
from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point
from wsedtk.evaluation import report_data
from wsedtk.models import checkpoint
from wsedtk.report import model_card


@pytest.fixture
def model(trained, tmp_path):
    """A copy of a trained model."""
    return shutil.copytree(trained, tmp_path / "my model")


@pytest.fixture
def small(tmp_path):
    """A function that writes a model directory with a changed description."""

    def make(**changes):
        spec = dataclasses.replace(small_spec(), **changes)
        checkpoint.save_model(tmp_path / "m", spec, spec.build().state_dict())
        model_card.refresh(tmp_path / "m")
        return tmp_path / "m"

    return make


@pytest.fixture
def scored(corpus, model, run):
    """The copy with scores of the validation set."""
    for arguments in (
        ("predict", model, corpus / "valid.h5", model / "valid" / "scores.h5"),
        ("tune", model / "valid" / "scores.h5", corpus / "valid", model / "operating_point.yaml"),
        (
            "decode",
            model / "valid" / "scores.h5",
            model / "operating_point.yaml",
            model / "valid" / "segment",
        ),
        ("score", corpus / "valid", model / "valid" / "segment", "--bootstrap", "50"),
    ):
        assert run(*arguments).exit_code == 0
    return model


def card(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


def faults(folder):
    return model_card.faults(folder, provenance.fingerprint_model_directory(folder))


def rendered(text):
    """Return Markdown text without escapes and entities, as shown if a line has no other markup."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text))


def test_what_it_says_of_a_training_is_true(model):
    text, spec = card(model), checkpoint.read_spec(model)
    head = yaml.safe_load(text.split("---\n")[1])
    assert head == {
        "license": "unknown",
        "library_name": "wsedtk",
        "tags": ["sound-event-detection"],
    }
    network = checkpoint.load_model(model)[1]
    assert (
        f"- Network: dcase-crnn, linear pooling, {sum(p.numel() for p in network.parameters()):,} parameters, scores every 0.1 s"
        in text
    )
    assert "64 mel bins from 0 to 8000 Hz, 40 frames per second, from audio at 16000 Hz" in text
    assert f"- Fingerprint: {provenance.fingerprint_model_directory(model)}\n" in text
    assert "|  | corpus | clips | hours |" in text
    assert "| fitted on | unknown | 12 | 0.003 |" in text and "official" not in text
    assert (
        f"- best after batch: {spec.trained['step']}\n" in text
        and f"- wsedtk: {spec.trained['wsedtk']}\n" in text
    )
    settings = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    given = yaml.safe_load((model / "config.yaml").read_text())
    assert settings["max_checkpoints"] == 3 and all(
        given[key] == value for key, value in settings.items()
    )
    assert "no operating point yet" in text and "Not evaluated yet." in text
    assert text.split("## Classes\n\n")[1].split("\n<!--")[0].split("\n") == [
        f"- {label}" for label in LABELS
    ]


def test_it_contains_no_path_or_user(scored, corpus, tmp_path, run):
    assert run("report", scored, tmp_path / "r.html").exit_code == 0
    text = card(scored)
    words = [
        str(tmp_path),
        str(corpus),
        os.getcwd(),
        os.path.expanduser("~") + "/",
        f" {socket.gethostname()} ",
        f" {getpass.getuser()} ",
    ]
    assert not any(word in text for word in words) and not re.search(r"(^|[\s`(])/\w", text)


def test_the_scores_come_with_the_report(scored, tmp_path, run):
    assert "Not evaluated yet." in card(scored) and any(
        "lacks the current results of valid/segment" in f for f in faults(scored)
    )
    assert run("report", scored, tmp_path / "r.html").exit_code == 0
    report, text = report_data.read_report(scored / "valid/segment/report.json"), card(scored)
    row = next(line for line in text.split("\n") if line.startswith("| valid/segment"))
    low, high = report["tagging"]["f1_ci"]
    assert row.split(" | ")[:3] == [
        "| valid/segment (tuned on this set)",
        "6 of 6",
        f"{report['tagging']['f1']:.3f} [{low:.3f}, {high:.3f}]",
    ]
    header = next(line for line in text.split("\n") if "tagging F1" in line)
    assert header.count("|") == row.count("|")
    point = operating_point.read(scored / "operating_point.yaml")
    assert f"were tuned on: {point.tuned_on}." in rendered(text)
    assert [f for f in faults(scored) if "licence" not in f] == []


def test_dropped_true_events_are_reported_beside_the_event_figure(scored, tmp_path, run):
    path = scored / "valid/segment/report.json"
    report = report_data.read_report(path)
    report["event"]["f1"], report["zero_length_reference_events"] = 0.25, 36
    path.write_text(json.dumps(report))
    model_card.refresh(scored)
    assert "| 0.250 (zero-length reference events dropped: 36) |" in card(scored)


def test_scores_of_an_earlier_model_are_not_its(scored, tmp_path, run):
    spec, network, _ = checkpoint.load_model(scored)
    network.head.fc_prob.bias.data += 1
    checkpoint.save_model(scored, spec, network.state_dict())
    (scored / "operating_point.yaml").unlink()
    assert any("describes another model" in fault for fault in faults(scored))
    model_card.refresh(scored)
    assert "Not evaluated yet." in card(scored) and "valid/segment" not in card(scored)


def test_the_same_files_give_the_same_card(scored, tmp_path):
    (scored / "README.md").unlink()
    model_card.refresh(scored)
    first, when = card(scored), (scored / "README.md").stat().st_mtime_ns
    model_card.refresh(scored)
    assert (
        card(scored) == first and (scored / "README.md").stat().st_mtime_ns == when
    )  # nor is the file written
    other = shutil.copytree(scored, tmp_path / "elsewhere" / "my model")
    (other / "README.md").unlink()
    model_card.refresh(other)
    assert card(other) == first


def test_text_of_the_owner_is_kept(model):
    text = card(model).replace("license: unknown", "license: cc-by-4.0  # mine")
    text = text.replace("\n<!-- wsedtk:begin", "\nHello \\1 \\g<0>\n<!-- wsedtk:begin")
    (model / "README.md").write_text(
        (text + "\nCite us.\n").replace("- Network: dcase-crnn", "- Network: nonsense")
    )
    assert faults(model) == []
    model_card.refresh(model)
    assert card(model) == text + "\nCite us.\n"


def test_line_ends_of_windows(model):
    before = card(model)
    (model / "README.md").write_bytes(
        before.replace("license: unknown", "license: mit").replace("\n", "\r\n").encode()
    )
    assert faults(model) == []
    model_card.refresh(model)
    assert (
        b"license: mit\r\n" in (model / "README.md").read_bytes()
        and card(model).count("wsedtk:begin") == 1
    )


@pytest.mark.parametrize(
    "content",
    [b"My own words.\n", b"", b"\xff\xfe\x00", b"<!-- wsedtk:end -->\n<!-- wsedtk:begin -->\n"],
)
@pytest.mark.usefixtures("printed_messages")
def test_other_readmes_are_not_changed(model, content, capsys):
    (model / "README.md").write_bytes(content)
    model_card.refresh(model)
    assert (model / "README.md").read_bytes() == content
    assert "README.md: has no readable lines wsedtk:begin and wsedtk:end" in capsys.readouterr().err


def test_no_card_without_a_model(tmp_path):
    model_card.refresh(tmp_path)
    assert not list(tmp_path.iterdir())


ODD = [
    "a | b",
    "<b>bold</b>",
    "`code`",
    "[x](javascript:y)",
    "*star* _under_",
    "<!-- wsedtk:end -->",
    "1. one",
    "- dash",
    "# head",
    "http://a.b/c",
    "www.a.b",
    "a\nb",
    "\x1b[31m",
    "&amp;",
    "$x^2$",
    "back\\slash",
    "![i](j)",
    "~~~",
    "```",
    "| --- |",
    ":smile:",
    "@you",
]


def test_labels_are_shown_as_they_are(small):
    text = card(small(labels=tuple(ODD)))
    lines = text.split("## Classes\n\n")[1].split("\n<!--")[0].split("\n")
    assert [rendered(line[2:]) for line in lines] == [
        label.replace("\n", " ").replace("\x1b", r"\x1b") for label in ODD
    ]
    for line in lines:
        bare = re.sub(
            r"\\[!-/:-@\[-`{-~]|&#\d+;", "x", line[2:]
        )  # only escaped characters have a meaning
        assert not re.search(r"[`*_\[\]<>#|~&$@:^!]|www\.|^\d+[.)]|^[-+=]", bare), line
    assert text.count("<!--") == 2


def test_a_model_with_hostile_texts(small, tmp_path):
    odd = "x\n<!-- wsedtk:end -->\n# Mine | <script>alert(1)</script>"
    folder = small(
        trained={
            "wsedtk": odd,
            "commit": [odd],
            "imported_from": odd,
            "seed": {odd: odd},
            "f1": float("nan"),
            "fit": {"corpus": odd, "clips": odd, "official_clips": True, "hours": float("inf")},
            "parameters": "many",
        }
    )
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"a": "```\n<!-- wsedtk:end -->\n", "b": "````"})
    )
    model_card.refresh(folder)
    text = card(folder)
    assert (
        text.count("<!-- wsedtk:end -->") == 1
        and text.rstrip().endswith("<!-- wsedtk:end -->")
        and "<script>" not in text
    )
    model_card.refresh(folder)
    assert card(folder) == text


def test_the_name_of_the_folder_is_text(tmp_path):
    folder = tmp_path / "-a <b>|`c` [d](e)"
    checkpoint.save_model(folder, small_spec(), small_spec().build().state_dict())
    model_card.refresh(folder)
    assert (
        rendered(card(folder).split("\n# ")[1].split("\n")[0])
        == f"Sound event detection: {folder.name}"
    )
    assert "<b>" not in card(folder)


def test_what_is_wrong_with_a_card(model):
    licence = "README.md names no licence; set `license: ...` between two --- lines at its start"
    assert faults(model) == [licence]
    text = card(model).replace("license: unknown", "license: mit")
    other = text.replace("Fingerprint: ", "Fingerprint: 0")
    for content, expected in (
        (text, []),
        ("", ["README.md is empty"]),
        ("\xff", ["README.md can't be read as text"]),
        ("Mine.\n", [licence]),
        ("---\nlicense: mit\n---\nMine.\n", []),
        ("---\nlicense: [\n---\n", [licence]),
        ("---\n- a\n---\n", [licence]),
        ("---\nlicense: unknown\n---\n", [licence]),
        ("---\nlicense:\n---\n", [licence]),
        (other, ["README.md describes another model; run wsedtk report to update it"]),
    ):
        (model / "README.md").write_bytes(content.encode("latin1"))
        assert faults(model) == expected, content[:40]
    (model / "README.md").unlink()
    assert faults(model) == []


def test_what_a_card_is_made_of_is_damaged(scored, tmp_path, run):
    (scored / "valid/segment/report.json").write_text("{")
    with pytest.raises(InputError, match="report.json"):
        model_card.refresh(scored)
    result = run("info", scored)
    assert result.exit_code == 1 and "report.json" in result.stdout.split("fault: ")[1]


def test_a_shared_card_is_complete(scored, tmp_path, run):
    """The four files of a model directory are complete elsewhere; only the licence is missing."""
    assert run("report", scored, tmp_path / "r.html").exit_code == 0
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("model.safetensors", "model.yaml", "operating_point.yaml", "README.md"):
        shutil.copy(scored / name, alone)
    (alone / "README.md").write_text(card(alone).replace("license: unknown", "license: mit"))
    result = run("info", alone)
    assert (
        result.exit_code == 0
        and "complete: " in result.stdout
        and "to share" not in result.stdout
        and "fault" not in result.stdout
    )
