"""The command tree. Everything heavy is imported inside the commands, so that `wsedtk --help` answers at once."""

import errno
import importlib
import logging
import os
import signal
import sys

import click

from wsedtk import __version__, signals
from wsedtk.command import CONTEXT, IN_DIR, OUT, NumberList, Shard, verb
from wsedtk.errors import InputError, NotFinished
from wsedtk.ranks import rank_and_size


def _stage(name):
    with signals.handled(_leave):
        return importlib.import_module(f"wsedtk.stages.{name}")


def _tell_stopped(number):
    if rank_and_size()[0] == 0:
        click.echo(f"wsedtk: stopped by {signal.Signals(number).name}; give the same command again", err=True)


def _leave(number, frame):
    """End the command at once: while modules are imported an exception can get lost, and there is nothing to save."""
    _tell_stopped(number)
    os._exit(75)


def _stop(number, frame):
    """End the command as an exception does: its processes end, and temporary files go. Other signals come too late to disturb that."""
    for other in signals.STOPPING:
        signal.signal(other, signal.SIG_IGN)
    _tell_stopped(number)
    sys.exit(75)


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="wsedtk")
@click.option("--record", type=OUT, help="Write the resolved options and the fingerprints of the inputs to this YAML file.")
@click.pass_context
def cli(ctx, record):
    """Weakly supervised sound event detection: from clips that only say which sounds occur to which and when.

    The verbs make a chain of files; `bash recipes/mini/run.sh` goes through all of it.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    ctx.obj = record


@cli.group()
def prepare():
    """Turn other people's metadata and audio into data directories."""


@verb(prepare, "soundscapes")
@click.argument("bank_dir")
@click.argument("data_dir", type=OUT)
@click.option("--background", "backgrounds", multiple=True, metavar="CLASS", help="A folder of the bank that is background. Repeatable.")
@click.option("--test-folds", default="4", type=NumberList(int, "folds"), help="Folds (of fold-id-take.ext) that only the test set uses.")
@click.option("--num-train", default=600, type=click.IntRange(1), help="Training soundscapes of 10 s.")
@click.option("--num-test", default=120, type=click.IntRange(1), help="Test soundscapes of 10 s.")
@click.option("--seed", default=0, type=click.IntRange(0))
def prepare_soundscapes(bank_dir, data_dir, backgrounds, test_folds, num_train, num_test, seed):
    """Mix the recordings of a bank into 10 s soundscapes: DATA_DIR/train with tags, DATA_DIR/test with events too.

    BANK_DIR holds one folder a class, files named fold-id-take.ext; `builtin` synthesises a small bank of its own.

    \b
    Example: wsedtk prepare soundscapes builtin data --num-train 100 --num-test 20
    """
    _stage("prepare").soundscapes(bank_dir, data_dir, list(backgrounds), list(test_folds), num_train, num_test, seed)


@verb(prepare, "dcase2017")
@click.argument("metadata_dir", type=IN_DIR)
@click.argument("audio_dirs", type=IN_DIR, nargs=-1, metavar="AUDIO_DIR...")
@click.argument("data_dir", type=OUT)
@click.option("--metadata-only", is_flag=True, help="Keep every official clip, without audio.")
@click.option("--strict", is_flag=True, help="Refuse to go on with an official clip missing.")
@click.option("--jobs", default=1, type=click.IntRange(1), help="Processes that listen to the audio.")
def prepare_dcase2017(metadata_dir, audio_dirs, data_dir, metadata_only, strict, jobs):
    """Make DATA_DIR/train, DATA_DIR/test and DATA_DIR/eval of DCASE 2017 task 4.

    METADATA_DIR holds the challenge's own lists; AUDIO_DIR files named Y<ID>_<start>_<end>.wav, with or without the Y, also
    .flac, .ogg or .mp3, at any depth. What is missing or odd is counted, class by class, and the rest goes on.

    \b
    Example: wsedtk prepare dcase2017 metadata audio data --jobs 2
    """
    _stage("prepare").dcase2017(metadata_dir, audio_dirs, data_dir, metadata_only, strict, jobs)


