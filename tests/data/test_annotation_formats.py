"""Annotation files: round trips with what `detect` writes, files of other programs, and faults."""

import pytest

from wsedtk.core.errors import InputError
from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, event_format
from wsedtk.data.formats.annotations import beginning

EVENTS = [
    Event(0.5, 1.25, "Möwe", 0.9),
    Event(1.0, 2.0, "Möwe", 0.8),  # overlaps the first event
    Event(1.5, 2.5, 'a "b" <c> & d', 1.0),
]
RECORDING = Recording("site 1/a b.wav", "a b.wav", channel=None, max_hz=8000.0, seconds=4.0)
NAMES = {
    "tsv": "site 1/a b.wav",
    "csv": "site 1/a b.wav",
    "jsonl": "site 1/a b.wav",
    "review": "site 1/a b.wav",
    "raven": "a b.wav",
    "elan": "a b.wav",
}


def read(folder, name, content, form, chosen=()):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return event_format(form).read(path, chosen)


def rows(found):
    assert not found.faults
    return [(one.onset, one.offset, one.label) for one in found.rows]


def messages(found, folder):
    return [str(fault).replace(f"{folder}/", "") for fault in found.faults]


@pytest.mark.parametrize("events", [EVENTS, []], ids=["events", "none"])
@pytest.mark.parametrize("name", FORMATS.names())
def test_round_trip(tmp_path, name, events):
    form = event_format(name)
    text = form.header + form.text(RECORDING, events)
    path = tmp_path / f"x{form.suffix}"
    path.write_text(text, encoding="utf-8")
    suffix = path.suffix.lower()
    recognised = [n for n in FORMATS.names() if event_format(n).recognises(beginning(path), suffix)]
    assert recognised == [name]
    found = form.read(path)
    expected = [(e.onset, e.offset, e.label) for e in events]
    assert sorted(rows(found)) == sorted(expected)
    named = name in NAMES and (events or name in ("csv", "elan"))
    assert list(found.recordings) == ([NAMES[name]] if named else [])


def test_a_format_that_can_only_be_written(tmp_path):
    class Own(EventFormat):
        suffix = ".own"

        def text(self, recording, events):
            return ""

    with pytest.raises(InputError, match=r"x\.own: the format Own can only be written"):
        Own().read(tmp_path / "x.own")


@pytest.mark.parametrize("name", ["audacity", "csv", "raven", "jsonl", "tsv", "praat", "elan"])
def test_missing_file(tmp_path, name):
    found = event_format(name).read(tmp_path / "x.txt")
    assert messages(found, tmp_path) == ["error: x.txt: no such file"]


def test_audacity(tmp_path):
    text = "\ufeff0,500000\t1,25\tdog\n\\\t1000.0\t2000.0\n\n3\t3.0\t cat \r\n"
    assert rows(read(tmp_path, "x.txt", text, "audacity")) == [(0.5, 1.25, "dog"), (3, 3, "cat")]
    text = "0.5\t1\n1\t0.5\tdog\nx\t1\tdog\n-1\t1\tdog\n1\t2\tdog\tcat\n"
    assert messages(read(tmp_path, "x.txt", text, "audacity"), tmp_path) == [
        "error: x.txt:1: the annotation has no class; write the class, or remove the line",
        "error: x.txt:2: the event ends (0.5 s) before it starts (1 s)",
        "error: x.txt:3: expected onset<TAB>offset<TAB>class, found 'x\\t1\\tdog'",
        "error: x.txt:4: onset must be a number of seconds, found '-1', which is negative",
        "error: x.txt:5: expected a class without tabs, found '1\\t2\\tdog\\tcat'",
    ]


