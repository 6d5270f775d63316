"""Commands that make and check data directories."""

import click

from wsedtk.cli.common import IN_DIR, OUT, TELLING, NumberList, cli, stage, verb


@cli.group(params=list(TELLING))
def prepare():
    """Turn other people's metadata and audio into data directories."""


@verb(prepare, "soundscapes")
@click.argument("bank_dir", type=IN_DIR)
@click.argument("data_dir", type=OUT)
@click.option(
    "--background",
    "backgrounds",
    multiple=True,
    metavar="CLASS",
    help="A folder of the bank that is background. Repeatable.",
)
@click.option(
    "--test-folds",
    default="4",
    type=NumberList(int, "folds"),
    help="Folds (of fold-id-take.ext) that only the test set uses.",
)
@click.option(
    "--num-train", default=600, type=click.IntRange(1), help="Training soundscapes of 10 s."
)
@click.option("--num-test", default=120, type=click.IntRange(1), help="Test soundscapes of 10 s.")
@click.option("--seed", default=0, type=click.IntRange(0))
def prepare_soundscapes(bank_dir, data_dir, backgrounds, test_folds, num_train, num_test, seed):
    """Mix the recordings of a bank into 10 s soundscapes: DATA_DIR/train with tags, DATA_DIR/test with events too.

    BANK_DIR holds one folder a class, files named fold-id-take.ext; `builtin` synthesises a small bank of its own.

    \b
    Example: wsedtk prepare soundscapes builtin data --num-train 100 --num-test 20
    """
    stage("prepare").soundscapes(
        bank_dir, data_dir, list(backgrounds), list(test_folds), num_train, num_test, seed
    )


@verb(prepare, "dcase2017")
@click.argument("metadata_dir", type=IN_DIR)
@click.argument("audio_dirs", type=IN_DIR, nargs=-1, metavar="AUDIO_DIR...")
@click.argument("data_dir", type=OUT)
@click.option("--metadata-only", is_flag=True, help="Keep every official clip, without audio.")
@click.option("--strict", is_flag=True, help="Refuse to go on with an official clip missing.")
@click.option(
    "--jobs", default=1, type=click.IntRange(1), help="Processes that listen to the audio."
)
def prepare_dcase2017(metadata_dir, audio_dirs, data_dir, metadata_only, strict, jobs):
    """Make DATA_DIR/train, DATA_DIR/test and DATA_DIR/eval of DCASE 2017 task 4.

    METADATA_DIR holds the challenge's own lists; AUDIO_DIR files named Y<ID>_<start>_<end>.wav, with or without the Y, also
    .flac, .ogg or .mp3, at any depth. What is missing or odd is counted, class by class, and the rest goes on.

    \b
    Example: wsedtk prepare dcase2017 dcase/lists dcase/audio dcase --jobs 2
    """
    stage("prepare").dcase2017(metadata_dir, audio_dirs, data_dir, metadata_only, strict, jobs)


@verb(prepare, "audioset")
@click.argument("metadata_dir", type=IN_DIR)
@click.argument("audio_dirs", type=IN_DIR, nargs=-1, metavar="AUDIO_DIR...")
@click.argument("data_dir", type=OUT)
@click.option(
    "--subset",
    default="balanced",
    type=click.Choice(["balanced", "unbalanced", "all"]),
    help="The training list, or both.",
)
@click.option(
    "--exclude",
    "excluded",
    multiple=True,
    type=IN_DIR,
    metavar="DATA_SET",
    help="Leave clips out of the training set whose video this set has clips of. Repeatable.",
)
@click.option(
    "--ancestors",
    "with_ancestors",
    is_flag=True,
    help="Tag clips with the classes above their own in the ontology too.",
)
@click.option("--metadata-only", is_flag=True, help="Keep every official clip, without audio.")
@click.option("--strict", is_flag=True, help="Refuse to go on with an official clip missing.")
@click.option(
    "--jobs", default=1, type=click.IntRange(1), help="Processes that listen to the audio."
)
def prepare_audioset(
    metadata_dir,
    audio_dirs,
    data_dir,
    subset,
    excluded,
    with_ancestors,
    metadata_only,
    strict,
    jobs,
):
    """Make DATA_DIR/train and DATA_DIR/eval of AudioSet.

    METADATA_DIR holds the published lists of segments, class_labels_indices.csv and, if you have it, ontology.json; AUDIO_DIR files
    named Y<ID>_<start>_<end>.wav, with or without the Y, also .flac, .ogg or .mp3, at any depth. What is missing or odd is counted,
    class by class, and the rest goes on.

    \b
    Example: wsedtk prepare audioset audioset/lists audioset/audio audioset --exclude dcase/test --exclude dcase/eval
    """
    stage("prepare").audioset(
        metadata_dir,
        audio_dirs,
        data_dir,
        subset,
        excluded,
        with_ancestors,
        metadata_only,
        strict,
        jobs,
    )


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
