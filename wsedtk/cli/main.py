"""Run the command line. Slow imports are inside the commands, so that `wsedtk --help` is fast."""

import contextlib
import errno
import os
import signal
import sys
from types import FrameType

from wsedtk.cli import building, corpora, models, results, systems  # noqa: F401  # add commands
from wsedtk.cli.common import cli, print_stopped
from wsedtk.core import allocator, console, cores, signals
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.core.process_rank import rank_and_size


def _stop(number: int, frame: FrameType | None) -> None:
    """End the command with an exception, so that its cleanup code runs.

    This code ends child processes and removes temporary files. Further signals are ignored.
    """
    for other in signals.STOPPING:
        signal.signal(other, signal.SIG_IGN)
    print_stopped(number)
    sys.exit(75)


def _print_error(error: object) -> None:
    from wsedtk.core.progress import printable

    if str(error):  # the text is empty if another process has printed the error
        print(f"wsedtk: {printable(error)}", file=sys.stderr)


def main() -> None:
    """Run the command line.

    The exit status is 0 after success, 1 after an error, 2 if the arguments are wrong, and 75 if
    the command is not finished (NotFinished, or stopped by a signal).
    """
    try:
        _run()
    except SystemExit as end:
        if rank_and_size()[1] > 1 and isinstance(end.code, int | None):
            _leave(end.code or 0)
        raise


def _leave(status: int) -> None:
    """End this process immediately. torchrun has started it and other processes.

    The threads of torch.distributed may still be releasing tensors. These threads would abort the
    process if the interpreter shut down normally.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)


def _run() -> None:
    console.prepare()
    cores.configure_openmp()
    allocator.claim_process()
    try:
        with signals.handled(_stop):
            try:
                cli(prog_name="wsedtk")
            finally:
                sys.stdout.flush()
    except InputError as error:
        _print_error(error)
        sys.exit(1)
    except NotFinished as error:
        _print_error(error)
        sys.exit(75)
    except OSError as error:
        if error.filename is not None:
            _print_error(f"{os.fsdecode(error.filename)}: {error.strerror}")
            sys.exit(1)
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        # Python flushes standard output again when it ends. With /dev/null, this cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if (
            error.errno != errno.EPIPE
        ):  # EPIPE is no fault: the reader, such as `head`, has read enough
            _print_error(f"standard output can't be written: {error.strerror}")
        sys.exit(1)
