"""Commands that make and check data directories."""

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING

import click

from wsedtk.cli.common import VERBOSITY_OPTIONS, cli, make_command, stage, verb, while_importing
from wsedtk.cli.options import OUT, Parameter
from wsedtk.core import signals
from wsedtk.core.errors import InputError, NotFinished
from wsedtk.stages.options.corpora import DownloadOptions, ValidateOptions

if TYPE_CHECKING:
    from wsedtk.stages.validate import ValidatedSet


class CorporaGroup(click.Group):
    """The commands of the registered corpora, and of user-defined ones (`package.module:function`).

    Corpora are imported when a command is looked up.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the registered corpora."""
        self._add_registered()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a corpus, or None if there is no such corpus."""
        if ":" in cmd_name:
            return _command(cmd_name)
        self._add_registered()
        return super().get_command(ctx, cmd_name)

    def _add_registered(self) -> None:
        if self.commands:
            return
        with while_importing():
            from wsedtk.corpora.registry import CORPORA

            names = CORPORA.names()
        for name in names:
            self.add_command(_command(name))


def _command(name: str) -> click.Command:
    """Return the command of a corpus."""
    with while_importing():
        from wsedtk.corpora.registry import CORPORA, options_class

        corpus, kind = CORPORA.get(name), options_class(name)

    def run(options: object) -> None:
        print(stage("prepare").run(name, options).to_text(), end="")

    run.__doc__ = _help(inspect.getdoc(corpus) or "")
    fields = {field.name for field in dataclasses.fields(kind)}
    outputs = {"data_dir": Parameter(type=OUT)} if "data_dir" in fields else {}
    return make_command(name, kind, **outputs)(run)


def _help(docstring: str) -> str:
    """Return the help of a command from a NumPy docstring: its text, and its examples."""
    text, *sections = re.split(r"\n+^(\w+)\n-+\n", docstring, flags=re.M)
    examples = dict(zip(sections[::2], sections[1::2])).get("Examples")
    if examples is None:
        return text
    lines = "\n         ".join(examples.strip().splitlines())
    return f"{text}\n\n\b\nExample: {lines}"


@cli.group(cls=CorporaGroup, params=list(VERBOSITY_OPTIONS))
def prepare() -> None:
    """Turn the metadata and audio of a corpus into data directories.

    The corpus may also be a user-defined function: package.module:function.
    """


@verb(
    cli,
    "download",
    DownloadOptions,
    data_sets=Parameter(metavar="DATA_SET..."),
    audio_dir=Parameter(type=OUT),
    jobs=Parameter(minimum=1),
    sleep_seconds=Parameter(type=click.FloatRange(0)),
)
@click.option("--dry-run", is_flag=True, help="Print the command lines and stop.")
def download(options: DownloadOptions, dry_run: bool) -> None:
    """Fetch the audio of YouTube excerpts with yt-dlp and ffmpeg.

    The clips are named <ID>_<start>_<end>.wav. Clips that exist in AUDIO_DIR, at any depth, are not
    fetched again, so an interrupted download can be resumed. Clips that cannot be fetched are
    listed in AUDIO_DIR/failures.tsv. Those with the status `retry` are tried again by the next run,
    those with the status `dead` are not. The exit status is 75 if there are clips to retry.

    \b
    Example: wsedtk download dcase/train dcase/test dcase/eval dcase/audio --jobs 2
    """
    module = stage("download")
    from wsedtk.cli import printing_corpora

    if dry_run:
        print(printing_corpora.download_plan(module.plan(options)))
        return
    result = module.run(options, stop_signals=signals.noted)
    print(printing_corpora.download(result))
    if result.left:
        stopped = result.stopped or f"the reasons are in {result.failures}"
        raise NotFinished(
            f"{len(result.left)} of {result.num_clips} clips are missing; {stopped}; run the "
            "same command again to resume"
        )


@verb(
    cli,
    "validate",
    ValidateOptions,
    data_sets=Parameter(metavar="DATA_SET..."),
    audio=Parameter(key="with_audio"),
    jobs=Parameter(minimum=1),
)
def validate(options: ValidateOptions) -> None:
    """List all faults of data directories at once, and the clips, groups and recordings they share.

    A group is a source, such as a site, whose clips must not be in two sets. The column `group` of
    clips.tsv gives it. A recording is the source of clips that were cut from it, as their names
    indicate.

    Errors are faults that no later stage can handle. The exit status is 1 if there are any.
    Warnings are faults that stages can handle: events of length zero or beyond their clip, classes
    without clips, clips of two sets.

    With --audio, missing, unreadable, empty and non-finite files are errors. There are warnings of
    silence (all samples are equal), clipping (0.1 % of the samples at full scale), levels beyond
    twice full scale, sample rates that are unusual in the set or below 16 kHz, durations that
    differ by 0.1 s from clips.tsv or are below 0.1 s, and clips that sound exactly alike.

    \b
    Example: wsedtk validate --audio data/train data/test --jobs 2
    """
    module = stage("validate")
    from wsedtk.cli import printing_corpora

    def show(found: "ValidatedSet") -> None:
        print(printing_corpora.validated(found, options.audio))

    result = module.run(options, on_set=show)
    if result.faulty:
        raise InputError(
            f"{len(result.faulty)} of {len(result.sets)} data directories have errors: "
            f"{', '.join(map(str, result.faulty))}"
        )
