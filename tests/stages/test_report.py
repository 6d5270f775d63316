"""report and plots: the page shows the measured figures, escaped, and its pictures have content."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
from helpers import write_score_file, write_set, write_sound

from wsedtk.data.datadir import read, write_decoded
from wsedtk.data.events import Events
from wsedtk.data.store import write_scores
from wsedtk.decoding.operating_point import OperatingPoint
from wsedtk.decoding.operating_point import write as write_point
from wsedtk.report import clip_pages, plots

LABELS = ["<b>Bell</b> & $x$", 'Dog "bark"']


@pytest.fixture
def system(tmp_path, run):
    """An evaluated system of three clips, with names that are special in HTML and matplotlib."""
    clips = [(f"clip <{i}>.wav", "", 4) for i in range(3)]
    events = [("clip <0>.wav", 0, 2, LABELS[0]), ("clip <1>.wav", 1, 3, LABELS[1])]
    data = write_set(tmp_path / "data", clips, LABELS, [(e[0], e[3]) for e in events], events)
    model = tmp_path / "exp" / "my <system>"
    names, generator = [c[0] for c in clips], np.random.default_rng(0)
    arrays = {
        "clip": generator.random((3, 2), np.float32),
        "frame": generator.random((3, 40, 2), np.float32),
        "segment": generator.random((3, 4, 2), np.float32),
        "num_frames": np.full(3, 40),
        "duration": np.full(3, 4.0),
    }
    shapes = {name: a.shape[1:] for name, a in arrays.items()}
    write_scores(
        model / "test" / "scores.h5",
        names,
        LABELS,
        shapes,
        [(np.arange(3), arrays)],
        seconds_per_frame=0.1,
        model="m",
        features="gone.h5",
        fingerprint="f",
    )
    half = np.full(2, 0.5)
    write_point(
        model / "test" / "frame" / "operating_point.yaml",
        OperatingPoint("frame", LABELS, half, half, half, half, half, False, "nothing"),
    )
    found = Events.from_rows([(0, 0.0, 1.5, 0), (2, 0.0, 4.0, 1)])
    write_decoded(
        model / "test" / "frame",
        names,
        np.full(3, 4.0),
        LABELS,
        np.eye(3, 2, dtype=bool),
        events=found,
    )
    history = "step\ttrain_loss\tvalid_loss\tvalid_f1\tvalid_map\tlearning_rate\tseconds\n5\t0.7\t0.7\t0.1\t0.2\t0.001\t1\n"
    (model / "history.tsv").write_text(history)
    assert run("score", data, model / "test" / "frame").exit_code == 0
    assert len(read(data)) == 3
    return model


def pictures(page):
    """Return the decoded pictures of a page."""
    return [
        base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    ]


def test_the_page_holds_the_numbers_and_pictures(system, tmp_path, run):
    result = run("report", system, tmp_path / "r.html", "--figures", tmp_path / "figures")
    assert result.exit_code == 0 and "1 evaluated folder of 1 system\n" in result.stdout
    page, report = (
        (tmp_path / "r.html").read_text(),
        json.loads((system / "test/frame/report.json").read_text()),
    )
    for key in ("error_rate", "f1", "precision"):
        assert f"{report['segment'][key]:.3f}" in page
    assert (
        "3/3" in page
        and "evaluated on all 3 clips in the set" in page
        and "baseline: true tags" in page
    )
    images = pictures(page)
    assert (
        len(images) == 8
    )  # training, curves of tags and of segments, errors, errors by class, and three timelines
    assert all(image[:8] == b"\x89PNG\r\n\x1a\n" and len(image) > 5000 for image in images)
    files = sorted((tmp_path / "figures").iterdir())
    assert [f.read_bytes() for f in files[:-1]] == images and files[
        -1
    ].name == "09_pooling_gradients.png"


def test_dropped_true_events_are_reported_beside_the_event_figure(system, tmp_path, run):
    assert run("report", system, tmp_path / "r.html").exit_code == 0
    assert "dropped" not in re.sub(r'src="[^"]*"', "", (tmp_path / "r.html").read_text())
    with open(tmp_path / "data" / "events.tsv", "a") as file:
        file.write(f"clip <2>.wav\t0\t0\t{LABELS[1]}\nclip <2>.wav\t1.5\t1.5\t{LABELS[1]}\n")
    assert run("score", tmp_path / "data", system / "test" / "frame").exit_code == 0
    report = json.loads((system / "test/frame/report.json").read_text())
    assert run("report", system, tmp_path / "r.html").exit_code == 0
    page = (tmp_path / "r.html").read_text()
    assert (
        f'<td>{report["event"]["f1"]:.3f} <span class="ci">2 dropped</span></td>' in page
        and page.count("2 dropped") == 1
    )
    assert "dropped: zero-length reference events, which sed_eval counts as missed" in page


def test_a_clip_with_nothing_but_zero_length_truth_is_no_best_clip(tmp_path, run, system):
    """There is nothing to find in it, so it is not shown as a success."""
    with open(tmp_path / "data" / "events.tsv", "a") as file:
        file.write(f"clip <2>.wav\t0\t0\t{LABELS[1]}\n")
    found = Events.from_rows([(0, 0.0, 2.0, 0), (1, 1.0, 3.0, 1)])
    write_decoded(
        system / "test" / "frame",
        [f"clip <{i}>.wav" for i in range(3)],
        np.full(3, 4.0),
        LABELS,
        np.eye(3, 2, dtype=bool),
        events=found,
    )
    assert run("score", tmp_path / "data", system / "test" / "frame").exit_code == 0
    assert run("report", system, tmp_path / "r.html").exit_code == 0
    page = (tmp_path / "r.html").read_text()
    assert (
        "Best clips" in page
        and "<b>clip &lt;1&gt;.wav</b>" in page
        and "<b>clip &lt;2&gt;.wav</b>" not in page
    )


def test_nothing_from_names_becomes_html(system, tmp_path, run):
    run("report", system, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert (
        "<b>Bell" not in page
        and "&lt;b&gt;Bell&lt;/b&gt; &amp; $x$" in page
        and "my <system>" not in page
        and "<0>" not in page
    )
    assert not re.search(r"https?://", page) and "<script" not in page


def test_many_classes_of_a_set_without_events(tmp_path, run):
    names, labels = [f"{i}.wav" for i in range(20)], [f"class {k}" for k in range(50)]
    true = np.random.default_rng(0).random((20, 50)) < 0.3
    data = write_set(
        tmp_path / "data",
        [(n, "", 4) for n in names],
        labels,
        [(names[i], labels[k]) for i, k in np.argwhere(true)],
    )
    folder = tmp_path / "exp" / "big" / "test" / "segment"
    write_decoded(folder, names, np.full(20, 4.0), labels, true, events=Events.from_rows([]))
    scores = write_score_file(
        folder.parent / "scores.h5", names, labels, np.random.default_rng(1).random((20, 50))
    )
    assert run("score", data, folder, "--scores", scores).exit_code == 0
    assert run("report", folder.parent.parent, tmp_path / "r.html").exit_code == 0
    page, audioset = (
        (tmp_path / "r.html").read_text(),
        json.loads((folder / "report.json").read_text())["audioset"],
    )
    assert all(f"<td>{audioset[name]:.3f}</td>" in page for name in ("map", "mauc", "dprime"))
    headers = [
        re.findall('<th scope="col">(.*?)</th>', table)
        for table in re.findall("<table>.*?</table>", page)
    ]
    assert (
        headers[0] == ["system/<wbr>set/<wbr>mode", "clips", "tag F1", "MAP", "MAUC", "d&#39;"]
        and len(headers) == 4
    )
    assert (
        headers[1]
        == headers[2]
        == headers[3]
        == ["class", "clips", "AP", "AUC", "d&#39;", "tagging F1"]
    )
    shown, folded = page.split("<details><summary>All 50 classes</summary>")
    row = '<th scope="row">class '
    assert shown.count(row) == 20 and folded.count(row) == 50 and "segment" not in folded
    assert "1 s" not in page and "MAUC" in page


def test_systems_without_reports_are_reported(tmp_path, run):
    result = run("report", tmp_path, tmp_path / "r.html")
    assert (
        result.exit_code == 1
        and "found no model and no SET/MODE/report.json; give a model directory" in result.stderr
    )


def test_a_broken_report_is_reported(system, tmp_path, run):
    (system / "test/frame/report.json").write_text("{")
    result = run("report", system, tmp_path / "r.html")
    assert result.exit_code == 1 and "report.json: can't be read as a report" in result.stderr
    assert not (tmp_path / "r.html").exists()


def test_a_timeline_draws_what_it_is_given():
    frames = np.linspace(0, 1, 80).reshape(40, 2)
    track = plots.Track("found", frames, 0.1, np.array([0.5, np.inf]), [(0, 1, 0)])
    figure = plots.timelines(
        "a",
        4.0,
        LABELS,
        [track],
        truth=[(0.5, 2, 0), (2, 3, 1)],
        spectrogram=plots.Spectrogram(np.zeros((160, 8)), 0.025),
    )
    spectrogram, curves, bars = figure.axes
    assert spectrogram.get_images()[0].get_extent()[1] == pytest.approx(4.0)
    np.testing.assert_allclose(curves.patches[0].get_data().values, frames[:, 0])
    spans = [
        [(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for p in c.get_paths()]
        for c in bars.collections
    ]
    assert spans == [[(0.5, 2)], [(0, 1)], [(2, 3)], []]
    assert len(plots.png(figure)) > 5000


def test_training_curves_draw_the_history():
    history = {
        "step": [5, 10],
        "train_loss": [0.7, 0.5],
        "valid_loss": [0.8, 0.6],
        "valid_f1": [0.1, 0.4],
        "valid_map": [0.2, 0.3],
    }
    left, right = plots.training_curves(history, "t").axes
    assert left.lines[1].get_ydata().tolist() == [0.8, 0.6] and right.lines[
        0
    ].get_ydata().tolist() == [0.1, 0.4]


def test_figures_for_a_paper(system, tmp_path, run):
    for kind, start in (("svg", b"<?xml"), ("pdf", b"%PDF")):
        assert (
            run(
                "report",
                system,
                tmp_path / "r.html",
                "--figures",
                tmp_path / kind,
                "--format",
                kind,
            ).exit_code
            == 0
        )
        files = sorted((tmp_path / kind).iterdir())
        assert len(files) == 9 and all(
            f.suffix == f".{kind}" and f.read_bytes().startswith(start) for f in files
        )
    assert (
        run(
            "report", system, tmp_path / "r.html", "--figures", tmp_path / "gif", "--format", "gif"
        ).exit_code
        == 2
    )


def test_several_systems_are_compared(system, tmp_path, run):
    other = shutil.copytree(system, system.parent / "other")
    write_decoded(
        other / "test" / "frame",
        [f"clip <{i}>.wav" for i in range(3)],
        np.full(3, 4.0),
        LABELS,
        np.eye(3, 2, dtype=bool),
        events=Events.from_rows([(0, 0.0, 2.0, 0), (1, 1.0, 3.0, 1)]),
    )
    assert (
        run("score", tmp_path / "data", other / "test" / "frame", "--bootstrap", "10").exit_code
        == 0
    )
    result = run("report", system.parent, tmp_path / "r.html", "--figures", tmp_path / "figures")
    assert result.exit_code == 0 and "2 evaluated folders of 2 systems" in result.stdout
    page = (tmp_path / "r.html").read_text()
    reports = [json.loads((one / "test/frame/report.json").read_text()) for one in (system, other)]
    more = reports[1]["segment"]["f1"] - reports[0]["segment"]["f1"]
    assert more > 0 and f"+{more:.3f}" in page and "other − my &lt;system&gt;" in page
    names = [path.name for path in sorted((tmp_path / "figures").iterdir())]
    assert "01_test_frame_poolings.png" in names
    assert run("report", other, tmp_path / "one.html").exit_code == 0
    assert "Differences" not in (tmp_path / "one.html").read_text()


def test_a_clip_is_heard_where_its_recording_is_found(system, tmp_path, run):
    def sounds():
        assert run("report", system, tmp_path / "r.html").exit_code == 0
        page = (tmp_path / "r.html").read_text()
        found = [
            base64.b64decode(data)
            for data in re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', page)
        ]
        return found, re.findall("Clips without sound: [^<]*", page)

    assert sounds() == ([], [])  # the set has no recordings
    clips = [(f"clip <{i}>.wav", f"audio/{i}.wav", 4) for i in range(3)]
    events = [("clip <0>.wav", 0, 2, LABELS[0]), ("clip <1>.wav", 1, 3, LABELS[1])]
    write_set(tmp_path / "data", clips, LABELS, [(e[0], e[3]) for e in events], events)
    for i in range(3):
        write_sound(tmp_path / "data" / "audio" / f"{i}.wav", 4.0)
    found, notes = sounds()
    assert len(found) == 3 and notes == []
    samples, rate = soundfile.read(io.BytesIO(found[0]))
    spectrum = np.abs(np.fft.rfft(samples[:rate]))
    assert (
        rate == 16000
        and len(samples) / rate == pytest.approx(4, abs=0.15)
        and spectrum.argmax() == 440
    )
    (tmp_path / "data" / "audio" / "1.wav").write_text("no sound")
    (tmp_path / "data" / "audio" / "2.wav").unlink()
    found, (note,) = sounds()
    assert (
        len(found) == 1
        and note.startswith("Clips without sound: 2. The reason for the first: ")
        and ".wav: " in note
    )


def test_sounds_are_bounded(system, tmp_path, run, monkeypatch):
    write_set(
        tmp_path / "data",
        [(f"clip <{i}>.wav", "a.wav", 4) for i in range(3)],
        LABELS,
        [("clip <0>.wav", LABELS[0]), ("clip <1>.wav", LABELS[1])],
        [("clip <0>.wav", 0, 2, LABELS[0]), ("clip <1>.wav", 1, 3, LABELS[1])],
    )
    write_sound(tmp_path / "data" / "a.wav", 4.0)
    for name, value, count, words in (
        ("LONGEST_SOUND", 3, 0, "is longer than 3 s"),
        ("LONGEST_SOUND", 4, 3, None),
    ):
        monkeypatch.setattr(clip_pages, name, value)
        assert run("report", system, tmp_path / "r.html").exit_code == 0
        page = (tmp_path / "r.html").read_text()
        assert page.count("<audio") == count and (
            words is None
            or f"Clips without sound: 3. The reason for the first: clip &lt;0&gt;.wav {words}."
            in page
        )
    monkeypatch.setattr("wsedtk.stages.report.MOST_SOUNDS", 2)
    run("report", system, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert page.count("<audio") == 2
    assert "Clips without sound: 1. The reason for the first: the page already contains" in page
