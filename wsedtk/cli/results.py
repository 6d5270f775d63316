"""Commands from a trained system to results."""

import importlib

import click

from wsedtk.cli.common import IN_DIR, OUT, Fraction, Number, NumberList, Target, cli, stage, verb


class Extension(click.ParamType):
    """The name of a built-in object of an extension point, or `package.module:Object`.

    The names come from the registry. It is imported only when a value or the help needs it, which
    keeps `wsedtk --help` fast.
    """

    name = "extension"

    def __init__(self, module: str, registry: str) -> None:
        self._module = module
        self._registry = registry

    def _names(self) -> "click.Choice[str]":  # click 8.1 can't subscript it
        registry = getattr(importlib.import_module(self._module), self._registry)
        return click.Choice(registry.names())

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the names as the help shows them."""
        return f"[{'|'.join(self._names().choices)}|package.module:Class]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, which is checked here only if it is that of a built-in object."""
        return value if ":" in value else self._names().convert(value, param, ctx)


@verb(cli, "predict")
@click.argument("model_dir", type=IN_DIR)
@click.argument("feats", type=IN_DIR, metavar="FEATS.h5")
@click.argument("scores", type=OUT, metavar="SCORES.h5")
@click.option("--data", "data_set", type=IN_DIR, help="Score the clips of this set only.")
@click.option("--precise", is_flag=True, help="float32 throughout; else bf16 where it is safe.")
@click.option(
    "--no-frames", is_flag=True, help="Leave frame scores out of the file: the most of it by far."
)
@click.option(
    "--classes",
    type=IN_DIR,
    metavar="FILE",
    help="Keep only these classes, in this order: one a line; NAME<TAB>NEW renames.",
)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
def predict(model_dir, feats, scores, data_set, precise, no_frames, classes, device):
    """Score clips, frames and 1 s segments with a trained model.

    Of 10 s at 0.1 s a frame, the frame scores of 527 classes take 0.2 MB a clip: of a corpus of two million clips 400 GB, of 20 000
    clips 4 GB. --no-frames saves them all; --classes makes every table as much smaller as the classes are fewer.

    \b
    Example: wsedtk predict exp/linear feats/test.h5 exp/linear/test/scores.h5
             wsedtk predict exp/linear feats/train.h5 exp/linear/valid/scores.h5 --data data/valid
    """
    stage("predict").run(model_dir, feats, scores, data_set, precise, no_frames, classes, device)


@verb(cli, "tune")
@click.argument("scores", type=IN_DIR, metavar="SCORES.h5")
@click.argument("data_set", type=IN_DIR)
@click.argument("operating_point", type=OUT, metavar="OPERATING_POINT.yaml")
@click.option(
    "--criterion",
    default="tags",
    type=click.Choice(["tags", "segments"]),
    help="What frame thresholds and filters are judged by: clips, or 1 s segments.",
)
@click.option(
    "--target",
    type=Target(),
    help="Meet precision=P, recall=R or false-alarms-per-hour=N in every class, see above.",
)
@click.option(
    "--published",
    is_flag=True,
    help="Clip thresholds by Wang's own procedure, which can miss the optimum.",
)
@click.option(
    "--common-threshold",
    is_flag=True,
    help="One threshold and one set of filters for all classes, as He's text has it.",
)
@click.option("--seed", default=0, type=click.IntRange(0), help="For --published.")
@click.option(
    "--median-seconds",
    default="0.5",
    type=NumberList(float, "seconds"),
    help="Median filters to choose from: one, or several.",
)
@click.option(
    "--min-seconds",
    default="0.2",
    type=NumberList(float, "seconds"),
    help="Shortest events to choose from.",
)
@click.option(
    "--max-gap-seconds",
    default="0.2",
    type=NumberList(float, "seconds"),
    help="Gaps to join over, to choose from.",
)
@click.option(
    "--gate-by-tags",
    is_flag=True,
    help="Decode events only of the classes that the clip is tagged with.",
)
def tune(
    scores,
    data_set,
    operating_point,
    criterion,
    target,
    published,
    common_threshold,
    seed,
    median_seconds,
    min_seconds,
    max_gap_seconds,
    gate_by_tags,
):
    """Choose the thresholds of each class for the best micro F1 on a validation set.

    --target is for deployment: each class gets thresholds that meet it on this set, and of those the ones with the highest recall
    (for a target of recall: precision). A class that can't is never predicted. What is counted are clips, and with --criterion
    segments, for the frame thresholds, 1 s segments; a false alarm is one that is decided positive without holding the class, so
    that an alarm of 3 s counts as three.

    \b
    Example: wsedtk tune exp/linear/valid/scores.h5 data/valid exp/linear/operating_point.yaml
             wsedtk tune exp/linear/valid/scores.h5 data/valid exp/linear/careful.yaml --target precision=0.9
    """
    given = [
        name
        for name, value in (
            ("--target", target),
            ("--published", published),
            ("--common-threshold", common_threshold),
        )
        if value
    ]
    if len(given) > 1:
        raise click.UsageError(
            f"{' and '.join(given)} choose the same thresholds in different ways: give one of them"
        )
    stage("tune").run(
        scores,
        data_set,
        operating_point,
        criterion,
        published,
        seed,
        median_seconds,
        min_seconds,
        max_gap_seconds,
        gate_by_tags,
        target,
        common_threshold,
    )


