"""Check and write the outputs of `detect`: event lists in one file or one file per recording."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wsedtk.core.atomic import hidden, locking, make_folder, remove_left_over, write_text, writing
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.wording import counted
from wsedtk.data.event_summary import EventSummary, Summarised
from wsedtk.data.folders import as_text
from wsedtk.data.formats import EventFormat, Recording
from wsedtk.inference import event_clips
from wsedtk.inference.event_clips import Found
from wsedtk.inference.recording_detection import Outcome, of_one_recording
from wsedtk.inference.sliding_windows import Source

_LOG = logging.getLogger(__name__)

Write = Callable[[str, str], None]
"""A function that writes the events of a recording: its name, and the events as text."""


@dataclasses.dataclass(frozen=True)
class EventOutputs:
    """The outputs of a run of `detect`.

    Attributes
    ----------
    form : EventFormat
        The format of the events.
    output : Path or None
        One file for the events of all recordings.
    output_dir : Path or None
        A folder with one file of events for each recording.
    scores, plot, pages, clips : Path or None
        The folders of score tables, pictures, pages and cut-outs.
    summary : Path or None
        The file of the summary.
    """

    form: EventFormat
    output: Path | None = None
    output_dir: Path | None = None
    scores: Path | None = None
    plot: Path | None = None
    pages: Path | None = None
    clips: Path | None = None
    summary: Path | None = None

    @property
    def ledger(self) -> Path | None:
        """The ledger of the finished recordings. None if events are only printed."""
        if self.output is not None:
            return hidden(self.output, "ledger")
        return None if self.output_dir is None else self.output_dir / ".detect.ledger"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the output within the block, so that only one process writes to it.

        Only an output file or folder can be locked.

        Raises
        ------
        InputError
            If another process has locked the output.
        """
        if self.output is not None:
            with locking(hidden(self.output, "lock"), self.output):
                yield
        elif self.output_dir is not None:
            with locking(self.output_dir / ".detect.lock"):
                yield
        else:
            yield

    @property
    def has_file_per_recording(self) -> bool:
        """Whether at least one output consists of one file for each recording."""
        return any(folder is not None for folder in self._folders())

    @property
    def needs_all_events(self) -> bool:
        """Whether an output is made from the events of all recordings."""
        return self.summary is not None or self.clips is not None

    def _folders(self) -> tuple[Path | None, ...]:
        return (self.output_dir, self.scores, self.plot, self.pages)

    def make_folders(self) -> None:
        """Create the folders of the outputs. Raise InputError if one of them is not writable."""
        for folder in (*self._folders(), self.clips):
            if folder is not None:
                make_folder(folder)

    def remove_left_over(self) -> None:
        """Remove the temporary files of processes that were killed in this or an earlier run.

        A process of an earlier run may have ended only after the start of this run.
        """
        for path in (self.output, self.summary, self.clips, *self._folders()):
            if path is not None:
                remove_left_over(path)

    def check(self, sources: Sequence[Source], audio: Sequence[PathLike]) -> None:
        """Check the outputs.

        Parameters
        ----------
        sources : sequence of Source
            The recordings.
        audio : sequence of path-like
            The files, folders and patterns that were searched for recordings.

        Raises
        ------
        InputError
            If outputs conflict, if the name of an output file is wrong, if the output file can't
            contain all events, if an output would replace a recording, or if a later run would
            take the cut-outs for recordings.
        """
        form, output, output_dir, scores = self.form, self.output, self.output_dir, self.scores
        if output is not None and output_dir is not None:
            raise InputError(
                "output (--output) is one file for all recordings, and output_dir (--output-dir) "
                "is a folder with one file for each recording; give only one of these options"
            )
        if output is not None and not str(output).endswith(form.suffix):
            raise InputError(
                f"output: found {str(output)!r}; expected a name that ends in {form.suffix}"
            )
        if output_dir is not None and scores is not None and _is_same(output_dir, scores):
            raise InputError(
                "scores (--scores) and output_dir (--output-dir): found the same folder; expected "
                "two folders, one for tables of scores and one for tables of events"
            )
        if self.summary is not None and self.summary.suffix != ".csv":
            raise InputError(
                f"summary: found {str(self.summary)!r}; expected a name that ends in .csv"
            )
        if self.summary is not None and output is not None and _is_same(self.summary, output):
            raise InputError(
                "summary (--summary) and output (--output): found the same file; expected two files"
            )
        if self.clips is not None:
            _check_clips(self.clips, audio)
        if output_dir is None and len(sources) > 1 and not form.holds_several:
            raise InputError(
                "format (--format): a file in this format can contain the events of only one "
                "recording; for several recordings or channels, choose a folder with output_dir "
                "(--output-dir)"
            )
        self._check_recordings_stay(sources)

    def _check_recordings_stay(self, sources: Sequence[Source]) -> None:
        """Raise InputError if an output would replace one of the recordings."""
        outputs = [file for file in (self.output, self.summary) if file is not None]
        suffixes = (self.form.suffix, ".tsv", ".png", "")
        for folder, suffix in zip(self._folders(), suffixes):
            if folder is not None:
                outputs += [folder / f"{one.name}{suffix}" for one in sources]
        # Before Python 3.13, `Path.resolve` raises an error for a link that points to itself.
        written = set(map(os.path.realpath, outputs))
        for one in sources if written else ():
            if os.path.realpath(one.path) in written:
                raise InputError(
                    f"{one.path}: is a recording, but an output would replace this file; choose "
                    "another output"
                )

    def text(self, source: Source, outcome: Outcome, max_hz: float) -> str:
        """Return the events of a source in the format of the output, without the header.

        `max_hz` is the highest frequency that the model analyses, in Hz.
        """
        channel = None if source.channel is None else source.channel + 1
        file_name = as_text(Path(source.path).name)
        recording = Recording(source.name, file_name, channel, max_hz, outcome.seconds)
        return self.form.text(recording, outcome.events)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Write]:
        """Yield a function that writes the events of a recording to the output file or folder.

        The function does nothing if there is no output file or folder. A file that already has the
        same content is not written again. The function raises `Failed` if only the file of this
        recording can't be written.
        """
        if self.output_dir is not None:
            folder = self.output_dir

            def write_one(name: str, text: str) -> None:
                path, content = folder / f"{name}{self.form.suffix}", self.form.header + text
                with of_one_recording():
                    if not _contains(path, content):
                        write_text(path, content)

            yield write_one
        elif self.output is not None:
            with (
                writing(self.output) as temporary,
                open(temporary, "w", encoding="utf-8", newline="") as file,
            ):
                file.write(self.form.header)

                def write(name: str, text: str) -> None:
                    file.write(text)
                    file.flush()

                yield write
        else:
            yield lambda name, text: None

    def write_at_end(
        self, found: Sequence[Found], *, margin: float, most: int | None, jobs: int
    ) -> None:
        """Write the outputs that depend on the events of all recordings: summary and cut-outs.

        See `event_clips.write` for the parameters. Recordings that can't be read again are logged
        as warnings.

        Raises
        ------
        InputError
            If a file can't be written.
        """
        if self.summary is not None:
            summary = EventSummary()
            for source, events, seconds in found:
                file_name = as_text(Path(source.path).name)
                summary.add(Summarised(source.name, file_name, seconds, events))
            write_text(self.summary, summary.to_csv())
            if names := summary.without_time:
                _LOG.warning(
                    f"{self.summary}: the hours and days lack {counted(len(names), 'recording')} "
                    f"whose names contain no start time, such as {names[0]!r}"
                )
        if self.clips is not None:
            for failure in event_clips.write(
                self.clips, found, margin=margin, most=most, jobs=jobs
            ):
                _LOG.warning(f"detect: no cut-outs of {failure}")


def _is_same(path: Path, other: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _is_in(path: PathLike, folder: PathLike) -> bool:
    """Return whether a path is a folder or in this folder."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _check_clips(clips: Path, audio: Sequence[PathLike]) -> None:
    """Raise InputError if the folder of the cut-outs is searched for recordings."""
    for folder in audio:
        if os.path.isdir(folder) and _is_in(clips, folder):
            raise InputError(
                f"clips (--clips): found {clips}, a folder in {folder}, where recordings are "
                "searched; expected a folder outside of it, because a later run would take the "
                "cut-outs for recordings"
            )


def _contains(path: Path, content: str) -> bool:
    """Return whether a file exists and has this content."""
    try:
        return path.read_bytes() == content.encode("utf-8", "backslashreplace")
    except OSError:
        return False
