"""Commands from a trained system to results."""

from typing import TYPE_CHECKING

import click

from wsedtk.cli import printing_results
from wsedtk.cli.common import cli, stage, verb
from wsedtk.cli.options import OUT, Parameter
from wsedtk.cli.value_types import Extension, Fraction, Number, NumberList, Target
from wsedtk.core.errors import InputError
from wsedtk.stages.options.results import (
    LONGEST_EVENT_SECONDS,
    AverageOptions,
    DecodeOptions,
    DetectOptions,
    InfoOptions,
    PredictOptions,
    ReportOptions,
    ScoreFilesOptions,
    ScoreOptions,
    TuneOptions,
)

if TYPE_CHECKING:
    from wsedtk.stages.info import InfoResult
    from wsedtk.stages.score import ScoreResult
    from wsedtk.stages.score_files import ScoreFilesResult

_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else."
)
_BOOTSTRAP = Parameter(flag="--bootstrap", minimum=0)


_SECONDS = Parameter(type=NumberList(float, "seconds"))


@verb(
    cli,
    "predict",
    PredictOptions,
    feats=Parameter(metavar="FEATS.h5"),
    scores=Parameter(type=OUT, metavar="SCORES.h5"),
    data_set=Parameter(flag="--data"),
    classes=Parameter(metavar="FILE"),
)
def predict(options: PredictOptions) -> None:
    """Score clips, frames and 1 s segments with a trained model.

    The frame scores of a clip of 10 s take 0.2 MB with 527 classes and frames of 0.1 s: 4 GB for
    20,000 clips, 400 GB for two million. --no-frames omits them. --classes reduces the size of all
    scores in proportion to the number of classes.

    \b
    Example: wsedtk predict exp/linear feats/test.h5 exp/linear/test/scores.h5
             wsedtk predict exp/linear feats/train.h5 exp/linear/valid/scores.h5 --data data/valid
    """
    printing_results.print_predict(stage("predict").run(options))


@verb(
    cli,
    "tune",
    TuneOptions,
    scores=Parameter(metavar="SCORES.h5"),
    operating_point=Parameter(type=OUT, metavar="OPERATING_POINT.yaml"),
    target=Parameter(type=Target()),
    seed=Parameter(minimum=0),
    median_seconds=_SECONDS,
    min_seconds=_SECONDS,
    max_gap_seconds=_SECONDS,
)
def tune(options: TuneOptions) -> None:
    """Choose the thresholds of each class for the best micro F1 on a validation set.

    With --target, each class gets the thresholds that reach the target on this set with the highest
    recall. For a target recall, the precision is maximised. A class that cannot reach it is never
    predicted. Decisions are counted by clip. With --criterion segments, those of frame thresholds
    are counted by 1 s segment. Each positive decision for a class that is absent is a false alarm:
    in segments, an alarm of 3 s counts as three.

    \b
    Example: wsedtk tune exp/linear/valid/scores.h5 data/valid exp/linear/operating_point.yaml
             wsedtk tune exp/linear/valid/scores.h5 data/valid exp/linear/careful.yaml \\
                 --target precision=0.9
    """
    try:
        options.check_ways()
    except InputError as error:
        raise click.UsageError(str(error)) from None
    printing_results.print_tune(stage("tune").run(options))


@verb(
    cli,
    "decode",
    DecodeOptions,
    scores=Parameter(metavar="SCORES.h5"),
    operating_point=Parameter(metavar="OPERATING_POINT.yaml"),
    out_dir=Parameter(type=OUT),
)
def decode(options: DecodeOptions) -> None:
    """Turn scores into tags and events.

    \b
    Example: wsedtk decode exp/linear/test/scores.h5 exp/linear/operating_point.yaml \\
                 exp/linear/test/frame --mode frame
    """
    printing_results.print_decode(stage("decode").run(options))


@verb(
    cli,
    "score",
    ScoreOptions,
    scores=Parameter(key="scores_path", metavar="SCORES.h5"),
    num_resamples=_BOOTSTRAP,
    own_metrics=Parameter(flag="--metric", metavar="MODULE:NAME"),
)
@_JSON
def score(options: ScoreOptions, as_json: bool) -> None:
    """Evaluate decoded tags and events against the reference.

    The report has metrics of tags, segments and events, and baselines. It is printed, and written
    to report.json and report.txt in OUT_DIR.

    \b
    Example: wsedtk score data/test exp/linear/test/frame \\
                 --scores exp/linear/test/scores.h5 --bootstrap 1000
    """
    result: ScoreResult = stage("score").run(options)
    if as_json:
        printing_results.print_json(result.report.to_dict())
    else:
        printing_results.print_score(result)


@verb(cli, "score-files", ScoreFilesOptions, num_resamples=_BOOTSTRAP)
@_JSON
def score_files(options: ScoreFilesOptions, as_json: bool) -> None:
    """Evaluate a list of tags or events against a list of the true ones.

    The lists are tab-separated, with or without a header: `filename event_label` for tags,
    `filename onset offset event_label` for events, `filename` alone for a clip without any. If all
    times of a list are those in the file names (<id>_30.000_40.000.wav, 30.000, 40.000), it holds
    tags: DCASE 2017 has this format for weak labels. A Y before a YouTube ID, and the extension,
    are ignored when file names are compared. Only clips of REFERENCE are evaluated, and all of
    them. Events of length zero count in ESTIMATE as sed_eval counts them, and are dropped from
    REFERENCE.

    \b
    Example: wsedtk score-files groundtruth_strong_label_evaluation_set.csv my_events.tsv \\
                 --bootstrap 1000
    """
    result: ScoreFilesResult = stage("score_files").run(options)
    if as_json:
        printing_results.print_json(result.report.to_dict())
    else:
        print(result.report.to_text(), end="")


