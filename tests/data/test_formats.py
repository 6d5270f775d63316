"""Event formats: the text of two events, compared with lines that were written by hand."""

import pytest

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, Recording, event_format

EVENTS = [Event(0.5, 1.25, "Möwe", 0.91239), Event(2.0, 3.0004, "a\tb\u2028c", 1.0)]
EXPECTED = {
    "tsv": "filename\tonset\toffset\tevent_label\n"
    "in/x y.wav\t0.500\t1.250\tMöwe\nin/x y.wav\t2.000\t3.000\ta b c\n",
    "audacity": "0.500000\t1.250000\tMöwe\n2.000000\t3.000400\ta b c\n",
    "raven": "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\t"
    "High Freq (Hz)\tBegin File\tAnnotation\tScore\n"
    "1\tSpectrogram 1\t2\t0.500000\t1.250000\t0\t7500\tx y.wav\tMöwe\t0.9124\n"
    "2\tSpectrogram 1\t2\t2.000000\t3.000400\t0\t7500\tx y.wav\ta b c\t1.0000\n",
    "jsonl": '{"filename": "in/x\\ty.wav", "channel": 2, "onset": 0.5, "offset": 1.25, '
    '"event_label": "Möwe", "score": 0.9124}\n'
    '{"filename": "in/x\\ty.wav", "channel": 2, "onset": 2.0, "offset": 3.0004, '
    '"event_label": "a\\tb\u2028c", "score": 1.0}\n',
}


@pytest.mark.parametrize("name", FORMATS.names())
def test_text(name):
    form = event_format(name)
    recording = Recording("in/x\ty.wav", "x\ty.wav", channel=2, max_hz=7500.0)
    assert form.header + form.text(recording, EVENTS) == EXPECTED[name]


def test_every_format_has_a_suffix_of_its_own():
    suffixes = [event_format(name).suffix for name in FORMATS.names()]
    assert len(set(suffixes)) == len(suffixes) == 4
