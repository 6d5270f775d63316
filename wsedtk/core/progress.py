"""Progress on stderr: a bar on a terminal, a few plain lines in a batch log. --quiet and --verbose tell less and more.

A library function logs its progress instead, unless a command line called it: see `logged`.
"""

import contextlib
import logging
import re
import sys
import time
from collections.abc import Iterator

from tqdm import tqdm

PLAIN_LINES = 5  # at most so many lines a loop where there is no terminal,
QUIET_SECONDS = 5.0  # and none sooner than this after the one before
_ALWAYS = ("warning: ", "wsedtk: ")  # how lines begin that --quiet lets through: warnings, errors
_how = None  # None, "quiet", "verbose" or "logged"
_in_command = False
_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def telling(how):
    """Tell less ("quiet") or more ("verbose") within the block, which runs a command; None: as ever."""
    global _how, _in_command
    before = _how, _in_command
    _how, _in_command = how, True
    try:
        yield
    finally:
        _how, _in_command = before


@contextlib.contextmanager
def logged() -> Iterator[None]:
    """Log messages and progress within the block instead of printing them, unless a command runs."""
    global _how
    if _in_command:
        yield
        return
    before, _how = _how, "logged"
    try:
        yield
    finally:
        _how = before


def progress(iterable, description, total=None):
    """Iterate over `iterable`, showing how far it is. `total` defaults to its length."""
    if _how == "quiet":
        yield from iterable
        return
    total = len(iterable) if total is None else total
    if sys.stderr.isatty() and _how != "logged":
        yield from tqdm(iterable, desc=description, total=total, leave=False)
        return
    started = told = time.monotonic()
    shown = 0
    for done, item in enumerate(iterable, 1):
        yield item
        now = time.monotonic()
        if done * PLAIN_LINES // max(total, 1) > shown and now - told >= QUIET_SECONDS:
            shown, told = done * PLAIN_LINES // max(total, 1), now
            say(f"{description}: {done} of {total}, {now - started:.0f} s")


def printable(text):
    """Text whose control characters, which a terminal obeys, are spelt out as in \\x1b; line ends and tabs stay."""
    return re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: repr(found.group())[1:-1], str(text)
    )


def say(message):
    """Print one line on stderr, above a bar where there is one. When --quiet, only if it begins with `warning: `.

    Within `logged` the line is logged instead.
    """
    if _how == "logged":
        _log(printable(message))
        return
    if _how == "quiet" and not str(message).startswith(_ALWAYS):
        return
    tqdm.write(printable(message), file=sys.stderr)
    sys.stderr.flush()


def _log(message: str) -> None:
    """Log a line at the level that its beginning tells."""
    for prefix, level in (("warning: ", logging.WARNING), ("wsedtk: ", logging.ERROR)):
        if message.startswith(prefix):
            _LOGGER.log(level, "%s", message.removeprefix(prefix))
            return
    _LOGGER.info("%s", message)


def warning(message: str) -> None:
    """Print one line on stderr that begins with `warning: `."""
    say(f"warning: {message}")


def detail(message):
    """Print one line on stderr when --verbose. Within `logged` it is logged at the level DEBUG."""
    if _how == "logged":
        _LOGGER.debug("%s", printable(message))
    elif _how == "verbose":
        say(message)


def clock(seconds):
    """Seconds as 1:02:03."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


@contextlib.contextmanager
def progress_in_time(description, total_seconds):
    """Yield `tell(seconds)`, which shows how much audio is done, of how much (None: not known), and how much faster than it would play."""
    started = told = time.monotonic()
    shown = 0
    end = "" if total_seconds is None else f" of {clock(total_seconds)}"

    def text(seconds):
        return f"{clock(seconds)}{end}, x {seconds / max(time.monotonic() - started, 1e-3):.0f} real time"

    if sys.stderr.isatty() and _how not in ("quiet", "logged"):
        form = (
            "{desc}: {postfix}"
            if total_seconds is None
            else "{desc}: {percentage:3.0f}%|{bar}| {postfix}"
        )
        with tqdm(total=total_seconds, desc=description, leave=False, bar_format=form) as bar:

            def tell(seconds):
                bar.n = seconds if total_seconds is None else min(seconds, total_seconds)
                bar.set_postfix_str(text(seconds), refresh=False)
                bar.update(0)

            yield tell
        return

    def tell(seconds):
        nonlocal shown, told
        now = time.monotonic()
        part = int(seconds * PLAIN_LINES / total_seconds) if total_seconds else shown + 1
        if part > shown and now - told >= QUIET_SECONDS:
            shown, told = part, now
            say(f"{description}: {text(seconds)}")

    yield tell
