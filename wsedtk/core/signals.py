"""The signals that ask a command to stop. A user or a cluster's scheduler sends them."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@contextlib.contextmanager
def handled(
    handler: Callable[[int, FrameType | None], object] | signal.Handlers,
) -> Iterator[None]:
    """Call `handler(number, frame)` for the signals of `STOPPING` within the block.

    Ignored signals stay ignored: a shell ignores SIGINT for background jobs, and nohup ignores
    SIGHUP. In a thread other than the main one, nothing changes, because Python handles signals
    only in the main thread.
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
    """Yield a list to which the names of arriving signals are appended.

    The signals do not interrupt the block, so that it can stop at a point that can be resumed.
    """
    names: list[str] = []
    with handled(lambda number, frame: names.append(signal.Signals(number).name)):
        yield names
