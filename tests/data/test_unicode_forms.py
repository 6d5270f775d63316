"""Names and classes match in all Unicode forms: NFC, the usual one, and NFD, that of macOS."""

import json
import unicodedata

import numpy as np
import pytest
import yaml
from helpers import make_point, write_score_file, write_set

from wsedtk.core import config
from wsedtk.core.errors import InputError
from wsedtk.data import class_lists, datadir, score_folders, store
from wsedtk.data.events import Events
from wsedtk.decoding import operating_point
from wsedtk.evaluation import aligned_scores, report_data
from wsedtk.inference import detection_setup
from wsedtk.models import checkpoint
from wsedtk.stages.options.detection import DetectOptions

NAMES, LABELS = ["Café.wav", "b.wav"], ["Möwe", "Dog"]


def nfd(text):
    """Return the text in the form NFD, which differs."""
    found = unicodedata.normalize("NFD", text)
    assert found != text
    return found


@pytest.fixture
def data_set(tmp_path):
    return write_set(
        tmp_path / "set",
        [(name, "", 10) for name in NAMES],
        LABELS,
        [(NAMES[0], LABELS[0]), (NAMES[1], LABELS[1])],
    )


def test_scores_and_a_data_set(run, tmp_path, data_set):
    scores = write_score_file(
        tmp_path / "s.h5",
        [nfd(NAMES[0])],
        [nfd(LABELS[0]), LABELS[1]],
        [[0.9, 0.1]],
        failed=["b.wav"],
    )
    found = store.ScoreFile(scores)
    assert found.filenames.tolist() == NAMES[:1] and found.labels == LABELS
    rows, scored = aligned_scores.align(found, datadir.read(data_set), data_set)
    assert rows.tolist() == [0] and scored.filenames.tolist() == NAMES[:1]
    assert run("tune", scores, data_set, tmp_path / "point.yaml").exit_code == 0


def test_clips_without_scores_that_are_listed_as_failed(tmp_path, data_set):
    scores = write_score_file(
        tmp_path / "s.h5", ["b.wav"], LABELS, [[0.9, 0.1]], failed=[nfd(NAMES[0])]
    )
    assert store.ScoreFile(scores).rows_of_set(
        datadir.read(data_set).filenames, data_set
    ).tolist() == [-1, 0]


def test_features_and_a_data_set(tmp_path, data_set):
    layout = store.FeatureLayout(4, 2, "float32", {}, "f")
    with store.writing_features(tmp_path / "f.h5", layout) as (append, failed):
        append(nfd(NAMES[0]), np.ones((3, 2), np.float32), 1.0)
        failed["b.wav"] = "why"
    found = store.FeatureStore([tmp_path / "f.h5"])
    assert found.rows_of_set(datadir.read(data_set), data_set).tolist() == [0, -1]


def test_one_name_in_two_forms_in_a_file_of_scores(tmp_path):
    scores = write_score_file(
        tmp_path / "s.h5", [NAMES[0], nfd(NAMES[0])], LABELS, [[0.9, 0.1]] * 2
    )
    with pytest.raises(InputError, match="'Café.wav' occurs twice"):
        store.ScoreFile(scores)


def test_an_operating_point(tmp_path):
    operating_point.write(tmp_path / "p.yaml", make_point(labels=LABELS))
    (tmp_path / "p.yaml").write_text(
        nfd((tmp_path / "p.yaml").read_text(encoding="utf-8")), encoding="utf-8"
    )
    point = operating_point.read(tmp_path / "p.yaml")
    assert point.labels == LABELS and point.frame_thresholds.tolist() == [0.5, 0.5]
    options = DetectOptions(
        tmp_path, [], operating_point=tmp_path / "p.yaml", thresholds=[f"{nfd('Möwe')}=0.25"]
    )
    point = detection_setup.read_point(options, "any", LABELS)
    assert point.frame_thresholds.tolist() == [0.25, 0.5]
    content = yaml.safe_load((tmp_path / "p.yaml").read_text(encoding="utf-8"))
    content["frame_thresholds"]["Möwe"] = 0.1
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(
        InputError,
        match="frame_thresholds: expected one number for each class in `labels`; missing, unknown or repeated: ",
    ):
        operating_point.read(tmp_path / "p.yaml")


