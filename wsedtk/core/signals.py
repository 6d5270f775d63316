"""Handle the signals that ask a command to stop. A user or a scheduler sends them."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

# A function that returns a context manager. The context manager yields a sequence of the names of
# the signals that have arrived.
StopSignals = Callable[[], contextlib.AbstractContextManager[Sequence[str]]]


@contextlib.contextmanager
def handled(
    handler: Callable[[int, FrameType | None], object] | signal.Handlers,
) -> Iterator[None]:
    """Handle the signals of `STOPPING` within the block.

    Signals that are already ignored stay ignored. For example, a shell can start background jobs
    with SIGINT ignored, and nohup starts programs with SIGHUP ignored. In a thread other than the
    main thread, the handlers are not changed, because Python handles signals only in the main
    thread.

    Parameters
    ----------
    handler : callable or signal.Handlers
        A function that is called as `handler(number, frame)` when a signal arrives, or
        `signal.SIG_DFL`, the default action of the system.
    """
    before = {number: signal.getsignal(number) for number in STOPPING}
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [number for number, old in before.items() if is_main and old != signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


@contextlib.contextmanager
def noted() -> Iterator[list[str]]:
    """Yield a list to which the names of arriving signals are appended within the block.

    The signals are those of `STOPPING` that are not ignored (see `handled`). They do not interrupt
    the block. If the list is not empty, the block should stop at the next point from which its work
    can be resumed.
    """
    names: list[str] = []
    with handled(lambda number, frame: names.append(signal.Signals(number).name)):
        yield names


@contextlib.contextmanager
def unhandled() -> Iterator[Sequence[str]]:
    """Yield an empty sequence. No signal is handled."""
    yield ()
