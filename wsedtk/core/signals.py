"""Signals that ask a command to stop: a person's, and what a cluster sends before it takes the machine away."""

import contextlib
import signal
import threading

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@contextlib.contextmanager
def handled(handler):
    """Have `handler(number, frame)` called for these signals within the block, but for those that are ignored.

    So a shell sets SIGINT for what it runs in the background, and nohup SIGHUP. In another thread than the main one nothing changes:
    Python handles signals there alone.
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
def noted():
    """Yield a list that the signals' names are noted in, for work that ends where it can go on, instead of ending the command."""
    names = []
    with handled(lambda number, frame: names.append(signal.Signals(number).name)):
        yield names
