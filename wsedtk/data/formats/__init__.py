"""Define the formats of event lists and annotation files, such as Audacity labels.

Each format is written and read in one module. `FORMATS` is the registry of the formats, and
`EventFormat` is their base class. Of the other folders of wsedtk, this folder may import only
`data` and `core`. It must not import torch.
"""

import abc
import dataclasses
import datetime
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from wsedtk.core.errors import InputError
from wsedtk.core.registry import Registry
from wsedtk.data.events import Event
from wsedtk.data.formats.annotations import Annotations

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording whose events are written.

    Attributes
    ----------
    name : str
        The name of the recording in event lists. It is the path relative to the folder that was
        searched, or the file name if the recording was given as a file or by a pattern. If several
        recordings in one list would have the same name, they are named by their paths. For one of
        several channels, the name ends with `.ch` and the number of the channel.
    file_name : str
        The name of the sound file without folders.
    channel : int or None
        The channel in which the events were detected, counted from 1. None for the mean of all
        channels.
    max_hz : float
        The highest frequency that the model analyses, in Hz.
    seconds : float
        The duration of the recording in seconds.
    start : datetime or None
        The time at which the recording began, with the offset from UTC, if it is known from a
        clock. Formats with clock times otherwise read the time in the file name.
    """

    name: str
    file_name: str
    channel: int | None
    max_hz: float
    seconds: float
    start: datetime.datetime | None = None


class EventFormat(abc.ABC):
    r"""A format in which `wsedtk detect` writes events.

    To add a format, derive a class from this class, and define `suffix` and `text`. Use the new
    format with `wsedtk detect --format package.module:Class`. Built-in formats are registered in
    `FORMATS`. If the class also defines `read`, `wsedtk prepare annotations` can read files in this
    format. It recognises a file without `--format` if the format is built-in and its `recognises`
    returns True.

    Attributes
    ----------
    suffix : str
        The end of the names of files in this format, such as ".tsv".
    header : str
        The text at the beginning of a file, with its line end.
    holds_several : bool
        Whether one file can list the events of several recordings.
    by_event : bool
        Whether the text of several events is the text of each event, one after the other. If it is,
        `wsedtk detect --stream` can print the events one by one.
    is_json : bool
        Whether the text is JSON. If it is, and standard output can't encode a text, all characters
        of this text that are not ASCII are printed as JSON escapes.
    fields : str
        "tiers" or "columns" if a file has several tiers or columns, and the user can choose which
        of them contain the classes. "" if there is nothing to choose.

    Examples
    --------
    >>> class Csv(EventFormat):
    ...     suffix = ".csv"
    ...     header = "recording,onset,offset,label\n"
    ...
    ...     def text(self, recording, events):
    ...         rows = (f"{recording.name},{e.onset},{e.offset},{e.label}\n" for e in events)
    ...         return "".join(rows)
    """

    suffix: ClassVar[str]
    header: ClassVar[str] = ""
    holds_several: ClassVar[bool] = True
    by_event: ClassVar[bool] = False
    is_json: ClassVar[bool] = False
    fields: ClassVar[str] = ""

    @abc.abstractmethod
    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return the events of one recording as lines of text. Each line includes its line end.

        In a file, the text follows the header or the text of another recording.
        """

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether a file is in this format.

        Parameters
        ----------
        beginning : str
            The first 4096 bytes of the file as text. Bytes that are not text are U+FFFD.
        suffix : str
            The extension of the file in lower case, such as ".txt".
        """
        return False

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read an annotation file.

        Parameters
        ----------
        path : Path
        chosen : sequence of str
            The names of the tiers or columns that contain the classes. If it is empty, the format
            decides. It is always empty if `fields` is "".

        Returns
        -------
        Annotations
            The annotations, and all faults of the file.
        """
        raise InputError(f"{path}: the format {type(self).__name__} can only be written")


FORMATS: Registry[type[EventFormat]] = Registry("event format", "wsedtk.data.formats")


def event_format(name: str) -> EventFormat:
    """Return an event format. `name` is the name of a built-in format, or `package.module:Class`.

    Raises
    ------
    InputError
        If no such format exists, or if the class is not a valid `EventFormat`.
    """
    found: object = FORMATS.get(name)
    if not (isinstance(found, type) and issubclass(found, EventFormat)):
        raise InputError(
            f"event format {name!r}: found {found!r}; expected a class that derives from "
            "wsedtk.data.formats.EventFormat"
        )
    if inspect.isabstract(found) or not hasattr(found, "suffix"):
        raise InputError(
            f"event format {name!r}: the class lacks 'suffix' or 'text'; define both, as "
            "wsedtk.data.formats.EventFormat describes"
        )
    suffix = found.suffix
    if not isinstance(suffix, str) or not suffix.startswith(".") or "/" in suffix:
        raise InputError(
            f"event format {name!r}: found the suffix {suffix!r}; expected the end of a file name, "
            "such as '.csv'"
        )
    return found()


def one_field(text: str) -> str:
    """Return a text as one field. Tabs, line ends and other control characters become spaces."""
    return _CONTROL.sub(" ", text)
