"""Define the commands that make and check data directories."""

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
    """The group `prepare`, which has one command for each corpus.

    A corpus is registered or user-defined (`package.module:function`). Corpora are imported when
    click needs a command or the list of commands.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the registered corpora."""
        self._add_registered()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a corpus. None if the name has no colon and is not registered.

        Raises InputError if a user-defined corpus does not exist or has invalid options.
        """
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
    outputs = {name: Parameter(type=OUT) for name in ("data_dir", "data_set") if name in fields}
    return make_command(name, kind, **outputs)(run)


def _help(docstring: str) -> str:
    """Return the help of a command: the text and the examples of a NumPy docstring."""
    text, *sections = re.split(r"\n+^(\w+)\n-+\n", docstring, flags=re.M)
    examples = dict(zip(sections[::2], sections[1::2])).get("Examples")
    if examples is None:
        return text
    lines = "\n         ".join(examples.strip().splitlines())
    return f"{text}\n\n\b\nExample: {lines}"


@cli.group(cls=CorporaGroup, params=list(VERBOSITY_OPTIONS))
def prepare() -> None:
    """Convert the metadata and audio of a corpus to data directories.

    COMMAND is the name of a corpus, or a user-defined function (package.module:function).
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
    """Download the audio of YouTube excerpts with yt-dlp and ffmpeg.

    The sound files are named Y<ID>_<start>_<end>.wav. Clips that exist in AUDIO_DIR or its
    subfolders are not downloaded again, so an interrupted download can be resumed. Clips that could
    not be downloaded are listed in AUDIO_DIR/failures.tsv. The next run tries clips with the status
    `retry` again. With --retry-dead, it also tries clips with the status `dead`. The exit status is
    75 if there are clips to retry.

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
            f"{len(result.left)} of {result.num_clips} clips must still be downloaded; {stopped}; "
            "run the same command again to resume"
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
    """List all faults of data directories.

    The list includes clips, groups and recordings that occur in several of the data directories. A
    group is a source, such as a site, whose clips must not be in two sets. The column `group` of
    clips.tsv contains the group of each clip. A recording is the sound from which clips were cut.
    The names of the clips indicate their recording.

    Errors are faults that later stages cannot handle. If there are errors, the exit status is 1.
    Warnings are faults that later stages can handle, such as events of length zero, events beyond
    the end of their clip, classes without clips, and clips that are in two sets.

    With --audio, sound files are also checked. Files that are missing, unreadable or empty, or that
    contain samples that are not finite, are errors. There are warnings about damaged or truncated
    files, silence (all samples are equal), channels that cancel each other, clipping (at least
    0.1 % of the samples at full scale), peaks above twice full scale, sample rates that are
    unusual in the set or below 16 kHz, durations below 0.1 s, durations that differ by more than
    0.1 s from clips.tsv, and clips with identical audio.

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
            f"there are errors in {len(result.faulty)} of {len(result.sets)} data directories: "
            f"{', '.join(map(str, result.faulty))}"
        )
