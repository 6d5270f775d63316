"""Build a self-contained HTML page: one file that loads no other files and runs no scripts."""

import base64
import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure

from wsedtk.core import provenance
from wsedtk.core.atomic import writing
from wsedtk.core.paths import PathLike
from wsedtk.report import plots
from wsedtk.report.rendering import part, render

# With this Content-Security-Policy, a browser runs no scripts of the page and loads no other files.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
_LONGEST_NAME = 200  # bytes in a file name; file systems allow 255


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    text : str
    small : tuple of str
        Notes in small print below the text.
    bold : bool
        Whether the text is bold.
    breakable : bool
        Whether lines may break after slashes and underscores.
    """

    text: str
    small: tuple[str, ...] = ()
    bold: bool = False
    breakable: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table: its first cell and its other cells. `kind` is a CSS class or ""."""

    title: Cell
    cells: Sequence[Cell]
    kind: str = ""


@dataclasses.dataclass(frozen=True)
class Heading:
    """The heading of a column. `is_text` is True if the column contains words, not numbers."""

    heading: str
    is_text: bool = False


def table(header: Sequence[str], rows: Iterable[Row], text_columns: Iterable[int] = ()) -> Markup:
    """Return a table as HTML. In a narrow window, the table can be scrolled.

    Parameters
    ----------
    header : sequence of str
        The headings of the columns.
    rows : iterable of Row
    text_columns : iterable of int
        The indices of the columns that contain words.
    """
    words = set(text_columns)
    headings = [Heading(name, number in words) for number, name in enumerate(header)]
    return part("table", header=headings, rows=list(rows))


def note(text: str) -> Markup:
    """Return a paragraph in small print as HTML."""
    return part("note", text=text)


class Page:
    """An HTML page to which parts are added.

    Parameters
    ----------
    folder : path-like, optional
        A folder for figures. If it is given, each figure is also written to a file in this folder.
    kind : {"png", "svg", "pdf"}
        The format of these files.
    """

    def __init__(self, folder: PathLike | None = None, kind: str = "png") -> None:
        self.parts: list[Markup] = []
        self._folder, self._kind, self._num_files = folder, kind, 0
        self._sections: list[str] = []

    def add(self, html: str) -> None:
        """Add a part to the page. The part is HTML, which is not escaped."""
        self.parts.append(Markup(html))

    def section(self, title: str) -> None:
        """Begin a section. The list at the top of the page gets a link to the section."""
        self._sections.append(title)
        self.add(part("section", number=len(self._sections), title=title))

    def save(self, name: str, figure: Figure, content: bytes | None = None) -> None:
        """Write a figure to a file. Do nothing if the page has no folder for figures.

        Parameters
        ----------
        name : str
            The name of the figure. The file name contains this name. Spaces and special characters
            become underscores, and a long name is shortened.
        figure : matplotlib Figure
        content : bytes, optional
            The bytes of a PNG file of the figure, if they are already known.
        """
        if self._folder is None:
            return
        self._num_files += 1
        safe = re.sub(r"[^\w.-]+", "_", name).encode()[:_LONGEST_NAME].decode(errors="ignore")
        if self._kind != "png" or not content:
            content = plots.render(figure, self._kind)
        path = Path(self._folder) / f"{self._num_files:02d}_{safe}.{self._kind}"
        with writing(path) as temporary:
            temporary.write_bytes(content)

    def figure(
        self,
        name: str,
        figure: Figure,
        *,
        alt: str = "",
        caption: str | Markup = "",
        of_clip: bool = False,
        sound: bytes | None = None,
    ) -> None:
        """Add a figure to the page, and write it to a file if there is a folder for figures.

        Parameters
        ----------
        name : str
        figure : matplotlib Figure
        alt : str
            The description of the figure in words. By default, the name.
        caption : str or Markup
        of_clip : bool
            Whether the figure shows a clip over time. Two such figures fit on a printed page.
        sound : bytes, optional
            The bytes of an MP3 file. A player for it is shown below the figure.
        """
        content = plots.png(figure)
        self.add(
            part(
                "figure",
                name=name,
                alt=alt or name,
                picture=base64.b64encode(content).decode(),
                caption=caption,
                of_clip=of_clip,
                sound=None if sound is None else base64.b64encode(sound).decode(),
            )
        )
        self.save(name, figure, content)

    def text(self, title: str, introduction: str = "") -> str:
        """Return the page as HTML.

        Parameters
        ----------
        title : str
        introduction : str
            HTML above the list of sections.
        """
        return render(
            "page.html",
            title=title,
            introduction=Markup(introduction),
            sections=self._sections,
            parts=self.parts,
            made_by="wsedtk {wsedtk}, commit {commit}".format(**provenance.made_by()),
            policy=Markup(_POLICY),
        )
