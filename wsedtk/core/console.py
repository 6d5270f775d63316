"""Prepare the standard streams: stdin, stdout and stderr.

A standard stream can be closed, and its encoding can lack characters.
"""

import io
import json
import os
import re
import sys


def prepare() -> None:
    """Make standard output accept any character, and replace closed streams by the null device.

    Characters that standard output can't encode are written as escapes. Python already does this
    for standard error. Without the null device, the next file that is opened would get the file
    descriptor of the closed stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")
            setattr(sys, name, stream)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def json_text(text: str) -> str:
    """Return `text`, a JSON text, in a form that standard output can encode.

    If standard output can't encode `text`, JSON escapes replace all characters that are not ASCII.
    """
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        return text
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found.group())[1:-1], text)
