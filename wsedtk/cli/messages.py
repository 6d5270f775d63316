"""Print the messages that the library logs."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Literal

from tqdm import tqdm

from wsedtk.core import progress

_LEVELS = {"quiet": logging.WARNING, None: logging.INFO, "verbose": logging.DEBUG}


class StderrHandler(logging.Handler):
    """A handler that prints log records on stderr, above a tqdm bar if there is one.

    Control characters are escaped.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record. Warnings begin with "warning: ", errors with "wsedtk: "."""
        prefix = ""
        if record.levelno >= logging.ERROR:
            prefix = "wsedtk: "
        elif record.levelno >= logging.WARNING:
            prefix = "warning: "
        tqdm.write(progress.printable(prefix + self.format(record)), file=sys.stderr)
        sys.stderr.flush()


@contextlib.contextmanager
def printed(how: Literal["quiet", "verbose"] | None = None) -> Iterator[None]:
    """Print the messages of the library, and show its progress, within the block.

    Parameters
    ----------
    how : {"quiet", "verbose"}, optional
        "quiet" prints only warnings and errors, and shows no progress. "verbose" also prints
        details.
    """
    logger = logging.getLogger("wsedtk")
    level, propagates = logger.level, logger.propagate
    handler = StderrHandler()
    logger.addHandler(handler)
    logger.setLevel(_LEVELS[how])
    logger.propagate = False  # the root handler would print the messages again
    try:
        with contextlib.nullcontext() if how == "quiet" else progress.bars():
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
