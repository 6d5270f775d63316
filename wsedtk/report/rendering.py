"""Fill the templates of pages and model cards. The templates are in `wsedtk/templates/`."""

import functools
import re
from collections.abc import Callable
from typing import Any

import jinja2
from markupsafe import Markup, escape

from wsedtk.core.progress import printable

# An address without characters that would end a link in Markdown.
_WEB_ADDRESS = re.compile(r"https?://[\w./%~-]+", re.ASCII)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wsedtk", "templates"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = breakable
    environment.filters["markdown"] = escape_markdown
    environment.filters["markdown_link"] = markdown_link
    return environment


def render(template: str, /, **values: Any) -> str:
    """Fill a template with values. In HTML templates, all values except Markup are escaped."""
    return _environment().get_template(template).render(values)


def part(macro: str, /, **values: Any) -> Markup:
    """Call a macro of parts.html with values, and return HTML."""
    module = _environment().get_template("parts.html").module
    function: Callable[..., str] = getattr(module, macro)
    return Markup(function(**values))


def breakable(name: str) -> Markup:
    """Return a name as HTML in which lines can break after slashes and underscores."""
    return Markup(re.sub("([/_])(?=.)", r"\1<wbr>", str(escape(name))))


def escape_markdown(text: object) -> str:
    """Escape text for one line of Markdown.

    No part of the line is read as markup, a link, HTML, a formula or the end of a table cell.
    """
    line = " ".join(printable(str(text)).split())
    # Written as entities, these characters have no special meaning in any Markdown dialect.
    line = re.sub(r"[&<>|~$@:^]|(?<=\bwww)\.", lambda found: f"&#{ord(found.group())};", line)
    line = re.sub(r"(?<!&)#|[\\`*_{}\[\]!]", r"\\\g<0>", line)
    return re.sub(r"^(\d*)([-+.)=])(?!\d)", r"\1\\\2", line)


def markdown_link(address: object) -> str:
    """Return the address of a web page as a link in Markdown. Escape all other text."""
    text = str(address)
    return f"<{text}>" if _WEB_ADDRESS.fullmatch(text) else escape_markdown(text)
