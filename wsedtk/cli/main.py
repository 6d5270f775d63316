"""The command line. Everything heavy is imported inside the commands, so that `wsedtk --help` answers at once."""

import contextlib
import errno
import os
import signal
import sys

from wsedtk.cli import corpora, results, systems  # noqa: F401  # they join the group
from wsedtk.cli.common import cli, tell_stopped
from wsedtk.core import console, signals
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.process_rank import rank_and_size


def _stop(number, frame):
    """End the command as an exception does: its processes end, and temporary files go. Other signals come too late to disturb that."""
    for other in signals.STOPPING:
        signal.signal(other, signal.SIG_IGN)
    tell_stopped(number)
    sys.exit(75)


def _tell(error):
    from wsedtk.core.progress import printable

    if str(error):  # else another process has said it
        print(f"wsedtk: {printable(error)}", file=sys.stderr)


def main():
    """Run the command line. Exit status: 0 done, 1 InputError, 2 usage, 75 NotFinished or stopped by a signal."""
    try:
        _run()
    except SystemExit as end:
        if rank_and_size()[1] > 1 and isinstance(end.code, int | None):
            _leave(end.code or 0)
        raise


def _leave(status):
    """End one of several processes of a training at once.

    The threads of torch.distributed may still free tensors. If the interpreter ends meanwhile, they
    abort the process.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)


def _run():
    console.prepare()
    try:
        with signals.handled(_stop):
            try:
                cli(prog_name="wsedtk")
            finally:
                sys.stdout.flush()
    except InputError as error:
        _tell(error)
        sys.exit(1)
    except NotFinished as error:
        _tell(error)
        sys.exit(75)
    except OSError as error:
        if error.filename is not None:
            _tell(f"{os.fsdecode(error.filename)}: {error.strerror}")
            sys.exit(1)
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # for what Python tries to write when it ends
        if error.errno != errno.EPIPE:  # of which the reader, `head` say, knows: it has seen enough
            _tell(f"standard output can't be written: {error.strerror}")
        sys.exit(1)
