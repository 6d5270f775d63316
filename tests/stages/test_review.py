"""review: the events, the excerpts and the order of a page."""

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import make_point, write_model, write_sound
from PIL import Image

from wsedtk.core.errors import InputError
from wsedtk.data import formats
from wsedtk.data.events import Event
from wsedtk.data.formats import Recording
from wsedtk.decoding import operating_point
from wsedtk.stages import review
from wsedtk.stages.options.review import ReviewOptions

RATE = 8000
HEADER = "filename,onset,offset,event_label,score\n"
EVENTS = [
    ("s1/a.wav", 0.5, 1.0, "Owl", 0.9),
    ("s1/a.wav", 3.0, 3.5, "Owl", 0.45),
    ("s1/a.wav", 5.0, 5.5, "Fox", 0.7),
    ("b.wav", 1.0, 1.5, "Fox", 0.25),
]
# The order of recordings and onsets, in which a page and its table list the events.
BY_TIME = [EVENTS[3], *EVENTS[:3]]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, with recordings in rec/ and their events in events.csv."""
    monkeypatch.chdir(tmp_path)
    write_sound(Path("rec/s1/a.wav"), 6.0, RATE, frequency=1000)
    write_sound(Path("rec/b.wav"), 2.0, RATE, channels=2)
    write_events(EVENTS)
    return tmp_path


def write_events(events, name="events.csv"):
    rows = (",".join(map(str, event)) + "\n" for event in events)
    Path(name).write_text(HEADER + "".join(rows), encoding="utf-8")


def content(path="review.html"):
    """Return the data of a page."""
    text = Path(path).read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</', text)[1])


def made(events="events.csv", audio="rec", **options):
    result = review.run(ReviewOptions(events, audio, "review.html", **options))
    return result, content()


def names(data):
    """Return the events of a page's table."""
    return [(data["recordings"][one[0]]["name"], *one[1:5]) for one in data["events"]]


def decoded(address):
    return base64.b64decode(address.partition(";base64,")[2])


@pytest.mark.parametrize(
    "order, expected",
    [("uncertain", [2, 3, 0, 1]), ("score", [1, 3, 2, 0]), ("time", [0, 1, 2, 3])],
)
def test_the_order(order, expected):
    result, data = made(order=order)
    assert names(data) == BY_TIME and {one[5] for one in data["events"]} == {"unreviewed"}
    assert [one["event"] for one in data["shown"]] == expected
    assert data["group"] == ("recording" if order == "time" else "class")
    assert (result.num_shown, result.num_left_out, result.num_recordings) == (4, 0, 2)
    assert result.size == Path("review.html").stat().st_size and not result.failed


def test_the_thresholds_and_the_classes_of_a_model():
    labels = ["Owl", "Wren", "Fox"]
    write_model(Path("model"), labels=labels)
    point = make_point(3, labels)
    point.frame_thresholds[:] = [0.8, 0.5, 0.1]
    operating_point.write("model/operating_point.yaml", point)
    result, data = made(model="model")
    assert [one["event"] for one in data["shown"]] == [1, 0, 2, 3]  # 0.1, 0.15, 0.35, 0.6
    assert data["classes"] == ["Fox", "Owl", "Wren"]
    assert "nearest to the threshold of their class" in result.order
    assert result.next_command.endswith("review.tsv rec data/reviewed --labels model")


def test_events_without_scores():
    Path("events.csv").write_text("filename\tonset\toffset\tevent_label\nb.wav\t1\t1.5\tFox\n")
    result, data = made()
    assert names(data) == [("b.wav", 1.0, 1.5, "Fox", None)] and "no scores" in result.order


def test_the_excerpts():
    _, data = made(order="time", margin=1.0)
    spans = [(one["start"], one["end"]) for one in data["shown"]]
    assert spans == [(0.0, 2.0), (0.0, 2.0), (2.0, 4.5), (4.0, 6.0)]  # cut off at both ends
    for one in data["shown"]:
        seconds = one["end"] - one["start"]
        picture = np.asarray(Image.open(io.BytesIO(decoded(one["picture"]))).convert("L"))
        assert picture.shape == (128, round(120 * seconds))
        samples, rate = soundfile.read(io.BytesIO(decoded(one["sound"])))
        assert rate == 16000 and len(samples) / rate == pytest.approx(seconds, abs=0.15)
        assert one["ticks"][1][1] == "1" and one["ticks"][-1][1] == "2"
    # The tone of 1 kHz is at the tick of 1 kHz, and is amplified.
    level = picture.mean(axis=1)
    assert 1 - (level.argmax() + 0.5) / 128 == pytest.approx(one["ticks"][1][0], abs=0.02)
    assert 0.6 < np.abs(samples).max() < 1


def test_events_that_are_left_out_are_in_the_table():
    result, data = made(max_events=2)
    assert (result.num_shown, result.num_left_out) == (2, 2)
    assert names(data) == BY_TIME and [one["event"] for one in data["shown"]] == [2, 3]


def test_a_page_of_the_same_events_keeps_the_decisions():
    keys = {made(**options)[1]["fingerprint"] for options in ({}, {"order": "time", "margin": 0})}
    write_events(EVENTS[:3])
    assert len(keys) == 1 and keys != {made()[1]["fingerprint"]}


