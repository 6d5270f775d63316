"""Build the page of `review`: one HTML file on which a user accepts, rejects and corrects events.

The page runs a script, which its Content-Security-Policy allows by its hash, and loads no other
files.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from wsedtk.core import provenance
from wsedtk.data import recorder_names
from wsedtk.data.formats import one_field
from wsedtk.report.excerpts import Excerpt
from wsedtk.report.rendering import render

_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "script-src 'sha256-{digest}'"
)


class ReviewedEvent(NamedTuple):
    """An event of the page or of its table.

    Attributes
    ----------
    recording : int
        The index of the recording.
    onset, offset : float
        The times in seconds.
    label : str
        The class.
    score : float or None
    status : str
        "accepted", "rejected" or "unreviewed".
    """

    recording: int
    onset: float
    offset: float
    label: str
    score: float | None
    status: str


class Content(NamedTuple):
    """The content of a page.

    Attributes
    ----------
    recordings : sequence of str
        The names of the recordings.
    events : sequence of ReviewedEvent
        All events of the table.
    shown : mapping of int to Excerpt
        The excerpts of events, by the index of the event, in the order of the review.
    classes : sequence of str
        The classes that the page offers.
    order : str
        A sentence on the order of the events.
    by_recording : bool
        Whether the list is grouped by recording. By default, it is grouped by class.
    command : str
        The command that uses the saved table.
    """

    recordings: Sequence[str]
    events: Sequence[ReviewedEvent]
    shown: Mapping[int, Excerpt]
    classes: Sequence[str]
    order: str
    by_recording: bool
    command: str


def text(content: Content, title: str) -> str:
    """Return a page as HTML."""
    script = render("review.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render(
        "review.html",
        title=title,
        made_by="wsedtk {wsedtk}, commit {commit}".format(**provenance.made_by()),
        policy=_POLICY.format(digest=digest),
        order=content.order,
        command=content.command,
        data=Markup(_data(content)),
        script=Markup(script),
    )


def _data(content: Content) -> str:
    """Return the data of a page as JSON that can't end a script element."""
    events = [tuple(event) for event in content.events]
    names = [one_field(name) for name in content.recordings]
    # The decisions in the browser belong to these events, whatever the order and the excerpts are.
    fingerprint = hashlib.sha256(json.dumps([names, events]).encode()).hexdigest()[:16]
    data = {
        "fingerprint": fingerprint,
        "recordings": [
            {"name": name, "start": _start(own)} for name, own in zip(names, content.recordings)
        ],
        "classes": list(content.classes),
        "events": events,
        "shown": [{"event": index, **_shown(one)} for index, one in content.shown.items()],
        "group": "recording" if content.by_recording else "class",
    }
    return json.dumps(data).replace("<", "\\u003c")


def _start(name: str) -> str | None:
    """Return the clock time at which a recording starts, if its name contains the time."""
    start = recorder_names.start_time(name)
    return None if start is None else start.isoformat()


def _shown(excerpt: Excerpt) -> dict[str, object]:
    return {
        "start": excerpt.start,
        "end": excerpt.end,
        "ticks": excerpt.ticks,
        "picture": f"data:image/webp;base64,{base64.b64encode(excerpt.picture).decode()}",
        "sound": f"data:audio/mpeg;base64,{base64.b64encode(excerpt.sound).decode()}",
    }
