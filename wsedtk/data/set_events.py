"""Read the events of a data directory or a decoded folder (see `datadir`).

Each event is checked against the clips and the tags of the set.

Sizes: N clips, M tags, E events, B rows of a block.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsedtk.core.types import Booleans, Integers
from wsedtk.core.wording import counted
from wsedtk.data.events import Events
from wsedtk.data.set_tables import COLUMNS, Clips, RowNames, Tags, rows_without_any
from wsedtk.data.table_files import TableFile, ends_before_start
from wsedtk.data.tables import find, first, is_nothing, no_seconds, parse_seconds, repeats

# A warning is added for each event that ends more than _LATE_SECONDS after the end of its clip.
_LATE_SECONDS = 0.1


class _Block(NamedTuple):
    """A block of rows of an events.tsv, as columns (B,).

    Clips and classes are indices, or -1 if they are unknown. Times are in seconds. `lines` contains
    the line numbers.
    """

    clip: Integers
    onset: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    label: Integers
    lines: Integers

    def select(self, keep: Booleans) -> "_Block":
        """Return the rows that a boolean mask (B,) selects."""
        return _Block(
            self.clip[keep], self.onset[keep], self.offset[keep], self.label[keep], self.lines[keep]
        )


_NO_ROWS = _Block(
    clip=np.array([], np.int64),
    onset=np.array([], float),
    offset=np.array([], float),
    label=np.array([], np.int64),
    lines=np.array([], np.int64),
)


def read_events(table: TableFile, clips: Clips, labels: list[str], tags: Tags) -> Events:
    """Read an events.tsv. An event that occurs twice is returned once.

    Parameters
    ----------
    table : TableFile
        The table. Errors and warnings about its events are added to its faults. An event with an
        error is left out.
    clips : Clips
    labels : list of str
    tags : Tags
    """
    row_names = RowNames(table, "event", clips.filenames, labels)
    tag_keys = tags.clip * len(labels) + tags.label
    blocks = [_NO_ROWS]
    for lines, (names, onsets, offsets, texts) in table.rows(COLUMNS["events.tsv"], alone=True):
        onset, offset = parse_seconds(onsets), parse_seconds(offsets)
        without_any = rows_without_any(is_nothing, texts, onsets, offsets)
        for i in np.flatnonzero((np.isnan(onset) | np.isnan(offset)) & ~without_any).tolist():
            if np.isnan(onset[i]):
                table.error(int(lines[i]), no_seconds("onset", onsets[i]))
            if np.isnan(offset[i]):
                table.error(int(lines[i]), no_seconds("offset", offsets[i]))
        clip, label = row_names.places(lines, names, texts, without_any)
        known = (clip >= 0) & (label >= 0) & ~np.isnan(onset) & ~np.isnan(offset)
        block = _Block(clip, onset, offset, label, lines).select(known)
        is_tagged = find(tag_keys, block.clip * len(labels) + block.label) >= 0
        _check_rows(table, block, clips, labels, is_tagged)
        blocks.append(block.select(block.offset >= block.onset))
    rows = _Block(*(np.concatenate(column) for column in zip(*blocks)))
    is_repeat = repeats(*rows[:4])
    for i in np.flatnonzero(is_repeat).tolist():
        name, label_name = str(clips.filenames[rows.clip[i]]), labels[rows.label[i]]
        message = f"an event of {label_name!r} in {name!r} occurs twice and counts once"
        table.warn_of_repeat(int(rows.lines[i]), message)
    rows = rows.select(~is_repeat)
    table.sort_faults()
    events = Events.from_columns(*rows[:4])
    _warn_of_overlaps(table, rows, clips, labels)
    _warn_of_tags_without_events(table, tags, events, clips, labels)
    return events


def _check_rows(
    table: TableFile, block: _Block, clips: Clips, labels: Sequence[str], is_tagged: Booleans
) -> None:
    """Check rows, and add their faults to the table.

    The clips and classes of the rows are known, and their times are numbers. `is_tagged` (B,) is
    true for an event if its clip has a tag of the same class.
    """
    is_late = block.offset > clips.durations[block.clip] + _LATE_SECONDS
    is_odd = (block.offset <= block.onset) | is_late | ~is_tagged
    for i in np.flatnonzero(is_odd).tolist():
        line, start, end = int(block.lines[i]), block.onset[i], block.offset[i]
        if end < start:
            table.error(line, ends_before_start(start, end))
            continue
        if end == start:
            table.warn(
                line,
                f"the event at {start:g} s has length zero; event and segment metrics ignore it",
            )
        if is_late[i]:
            duration = clips.durations[block.clip[i]]
            table.warn(line, f"the event ends at {end:g} s, but the clip ends at {duration:g} s")
        if not is_tagged[i]:
            name, label = str(clips.filenames[block.clip[i]]), labels[block.label[i]]
            table.warn(line, f"the class of the event, {label!r}, is not a tag of {name!r}")


def _warn_of_overlaps(table: TableFile, rows: _Block, clips: Clips, labels: Sequence[str]) -> None:
    """Warn of events that overlap an earlier event of the same clip and class."""
    found = [
        f"{str(clips.filenames[clip])!r} at {onset:g} s (line {line}): {labels[label]!r}"
        for clip, onset, label, line in _overlapping(rows)
    ]
    if found:
        overlap = counted(len(found), "event overlaps", "events overlap")
        table.warn(None, f"{overlap} an earlier event of the same class: {first(found)}")


def _overlapping(rows: _Block) -> Iterator[tuple[int, float, int, int]]:
    """Yield (clip, onset, class, line) of each event that overlaps an earlier event.

    Only events of the same clip and class are compared.
    """
    ends: dict[tuple[int, int], float] = {}
    order = np.lexsort((rows.offset, rows.label, rows.onset, rows.clip))  # sorted as in `Events`
    for clip, onset, offset, label, line in zip(*(column[order].tolist() for column in rows)):
        if onset < ends.get((clip, label), 0):
            yield clip, onset, label, line
        ends[clip, label] = max(offset, ends.get((clip, label), 0))


def _warn_of_tags_without_events(
    table: TableFile, tags: Tags, events: Events, clips: Clips, labels: Sequence[str]
) -> None:
    found = [
        f"{str(clips.filenames[clip])!r}: {labels[label]!r}"
        for clip, label in tags_without_events(tags.clip, tags.label, events)
    ]
    if found:
        have = counted(len(found), "tag has", "tags have")
        table.warn(None, f"{have} no event of the same class: {first(found)}")


def tags_without_events(
    tag_clip: Integers, tag_label: Integers, events: Events
) -> list[tuple[int, int]]:
    """Return (clip, class) of each tag whose clip has no event of the class of the tag.

    `tag_clip` and `tag_label` have the shape (M,). The result is in the order of the tags.
    """
    width = max(tag_label.max(initial=0), events.label.max(initial=0)) + 1
    without = ~np.isin(tag_clip * width + tag_label, events.clip * width + events.label)
    return list(zip(tag_clip[without].tolist(), tag_label[without].tolist()))
