"""Format events as JSON lines: one JSON object for each event."""

import json
from collections.abc import Sequence

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording


@FORMATS.register("jsonl")
class JsonLines(EventFormat):
    """The format JSON lines. Each line is a JSON object that describes an event.

    The object has the keys `filename`, `onset`, `offset`, `event_label` and `score`. If the events
    were detected in one channel of the recording, the object also has the key `channel`.
    """

    suffix = ".jsonl"
    is_json = True

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one line for each event."""
        return "".join(self._line(recording, event) for event in events)

    def _line(self, recording: Recording, event: Event) -> str:
        fields: dict[str, str | int | float] = {"filename": recording.name}
        if recording.channel is not None:
            fields["channel"] = recording.channel
        fields["onset"] = event.onset
        fields["offset"] = event.offset
        fields["event_label"] = event.label
        fields["score"] = round(event.score, 4)
        return json.dumps(fields, ensure_ascii=False) + "\n"