def test_csv(tmp_path):
    """As a spreadsheet saves it: a byte order mark, CRLF, other columns and another order."""
    text = (
        "\ufeffnote,event_label,onset,filename,offset\r\n"
        '"two\r\nlines","a ""b"", c",0.5,"x, y.wav",1.25\r\n,,,z.wav,\r\n,,,,\r\n'
    )
    found = read(tmp_path, "x.csv", text, "csv")
    assert rows(found) == [(0.5, 1.25, 'a "b", c')]
    assert list(found.recordings) == ["x, y.wav", "z.wav"]
    assert event_format("csv").recognises(beginning(tmp_path / "x.csv"), ".csv")
    for text, message in (
        ("filename,onset,event_label\n", "1: expected the columns filename, onset, offset, "),
        ("filename,onset,offset,event_label\na,1,2\n", "2: expected 4 fields, found 3: "),
        ("filename,onset,offset,event_label\na,2,1,b\n", "2: the event ends (1 s) before it"),
        ("filename,onset,offset,event_label\na,1,,b\n", "2: offset must be a number"),
    ):
        (found,) = messages(read(tmp_path, "x.csv", text, "csv"), tmp_path)
        assert message in found


def raven(*lines, extra="Species"):
    header = f"Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\t{extra}"
    return "\n".join([header, *lines]) + "\n"


def test_raven_views_are_one_selection(tmp_path):
    text = raven(
        "1\tWaveform 1\t1\t0.5\t1.25\t0\tdog",
        "1\tSpectrogram 1\t1\t0.5\t1.25\t0\tdog",
        "2\tSpectrogram 1\t1\t0.5\t1.25\t0\tcat",
    )
    found = read(tmp_path, "x.txt", text, "raven")
    assert rows(found) == [(0.5, 1.25, "dog"), (0.5, 1.25, "cat")]
    assert found.recordings == [] and [row.line for row in found.rows] == [2, 4]


def test_raven_file_offset_is_the_onset_in_the_recording(tmp_path):
    text = raven(
        "1\tSpectrogram 1\t1\t3600.5\t3601.75\t0\tD:\\audio\\b.wav\tb.wav\t0.5\tdog\tx",
        extra="Begin Path\tBegin File\tFile Offset (s)\tCommon Name\tNote",
    )
    found = read(tmp_path, "x.txt", text, "raven")
    assert rows(found) == [(0.5, 1.75, "dog")] and found.recordings == ["D:\\audio\\b.wav"]


def test_raven_columns(tmp_path):
    text = raven("1\tS\t1\t0\t1\t0\tdog\tbark", "2\tS\t1\t1\t2\t0\t\t", extra="Kind\tCall")
    found = read(tmp_path, "x.txt", text, "raven")
    (message,) = messages(found, tmp_path)
    assert message.startswith(
        "error: x.txt:1: no column is known to contain the class; choose it with labels_in"
    )
    assert message.endswith("'Low Freq (Hz)', 'Kind', 'Call'")
    found = read(tmp_path, "x.txt", text, "raven", ["call", "KIND"])
    assert [row.label for row in found.rows] == ["dog", "bark"]
    assert messages(found, tmp_path) == [
        "error: x.txt:3: the annotation has no class in 'kind'; write the class, or remove the line"
    ]
    found = read(tmp_path, "x.txt", text, "raven", ["Type"])
    assert "x.txt: has no column 'Type'; found: 'selection'" in messages(found, tmp_path)[0]
    found = read(tmp_path, "x.txt", "Begin Time (s)\tSpecies\n", "raven")
    assert "expected the columns" in messages(found, tmp_path)[0]


def test_json_lines(tmp_path):
    text = '{"filename": "a.wav", "channel": 2, "onset": 1, "offset": 2.5, "event_label": "dog"}\n'
    found = read(tmp_path, "x.jsonl", text + '\n{"filename": "b.wav"}\n', "jsonl")
    assert rows(found) == [(1, 2.5, "dog")] and list(found.recordings) == ["a.wav", "b.wav"]
    text = '{"filename": "a", "onset": NaN, "offset": 1, "event_label": "x"}\n[1]\n{"a\n'
    text += '{"filename": "a", "onset": true, "offset": 1, "event_label": "x"}\n'
    text += '{"filename": "a", "onset": 1, "offset": 2}\n'
    found = messages(read(tmp_path, "x.jsonl", text, "jsonl"), tmp_path)
    assert found[0] == "error: x.jsonl:1: onset must be a number of seconds, found 'nan'"
    expected = "expected a JSON object with the keys filename, onset, offset and event_label"
    assert found[1] == f"error: x.jsonl:2: {expected}, found '[1]'"
    assert [f"x.jsonl:{n}: {expected}" in found[n - 1] for n in (3, 4, 5)] == [True] * 3


