"""Commands that make and check data directories."""

import dataclasses
import inspect
import re

import click

from wsedtk.cli.common import IN_DIR, OUT, TELLING, cli, make_command, stage, verb, while_importing
from wsedtk.cli.options import Parameter


class CorporaGroup(click.Group):
    """The commands of the registered corpora, and of `package.module:function` of the user's own.

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


@cli.group(cls=CorporaGroup, params=list(TELLING))
def prepare() -> None:
    """Turn the metadata and audio of a corpus into data directories.

    The corpus may also be a function of your own: package.module:function.
    """


@verb(cli, "download")
@click.argument("data_sets", type=IN_DIR, nargs=-1, required=True, metavar="DATA_SET...")
@click.argument("audio_dir", type=OUT)
@click.option("--jobs", default=4, type=click.IntRange(1), help="Workers: downloads at once.")
@click.option(
    "--limit-rate",
    default="1M",
    help="Bytes a second (500K, 1M, ...), passed on; yt-dlp heeds it where not ffmpeg downloads.",
)
@click.option(
    "--sleep-seconds",
    default=1.0,
    type=click.FloatRange(0),
    help="Pause between a worker's downloads.",
)
@click.option(
    "--retry-dead", is_flag=True, help="Ask again for the videos that are listed as dead."
)
@click.option(
    "--program",
    default="yt-dlp",
    help="The downloader, or a script of yours that runs it with more options.",
)
@click.option("--dry-run", is_flag=True, help="Print the command lines and stop.")
def download(data_sets, audio_dir, jobs, limit_rate, sleep_seconds, retry_dead, program, dry_run):
    """Fetch the audio of YouTube excerpts, clips named <ID>_<start>_<end>.wav, with yt-dlp and ffmpeg.

    What is in AUDIO_DIR, in whatever folder, is not fetched again; run again, it goes on. Clips that can't be had are listed in
    AUDIO_DIR/failures.tsv: `dead` for good, or `retry` the next time. Exit status 75 where there are clips to retry.

    \b
    Example: wsedtk download dcase/train dcase/test dcase/eval dcase/audio --jobs 2
    """
    stage("download").run(
        data_sets, audio_dir, jobs, limit_rate, sleep_seconds, retry_dead, program, dry_run
    )


@verb(cli, "validate")
@click.argument("data_sets", type=IN_DIR, nargs=-1, required=True, metavar="DATA_SET...")
@click.option("--audio", "with_audio", is_flag=True, help="Open every sound file too.")
@click.option("--jobs", default=1, type=click.IntRange(1), help="Processes that open sound files.")
def validate(data_sets, with_audio, jobs):
    """List every fault of data directories at once, and what they share: clips, groups, recordings.

    A group is what the column `group` of clips.tsv says: a source, such as a site, whose clips must
    not be in two sets. A recording is what clips are cut from, by their names.

    Errors, exit status 1, are what no later stage can use; warnings what it can, but is odd: events of length zero or beyond their
    clip, classes without clips, clips of two sets. --audio opens every file: missing, unreadable, empty or not finite is an error.
    It warns of silence (all samples the same), clipping (0.1 % at full scale), levels beyond twice full scale, rates that are
    unusual in the set or below 16 kHz, 0.1 s more or less than clips.tsv says, less than 0.1 s at all, and clips that sound
    exactly alike.

    \b
    Example: wsedtk validate --audio data/train data/test --jobs 2
    """
    stage("validate").run(data_sets, with_audio, jobs)
