"""Write the texts that `wsedtk validate` and `wsedtk download` print."""

import shlex
from typing import TYPE_CHECKING

from wsedtk.core.progress import printable
from wsedtk.core.wording import counted

if TYPE_CHECKING:
    from wsedtk.stages.download import DownloadPlan, DownloadResult
    from wsedtk.stages.validate import ValidatedSet


def validated(found: "ValidatedSet", with_audio: bool) -> str:
    """Return a text with the faults of a data directory, and a summary of the directory."""
    size = rest = ""
    if found.dataset is not None:
        dataset = found.dataset
        num_unknown = int(dataset.has_unknown_tags().sum())
        counts = [
            counted(len(dataset), "clip")
            + (f" ({num_unknown} with unknown tags)" if num_unknown else ""),
            counted(len(dataset.labels), "class"),
            counted(len(dataset.tag_clip), "tag"),
            "no events.tsv" if dataset.events is None else counted(len(dataset.events), "event"),
        ]
        size = f"{', '.join(counts)}: "
    elif with_audio:
        rest = "; the sound files were not checked; correct the tables first"
    summary = (
        f"{found.folder}: {size}{counted(found.num_errors, 'error')}, "
        f"{counted(found.num_warnings, 'warning')}{rest}"
    )
    return "\n".join([*(printable(fault) for fault in found.faults), summary])


def download_plan(plan: "DownloadPlan") -> str:
    """Return a text with the command lines of a download, and the number of clips."""
    commands = [shlex.join(command) for command in plan.commands]
    summary = (
        f"# clips to download: {len(commands)} of {plan.num_clips}; "
        f"clips of dead videos: {plan.num_dead}"
    )
    return "\n".join([*commands, summary])


def download(result: "DownloadResult") -> str:
    """Return a text with the numbers of existing, fetched, dead and remaining clips."""
    return (
        f"{result.audio_dir}: {counted(result.num_clips, 'clip')}: {result.num_there} existed, "
        f"{len(result.fetched)} fetched, {len(result.dead)} dead, {len(result.left)} to retry"
    )
