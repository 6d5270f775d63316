"""Write the curves of a training run for TensorBoard, if TensorBoard is installed."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wsedtk.core.errors import InputError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_LOG = logging.getLogger(__name__)


_EVENTS = "events.out.tfevents.*"


def _writer_class() -> "type[SummaryWriter] | None":
    """Return torch's SummaryWriter, or None if TensorBoard is missing or broken."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except Exception:  # any exception is possible; missing curves must not end a training run
        return None
    return SummaryWriter


class Scalars:
    """A folder with the curves of a training run, for TensorBoard.

    If TensorBoard is missing or broken, nothing is written. A resumed run can repeat steps of the
    interrupted run. For these steps, TensorBoard shows only the points that the resumed run wrote.

    Parameters
    ----------
    folder : Path
        The folder. It is created when the first point is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: SummaryWriter | None = None
        self._is_open = False

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve.

        Parameters
        ----------
        step : int
            The number of batches since the start of the training run.
        values : mapping of str to float
            The values of the points, by the name of the curve.

        Raises
        ------
        InputError
            If the file can't be written.
        """
        try:
            with warnings.catch_warnings():  # libraries of TensorBoard issue warnings
                warnings.simplefilter("ignore")
                if not self._is_open:
                    self._is_open = True
                    self._open(step)
                if self._writer is not None:
                    for name, value in values.items():
                        self._writer.add_scalar(name, value, step)
                    self._writer.flush()
        except UnicodeEncodeError:  # only raised when the first point is written
            _LOG.warning(
                f"{self.folder}: no curves are written for TensorBoard, because this path is not "
                "UTF-8"
            )
        except OSError as error:
            raise InputError(
                f"{self.folder}: can't be written: {error.strerror or error}"
            ) from error

    def _open(self, step: int) -> None:
        kind = _writer_class()
        if kind is not None:
            self._writer = kind(str(self.folder), purge_step=step)

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


def remove(folder: Path) -> None:
    """Remove the event files in a folder. If this makes the folder empty, remove it too."""
    found = list(folder.glob(_EVENTS))
    for path in found:
        path.unlink(missing_ok=True)
    if found and not any(folder.iterdir()):
        folder.rmdir()
