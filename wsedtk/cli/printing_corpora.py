"""The texts that the commands that make and check data directories print."""

import shlex
from typing import TYPE_CHECKING

from wsedtk.core.progress import printable

if TYPE_CHECKING:
    from wsedtk.stages.download import DownloadPlan, DownloadResult
    from wsedtk.stages.validate import ValidatedSet


def validated(found: "ValidatedSet", with_audio: bool) -> str:
    """Return the faults of a data directory, and a summary of it."""
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
    """Return the command lines of a download, and their number."""
    commands = [shlex.join(command) for command in plan.commands]
    summary = f"# {len(commands)} of {plan.num_clips} clips to fetch, {plan.num_dead} dead"
    return "\n".join([*commands, summary])


def download(result: "DownloadResult") -> str:
    """Return the number of clips that were there, were fetched, are dead, and are left."""
    return (
        f"{result.audio_dir}: {result.num_clips} clips: {result.num_there} there, "
        f"{len(result.fetched)} fetched, {len(result.dead)} dead, {len(result.left)} to retry"
    )
