"""Find the events of one recording, and write its scores, pictures and entry in the ledger."""

import contextlib
import dataclasses
import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from wsedtk.core.atomic import writing
from wsedtk.core.errors import InputError
from wsedtk.core.types import Floats
from wsedtk.data import event_ledger, score_tables
from wsedtk.data.events import Event
from wsedtk.data.tables import unfit
from wsedtk.inference.event_finding import EventFinder
from wsedtk.inference.sliding_windows import Detector, Piece, Source

_LOG = logging.getLogger(__name__)

# After one of these errors, no other file can be written to the same file system either.
_NO_FILE_AT_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Failed(Exception):
    """A recording can't be used, or its output can't be written. The message gives the reason."""


class Drawing(Protocol):
    """A picture of one recording that is drawn while its scores are computed."""

    def add(self, scores: Floats, features: Floats, /) -> None:
        """Add frame scores, and the features of the same frames. See `RecordingPicture`."""

    def write(self, seconds: float, events: Sequence[Event], /) -> None:
        """Write the picture. The recording has this duration and these events."""


class Drawings(Protocol):
    """A folder of pictures of recordings."""

    def begin(self, name: str, /) -> contextlib.AbstractContextManager[Drawing]:
        """Return a context that yields the drawing of the recording with this name."""

    def files(self, name: str, seconds: float, /) -> Iterable[Path]:
        """Return the files that `Drawing.write` writes for a recording."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of the analysis of one recording, or of one of its channels.

    Attributes
    ----------
    events : tuple of Event
        The events, ordered by onset.
    seconds : float
        The duration of the recording in seconds. 0 if the recording failed.
    remarks : tuple of str
        The faults of the recording, which can still be used.
    failure : str or None
        The reason why the recording failed. None if it did not fail.
    """

    events: tuple[Event, ...] = ()
    seconds: float = 0.0
    remarks: tuple[str, ...] = ()
    failure: str | None = None


@contextlib.contextmanager
def of_one_recording() -> Iterator[None]:
    """Convert an InputError in the block to Failed, so that only the current recording fails.

    The InputError is not converted if the error number of its cause is in `_NO_FILE_AT_ALL`.
    """
    try:
        yield
    except InputError as error:
        if getattr(error.__cause__, "errno", None) in _NO_FILE_AT_ALL:
            raise
        raise Failed(str(error)) from None


def _readable(pieces: Iterable[Piece]) -> Iterator[Piece]:
    try:
        yield from pieces
    except InputError as error:
        raise Failed(str(error)) from None


@dataclasses.dataclass(frozen=True)
class RecordingDetection:
    """A model, and the settings and outputs that apply to every recording.

    Attributes
    ----------
    detector : Detector
        The model that computes score curves.
    finder : EventFinder
        The thresholds and filters.
    scores : Path or None
        The folder of the score tables.
    drawings : sequence of Drawings
        The folders of pictures.
    ledger : Path or None
        The ledger to which finished recordings are appended.
    """

    detector: Detector
    finder: EventFinder
    scores: Path | None = None
    drawings: Sequence[Drawings] = ()
    ledger: Path | None = None

    def outcome(
        self,
        source: Source,
        pieces: Iterable[Piece],
        key: event_ledger.Key,
        show: Callable[[float], None],
    ) -> Outcome:
        """Find the events of a source, and write its tables, pictures and entry in the ledger.

        Parameters
        ----------
        source : Source
        pieces : iterable of Piece
            The score curve of the source.
        key : Key
            The key of the source in the ledger, from before the source was read.
        show : callable
            Called repeatedly with the number of seconds of the source that have been processed.

        Raises
        ------
        InputError
            If no file can be written to the file system of an output.
        """
        try:
            events, seconds = self._find(source, pieces, show)
        except Failed as error:
            return Outcome(failure=str(error))
        if self.ledger is not None:
            event_ledger.append(self.ledger, key, event_ledger.Entry(events, seconds))
        return Outcome(events, seconds, tuple(source.remarks))

    def _find(
        self, source: Source, pieces: Iterable[Piece], show: Callable[[float], None]
    ) -> tuple[tuple[Event, ...], float]:
        with contextlib.ExitStack() as stack:
            table = stack.enter_context(self._table(source))
            drawings = [stack.enter_context(one.begin(source.name)) for one in self.drawings]

            def watch(piece: Piece, scores: Floats) -> None:
                if table is not None:
                    table.append(scores)
                for drawing in drawings:
                    drawing.add(scores, piece.features)
                show(piece.seconds)

            found, seconds = self.finder.find(_readable(pieces), watch)
            if table is not None:
                table.finish(seconds)
            with of_one_recording():
                for drawing in drawings:
                    drawing.write(seconds, found)
        return tuple(found), seconds

    @contextlib.contextmanager
    def _table(self, source: Source) -> Iterator[score_tables.TableWriter | None]:
        """Yield the writer of the score table of a recording, or None if no table is written."""
        path = self._table_path(source.name)
        if path is None:
            if self.scores is not None:
                _LOG.warning(
                    f"detect: no table of scores is written for {source.name!r}, because its name "
                    "contains a tab or a line end; rename the recording"
                )
            yield None
            return
        with of_one_recording(), writing(path) as temporary:
            with open(temporary, "x", encoding="utf-8", newline="") as file:
                yield score_tables.TableWriter(
                    file, self.finder.labels, self.detector.seconds_per_frame
                )

    def _table_path(self, name: str) -> Path | None:
        """Return the score table of a recording. None if no table is written."""
        if self.scores is None or unfit([name]) is not None:
            return None
        return self.scores / f"{name}.tsv"

    def has_files(self, name: str, seconds: float) -> bool:
        """Return whether the score table and the pictures of a recording exist."""
        table = self._table_path(name)
        files = [] if table is None else [table]
        for one in self.drawings:
            files += one.files(name, seconds)
        return all(file.exists() for file in files)