@pytest.mark.parametrize(
    ("line", "is_list"),
    [
        ("a.wav\tdog", True),
        ("a.wav\t0\t1.5\tdog", True),
        ("a.wav", True),
        ("a.wav\t10.0", False),  # a duration
        ("a.txt\tdog", False),
        ("filename\tevent_label", True),
        ("event_label\tFilename\tonset\toffset", True),
        ("filename\tduration", False),
    ],
)
def test_lists_are_recognised(line, is_list):
    assert event_format("tsv").recognises(f"\n{line}\n", ".txt") is is_list


def test_lists_of_tags_have_no_times(tmp_path):
    text = "filename\tevent_label\na.wav\tdog\nb.wav\t\n"
    found = read(tmp_path, "x.tsv", text, "tsv")
    assert rows(found) == [(None, None, "dog")] and found.recordings == ["a.wav", "b.wav"]


# Both forms of one TextGrid, as Praat and praatio write them.
LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0 
xmax = 4 
tiers? <exists> 
size = 2 
item []: 
    item [1]:
        class = "IntervalTier" 
        name = "calls" 
        xmin = 0 
        xmax = 4 
        intervals: size = 2 
        intervals [1]:
            xmin = 0 
            xmax = 0.5 
            text = "" 
        intervals [2]:
            xmin = 0.5 
            xmax = 4 
            text = "a ""b""
1 2" ! a comment "x"
    item [2]:
        class = "TextTier" 
        name = "peaks" 
        xmin = 0 
        xmax = 4 
        points: size = 1 
        points [1]:
            number = 0.75 
            mark = "Möwe" 
"""  # noqa: W291
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
4
<exists>
2
"IntervalTier"
"calls"
0
4
2
0
0.5
""
0.5
4
"a ""b""
1 2"
"TextTier"
"peaks"
0
4
1
0.75
"Möwe"
"""
CALL, PEAK = (0.5, 4, 'a "b" 1 2'), (0.75, 0.75, "Möwe")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("text", [LONG, SHORT, LONG.replace("\n", "\r\n")])
def test_praat(tmp_path, text, encoding):
    content = text.encode(encoding)
    if encoding == "utf-16-be":
        content = b"\xfe\xff" + content
    found = read(tmp_path, "x.TextGrid", content, "praat")
    assert rows(found) == [CALL, PEAK] and found.recordings == []
    assert event_format("praat").recognises(beginning(tmp_path / "x.TextGrid"), ".textgrid")
    assert rows(read(tmp_path, "x.TextGrid", content, "praat", ["PEAKS"])) == [PEAK]


def test_praat_line_numbers(tmp_path):
    assert [row.line for row in read(tmp_path, "x", LONG, "praat").rows] == [22, 32]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ooBinaryFile\x08TextGrid\x00", "x: is a binary TextGrid; save it as a text file"),
        (SHORT.replace('"TextGrid"', '"Pitch"'), "x:2: expected a TextGrid, found 'Pitch'"),
        (
            SHORT[: SHORT.index("1\n0.75")],
            "x:23: the file ends too early; expected the number of intervals",
        ),
        (SHORT.replace("<exists>\n2", "<exists>\n2.5"), "x:7: expected the number of tiers, found"),
        (SHORT.replace('"TextTier"', '"Other"'), "x:20: expected IntervalTier or TextTier, found"),
        (SHORT.replace("0.5\n4", "5\n4"), "x:18: the event ends (4 s) before it starts (5 s)"),
        (SHORT.encode("latin-1"), "x: is not UTF-8 or UTF-16 text"),
    ],
)
def test_praat_faults(tmp_path, content, message):
    (found,) = messages(read(tmp_path, "x", content, "praat"), tmp_path)
    assert message in found