@verb(prepare, "audioset")
@click.argument("metadata_dir", type=IN_DIR)
@click.argument("audio_dirs", type=IN_DIR, nargs=-1, metavar="AUDIO_DIR...")
@click.argument("data_dir", type=OUT)
@click.option("--subset", default="balanced", type=click.Choice(["balanced", "unbalanced", "all"]), help="The training list, or both.")
@click.option("--exclude", "excluded", multiple=True, type=IN_DIR, metavar="DATA_SET",
              help="Leave clips out of the training set whose video this set has clips of. Repeatable.")
@click.option("--ancestors", "with_ancestors", is_flag=True, help="Tag clips with the classes above their own in the ontology too.")
@click.option("--metadata-only", is_flag=True, help="Keep every official clip, without audio.")
@click.option("--strict", is_flag=True, help="Refuse to go on with an official clip missing.")
@click.option("--jobs", default=1, type=click.IntRange(1), help="Processes that listen to the audio.")
def prepare_audioset(metadata_dir, audio_dirs, data_dir, subset, excluded, with_ancestors, metadata_only, strict, jobs):
    """Make DATA_DIR/train and DATA_DIR/eval of AudioSet.

    METADATA_DIR holds the published lists of segments, class_labels_indices.csv and, if you have it, ontology.json; AUDIO_DIR files
    named Y<ID>_<start>_<end>.wav, with or without the Y, also .flac, .ogg or .mp3, at any depth. What is missing or odd is counted,
    class by class, and the rest goes on.

    \b
    Example: wsedtk prepare audioset metadata audio data --subset unbalanced --exclude dcase/test --exclude dcase/eval
    """
    _stage("prepare").audioset(metadata_dir, audio_dirs, data_dir, subset, excluded, with_ancestors, metadata_only, strict, jobs)


@verb(cli, "download")
@click.argument("data_sets", type=IN_DIR, nargs=-1, required=True, metavar="DATA_SET...")
@click.argument("audio_dir", type=OUT)
@click.option("--jobs", default=4, type=click.IntRange(1), help="Workers: downloads at once.")
@click.option("--limit-rate", default="1M", help="Bytes a second (500K, 1M, ...), passed on; yt-dlp heeds it where not ffmpeg downloads.")
@click.option("--sleep-seconds", default=1.0, type=click.FloatRange(0), help="Pause between a worker's downloads.")
@click.option("--retry-dead", is_flag=True, help="Ask again for the videos that are listed as dead.")
@click.option("--program", default="yt-dlp", help="The downloader, or a script of yours that runs it with more options.")
@click.option("--dry-run", is_flag=True, help="Print the command lines and stop.")
def download(data_sets, audio_dir, jobs, limit_rate, sleep_seconds, retry_dead, program, dry_run):
    """Fetch the audio of YouTube excerpts, clips named <ID>_<start>_<end>.wav, with yt-dlp and ffmpeg.

    What is in AUDIO_DIR, in whatever folder, is not fetched again; run again, it goes on. Clips that can't be had are listed in
    AUDIO_DIR/failures.tsv: `dead` for good, or `retry` the next time. Exit status 75 where there are clips to retry.

    \b
    Example: wsedtk download data/train data/test data/eval audio --jobs 2
    """
    _stage("download").run(data_sets, audio_dir, jobs, limit_rate, sleep_seconds, retry_dead, program, dry_run)


@verb(cli, "validate")
@click.argument("data_sets", type=IN_DIR, nargs=-1, required=True, metavar="DATA_SET...")
@click.option("--audio", "with_audio", is_flag=True, help="Open every sound file too.")
@click.option("--jobs", default=1, type=click.IntRange(1), help="Processes that open sound files.")
def validate(data_sets, with_audio, jobs):
    """List every fault of data directories at once, and what they share: clips, recordings that clips are cut from.

    Errors, exit status 1, are what no later stage can use; warnings what it can, but is odd: events of length zero or beyond their
    clip, classes without clips, clips of two sets. --audio opens every file: missing, unreadable, empty or not finite is an error.
    It warns of silence (all samples the same), clipping (0.1 % at full scale), levels beyond twice full scale, rates that are
    unusual in the set or below 16 kHz, 0.1 s more or less than clips.tsv says, less than 0.1 s at all, and clips that sound
    exactly alike.

    \b
    Example: wsedtk validate --audio data/train data/test --jobs 2
    """
    _stage("validate").run(data_sets, with_audio, jobs)


