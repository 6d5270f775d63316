"""The scalars of a training as TensorBoard shows them, where it is installed."""

import warnings
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say

_EVENTS = "events.out.tfevents.*"


def _writer_class():
    """torch's SummaryWriter; None where it can't be had: TensorBoard is not installed, or its installation is broken."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except Exception:  # of protobuf anything; no training ends for want of a picture of it
        return None
    return SummaryWriter


class Scalars:
    """Event files in a folder, begun at the first point; nothing where TensorBoard is not installed.

    What an earlier run, before it was lost, wrote of that step and later ones is then purged: the training that was gone on with
    is what the files show.
    """

    def __init__(self, folder):
        self.folder, self._writer, self._begun = Path(folder), None, False

    def write(self, step, values):
        """Add {name: number} at a step, for TensorBoard to see at once. Raises InputError where the disk refuses."""
        try:
            with (
                warnings.catch_warnings()
            ):  # of the libraries behind it: nobody can do anything about them here
                warnings.simplefilter("ignore")
                if not self._begun:
                    self._begun, kind = True, _writer_class()
                    self._writer = kind and kind(str(self.folder), purge_step=step)
                if self._writer is not None:
                    for name, value in values.items():
                        self._writer.add_scalar(name, value, step)
                    self._writer.flush()
        except UnicodeEncodeError:  # before the first point; no training ends for want of a picture
            say(f"warning: {self.folder}: gets no curves for TensorBoard: the path is not UTF-8")
        except OSError as error:
            raise InputError(
                f"{self.folder}: can't be written: {error.strerror or error}"
            ) from error

    def close(self):
        """End the file."""
        if self._writer is not None:
            self._writer.close()


def remove(folder):
    """Remove the event files of a folder, and the folder where nothing else is in it."""
    found = list(Path(folder).glob(_EVENTS))
    for path in found:
        path.unlink(missing_ok=True)
    if found and not any(Path(folder).iterdir()):
        Path(folder).rmdir()
