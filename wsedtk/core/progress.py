"""Report the progress of loops in the log, or as a bar on the command line."""

import contextlib
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

PLAIN_LINES = 5  # maximum number of log lines for one loop whose length is known
QUIET_SECONDS = 5.0  # minimum time between two log lines of a loop
_LOG = logging.getLogger(__name__)
_shows_bars = False

Item = TypeVar("Item")


@contextlib.contextmanager
def bars() -> Iterator[None]:
    """Show progress as bars within the block if stderr is a terminal.

    If stderr is not a terminal, progress is logged. Outside the block, progress is always logged.
    The command line uses this function.
    """
    global _shows_bars
    before, _shows_bars = _shows_bars, True
    try:
        yield
    finally:
        _shows_bars = before


def progress(
    iterable: Iterable[Item], description: str, total: int | None = None
) -> Iterator[Item]:
    """Yield the items of an iterable. Log or show how many items are done.

    Parameters
    ----------
    iterable : iterable
        The items.
    description : str
        The name of the work, such as "reading the bank", for the log or the bar.
    total : int, optional
        The number of items. By default it is the length of `iterable`. Required if `iterable` has
        no length.

    Yields
    ------
    object
        The items.
    """
    if total is None:
        if not isinstance(iterable, Sized):
            raise TypeError("the iterable has no length; give `total`")
        total = len(iterable)
    if _shows_bars and sys.stderr.isatty():
        yield from tqdm(iterable, desc=description, total=total, leave=False)
        return
    started = last = time.monotonic()
    shown = 0
    for done, item in enumerate(iterable, 1):
        yield item
        now = time.monotonic()
        part = done * PLAIN_LINES // max(total, 1)
        if part > shown and now - last >= QUIET_SECONDS:
            shown, last = part, now
            _LOG.info(f"{description}: {done} of {total}, {now - started:.0f} s")


def printable(text: object) -> str:
    r"""Replace control characters by escapes such as \x1b. Line feeds and tabs are kept.

    Control characters can change the settings of a terminal.
    """
    return re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: repr(found.group())[1:-1], str(text)
    )


def clock(seconds: float) -> str:
    """Return a duration in seconds as hours, minutes and seconds, such as "1:02:03"."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


@contextlib.contextmanager
def progress_in_time(
    description: str, total_seconds: float | None
) -> Iterator[Callable[[float], None]]:
    """Log or show how much of a recording is processed, and the speed relative to real time.

    Parameters
    ----------
    description : str
        The name of the work, such as "detect", for the log or the bar.
    total_seconds : float or None
        The duration of the recording in seconds. None if the duration is unknown.

    Yields
    ------
    callable
        A function. The block calls it with the number of seconds of the recording that have been
        processed.
    """
    started = time.monotonic()
    end = "" if total_seconds is None else f" of {clock(total_seconds)}"

    def text(seconds: float) -> str:
        elapsed = max(time.monotonic() - started, 1e-3)
        return f"{clock(seconds)}{end}, {seconds / elapsed:.0f} x real time"

    if _shows_bars and sys.stderr.isatty():
        with _bar_in_time(description, total_seconds, text) as show:
            yield show
    else:
        yield _lines(description, total_seconds, text)


@contextlib.contextmanager
def _bar_in_time(
    description: str, total_seconds: float | None, text: Callable[[float], str]
) -> Iterator[Callable[[float], None]]:
    form = "{desc}: {percentage:3.0f}%|{bar}| {postfix}"
    if total_seconds is None:
        form = "{desc}: {postfix}"
    with tqdm(total=total_seconds, desc=description, leave=False, bar_format=form) as bar:

        def show(seconds: float) -> None:
            bar.n = seconds if total_seconds is None else min(seconds, total_seconds)
            bar.set_postfix_str(text(seconds), refresh=False)
            bar.update(0)

        yield show


@contextlib.contextmanager
def progress_in_bytes(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Log or show how much of a file is processed.

    Parameters
    ----------
    description : str
        The name of the work, such as "download yamnet.h5", for the log or the bar.
    total : int or None
        The size of the file in bytes. None if the size is unknown.

    Yields
    ------
    callable
        A function. The block calls it with the number of bytes that have been processed.
    """
    end = "" if total is None else f" of {total / 1e6:.1f}"
    if not (_shows_bars and sys.stderr.isatty()):
        yield _lines(description, total, lambda size: f"{size / 1e6:.1f}{end} MB")
        return
    with tqdm(desc=description, total=total, unit="B", unit_scale=True, leave=False) as bar:

        def show(size: int) -> None:
            bar.update(size - bar.n)

        yield show


def _lines(
    description: str, total: float | None, text: Callable[[float], str]
) -> Callable[[float], None]:
    """Return a function that logs the progress of some work, at most `PLAIN_LINES` times.

    The argument of the function is the amount of work that is done, in the unit of `total`. If
    `total` is None, the number of lines is not limited.
    """
    last = time.monotonic()
    shown = 0

    def show(done: float) -> None:
        nonlocal shown, last
        now = time.monotonic()
        part = int(done * PLAIN_LINES / total) if total else shown + 1
        if part > shown and now - last >= QUIET_SECONDS:
            shown, last = part, now
            _LOG.info(f"{description}: {text(done)}")

    return show
