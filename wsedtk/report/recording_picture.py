"""Draw pictures of the scores and events of recordings, one for each, in constant memory.

In shapes, C is the number of columns, T the number of frames, F the number of mel bins, and K the
number of classes. R is the number of feature frames in each output frame of the network.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wsedtk.audio.mel import mel_edges
from wsedtk.core.atomic import writing
from wsedtk.core.types import Floats
from wsedtk.data.events import Event
from wsedtk.inference.sliding_windows import Detector

# The picture of a long recording has at least this number of columns, and at most twice as many.
MOST_COLUMNS = 1500


class Overview:
    """The columns of a picture.

    Each column contains the maxima of `span` frames. The last column can contain the maxima of
    fewer frames.
    """

    def __init__(self) -> None:
        self.span = 1  # frames per column
        self._columns: Floats | None = None
        self._rest: Floats | None = None

    def add(self, values: Floats) -> None:
        """Add the values (T, F) or (T, K) of the next frames."""
        columns = values[:0] if self._columns is None else self._columns
        rest = values if self._rest is None else np.concatenate([self._rest, values])
        while len(rest) >= self.span:
            count = min(2 * MOST_COLUMNS - len(columns), len(rest) // self.span)
            new = rest[: count * self.span].reshape(count, self.span, -1).max(axis=1)
            columns, rest = np.concatenate([columns, new]), rest[count * self.span :]
            if len(columns) == 2 * MOST_COLUMNS:
                columns = columns.reshape(MOST_COLUMNS, 2, -1).max(axis=1)
                self.span *= 2
        self._columns, self._rest = columns, rest

    def values(self) -> Floats:
        """Return the columns (C, F) or (C, K).

        Raises
        ------
        ValueError
            If no frames were added.
        """
        if self._columns is None or self._rest is None:
            raise ValueError("there are no columns, because no frames were added")
        if not len(self._rest):
            return self._columns
        return np.concatenate([self._columns, self._rest.max(axis=0, keepdims=True)])


@dataclasses.dataclass(frozen=True)
class DrawingFolder:
    """A folder of pictures of recordings, and what the pictures show.

    Attributes
    ----------
    folder : Path
    detector : Detector
        The model that computes the scores.
    labels : sequence of str
        The K classes to show.
    thresholds : (K,) float
        The frame thresholds of these classes.
    """

    folder: Path
    detector: Detector
    labels: Sequence[str]
    thresholds: Floats


class PictureFolder(DrawingFolder):
    """A folder with one picture for each recording."""

    @contextlib.contextmanager
    def begin(self, name: str) -> Iterator["RecordingPicture"]:
        """Yield the picture of the recording with this name."""
        yield RecordingPicture(self, name)

    def files(self, name: str, seconds: float) -> list[Path]:
        """Return the file of the picture of a recording."""
        return [self.folder / f"{name}.png"]


class RecordingPicture:
    """A picture of the frame scores, the events and the spectrogram of one recording.

    Parameters
    ----------
    about : PictureFolder
        The folder, the model and the classes.
    name : str
        The name of the recording.
    """

    def __init__(self, about: PictureFolder, name: str) -> None:
        self._about, self._name = about, name
        self._curve, self._spectrogram = Overview(), Overview()

    def add(self, scores: Floats, features: Floats) -> None:
        """Add frame scores (T, K), and the log-mel features (T * R, F) of the same frames."""
        self._curve.add(scores)
        self._spectrogram.add(features)

    def write(self, seconds: float, events: Iterable[Event]) -> None:
        """Write the picture to a PNG file.

        Parameters
        ----------
        seconds : float
            The duration of the recording in seconds.
        events : iterable of Event

        Raises
        ------
        InputError
            If the file can't be written.
        """
        from wsedtk.report import plots  # slow to import

        detector, labels = self._about.detector, list(self._about.labels)
        track = plots.Track(
            "",
            self._curve.values(),
            detector.seconds_per_frame * self._curve.span,
            self._about.thresholds,
            [(one.onset, one.offset, labels.index(one.label)) for one in events],
        )
        spectrogram = plots.Spectrogram(
            self._spectrogram.values(),
            detector.seconds_per_feature * self._spectrogram.span,
            mel_edges(detector.frontend.config),
        )
        figure = plots.timelines(self._name, seconds, labels, [track], spectrogram=spectrogram)
        content = plots.png(figure)
        (path,) = self._about.files(self._name, seconds)
        with writing(path) as temporary:
            temporary.write_bytes(content)
