"""Draw long recordings on pages of one minute each, in constant memory.

In shapes, T is the number of frames, F the number of mel bins, and K the number of classes. R is
the number of feature frames in each output frame of the network.
"""

import contextlib
import datetime
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from wsedtk.audio.mel import mel_edges
from wsedtk.core.atomic import explained, writing
from wsedtk.core.processes import check_stop
from wsedtk.core.types import Floats
from wsedtk.data import recorder_names
from wsedtk.data.events import Event
from wsedtk.report.recording_picture import DrawingFolder

PAGE_SECONDS = 60


class PageFolder(DrawingFolder):
    """A folder with a subfolder of pages for each recording."""

    @contextlib.contextmanager
    def begin(self, name: str) -> Iterator["RecordingPages"]:
        """Yield the pages of the recording with this name.

        Scores and features are kept in temporary files without names in the folder.
        """
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            curve = tempfile.TemporaryFile(dir=self.folder)
            features = tempfile.TemporaryFile(dir=self.folder)
        with curve, features:
            yield RecordingPages(self, name, curve, features)

    def files(self, name: str, seconds: float) -> list[Path]:
        """Return the files of the pages of a recording, such as 01-59-00.png for minute 119."""
        return [
            self.folder / name / f"{minute // 60:02d}-{minute % 60:02d}-00.png"
            for minute in range(max(1, math.ceil(seconds / PAGE_SECONDS)))
        ]


class RecordingPages:
    """The pages of one recording.

    Parameters
    ----------
    about : PageFolder
        The folder, the model and the classes.
    name : str
        The name of the recording.
    curve, features : binary files
        Empty files in which the scores and the features are kept.
    """

    def __init__(self, about: PageFolder, name: str, curve: BinaryIO, features: BinaryIO) -> None:
        self._about, self._name = about, name
        self._curve, self._features = curve, features
        self._num_bins = 0

    def add(self, scores: Floats, features: Floats) -> None:
        """Add frame scores (T, K), and the log-mel features (T * R, F) of the same frames."""
        self._num_bins = features.shape[1]
        with explained(self._about.folder):
            self._curve.write(np.asarray(scores, np.float16).tobytes())
            self._features.write(np.asarray(features, np.float16).tobytes())

    def write(self, seconds: float, events: Sequence[Event]) -> None:
        """Write the pages to PNG files.

        Parameters
        ----------
        seconds : float
            The duration of the recording in seconds.
        events : sequence of Event

        Raises
        ------
        InputError
            If a file can't be written.
        """
        start_time = recorder_names.start_time(self._name)
        files = self._about.files(self._name, seconds)
        for number, path in enumerate(files):
            check_stop()
            start = number * PAGE_SECONDS
            title = self._name
            if start_time is not None:
                title += f", {start_time + datetime.timedelta(seconds=start)}"
            of_page = [
                event
                for event in events
                if event.offset > start and event.onset < start + PAGE_SECONDS
            ]
            content = self._page(title, start, min(seconds - start, PAGE_SECONDS), of_page)
            with writing(path) as temporary:
                temporary.write_bytes(content)

    def _page(self, title: str, start: float, seconds: float, events: Sequence[Event]) -> bytes:
        """Return one page as PNG."""
        from wsedtk.report import plots  # slow to import

        detector, labels = self._about.detector, list(self._about.labels)
        curve, curve_start = _rows(self._curve, len(labels), detector.seconds_per_frame, start)
        features, features_start = _rows(
            self._features, self._num_bins, detector.seconds_per_feature, start
        )
        track = plots.Track(
            "",
            curve,
            detector.seconds_per_frame,
            self._about.thresholds,
            [(one.onset, one.offset, labels.index(one.label)) for one in events],
            start=curve_start,
        )
        spectrogram = plots.Spectrogram(
            features,
            detector.seconds_per_feature,
            mel_edges(detector.frontend.config),
            features_start,
        )
        figure = plots.timelines(
            title, seconds, labels, [track], spectrogram=spectrogram, start=start
        )
        return plots.png(figure)


def _rows(file: BinaryIO, width: int, seconds_per_row: float, start: float) -> tuple[Floats, float]:
    """Read the rows of a file that belong to a page, and return them with the time of the first.

    The rows (T, width) are float16 in the file. `start` is the start of the page in seconds. The
    last rows of a recording are returned for a page after their end.
    """
    row_bytes = 2 * width
    num_rows = file.seek(0, 2) // row_bytes
    first = min(int(start / seconds_per_row), max(0, num_rows - 1))
    last = min(math.ceil((start + PAGE_SECONDS) / seconds_per_row), num_rows)
    file.seek(first * row_bytes)
    rows = np.frombuffer(file.read((last - first) * row_bytes), np.float16)
    return rows.reshape(-1, width).astype(np.float32), first * seconds_per_row
