"""Define `Boxes` (sound event bounding boxes of many clips), and read and write boxes.tsv.

A sound event bounding box is an event with a confidence. The confidence decides whether the event
is detected, and does not change its times. A boxes.tsv contains all boxes of a decoded folder:

    filename  onset  offset  event_label  confidence

Times are in seconds. Confidences are from 0 to 1 and have at most nine decimal places.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from wsedtk.core.config import suggest
from wsedtk.core.paths import PathLike
from wsedtk.core.types import Booleans, Floats, Integers
from wsedtk.data.events import Events, sorting_order
from wsedtk.data.table_files import TableFile
from wsedtk.data.tables import (
    find_clips,
    format_seconds,
    no_seconds,
    normal,
    parse_seconds,
    slices,
    write_rows,
)

NAME = "boxes.tsv"
COLUMNS = ("filename", "onset", "offset", "event_label", "confidence")
DECIMALS = 9  # of a confidence


@dataclasses.dataclass(frozen=True)
class Boxes:
    """A list of sound event bounding boxes.

    Attributes
    ----------
    events : Events
        The times and the classes of E boxes.
    confidence : (E,) float64
        The confidence of each box, from 0 to 1.
    """

    events: Events
    confidence: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.confidence)

    @classmethod
    def from_columns(
        cls,
        clip: npt.ArrayLike,
        onset: npt.ArrayLike,
        offset: npt.ArrayLike,
        label: npt.ArrayLike,
        confidence: npt.ArrayLike,
    ) -> "Boxes":
        """Create Boxes from columns (E,). The boxes are sorted in the order of `Events`."""
        order = sorting_order(clip, onset, offset, label)
        events = Events.from_columns(clip, onset, offset, label)
        return cls(events, np.asarray(confidence, np.float64)[order])

    @classmethod
    def joined(cls, parts: Iterable["Boxes"]) -> "Boxes":
        """Join lists of boxes.

        All clip indices in a list must be greater than those in the preceding list.
        """
        parts = list(parts)
        confidences = [part.confidence for part in parts]
        return cls(
            Events.joined(part.events for part in parts),
            np.concatenate(confidences) if confidences else np.zeros(0),
        )

    def select(self, keep: Booleans | Integers) -> "Boxes":
        """Return the boxes that a boolean mask (E,) or indices (M,) select."""
        return Boxes(self.events.select(keep), self.confidence[keep])

    def cut(self, durations: Floats) -> "Boxes":
        """Cut boxes at the ends of their clips, and drop boxes that begin later.

        Parameters
        ----------
        durations : (N,) float
            The durations of the clips in seconds.
        """
        inside = self.select(self.events.onset < durations[self.events.clip])
        ends = durations[inside.events.clip]
        events = dataclasses.replace(inside.events, offset=np.minimum(inside.events.offset, ends))
        return Boxes(events, inside.confidence)


def write(
    path: PathLike, boxes: Boxes, filenames: npt.NDArray[np.str_], labels: Sequence[str]
) -> None:
    """Write a boxes.tsv, atomically.

    Parameters
    ----------
    path : path-like
    boxes : Boxes
    filenames : (N,) str
        The clips.
    labels : sequence of str
        The K classes.
    """

    def rows(part: slice) -> Iterable[Sequence[str]]:
        chosen = Boxes(boxes.events.select(np.arange(len(boxes))[part]), boxes.confidence[part])
        values = zip(chosen.events.rows(), chosen.confidence.tolist())
        for (clip, onset, offset, label), confidence in values:
            times = format_seconds(onset), format_seconds(offset)
            yield str(filenames[clip]), *times, labels[label], _format(confidence)

    write_rows(path, COLUMNS, map(rows, slices(len(boxes))))


def _format(confidence: float) -> str:
    """Return a confidence as text, without trailing zeros."""
    return f"{confidence:.{DECIMALS}f}".rstrip("0").rstrip(".")


def read(path: PathLike, filenames: npt.NDArray[np.str_], labels: Sequence[str]) -> Boxes:
    """Read the boxes of some clips from a boxes.tsv. Boxes of other clips are left out.

    Parameters
    ----------
    path : path-like
    filenames : (N,) str
        The clips. A clip is also found by another spelling of its name (see `find_clips`).
    labels : sequence of str
        The K classes.

    Raises
    ------
    InputError
        If the file is missing or can't be read, or if a row is invalid. The message lists the first
        faults.
    """
    table, index = TableFile(path), {label: k for k, label in enumerate(labels)}
    names: list[str] = []
    columns: list[list[npt.NDArray[np.generic]]] = [[], [], [], []]
    for lines, (clips, onsets, offsets, texts, confidences) in table.rows(COLUMNS):
        onset, offset = parse_seconds(onsets), parse_seconds(offsets)
        label = np.array([index.get(normal(text), -1) for text in texts])
        # The rules for numbers of seconds are also those for confidences.
        confidence = _parse(confidences)
        wrong = np.isnan(onset) | ~(offset > onset) | (label < 0) | ~(confidence <= 1)
        for i in np.flatnonzero(wrong).tolist():
            line = int(lines[i])
            if np.isnan(onset[i]):
                table.error(line, no_seconds("onset", onsets[i]))
            elif np.isnan(offset[i]):
                table.error(line, no_seconds("offset", offsets[i]))
            elif label[i] < 0:
                table.error(line, f"unknown class {texts[i]!r}; {suggest(texts[i], labels)}")
            elif not confidence[i] <= 1:
                table.error(
                    line, f"confidence is {confidences[i]!r}; expected a number from 0 to 1"
                )
            else:
                table.error(line, f"the box from {onsets[i]} s to {offsets[i]} s has no length")
        names += clips
        for column, values in zip(columns, (onset, offset, label, confidence)):
            column.append(values)
    table.raise_errors("decode the scores again")
    if not names:
        return Boxes(Events.from_rows([]), np.zeros(0))
    unique, inverse = np.unique(np.array(names), return_inverse=True)
    place = np.full(len(unique), -1)
    found = find_clips(unique, filenames)
    place[found[found >= 0]] = np.flatnonzero(found >= 0)
    clip = place[inverse]
    onset, offset, label, confidence = (np.concatenate(column) for column in columns)
    kept = clip >= 0
    return Boxes.from_columns(clip[kept], onset[kept], offset[kept], label[kept], confidence[kept])


def _parse(confidences: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return numbers (B,) from 0 to 1. NaN if a text is not such a number."""
    values = np.full(len(confidences), np.nan)
    for i, text in enumerate(confidences):
        try:
            values[i] = float(text)
        except ValueError:
            continue
    found: npt.NDArray[np.float64] = np.where((values >= 0) & (values <= 1), values, np.nan)
    return found