@verb(cli, "extract")
@click.argument("data_set", type=IN_DIR)
@click.argument("feats", type=OUT, metavar="FEATS.h5")
@click.option("--config", "config_path", type=IN_DIR, help="The front end (YAML); without it Wang's.")
@click.option("--jobs", default=1, type=click.IntRange(1), help="Processes.")
@click.option("--shard", type=Shard(), help="Only the K-th of N parts of the set, to FEATS.K-of-N.h5.")
@click.option("--max-seconds", default=10.0, type=click.FloatRange(0, min_open=True), help="Length that clips may have.")
@click.option("--crop", is_flag=True, help="Cut longer clips instead of refusing them.")
@click.option("--dtype", default="float32", type=click.Choice(["float16", "float32"]), help="Precision of the features in the file.")
@click.option("--max-failures", default=0.01, type=click.FloatRange(0, 1), help="Fraction of clips that may fail.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...: where the front end computes.")
def extract(data_set, feats, config_path, jobs, shard, max_seconds, crop, dtype, max_failures, device):
    """Compute the log-mel features of a set's audio.

    \b
    Example: wsedtk extract data/train feats/train.h5 --config conf/frontend_wang.yaml --jobs 2
    """
    _stage("extract").run(data_set, feats, config_path, jobs, shard, max_seconds, dtype, crop, max_failures, device)


@verb(cli, "balance")
@click.argument("data_set", type=IN_DIR)
@click.argument("fit_set", type=OUT)
@click.argument("valid_set", type=OUT)
@click.option("--num-valid", required=True, type=click.IntRange(1), help="Clips to hold out.")
@click.option("--seed", default=0, type=click.IntRange(0))
def balance(data_set, fit_set, valid_set, num_valid, seed):
    """Hold out a validation set with about equally many clips of each class, sharing no source recording with the rest.

    \b
    Example: wsedtk balance data/train data/fit data/valid --num-valid 100
    """
    _stage("balance").run(data_set, fit_set, valid_set, num_valid, seed)


