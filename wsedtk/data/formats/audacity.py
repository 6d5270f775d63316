"""Format the events of one recording as Audacity labels: onset, offset and class."""

from collections.abc import Sequence

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field


@FORMATS.register("audacity")
class AudacityLabels(EventFormat):
    """The format of Audacity labels. Audacity imports them with File > Import > Labels.

    Source: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """

    suffix = ".txt"
    holds_several = False

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return one line for each event."""
        return "".join(f"{e.onset:.6f}\t{e.offset:.6f}\t{one_field(e.label)}\n" for e in events)
