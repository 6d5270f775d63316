"""Events of recordings in the forms that people open: DCASE's tables, JSON lines, Audacity's labels, Raven's selections."""

import dataclasses
import json
import re

DCASE_HEADER = "filename\tonset\toffset\tevent_label\n"
RAVEN_HEADER = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin File\tAnnotation\tScore\n"


@dataclasses.dataclass(frozen=True)
class Recording:
    """What the forms tell of the recording that events are of."""

    name: str
    file_name: str  # without folders
    channel: int | None  # from 1; None: all of them, mixed
    high_hz: float  # the highest frequency that the model heard


def _text(text):
    """A name in one field of a table: it can't hold what parts fields and lines."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", " ", text)


def _dcase(recording, events):
    return "".join(
        f"{_text(recording.name)}\t{onset:.3f}\t{offset:.3f}\t{_text(label)}\n"
        for onset, offset, label, _ in events
    )


def _jsonl(recording, events):
    channel = {} if recording.channel is None else {"channel": recording.channel}
    return "".join(
        json.dumps(
            {
                "filename": recording.name,
                **channel,
                "onset": onset,
                "offset": offset,
                "event_label": label,
                "score": round(score, 4),
            },
            ensure_ascii=False,
        )
        + "\n"
        for onset, offset, label, score in events
    )


def _audacity(recording, events):
    return "".join(
        f"{onset:.6f}\t{offset:.6f}\t{_text(label)}\n" for onset, offset, label, _ in events
    )


def _raven(recording, events):
    return "".join(
        f"{number}\tSpectrogram 1\t{recording.channel or 1}\t{onset:.6f}\t{offset:.6f}\t0\t{recording.high_hz:g}\t"
        f"{_text(recording.file_name)}\t{_text(label)}\t{score:.4f}\n"
        for number, (onset, offset, label, score) in enumerate(events, 1)
    )


@dataclasses.dataclass(frozen=True)
class Format:
    """A form of event lists."""

    suffix: str  # of its files
    header: str
    lines: object  # (Recording, [(onset, offset, label, score)]) -> text
    holds_several: bool  # whether one list can be of several recordings


FORMATS = {
    "tsv": Format(".tsv", DCASE_HEADER, _dcase, True),
    "jsonl": Format(".jsonl", "", _jsonl, True),
    "audacity": Format(".txt", "", _audacity, False),
    "raven": Format(".selections.txt", RAVEN_HEADER, _raven, False),
}
