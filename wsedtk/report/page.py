"""A self-contained HTML page: tables, figures, sounds, everything in one file that asks the network for nothing and runs no script."""

import base64
import html
import re
from pathlib import Path

from wsedtk.core import provenance
from wsedtk.core.atomic import writing
from wsedtk.report import plots

_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"  # the browser holds the page to it
_STYLE = """
:root { color-scheme: light }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 0 auto; padding: 1rem; color: #1d2329; background: #fff;
  overflow-wrap: break-word }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0 }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.75rem; padding-bottom: 0.2rem; border-bottom: 2px solid #0072b2 }
h3 { font-size: 1rem; margin: 1.5rem 0 0.5rem }
p { max-width: 46rem; margin: 0.5rem 0 } .note { color: #57606a; font-size: 0.85rem }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; margin: 0.75rem 0; list-style: none; font-size: 0.9rem }
a { color: #005a8e } a:focus-visible, summary:focus-visible, .wide:focus-visible { outline: 3px solid #e69f00 }
.wide { overflow-x: auto; margin: 0.75rem 0 }
table { border-collapse: collapse; font-size: 0.8rem; line-height: 1.25; font-variant-numeric: tabular-nums }
th, td { padding: 0.3rem 0.36rem; text-align: right; vertical-align: top; border-bottom: 1px solid #e3e6e9; white-space: nowrap }
thead th { vertical-align: bottom; white-space: normal; border-bottom: 1px solid #8c959f; font-weight: 600 }
tbody th { font-weight: 400; min-width: 9rem; max-width: 20rem; white-space: normal }
tr > :first-child { text-align: left; position: sticky; left: 0; background: #fff }
.text { text-align: left } td.text { white-space: normal; min-width: 12rem }
.ci { color: #57606a; font-size: 0.8em; display: block } .baseline { color: #57606a } .sure { font-weight: 700 }
.pair { display: flex; flex-wrap: wrap; gap: 0 3rem } .pair > div { min-width: 0 }
details { margin: 0.75rem 0 } summary { cursor: pointer; font-weight: 600; font-size: 0.95rem }
figure { margin: 1rem 0 1.75rem; max-width: 56rem } figcaption { font-size: 0.85rem; color: #57606a; margin: 0.25rem 0 }
figcaption b { color: #1d2329 }
img { display: block; width: 100%; min-width: 32rem; height: auto } audio { display: block; width: 100%; max-width: 32rem; height: 2.5rem }
@media (max-width: 40rem) { body { padding: 0.75rem } tbody th { min-width: 6.5rem; max-width: 8.5rem } }
@media print {
  @page { margin: 12mm } body { font-size: 10pt; max-width: none; padding: 0 } nav, audio { display: none } .wide { overflow: visible }
  table { font-size: 6.5pt } th, td { padding: 1pt 2.5pt } h2, h3, .note { break-after: avoid } figure, tr { break-inside: avoid }
  tr > :first-child { position: static } tbody th { min-width: 0 } figure { margin: 3mm 0 }
  img { min-width: 0; max-height: 240mm; object-fit: contain; object-position: left } .clip img { max-height: 112mm }
}
"""


def breakable(name):
    """A name as HTML that breaks after slashes and underscores."""
    return re.sub("([/_])(?=.)", r"\1<wbr>", html.escape(name))


def table(header, rows, text_columns=()):
    """A table, which scrolls by itself where the window is narrow. header: plain texts; rows: (a CSS class or "", cells of HTML).

    The first cell of a row names it. text_columns: numbers of the columns that hold words.
    """
    kinds = [' class="text"' if i in text_columns else "" for i in range(len(header))]
    lines = [
        '<div class="wide" tabindex="0"><table><thead><tr>',
        *(f'<th scope="col"{kind}>{breakable(name)}</th>' for kind, name in zip(kinds, header)),
        "</tr></thead><tbody>",
    ]
    for kind, (first, *cells) in rows:
        lines += [
            f'<tr class="{kind}">' if kind else "<tr>",
            f'<th scope="row">{first}</th>',
            *(f"<td{text}>{cell}</td>" for text, cell in zip(kinds[1:], cells)),
            "</tr>",
        ]
    return "".join([*lines, "</tbody></table></div>"])


class Page:
    """The parts of a page, and its figures on their way into it and into a folder (or None), as files of one of plots.FORMATS."""

    def __init__(self, folder=None, kind="png"):
        self.parts, self.folder, self.kind, self.count, self._sections = [], folder, kind, 0, []

    def add(self, text):
        """Add HTML."""
        self.parts.append(text)

    def section(self, title):
        """Begin a section, which the list at the top of the page links to. title: plain text."""
        self._sections.append(title)
        self.add(f'<h2 id="s{len(self._sections)}">{html.escape(title)}</h2>')

    def save(self, name, figure, content=None):
        """Write a figure into the folder, where there is one; `name` becomes its file name. content: it as PNG, where that is made."""
        if self.folder is not None:
            self.count += 1
            safe = (
                re.sub(r"[^\w.-]+", "_", name).encode()[:200].decode(errors="ignore")
            )  # of a name's 255 bytes
            content = content if self.kind == "png" and content else plots.render(figure, self.kind)
            with writing(Path(self.folder) / f"{self.count:02d}_{safe}.{self.kind}") as temporary:
                temporary.write_bytes(content)

    def figure(self, name, figure, alt=None, caption="", of_clip=False, sound=None):
        """Add a figure, and write it into the folder. name: plain text; alt: what stands for the picture, else the name.

        caption: HTML; of_clip: whether it is a clip over time, two of which go on a printed page; sound: an MP3, played below.
        """
        content = plots.png(figure)
        picture = base64.b64encode(content).decode()
        parts = [
            '<figure class="clip">' if of_clip else "<figure>",
            '<div class="wide" tabindex="0">',
            f'<img alt="{html.escape(alt or name)}" src="data:image/png;base64,{picture}"></div>',
            f"<figcaption>{caption}</figcaption>" if caption else "",
        ]
        if sound is not None:
            parts.append(
                f'<audio controls preload="metadata" aria-label="{html.escape(name)}" '
                f'src="data:audio/mpeg;base64,{base64.b64encode(sound).decode()}"></audio>'
            )
        self.add("".join([*parts, "</figure>"]))
        self.save(name, figure, content)

    def text(self, title, introduction=""):
        """The whole page. title: plain text; introduction: HTML above the list of sections."""
        links = "".join(
            f'<li><a href="#s{number}">{html.escape(name)}</a></li>'
            for number, name in enumerate(self._sections, 1)
        )
        made = html.escape("wsedtk {wsedtk}, commit {commit}".format(**provenance.made_by()))
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{made}">'
            f"<title>{html.escape(title)}</title>"
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style></head><body>\n'
            f"<h1>{html.escape(title)}</h1>\n{introduction}<nav><ul>{links}</ul></nav>\n"
            + "\n".join([*self.parts, f'<p class="note">Made by {made}.</p>', "</body></html>\n"])
        )
