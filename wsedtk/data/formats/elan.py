"""Write and read ELAN files (*.eaf), which are XML documents with tiers of annotations."""

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, EventFormat, Recording, one_field
from wsedtk.data.formats.annotations import (
    Annotation,
    Annotations,
    annotations,
    chosen_fields,
    tiers,
)
from wsedtk.data.table_files import TableFile, ends_before_start
from wsedtk.data.tables import normal

_ROOT = "ANNOTATION_DOCUMENT"
_LINE = "line"  # the attribute that `_parse` adds to each element
# ELAN requires a date. It is constant, so that equal events give equal files.
_HEADER = f"""<?xml version="1.0" encoding="UTF-8"?>
<{_ROOT} AUTHOR="wsedtk" DATE="2000-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
"""
_FOOTER = f"""<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="event"
 TIME_ALIGNABLE="true"/>
</{_ROOT}>
"""


class _Fault(Exception):
    """The file can't be used. The arguments are the line and the message."""


class _Span(NamedTuple):
    """The times of an annotation in milliseconds. A time is None if it is not set."""

    start: int | None
    end: int | None


@FORMATS.register("elan")
class ElanDocument(EventFormat):
    """The format of ELAN. Each class has a tier. Times are rounded to milliseconds.

    When a file is read, the class is the value of an annotation. Annotations without a value are
    ignored.

    Source: https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
    """

    suffix = ".eaf"
    header = _HEADER
    holds_several = False
    fields = "tiers"

    def text(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return the document of a recording, without its first lines."""
        named = tiers(events) or [("events", [])]
        slots: list[str] = []
        tier_lines: list[str] = []
        for name, tier in named:
            tier_lines.append(f'<TIER LINGUISTIC_TYPE_REF="event" TIER_ID={_quoted(name)}>')
            for event in tier:
                number = len(slots) + 1
                slots += [_slot(number, event.onset), _slot(number + 1, event.offset)]
                tier_lines += [
                    f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number // 2 + 1}"'
                    f' TIME_SLOT_REF1="ts{number}" TIME_SLOT_REF2="ts{number + 1}">',
                    f"<ANNOTATION_VALUE>{escape(one_field(event.label))}</ANNOTATION_VALUE>",
                    "</ALIGNABLE_ANNOTATION></ANNOTATION>",
                ]
            tier_lines.append("</TIER>")
        kind = mimetypes.guess_type(recording.file_name)[0] or "audio/*"
        address = quoteattr(quote(recording.file_name))
        lines = [
            '<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">',
            f"<MEDIA_DESCRIPTOR MEDIA_URL={address} MIME_TYPE={quoteattr(kind)}",
            f" RELATIVE_MEDIA_URL={address}/>",
            "</HEADER>",
            *("<TIME_ORDER>", *slots, "</TIME_ORDER>"),
            *tier_lines,
        ]
        return "\n".join(lines) + "\n" + _FOOTER

    def recognises(self, beginning: str, suffix: str) -> bool:
        """Return whether the root of the XML document is that of ELAN."""
        return f"<{_ROOT}" in beginning

    def read(self, path: Path, chosen: Sequence[str] = ()) -> Annotations:
        """Read a file. A document type definition is an error. See `EventFormat.read`."""
        table = TableFile(path)
        try:
            return _read(table, _parse(path), chosen)
        except FileNotFoundError:
            table.error(None, "no such file")
        except OSError as error:
            table.error(None, f"can't be read: {error.strerror}")
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            table.error(error.lineno, f"is not valid XML ({reason}); save it again in ELAN")
        except _Fault as fault:
            table.error(*fault.args)
        return annotations([], table)


def _quoted(text: str) -> str:
    return quoteattr(one_field(text))


def _slot(number: int, seconds: float) -> str:
    return f'<TIME_SLOT TIME_SLOT_ID="ts{number}" TIME_VALUE="{round(1000 * seconds)}"/>'


def _parse(path: Path) -> Element:
    """Parse an XML file. Each element gets its line as the attribute `_LINE`.

    A document type definition is refused, because its entities can exhaust the memory, or refer to
    other files.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        builder.start(name, {**attributes, _LINE: str(parser.CurrentLineNumber)})

    def refuse(*_: object) -> None:
        raise _Fault(
            parser.CurrentLineNumber,
            "contains a document type definition, which ELAN does not write; remove it",
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(path.read_bytes(), True)
    root: Element = builder.close()
    if root.tag != _ROOT:
        raise _Fault(int(root.attrib[_LINE]), f"expected <{_ROOT}>, found <{root.tag}>")
    return root


def _read(table: TableFile, root: Element, chosen: Sequence[str]) -> Annotations:
    header = root.find("HEADER")
    unit = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if header is not None and unit != "milliseconds":
        raise _Fault(int(header.attrib[_LINE]), f"expected times in milliseconds, found {unit!r}")
    recording, origin = _media(root)
    slots = {
        slot.get("TIME_SLOT_ID", ""): _milliseconds(slot, "TIME_VALUE")
        for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
    }
    spans = {
        one.get("ANNOTATION_ID", ""): _Span(
            slots.get(one.get("TIME_SLOT_REF1", "")), slots.get(one.get("TIME_SLOT_REF2", ""))
        )
        for one in root.iter("ALIGNABLE_ANNOTATION")
    }
    parents = {
        one.get("ANNOTATION_ID", ""): one.get("ANNOTATION_REF", "")
        for one in root.iter("REF_ANNOTATION")
    }
    found = [tier.get("TIER_ID", "") for tier in root.iterfind("TIER")]
    kept = chosen_fields(table, chosen, found, "tier") if chosen else found
    rows = []
    for tier in root.iterfind("TIER"):
        for one in tier.iterfind("ANNOTATION/*") if tier.get("TIER_ID", "") in kept else ():
            rows.append(_row(table, one, _span(one, spans, parents), recording, origin))
    return annotations(rows, table, [recording])


def _row(
    table: TableFile, one: Element, span: _Span, recording: str, origin: int
) -> Annotation | None:
    """Return an annotation. Return None if it has no value, or is faulty."""
    label = " ".join(normal(one.findtext("ANNOTATION_VALUE") or "").split())
    if not label:
        return None
    line = int(one.attrib[_LINE])
    if span.start is None or span.end is None:
        table.error(line, f"the annotation {label!r} has no time; align it in ELAN")
        return None
    onset, offset = (span.start + origin) / 1000, (span.end + origin) / 1000
    if onset < 0:
        table.error(line, f"the annotation {label!r} begins before the recording ({onset:g} s)")
    elif offset < onset:
        table.error(line, ends_before_start(onset, offset))
    else:
        return Annotation(recording, onset, offset, label, line)
    return None


def _span(one: Element, spans: dict[str, _Span], parents: dict[str, str]) -> _Span:
    """Return the times of an annotation, or of the annotation that it refers to."""
    name = one.get("ANNOTATION_ID", "")
    for _ in range(len(parents) + 1):  # references may form a loop in a damaged file
        if name in spans:
            return spans[name]
        name = parents.get(name, "")
    return _Span(None, None)


def _media(root: Element) -> tuple[str, int]:
    """Return the name of the recording, and the time in it at which annotations begin, in ms.

    A document can have several media files, such as a video and its sound. The first sound file is
    used, or else the first file.
    """
    files = root.findall("HEADER/MEDIA_DESCRIPTOR")
    sounds = [one for one in files if one.get("MIME_TYPE", "").startswith("audio")]
    for one in (*sounds, *files):
        address = one.get("MEDIA_URL") or one.get("RELATIVE_MEDIA_URL") or ""
        if address:
            return normal(unquote(address.removeprefix("file://"))), _milliseconds(
                one, "TIME_ORIGIN"
            ) or 0
    return "", 0


def _milliseconds(element: Element, attribute: str) -> int | None:
    """Return a time, or None if it is missing."""
    text = element.get(attribute)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        line = int(element.attrib[_LINE])
        raise _Fault(line, f"{attribute} must be a whole number, found {text!r}") from None
