"""Event formats: the text of two events, compared with lines that were written by hand."""

import pytest

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, Recording, event_format

EVENTS = [Event(0.5, 1.25, "Möwe", 0.91239), Event(2.0, 3.0004, "a\tb\u2028c", 1.0)]
EXPECTED = {
    "tsv": "filename\tonset\toffset\tevent_label\n"
    "in/x y.wav\t0.500\t1.250\tMöwe\nin/x y.wav\t2.000\t3.000\ta b c\n",
    "review": "filename\tonset\toffset\tevent_label\tscore\tstatus\n"
    "in/x y.wav\t0.500\t1.250\tMöwe\t0.9124\tunreviewed\n"
    "in/x y.wav\t2.000\t3.000\ta b c\t1.0000\tunreviewed\n",
    "audacity": "0.500000\t1.250000\tMöwe\n2.000000\t3.000400\ta b c\n",
    "raven": "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\t"
    "High Freq (Hz)\tBegin File\tAnnotation\tScore\n"
    "1\tSpectrogram 1\t2\t0.500000\t1.250000\t0\t7500\tx y.wav\tMöwe\t0.9124\n"
    "2\tSpectrogram 1\t2\t2.000000\t3.000400\t0\t7500\tx y.wav\ta b c\t1.0000\n",
    "jsonl": '{"filename": "in/x\\ty.wav", "channel": 2, "onset": 0.5, "offset": 1.25, '
    '"event_label": "Möwe", "score": 0.9124}\n'
    '{"filename": "in/x\\ty.wav", "channel": 2, "onset": 2.0, "offset": 3.0004, '
    '"event_label": "a\\tb\u2028c", "score": 1.0}\n',
    "csv": "filename,onset,offset,event_label,score,onset_time,offset_time\n"
    "in/x y.wav,0.500,1.250,Möwe,0.9124,,\nin/x y.wav,2.000,3.000,a b c,1.0000,,\n",
    "praat": """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "Möwe"
        xmin = 0
        xmax = 3.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.25
            text = "Möwe"
        intervals [3]:
            xmin = 1.25
            xmax = 3.5
            text = ""
    item [2]:
        class = "IntervalTier"
        name = "a b c"
        xmin = 0
        xmax = 3.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 2
            text = ""
        intervals [2]:
            xmin = 2
            xmax = 3.0004
            text = "a b c"
        intervals [3]:
            xmin = 3.0004
            xmax = 3.5
            text = ""
""",
    "elan": """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="wsedtk" DATE="2000-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="x%09y.wav" MIME_TYPE="audio/x-wav"
 RELATIVE_MEDIA_URL="x%09y.wav"/>
</HEADER>
<TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="1250"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="2000"/>
<TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="3000"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="event" TIER_ID="Möwe">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>Möwe</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER>
<TIER LINGUISTIC_TYPE_REF="event" TIER_ID="a b c">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE>a b c</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER>
<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="event"
 TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
""",
}


@pytest.mark.parametrize("name", FORMATS.names())
def test_text(name):
    form = event_format(name)
    recording = Recording("in/x\ty.wav", "x\ty.wav", channel=2, max_hz=7500.0, seconds=3.5)
    assert form.header + form.text(recording, EVENTS) == EXPECTED[name]


def test_csv_has_clock_times_and_a_row_for_a_recording_without_events():
    form, name = event_format("csv"), "A, B/S1_20240531_235958.wav"
    recording = Recording(name, "S1_20240531_235958.wav", None, max_hz=8000.0, seconds=9.0)
    assert form.text(recording, [Event(0.5, 2.0004, 'a "b", c', 0.5)]) == (
        '"A, B/S1_20240531_235958.wav",0.500,2.000,"a ""b"", c",0.5000,'
        "2024-05-31 23:59:58.500,2024-06-01 00:00:00.000\n"
    )
    assert form.text(recording, []) == '"A, B/S1_20240531_235958.wav",,,,,,\n'


def test_every_format_has_a_suffix_of_its_own():
    suffixes = [event_format(name).suffix for name in FORMATS.names()]
    assert len(set(suffixes)) == len(suffixes) == len(EXPECTED)
