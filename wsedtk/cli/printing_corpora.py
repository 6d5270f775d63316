"""Write the texts that `wsedtk validate` and `wsedtk download` print."""

import shlex
from typing import TYPE_CHECKING

from wsedtk.core.progress import printable

if TYPE_CHECKING:
    from wsedtk.stages.download import DownloadPlan, DownloadResult
    from wsedtk.stages.validate import ValidatedSet


def validated(found: "ValidatedSet", with_audio: bool) -> str:
    """Return a text with the faults of a data directory, and a summary of the directory."""
    size = rest = ""
    if found.dataset is not None:
        dataset = found.dataset
        events = "no events.tsv" if dataset.events is None else f"{len(dataset.events)} events"
        size = (
            f"{len(dataset)} clips, {len(dataset.labels)} classes, {len(dataset.tag_clip)} tags, "
            f"{events}: "
        )
    elif with_audio:
        rest = "; its audio was not opened: correct the tables first"
    summary = (
        f"{found.folder}: {size}{found.num_errors} errors, {found.num_warnings} warnings{rest}"
    )
    return "\n".join([*(printable(fault) for fault in found.faults), summary])


def download_plan(plan: "DownloadPlan") -> str:
    """Return a text with the command lines of a download, and the number of clips."""
    commands = [shlex.join(command) for command in plan.commands]
    summary = f"# {len(commands)} of {plan.num_clips} clips to fetch, {plan.num_dead} dead"
    return "\n".join([*commands, summary])


def download(result: "DownloadResult") -> str:
    """Return a text with the numbers of existing, fetched, dead and remaining clips."""
    return (
        f"{result.audio_dir}: {result.num_clips} clips: {result.num_there} existed, "
        f"{len(result.fetched)} fetched, {len(result.dead)} dead, {len(result.left)} to retry"
    )
