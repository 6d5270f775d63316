"""Write the texts that the commands of the group `models` print."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wsedtk.core.progress import printable
from wsedtk.core.wording import counted

if TYPE_CHECKING:
    from wsedtk.stages.models import FetchResult, ListedModel, RemoveResult

_HEADER = ("name", "classes", "s per frame", "size", "licence", "fetched", "source")


def _size(num_bytes: int | None) -> str:
    return "unknown" if num_bytes is None else f"{num_bytes / 1e6:.1f} MB"


def _place(model: "ListedModel") -> str:
    """Return a text that says whether a ready model is on this computer."""
    if model.is_included:
        return "in wsedtk"
    return "no" if model.model_dir is None else "yes"


def table(models: "Sequence[ListedModel]") -> str:
    """Return a table of ready models, with one line for each model."""
    rows = [_HEADER]
    for model in models:
        rows.append(
            (
                model.name,
                str(model.num_classes),
                f"{model.seconds_per_frame:g}",
                "-" if model.is_included else _size(model.num_bytes),
                model.licence,
                _place(model),
                model.source,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def json_of(model: "ListedModel") -> dict[str, Any]:
    """Convert the description of a ready model to values that JSON supports."""
    values = dataclasses.asdict(model)
    if model.model_dir is not None:
        values["model_dir"] = str(model.model_dir)
    return values


def fetched(result: "FetchResult") -> str:
    """Return a text with the size, the licence, the citation and an example of a ready model."""
    state = " (was fetched before)" if result.was_fetched else ""
    if result.is_included:
        state = " (is part of wsedtk)"
    return printable(
        f"{result.model_dir}: {result.name}, {counted(result.num_classes, 'class')}, "
        f"{result.num_parameters:,} parameters, {result.seconds_per_frame:g} s per frame{state}\n"
        f"licence: {result.licence} ({result.source})\n"
        f"please cite: {result.citation}\n"
        f"to use it, run for example: wsedtk detect {result.name} recording.flac"
    )


def removed(result: "RemoveResult") -> str:
    """Return a text with the folders of a ready model that were removed."""
    folders = ", ".join(map(str, result.removed))
    return printable(f"{result.name}: removed {folders}")
