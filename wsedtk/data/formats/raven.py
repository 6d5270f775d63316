"""Format the events of one recording as a Raven selection table: one selection per event."""

from collections.abc import Sequence

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field

COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin File",
    "Annotation",
    "Score",
)


@FORMATS.register("raven")
class RavenTable(EventFormat):
    """The format of Raven selection tables. Selections range from 0 Hz to `Recording.max_hz`."""

    suffix = ".selections.txt"
    header = "\t".join(COLUMNS) + "\n"
    holds_several = False

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one row for each event."""
        return "".join(
            self._row(recording, number, event) for number, event in enumerate(events, 1)
        )

    def _row(self, recording: Recording, number: int, event: Event) -> str:
        fields = (
            str(number),
            "Spectrogram 1",
            str(recording.channel or 1),
            f"{event.onset:.6f}",
            f"{event.offset:.6f}",
            "0",
            f"{recording.max_hz:g}",
            one_field(recording.file_name),
            one_field(event.label),
            f"{event.score:.4f}",
        )
        return "\t".join(fields) + "\n"
