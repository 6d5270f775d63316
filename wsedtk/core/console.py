"""Standard input, output and error, whatever their encoding, and where one of them is closed."""

import json
import os
import re
import sys


def prepare():
    """Let text of any characters be printed, and open the null device for a stream that is closed.

    What the encoding of standard output lacks is written with escapes, as Python does on standard
    error. Without a stream the next file that is opened would get its descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")
            setattr(sys, name, stream)
    sys.stdout.reconfigure(errors="backslashreplace")


def json_text(text):
    """Return JSON text as standard output can print it: with JSON's escapes where it has to be."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        return text
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found.group())[1:-1], text)
