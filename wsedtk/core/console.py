"""Standard input, output and error of any encoding, open or closed."""

import io
import json
import os
import re
import sys


def prepare() -> None:
    """Make standard output accept any character, and replace closed streams by the null device.

    Characters that the encoding of standard output lacks are written as escapes. Python does the
    same on standard error. If a stream stayed closed, the next file to be opened would get its
    descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")
            setattr(sys, name, stream)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def json_text(text: str) -> str:
    """Return JSON text with JSON escapes for characters that standard output can't encode."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        return text
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found.group())[1:-1], text)