def test_a_saved_table_goes_on():
    table = "filename\tonset\toffset\tevent_label\tscore\tstatus\n" + "".join(
        "\t".join(map(str, event)) + f"\t{status}\n"
        for event, status in zip(EVENTS, ("accepted", "unreviewed", "rejected", "unreviewed"))
    )
    Path("review.tsv").write_text(table)
    _, data = made("review.tsv")
    assert names(data) == BY_TIME
    statuses = [data["events"][one["event"]][5] for one in data["shown"]]
    assert statuses == ["unreviewed", "unreviewed", "rejected", "accepted"]
    # Together with the events of detect, nothing is twice.
    assert made(["review.tsv", "events.csv"])[1]["events"] == data["events"]


@pytest.mark.parametrize("name", formats.FORMATS.names())
def test_every_format_of_detect(name):
    form = formats.event_format(name)
    about = Recording("s1/a.wav", "a.wav", None, max_hz=4000.0, seconds=6.0)
    path = Path(f"labels/s1/a.wav{form.suffix}")
    path.parent.mkdir(parents=True)
    path.write_text(form.header + form.text(about, [Event(0.5, 1.0, "Owl", 0.9)]))
    (event,) = names(made("labels")[1])
    assert event[:4] == ("s1/a.wav", 0.5, 1.0, "Owl")
    assert event[4] == (0.9 if name in ("csv", "jsonl", "raven", "review") else None)


def test_channels_and_long_events():
    samples = np.zeros((40 * RATE, 2))
    samples[30 * RATE :, 1] = 0.5
    soundfile.write("rec/long.wav", samples, RATE)
    write_events([("long.wav.ch1", 1, 2, "Owl", 0.5), ("long.wav.ch2", 12, 40, "Owl", 0.5)])
    _, data = made(order="time")
    assert [one["name"] for one in data["recordings"]] == ["long.wav.ch1", "long.wav.ch2"]
    first, second = data["shown"]
    assert (second["start"], second["end"]) == (10.0, 34.0)  # the first 20 s, and margins
    assert not soundfile.read(io.BytesIO(decoded(first["sound"])))[0].any()
    assert soundfile.read(io.BytesIO(decoded(second["sound"])))[0].any()


def test_names_are_escaped_and_only_the_own_script_runs():
    label, name = "</script><script>alert('1')</script> & \"é\" \u2028", "<!--<script> 'x'.wav"
    write_sound(Path("rec", name), 1.0, RATE)
    row = {"filename": name, "onset": 0, "offset": 1, "event_label": label, "score": 0.5}
    Path("events.jsonl").write_text(json.dumps(row) + "\n")
    _, data = made("events.jsonl")
    assert names(data) == [(name, 0, 1, label.strip(), 0.5)]
    text = Path("review.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1 and text.count("<script") == 2
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = re.search('Content-Security-Policy" content="(.*?)"', text)[1]
    assert f"script-src &#39;sha256-{digest}&#39;" in policy and "default-src &#39;none" in policy
    assert not re.search("https?:", text)


def test_missing_and_unreadable_recordings(run):
    Path("rec/b.wav").write_bytes(b"no sound")
    write_events([*EVENTS, ("c.wav", 0, 1, "Owl", 0.5)])
    result = run("review", "events.csv", "rec", "review.html", "--max-events", 4)
    assert result.exit_code == 0 and "review.html: 3 events of 2 recordings, 0." in result.stdout
    assert "not on the page: 1 event " in result.stdout
    assert "left out: 1 unreadable recording\n" in result.stdout
    assert "events of recordings that are not in rec are left out (1 recording): c.wav" in (
        result.stderr
    )
    assert "b.wav" in result.stderr and "--labels" not in result.stdout
    assert "save review.tsv, and run: wsedtk prepare annotations review.tsv rec" in result.stdout
    assert names(content()) == BY_TIME  # the table is complete
    write_events(EVENTS[3:])
    with pytest.raises(InputError, match=r"b.wav: .*; no recording can be read"):
        made()


@pytest.mark.parametrize(
    "change, options, message",
    [
        (
            {"events": [("s1/a.wav", 7, 8, "Owl", 1)]},
            {},
            "begins at 7 s, after the end .* .6.000 s",
        ),
        ({"events": [("x.wav", 1, 2, "Owl", 1)]}, {}, "events.csv: contains no events of the"),
        ({"events": [("b.wav", "", "", "", "")]}, {}, "contains no events of the recordings"),
        ({"text": "filename\tevent_label\nb.wav\tOwl\n"}, {}, "csv:2: found a tag without times"),
        ({"text": "nothing\n"}, {}, "events.csv: is in none of the formats"),
        ({}, {"audio": "none"}, "none: no such file or folder; expected the recordings"),
        ({}, {"events": []}, "events: found none"),
        ({}, {"order": "class"}, "order: found 'class'; expected"),
        ({}, {"max_events": 0}, "max_events: found 0"),
        ({}, {"margin": -1}, "margin: found -1"),
        ({}, {"model": "none"}, "none: there is no such folder"),
    ],
)
def test_wrong_inputs(change, options, message):
    if "events" in change:
        write_events(change["events"])
    if "text" in change:
        Path("events.csv").write_text(change["text"])
    with pytest.raises(InputError, match=message):
        made(**options)
    assert not Path("review.html").exists()