@verb(
    cli,
    "detect",
    DetectOptions,
    audio=Parameter(type=click.STRING, metavar="AUDIO..."),
    output=Parameter(type=OUT),
    output_dir=Parameter(type=OUT),
    format_name=Parameter(flag="--format", type=Extension("wsedtk.data.formats", "FORMATS")),
    thresholds=Parameter(flag="--threshold", metavar="[CLASS=]NUMBER"),
    classes=Parameter(metavar="CLASS|FILE"),
    min_duration=Parameter(type=Number(0, LONGEST_EVENT_SECONDS)),
    scores=Parameter(type=OUT, metavar="DIR"),
    plot=Parameter(type=OUT, metavar="DIR"),
    max_failures=Parameter(type=Fraction()),
)
def detect(options: DetectOptions) -> None:
    """Find the events of recordings of any length, sample rate and number of channels.

    AUDIO is files, folders (at any depth) or quoted patterns: WAV, FLAC, Ogg, MP3, m4a, mp4, webm
    and other formats. Without --output and --output-dir, events are printed. The network sees
    windows of the length that it was trained on, which overlap by half. The centres of the windows
    form one score curve. Frame thresholds and filters turn it into events, as in `decode --mode
    frame`.

    \b
    Example: wsedtk detect exp/linear recording.flac
             wsedtk detect exp/linear recordings/ 'more/*.mp3' --output-dir labels \\
                 --format audacity --plot pictures
    """
    run = stage("detect").run
    if options.output is not None or options.output_dir is not None:
        run(options)
        return
    from wsedtk.data import formats

    form = formats.event_format(options.format_name)
    run(options, on_recording=printing_results.EventPrinter(form))


@verb(
    cli,
    "average",
    AverageOptions,
    scores=Parameter(metavar="SCORES..."),
    output=Parameter(type=OUT, metavar="OUT"),
    weights=Parameter(type=NumberList(float, "weights")),
)
def average(options: AverageOptions) -> None:
    """Average the scores of several systems for the same clips, or convert those of one system.

    Each of SCORES, and OUT, is a score file, whose name ends in .h5, or a folder of frame scores in
    the format of sed_scores_eval: a table <clip>.tsv for every clip, with the columns onset, offset
    and one for each class. Such a folder has no clip and segment scores: the maxima of the frames
    are used. Its clips have the names of the tables, with .wav if there is no extension, and
    without a Y before a YouTube ID.

    \b
    Example: wsedtk average exp/linear/test/scores.h5 exp/attention/test/scores.h5 \\
                 exp/both/test/scores.h5 --weights 2,1
             wsedtk average exp/linear/test/scores.h5 exp/linear/test/scores_tsv
             wsedtk average their_scores_tsv exp/theirs/test/scores.h5 --labels data/test/labels.txt
    """
    printing_results.print_average(stage("average").run(options))


@verb(
    cli,
    "report",
    ReportOptions,
    folders=Parameter(metavar="EXP..."),
    output=Parameter(type=OUT, metavar="REPORT.html"),
    figures=Parameter(type=OUT, metavar="DIR"),
    figure_format=Parameter(flag="--format", key="kind"),
)
def report(options: ReportOptions) -> None:
    """Write one HTML page about trained and evaluated systems.

    The page has tables, curves, errors, and the best and worst clips to look at and listen to. Each
    EXP is a model directory, or an experiment directory for all systems in it. Several systems are
    compared, with intervals over clips of their differences from the first. Systems that were
    trained with several seeds (NAME.seed0, NAME.seed1, ...) are compared by their means; with three
    seeds or more, with intervals over seeds and clips. The page is one file that needs no network.

    \b
    Example: wsedtk report exp/linear exp/attention exp/report.html
             wsedtk report exp exp/report.html --figures exp/figures --format pdf
    """
    printing_results.print_report_page(stage("report").run(options))


@verb(cli, "info", InfoOptions, paths=Parameter(metavar="PATH..."))
@click.option(
    "--json", "as_json", is_flag=True, help="Print a list of descriptions as JSON and nothing else."
)
def info(options: InfoOptions, as_json: bool) -> None:
    """Describe artefacts: what made them, when, their inputs, and whether they are complete.

    An artefact is a data directory, features (also shards and unfinished ones), a model directory,
    a checkpoint, scores, an operating point, a decoded folder, a report, an exported model, a
    record, a configuration, a report page, the log of a job, a sound, or an experiment directory.
    For a model directory, the description also says what is missing to share it. The exit status is
    1 if an artefact is damaged, or does not fit the inputs that it names. Unfinished artefacts are
    `complete: no`, which is not an error.

    \b
    Example: wsedtk info exp/linear feats/train.h5
    """
    result: InfoResult = stage("info").run(options)
    from wsedtk.cli import printing_info

    if as_json:
        printing_results.print_json(list(map(printing_info.json_of, result.descriptions)))
    elif result.descriptions:
        text = "\n\n".join(map(printing_info.text_of, result.descriptions))
        print(printing_info.escape_surrogates(text))
    errors = list(result.errors)
    if damaged := [about.path for about in result.descriptions if about.faults]:
        errors.append(
            f"{len(damaged)} of {len(options.paths)} damaged or inconsistent: {', '.join(damaged)}"
        )
    if errors:
        raise InputError("\n".join(errors))
