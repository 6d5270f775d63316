"""Handle the signals that ask a command to stop. A user or a scheduler sends them."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

# Returns a context manager that yields a list of the names of the signals that have arrived.
StopSignals = Callable[[], contextlib.AbstractContextManager[Sequence[str]]]


@contextlib.contextmanager
def handled(
    handler: Callable[[int, FrameType | None], object] | signal.Handlers,
) -> Iterator[None]:
    """Call `handler(number, frame)` for the signals of `STOPPING` within the block.

    Signals that are already ignored stay ignored. For example, a shell ignores SIGINT in background
    jobs, and nohup ignores SIGHUP. In a thread other than the main thread, the handlers are not
    changed, because Python handles signals only in the main thread.
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
    """Yield a list. The name of each signal that arrives is appended to it.

    Signals do not interrupt the block. The block can stop at a point from which it can be resumed.
    """
    names: list[str] = []
    with handled(lambda number, frame: names.append(signal.Signals(number).name)):
        yield names


@contextlib.contextmanager
def unhandled() -> Iterator[Sequence[str]]:
    """Yield an empty list. No signal is handled."""
    yield ()