@verb(cli, "decode")
@click.argument("scores", type=IN_DIR, metavar="SCORES.h5")
@click.argument("operating_point", type=IN_DIR, metavar="OPERATING_POINT.yaml")
@click.argument("out_dir", type=OUT)
@click.option(
    "--mode",
    type=click.Choice(["segment", "frame"]),
    help="1 s segments, or filtered frames; else the operating point's.",
)
def decode(scores, operating_point, out_dir, mode):
    """Turn scores into tags and events.

    \b
    Example: wsedtk decode exp/linear/test/scores.h5 exp/linear/operating_point.yaml exp/linear/test/frame --mode frame
    """
    stage("decode").run(scores, operating_point, out_dir, mode)


@verb(cli, "score")
@click.argument("data_set", type=IN_DIR)
@click.argument("out_dir", type=IN_DIR)
@click.option(
    "--scores", "scores_path", type=IN_DIR, metavar="SCORES.h5", help="For MAP, MAUC, d' and PSDS."
)
@click.option(
    "--bootstrap",
    "num_resamples",
    default=0,
    type=click.IntRange(0),
    help="Resamples for 95 % intervals over clips.",
)
@click.option(
    "--metric",
    "own_metrics",
    multiple=True,
    metavar="MODULE:NAME",
    help="A metric of your own, as package.module:NAME. Repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
def score(data_set, out_dir, scores_path, num_resamples, own_metrics, as_json):
    """Compare decoded tags and events with the truth: tagging, segment and event metrics, baselines.

    \b
    Example: wsedtk score data/test exp/linear/test/frame --scores exp/linear/test/scores.h5 --bootstrap 1000
    """
    stage("score").run(data_set, out_dir, scores_path, num_resamples, as_json, own_metrics)


@verb(cli, "score-files")
@click.argument("reference", type=IN_DIR)
@click.argument("estimate", type=IN_DIR)
@click.option(
    "--kind",
    type=click.Choice(["tags", "events"]),
    help="What the lists hold; found out where it is not given.",
)
@click.option(
    "--bootstrap",
    "num_resamples",
    default=0,
    type=click.IntRange(0),
    help="Resamples for 95 % intervals over clips.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
def score_files(reference, estimate, kind, num_resamples, as_json):
    """Compare anybody's list of tags or events with a list of the true ones.

    The lists are tab-separated, with or without a header: `filename event_label` for tags, `filename onset offset event_label`
    for events, `filename` alone for a clip without any. A list whose times are all those in the file name
    (<id>_30.000_40.000.wav, 30.000, 40.000), as DCASE 2017 writes its weak labels, holds tags. A Y before a YouTube ID and the
    extension make no difference. Every clip that REFERENCE names is scored, and no other.
    Events of length zero count in ESTIMATE as sed_eval counts them, and are dropped from REFERENCE.

    \b
    Example: wsedtk score-files groundtruth_strong_label_evaluation_set.csv my_events.tsv --bootstrap 1000
    """
    stage("score_files").run(reference, estimate, kind, as_json, num_resamples)


@verb(cli, "detect")
@click.argument("model_dir", type=IN_DIR)
@click.argument("audio", nargs=-1, required=True, metavar="AUDIO...")
@click.option(
    "--output",
    type=OUT,
    help="One file for the events of all recordings; without it and --output-dir they are printed.",
)
@click.option(
    "--output-dir",
    type=OUT,
    help="A file for each recording into this folder, in the place of one that is there.",
)
@click.option(
    "--format",
    "format_name",
    default="tsv",
    type=Extension("wsedtk.data.formats", "FORMATS"),
    help="DCASE table (tsv), JSON lines, Audacity labels, Raven selection table, or your own class.",
)
@click.option(
    "--channels",
    default="mix",
    type=click.Choice(["mix", "each"]),
    help="All channels mixed, or each on its own.",
)
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="[CLASS=]NUMBER",
    help="From 0 to 1, or inf for never; instead of the frame thresholds. Repeatable.",
)
@click.option(
    "--classes",
    multiple=True,
    metavar="CLASS|FILE",
    help="Only this class, or those of a file: one a line; NAME<TAB>NEW renames. Repeatable.",
)
@click.option("--min-duration", type=Number(0, 86400), help="Seconds that an event lasts at least.")
@click.option(
    "--operating-point",
    type=IN_DIR,
    help="Thresholds and filters; without it those of the model directory.",
)
@click.option(
    "--scores",
    type=OUT,
    metavar="DIR",
    help="Keep the score curves there: a table a recording, as sed_scores_eval has them.",
)
@click.option("--plot", type=OUT, metavar="DIR", help="A picture a recording, there.")
@click.option(
    "--max-failures", default=0.01, type=Fraction(), help="Fraction of recordings that may fail."
)
@click.option("--precise", is_flag=True, help="float32 throughout; else bf16 where it is safe.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
def detect(
    model_dir,
    audio,
    output,
    output_dir,
    format_name,
    channels,
    thresholds,
    classes,
    min_duration,
    operating_point,
    scores,
    plot,
    max_failures,
    precise,
    device,
):
    """Find the events in recordings of one's own: of any length, rate and number of channels.

    AUDIO is files, folders (at any depth) or quoted patterns: WAV, FLAC, Ogg, MP3, m4a, mp4, webm
    and other formats. The network sees windows of the length that it was trained on, which overlap
    by half; their centres make one score curve, that frame thresholds and filters turn into events,
    as `decode --mode frame` does.

    \b
    Example: wsedtk detect exp/linear recording.flac
             wsedtk detect exp/linear recordings/ 'more/*.mp3' --output-dir labels --format audacity --plot pictures
    """
    stage("detect").run(
        model_dir,
        audio,
        output,
        output_dir,
        format_name,
        channels,
        thresholds,
        classes,
        min_duration,
        operating_point,
        scores,
        plot,
        max_failures,
        precise,
        device,
    )


@verb(cli, "average")
@click.argument("scores", type=IN_DIR, nargs=-1, required=True, metavar="SCORES...")
@click.argument("output", type=OUT, metavar="OUT")
@click.option(
    "--weights",
    type=NumberList(float, "weights"),
    help="One for each of SCORES; else all count the same.",
)
@click.option(
    "--labels",
    type=IN_DIR,
    help="The classes to keep, one a line, in that order; else those of SCORES.",
)
def average(scores, output, weights, labels):
    """Average several systems' scores of the same clips; of one system's, change the form.

    Each of SCORES, and OUT, is a score file, which is named .h5, or a folder of frame scores as sed_scores_eval has them: a
    table <clip>.tsv for every clip, with the columns onset, offset, and one a class. Such a folder has no clip and segment
    scores: they are the maxima of the frames. Its clips are named as the tables, with .wav where there is no extension, and
    without a Y before a YouTube ID.

    \b
    Example: wsedtk average exp/linear/test/scores.h5 exp/attention/test/scores.h5 exp/both/test/scores.h5 --weights 2,1
             wsedtk average exp/linear/test/scores.h5 exp/linear/test/scores_tsv
             wsedtk average their_scores_tsv exp/theirs/test/scores.h5 --labels data/test/labels.txt
    """
    stage("average").run(scores, output, weights, labels)


@verb(cli, "report")
@click.argument("folders", type=IN_DIR, nargs=-1, required=True, metavar="EXP...")
@click.argument("output", type=OUT, metavar="REPORT.html")
@click.option(
    "--figures",
    type=OUT,
    metavar="DIR",
    help="Write the single figures into this folder too, for a paper.",
)
@click.option(
    "--format",
    "kind",
    default="png",
    type=click.Choice(["png", "svg", "pdf"]),
    help="What --figures writes.",
)
def report(folders, output, figures, kind):
    """Show trained and scored systems on one page: tables, curves, errors, and the best and worst clips to look at and listen to.

    Each EXP is a model directory, or an experiment directory: all systems in it. Several systems are compared, with intervals of
    their differences from the first, over the clips. Systems that were trained with several seeds
    (NAME.seed0, NAME.seed1, ...) are compared by their means, with intervals over seeds and clips
    from three seeds on. The page is one file, which needs no network.

    \b
    Example: wsedtk report exp/linear exp/attention exp/report.html
             wsedtk report exp exp/report.html --figures exp/figures --format pdf
    """
    stage("report").run(folders, output, figures, kind)


@verb(cli, "info")
@click.argument("paths", type=IN_DIR, nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a list of descriptions as JSON and nothing else."
)
def info(paths, as_json):
    """Tell what artefacts are: made by what, when, from what, and whether they are complete.

    A data directory, features (shards, and those in the making, too), a model directory, a checkpoint, scores, an operating point,
    a decoded folder, a report, an exported model, a record, a configuration, a report page, a job's log, a sound, or a whole
    experiment directory. Of a model directory it tells what is missing to share it. Exit status 1 where something is damaged, or
    does not fit to what it is said to come from; what is only in the making is `complete: no`, and no error.

    \b
    Example: wsedtk info exp/linear feats/train.h5
    """
    stage("info").run(paths, as_json)