def test_a_model():
    described = {
        "network": "dcase-crnn",
        "network_options": {},
        "pooling": "linear",
        "labels": [nfd("Möwe"), "Dog"],
        "frontend": {},
        "mean": [0.0],
        "std": [1.0],
    }
    assert config.from_mapping(checkpoint.ModelSpec, described, "model.yaml").labels == (
        "Möwe",
        "Dog",
    )
    with pytest.raises(
        InputError, match="labels must contain at least one class, and no class twice"
    ):
        config.from_mapping(
            checkpoint.ModelSpec, {**described, "labels": ["Möwe", nfd("Möwe")]}, "model.yaml"
        )


def test_a_choice_of_classes():
    assert class_lists.choose([nfd("Möwe")], LABELS, "model") == {"Möwe": "Möwe"}


def test_a_decoded_folder_of_labels_in_another_form(tmp_path):
    datadir.write_decoded(
        tmp_path / "out",
        [nfd(NAMES[0])],
        [10.0],
        [nfd("Möwe")],
        np.ones((1, 1), bool),
        events=Events.from_rows([(0, 0, 1, 0)]),
    )
    found = datadir.read_decoded(tmp_path / "out", [nfd("Möwe")])
    assert (found.filenames.tolist(), found.labels, len(found.tag_clip), len(found.events)) == (
        NAMES[:1],
        ["Möwe"],
        1,
        1,
    )


def test_a_report(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(report_data.empty_report([nfd("Möwe")])))
    assert list(report_data.read_report(tmp_path / "report.json")["classes"]) == ["Möwe"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_folders_of_scores(run, tmp_path, form):
    for folder, used in (("a", "NFC"), ("b", form)):
        (tmp_path / folder).mkdir()
        text = unicodedata.normalize(used, "onset\toffset\tMöwe\n0\t0.1\t0.5\n")
        (tmp_path / folder / unicodedata.normalize(used, "Café.tsv")).write_text(
            text, encoding="utf-8"
        )
    result = run("average", tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "c" / "Café.tsv").is_file() and score_folders.ScoreFolder(
        tmp_path / "c"
    ).labels == LABELS[:1]
    score_folders.write(
        tmp_path / "b", NAMES[:1], ["Möwe"], 0.1, [(np.zeros((1, 1)), 0.1)]
    )  # not a folder of other clips
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["Café.tsv"]


def test_two_tables_of_one_name(tmp_path):
    for name in ("Café.tsv", nfd("Café.tsv")):
        (tmp_path / name).write_text("onset\toffset\tDog\n0\t0.1\t0.5\n")
    with pytest.raises(InputError, match="is a second table of the clip 'Café.wav'; the first is "):
        score_folders.ScoreFolder(tmp_path)


def test_two_lists(run, tmp_path):
    rows = "filename\tonset\toffset\tevent_label\nCafé.wav\t0\t1\tMöwe\nb.wav\t0\t2\tDog\n"
    (tmp_path / "a.tsv").write_text(rows, encoding="utf-8")
    for number, text in enumerate(
        (nfd(rows), rows.replace("Möwe", nfd("Möwe")), rows.replace("Café", nfd("Café")))
    ):
        (tmp_path / "b.tsv").write_text(text, encoding="utf-8")
        for pair in (("a.tsv", "b.tsv"), ("b.tsv", "a.tsv")):
            result = run("score-files", *(tmp_path / name for name in pair), "--json")
            report = json.loads(result.stdout)
            assert (
                result.stderr == "" and report["segment"]["f1"] == report["event"]["f1"] == 1.0
            ), number
            assert list(report["classes"]) == ["Dog", "Möwe"]