def test_tiers_that_do_not_exist(tmp_path):
    (found,) = messages(read(tmp_path, "x", SHORT, "praat", ["call", "peak"]), tmp_path)
    assert found == "error: x: has no tier 'call' or 'peak'; found: 'calls', 'peaks'"


# As pympi and ELAN write it: one tier refers to another, and the video begins before the sound.
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="2.8" VERSION="2.8">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/rec/n.mp4" MIME_TYPE="video/mp4"/>
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/rec/my%20night.wav" MIME_TYPE="audio/x-wav"
                      TIME_ORIGIN="250"/>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/>
    <TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="1000"/>
    <TIME_SLOT TIME_SLOT_ID="ts3"/>
  </TIME_ORDER>
  <TIER TIER_ID="calls" LINGUISTIC_TYPE_REF="a">
    <ANNOTATION>
      <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
        <ANNOTATION_VALUE>song &lt;A&gt; &amp; b</ANNOTATION_VALUE>
      </ALIGNABLE_ANNOTATION>
    </ANNOTATION>
  </TIER>
  <TIER TIER_ID="species" LINGUISTIC_TYPE_REF="b" PARENT_REF="calls">
    <ANNOTATION>
      <REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1">
        <ANNOTATION_VALUE>M\u00f6we</ANNOTATION_VALUE>
      </REF_ANNOTATION>
    </ANNOTATION>
  </TIER>
</ANNOTATION_DOCUMENT>
"""


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_elan(tmp_path, encoding):
    content = EAF.replace("UTF-8", encoding).encode(encoding)
    found = read(tmp_path, "x.eaf", content, "elan")
    assert rows(found) == [(0.75, 1.25, "song <A> & b"), (0.75, 1.25, "Möwe")]
    assert found.recordings == ["/D:/rec/my night.wav"]
    assert [row.line for row in found.rows] == [15, 22]
    assert event_format("elan").recognises(beginning(tmp_path / "x.eaf"), ".eaf")
    found = read(tmp_path, "x.eaf", content, "elan", ["species"])
    assert rows(found) == [(0.75, 1.25, "Möwe")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('REF2="ts2"', 'REF2="ts3"', "x:15: the annotation 'song <A> & b' has no time; align it"),
        ('"500"', '"x"', "x:9: TIME_VALUE must be a whole number, found 'x'"),
        ('"250"', '"-750"', "x:15: the annotation 'song <A> & b' begins before the recording"),
        ('"500"', '"1500"', "x:15: the event ends (1.25 s) before it starts (1.75 s)"),
        ("milliseconds", "PAL-frames", "x:3: expected times in milliseconds, found 'PAL-frames'"),
        ("</HEADER>", "", "is not valid XML (mismatched tag)"),
        (
            "ANNOTATION_DOCUMENT",
            "DOCUMENT",
            "x:2: expected <ANNOTATION_DOCUMENT>, found <DOCUMENT>",
        ),
    ],
)
def test_elan_faults(tmp_path, old, new, message):
    assert message in messages(read(tmp_path, "x", EAF.replace(old, new), "elan"), tmp_path)[0]


@pytest.mark.parametrize("ref", ["a1", "a2", "a9"])
def test_elan_references(tmp_path, ref):
    """A reference to the annotation itself, or to a missing annotation, has no time."""
    found = read(
        tmp_path, "x", EAF.replace('ANNOTATION_REF="a1"', f'ANNOTATION_REF="{ref}"'), "elan"
    )
    assert len(found.rows) == (2 if ref == "a1" else 1)
    assert len(found.faults) == (0 if ref == "a1" else 1)


@pytest.mark.parametrize(
    "definition",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
    ],
)
def test_elan_refuses_document_types(tmp_path, definition):
    head, rest = EAF.split("\n", 1)
    found = read(tmp_path, "x.eaf", f"{head}\n{definition}\n{rest}", "elan")
    assert found.rows == []
    assert "contains a document type definition" in messages(found, tmp_path)[0]
