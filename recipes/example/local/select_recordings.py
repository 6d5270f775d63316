"""Select the recordings of ESC-10 that may be redistributed, and write their credits.

    python3 select_recordings.py --folds 1,2,3,4 ESC10 BANK CREDITS.md

BANK is a sound bank for `wsedtk prepare soundscapes`: a folder for each class, with links to the
recordings of the given folds. The author and the licence of a recording are read from README.md in
ESC10. Recordings with a licence other than CC0 and CC BY are left out.
"""

import argparse
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.corpora import sound_bank

LICENCES = ("CC0", "CC-BY")
_CREDIT = re.compile(
    r"^- \*\*\[(?P<name>[^]]+)\]\(.*?\)\*\*:\s+clip derived from \[(?P<title>.*)\]"
    r"\((?P<url>\S+)\) by \*(?P<author>.*)\* \(\[(?P<licence>[^]]+)\]\((?P<licence_url>.*)\)\)$",
    re.MULTILINE,
)


class Credit(NamedTuple):
    """The origin of a recording, as README.md of ESC-10 states it."""

    name: str  # of the file
    title: str
    url: str
    author: str
    licence: str
    licence_url: str


def read_credits(path: Path) -> dict[str, Credit]:
    """Return {file name of a recording: credit}.

    Raises InputError if the file is unreadable or has no credits, or if the address of a recording
    does not contain the Freesound ID that is part of its file name.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: can't be read ({error}); give the folder of ESC-10, whose README.md "
            "contains the credits"
        ) from None
    credits = [Credit(**match.groupdict()) for match in _CREDIT.finditer(text)]
    if not credits:
        raise InputError(f"{path}: contains no credits; expected the README.md of ESC-10")
    for credit in credits:
        source = credit.name.split("-")[1]
        if f"/sounds/{source}/" not in credit.url:
            raise InputError(
                f"{path}: {credit.name}: the address {credit.url} is not that of Freesound "
                f"recording {source}"
            )
    return {credit.name: credit for credit in credits}


def class_of(folder: str) -> str:
    """Return the name of a class without the number of its folder."""
    return re.sub(r"^\d+ - ", "", folder)


def credits_page(selected: list[tuple[str, Credit]], left_out: list[tuple[str, Credit]]) -> str:
    """Return the page with the credits. The arguments are pairs of a class and a credit."""
    lines = [
        "# Credits",
        "",
        "The ready model `example` was trained on recordings of ESC-10 (K. J. Piczak, *ESC:",
        "Dataset for Environmental Sound Classification*, ACM Multimedia 2015,",
        "<https://doi.org/10.1145/2733373.2806390>). ESC-10 consists of excerpts of recordings on",
        "Freesound. The excerpts were mixed, and cut where needed. This table has the author and",
        "the licence of each recording, as README.md of ESC-10 states them.",
        "",
        "| excerpt | class | recording | author | licence |",
        "|---|---|---|---|---|",
    ]
    for label, one in selected:
        title = re.sub(r"([\\`*_\[\]<>|&])", r"\\\1", one.title)
        author = re.sub(r"([\\`*_\[\]<>|&])", r"\\\1", one.author)
        lines.append(
            f"| {one.name} | {label} | [{title}]({one.url}) | {author} "
            f"| [{one.licence}]({one.licence_url}) |"
        )
    if left_out:
        names = ", ".join(f"{one.name} ({one.licence})" for _, one in left_out)
        lines += ["", f"These recordings were not used because of their licences: {names}."]
    return "\n".join(lines) + "\n"


def select(esc10: Path, folds: set[int], bank: Path, page: Path) -> None:
    """Write the bank and the page of credits."""
    credits = read_credits(esc10 / "README.md")
    selected, left_out = [], []
    if bank.is_symlink() or (
        bank.exists() and any(p.is_file() and not p.is_symlink() for p in bank.rglob("*"))
    ):
        raise InputError(f"{bank}: contains files that this script did not write; remove it")
    shutil.rmtree(bank, ignore_errors=True)
    for folder, recordings in sound_bank.scan(esc10).items():
        label = class_of(folder)
        for recording in recordings:
            if recording.fold not in folds:
                continue
            name = recording.path.name
            if name not in credits:
                raise InputError(
                    f"{recording.path}: README.md of ESC-10 has no credit for this recording; "
                    "add it, or remove the recording"
                )
            if credits[name].licence not in LICENCES:
                left_out.append((label, credits[name]))
                continue
            (bank / label).mkdir(parents=True, exist_ok=True)
            os.symlink(recording.path.absolute(), bank / label / name)
            selected.append((label, credits[name]))
    if not selected:
        raise InputError(f"{esc10}: contains no recordings of the folds {sorted(folds)}")
    write_text(page, credits_page(selected, left_out))
    print(f"{bank}: {len(selected)} recordings; {len(left_out)} left out because of their licences")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("esc10", "bank", "credits"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--folds", required=True)
    options = parser.parse_args()
    try:
        folds = {int(fold) for fold in options.folds.split(",")}
    except ValueError:
        parser.error(f"--folds {options.folds!r}: expected whole numbers with commas between them")
    try:
        select(options.esc10, folds, options.bank, options.credits)
    except InputError as error:
        parser.exit(1, f"select_recordings.py: {error}\n")


if __name__ == "__main__":
    main()