@verb(cli, "train")
@click.argument("fit_set", type=IN_DIR)
@click.argument("valid_set", type=IN_DIR)
@click.argument("model_dir", type=OUT)
@click.option("--feats", required=True, multiple=True, type=IN_DIR, help="Features of the clips. Repeatable.")
@click.option("--config", "config_path", type=IN_DIR, help="The system (YAML); without it Wang's CRNN.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one setting. Repeatable.")
@click.option("--init", "init_dir", type=IN_DIR, metavar="MODEL_DIR", help="Start from this model; other classes get a new output layer.")
@click.option("--cache", is_flag=True, help="Keep all features in memory, where they fit: 50 to 160 kB a clip of 10 s.")
@click.option("--overwrite", is_flag=True, help="Train anew in a directory that holds another model.")
@click.option("--dry-run", is_flag=True, help="Print the network's layers and stop.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
def train(fit_set, valid_set, model_dir, feats, config_path, overrides, init_dir, cache, overwrite, dry_run, device):
    """Train a network on clip tags. Run again, it goes on from its last checkpoint.

    Over several GPUs torchrun starts it, a process a GPU: `torchrun --standalone --nproc-per-node 4 -m wsedtk train ...`. They share
    out each batch of `batch_size` clips. README tells of several machines, and of bin/torchrun.py.

    \b
    Example: wsedtk train data/fit data/valid exp/linear --feats feats/train.h5 --config conf/crnn_linear.yaml
    """
    _stage("train").run(fit_set, valid_set, model_dir, feats, config_path, overrides, init_dir, overwrite, dry_run, device, cache)


@verb(cli, "predict")
@click.argument("model_dir", type=IN_DIR)
@click.argument("feats", type=IN_DIR, metavar="FEATS.h5")
@click.argument("scores", type=OUT, metavar="SCORES.h5")
@click.option("--data", "data_set", type=IN_DIR, help="Score the clips of this set only.")
@click.option("--precise", is_flag=True, help="float32 throughout; else bf16 where it is safe.")
@click.option("--no-frames", is_flag=True, help="Leave frame scores out of the file: the most of it by far.")
@click.option("--classes", type=IN_DIR, metavar="FILE", help="Keep only these classes, in this order: one a line; NAME<TAB>NEW renames.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
def predict(model_dir, feats, scores, data_set, precise, no_frames, classes, device):
    """Score clips, frames and 1 s segments with a trained model.

    Of 10 s at 0.1 s a frame, the frame scores of 527 classes take 0.2 MB a clip: of a corpus of two million clips 400 GB, of 20 000
    clips 4 GB. --no-frames saves them all; --classes makes every table as much smaller as the classes are fewer.

    \b
    Example: wsedtk predict exp/linear feats/test.h5 exp/linear/test/scores.h5
    """
    _stage("predict").run(model_dir, feats, scores, data_set, precise, no_frames, classes, device)


@verb(cli, "tune")
@click.argument("scores", type=IN_DIR, metavar="SCORES.h5")
@click.argument("data_set", type=IN_DIR)
@click.argument("operating_point", type=OUT, metavar="OPERATING_POINT.yaml")
@click.option("--criterion", default="tags", type=click.Choice(["tags", "segments"]), help="What frame thresholds and filters maximise.")
@click.option("--published", is_flag=True, help="Clip thresholds by Wang's own procedure, which can miss the optimum.")
@click.option("--seed", default=0, type=click.IntRange(0), help="For --published.")
@click.option("--median-seconds", default="0.5", type=NumberList(float, "seconds"), help="Median filters to choose from: one, or several.")
@click.option("--min-seconds", default="0.2", type=NumberList(float, "seconds"), help="Shortest events to choose from.")
@click.option("--max-gap-seconds", default="0.2", type=NumberList(float, "seconds"), help="Gaps to join over, to choose from.")
@click.option("--gate-by-tags", is_flag=True, help="Decode events only of the classes that the clip is tagged with.")
def tune(scores, data_set, operating_point, criterion, published, seed, median_seconds, min_seconds, max_gap_seconds, gate_by_tags):
    """Choose the thresholds of each class for the best micro F1 on a validation set.

    \b
    Example: wsedtk tune exp/linear/valid/scores.h5 data/valid exp/linear/operating_point.yaml
    """
    _stage("tune").run(scores, data_set, operating_point, criterion, published, seed, median_seconds, min_seconds, max_gap_seconds,
                       gate_by_tags)


@verb(cli, "decode")
@click.argument("scores", type=IN_DIR, metavar="SCORES.h5")
@click.argument("operating_point", type=IN_DIR, metavar="OPERATING_POINT.yaml")
@click.argument("out_dir", type=OUT)
@click.option("--mode", type=click.Choice(["segment", "frame"]), help="1 s segments, or filtered frames; else the operating point's.")
def decode(scores, operating_point, out_dir, mode):
    """Turn scores into tags and events.

    \b
    Example: wsedtk decode exp/linear/test/scores.h5 exp/linear/operating_point.yaml exp/linear/test/frame --mode frame
    """
    _stage("decode").run(scores, operating_point, out_dir, mode)


@verb(cli, "score")
@click.argument("data_set", type=IN_DIR)
@click.argument("out_dir", type=IN_DIR)
@click.option("--scores", "scores_path", type=IN_DIR, metavar="SCORES.h5", help="For MAP, MAUC, d' and PSDS.")
@click.option("--bootstrap", "num_resamples", default=0, type=click.IntRange(0), help="Resamples for 95 % intervals over clips.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
def score(data_set, out_dir, scores_path, num_resamples, as_json):
    """Compare decoded tags and events with the truth: tagging, segment and event metrics, baselines.

    \b
    Example: wsedtk score data/test exp/linear/test/frame --scores exp/linear/test/scores.h5 --bootstrap 1000
    """
    _stage("score").run(data_set, out_dir, scores_path, num_resamples, as_json)


@verb(cli, "score-files")
@click.argument("reference", type=IN_DIR)
@click.argument("estimate", type=IN_DIR)
@click.option("--kind", type=click.Choice(["tags", "events"]), help="What the lists hold; found out where it is not given.")
@click.option("--bootstrap", "num_resamples", default=0, type=click.IntRange(0), help="Resamples for 95 % intervals over clips.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
def score_files(reference, estimate, kind, num_resamples, as_json):
    """Compare anybody's list of tags or events with a list of the true ones.

    The lists are tab-separated, with or without a header: `filename event_label` for tags, `filename onset offset event_label`
    for events, `filename` alone for a clip without any. A list whose times are all those in the file name
    (<id>_30.000_40.000.wav, 30.000, 40.000), as DCASE 2017 writes its weak labels, holds tags. A Y before a YouTube ID and the
    extension make no difference. Every clip that REFERENCE names is scored, and no other.

    \b
    Example: wsedtk score-files groundtruth_strong_label_evaluation_set.csv my_events.tsv --bootstrap 1000
    """
    _stage("score_files").run(reference, estimate, kind, as_json, num_resamples)


@verb(cli, "average")
@click.argument("scores", type=IN_DIR, nargs=-1, required=True, metavar="SCORES...")
@click.argument("output", type=OUT, metavar="OUT")
@click.option("--weights", type=NumberList(float, "weights"), help="One for each of SCORES; else all count the same.")
@click.option("--labels", type=IN_DIR, help="The classes to keep, one a line, in that order; else those of SCORES.")
def average(scores, output, weights, labels):
    """Average several systems' scores of the same clips; of one system's, change the form.

    Each of SCORES, and OUT, is a score file, which is named .h5, or a folder of frame scores as sed_scores_eval has them: a
    table <clip>.tsv for every clip, with the columns onset, offset, and one a class. Such a folder has no clip and segment
    scores: they are the maxima of the frames. Its clips are named as the tables, with .wav where there is no extension, and
    without a Y before a YouTube ID.

    \b
    Example: wsedtk average exp/a/test/scores.h5 exp/b/test/scores.h5 exp/ab/test/scores.h5 --weights 2,1
             wsedtk average exp/a/test/scores.h5 exp/a/test/scores_tsv
             wsedtk average their_scores_tsv exp/theirs/test/scores.h5 --labels data/test/labels.txt
    """
    _stage("average").run(scores, output, weights, labels)


@verb(cli, "report")
@click.argument("model_dirs", type=IN_DIR, nargs=-1, required=True, metavar="MODEL_DIR...")
@click.argument("output", type=OUT, metavar="REPORT.html")
@click.option("--figures", type=OUT, help="Write the single figures as PNG into this folder too.")
def report(model_dirs, output, figures):
    """Show trained and scored systems on one page: tables, training curves, event timelines.

    \b
    Example: wsedtk report exp/linear exp/attention exp/report.html
    """
    _stage("report").run(model_dirs, output, figures)


@verb(cli, "import")
@click.argument("checkpoint", type=IN_DIR, metavar="CHECKPOINT.pt")
@click.argument("model_dir", type=OUT)
@click.option("--labels", required=True, type=IN_DIR, help="The classes, one a line, in the order of the network's outputs.")
@click.option("--normalizer", required=True, type=IN_DIR, help="Mean and deviation of the mel bins: two rows of text, or npz.")
@click.option("--frontend", required=True, type=IN_DIR, help="The front end that it was trained on (YAML).")
@click.option("--pooling", type=click.Choice(["max", "average", "linear", "exp", "attention"]),
              help="What it was trained with; else attention where it has such weights, and linear.")
def import_(checkpoint, model_dir, labels, normalizer, frontend, pooling):
    """Turn weights that Wang, Li & Metze published (TALNet.pt, or their DCASE networks) into a model directory.

    \b
    Example: wsedtk import TALNet.pt talnet --labels labels.txt --normalizer norm.txt --frontend conf/frontend_wang.yaml
    """
    _stage("import_").run(checkpoint, model_dir, labels, normalizer, frontend, pooling)


def _tell(error):
    from wsedtk.progress import printable
    if str(error):  # else another process has said it
        click.echo(f"wsedtk: {printable(error)}", err=True)


def main():
    """Run the command line. Exit status: 0 done, 1 InputError, 2 usage, 75 NotFinished or stopped by a signal."""
    try:
        with signals.handled(_stop):
            try:
                cli(prog_name="wsedtk")
            finally:
                sys.stdout.flush()
    except InputError as error:
        _tell(error)
        sys.exit(1)
    except NotFinished as error:
        _tell(error)
        sys.exit(75)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python tries to write when it ends
        if error.errno != errno.EPIPE:  # of which the reader, `head` say, knows: it has seen enough
            click.echo(f"wsedtk: standard output can't be written: {error.strerror}", err=True)
        sys.exit(1)
