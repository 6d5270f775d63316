"""Progress on stderr: a bar on a terminal, a few plain lines in a batch log."""

import sys
import time

from tqdm import tqdm

PLAIN_LINES = 5  # lines that a loop prints where there is no terminal


def progress(iterable, description, total=None):
    """Iterate over `iterable`, showing how far it is. `total` defaults to its length."""
    total = len(iterable) if total is None else total
    if sys.stderr.isatty():
        yield from tqdm(iterable, desc=description, total=total, leave=False)
        return
    started, shown = time.monotonic(), 0
    for done, item in enumerate(iterable, 1):
        yield item
        if done * PLAIN_LINES // max(total, 1) > shown or done == total:
            shown = done * PLAIN_LINES // max(total, 1)
            say(f"{description}: {done} of {total}, {time.monotonic() - started:.1f} s")


def say(message):
    """Print one line on stderr, above a bar where there is one."""
    tqdm.write(message, file=sys.stderr)
    sys.stderr.flush()
