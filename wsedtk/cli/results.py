"""Define the commands that use a trained system, from `predict` to `info`."""

from typing import TYPE_CHECKING

import click

from wsedtk.cli import printing_results, streaming
from wsedtk.cli.common import cli, stage, verb
from wsedtk.cli.options import OUT, Parameter
from wsedtk.cli.value_types import Extension, Fraction, Number, NumberList, Target
from wsedtk.core import allocator
from wsedtk.core.errors import InputError
from wsedtk.stages.options.detection import (
    LONGEST_EVENT_SECONDS,
    LONGEST_MARGIN_SECONDS,
    DetectOptions,
)
from wsedtk.stages.options.results import (
    AverageOptions,
    DecodeOptions,
    InfoOptions,
    PredictOptions,
    ReportOptions,
    ScoreFilesOptions,
    ScoreOptions,
    TuneOptions,
)
from wsedtk.stages.options.review import MOST_MARGIN_SECONDS, ReviewOptions

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
    """Compute the scores of clips, frames and 1 s segments with a trained model.

    Frame scores can be large. With 527 classes and frames of 0.1 s, the frame scores of a clip of
    10 s take 0.2 MB. The frame scores of 20,000 such clips take 4 GB, and those of two million
    clips take 400 GB. Attention weights, if the model has them, need as much space as the frame
    scores. --no-frames omits both. With --classes, the size of all scores is proportional to the
    number of classes in FILE.

    \b
    Example: wsedtk predict exp/linear feats/test.h5 exp/linear/test/scores.h5
             wsedtk predict exp/linear feats/train.h5 exp/linear/valid/scores.h5 --data data/valid
    """
    allocator.keep_freed_memory()
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

    With --target, choose thresholds that reach a target instead. If several thresholds of a class
    reach the target on this set, `tune` selects the threshold with the highest recall or, if the
    target is a recall, with the highest precision. A class that cannot reach the target is never
    predicted.

    Decisions are counted on clips. With --criterion segments, decisions with frame thresholds are
    counted on segments of 1 s. A positive decision is a false alarm if the class is absent from the
    clip or segment. For example, a false detection that fills three segments counts as three false
    alarms.

    With --mode box, one of 18 settings of boxes is also chosen for each class: the length of the
    step filter, and a limit for the gaps between joined boxes.

    \b
    Example: wsedtk tune exp/linear/valid/scores.h5 data/valid exp/linear/operating_point.yaml
             wsedtk tune exp/linear/valid/scores.h5 data/valid exp/linear/careful.yaml \\
                 --target precision=0.9
             wsedtk tune exp/linear/valid/scores.h5 data/valid exp/linear/boxes.yaml --mode box
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
    """Convert scores to tags and events.

    In box mode, events are boxes with a confidence, and the file boxes.tsv contains all boxes, also
    those with a confidence below the threshold.

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

    The report contains metrics of tags, segments and events, and metrics of baselines. The report
    is printed, and written to report.json and report.txt in OUT_DIR.

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
    """Evaluate a list of tags or events against a reference list.

    The lists are tab-separated, with or without a header. A line is `filename event_label` for a
    tag, `filename onset offset event_label` for an event, or only `filename` for a clip without
    tags or events. If all times in a list are the times in the file names (for example
    <id>_30.000_40.000.wav, 30.000, 40.000), the list contains tags. DCASE 2017 uses this format for
    weak labels.

    When file names are compared, the extension and a Y before a YouTube ID are ignored. All clips
    of REFERENCE are evaluated, and no other clips. Events of length zero in REFERENCE are not
    counted in segment and event metrics. In ESTIMATE, they are counted in the same way as in
    sed_eval.

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
    audio=Parameter(type=click.STRING, metavar="AUDIO...", required=False),
    output=Parameter(type=OUT),
    output_dir=Parameter(type=OUT),
    format_name=Parameter(flag="--format", type=Extension("wsedtk.data.formats", "FORMATS")),
    thresholds=Parameter(flag="--threshold", metavar="[CLASS=]NUMBER"),
    classes=Parameter(metavar="CLASS|FILE"),
    min_duration=Parameter(type=Number(0, LONGEST_EVENT_SECONDS)),
    scores=Parameter(type=OUT, metavar="DIR"),
    plot=Parameter(type=OUT, metavar="DIR"),
    pages=Parameter(type=OUT, metavar="DIR"),
    summary=Parameter(type=OUT, metavar="FILE.csv"),
    clips=Parameter(type=OUT, metavar="DIR"),
    clip_margin=Parameter(type=Number(0, LONGEST_MARGIN_SECONDS)),
    max_clips=Parameter(minimum=1),
    jobs=Parameter(minimum=1),
    max_failures=Parameter(type=Fraction()),
)
@streaming.live_options
def detect(options: DetectOptions, **live: object) -> None:
    """Find the events in recordings of any length, sample rate and number of channels.

    AUDIO can be files, folders or quoted patterns. Subfolders are also searched. Formats are WAV,
    FLAC, Ogg, MP3, m4a, mp4, webm and others. Without --output and --output-dir, events are
    printed.

    The network processes windows that are as long as its longest training clip. The windows overlap
    by half. The central parts of the windows form one score curve. The events are decoded from this
    curve with frame thresholds and filters, as in `decode --mode frame`. If the mode of the
    operating point is box, they are decoded as in `decode --mode box`, and their scores are
    confidences.

    If a command with --output or --output-dir is stopped, run it again. It analyses only the
    recordings that were not finished.

    With --stream or --microphone, events are detected in sound that arrives continuously. AUDIO,
    --output and the other outputs can't be used then.

    \b
    Example: wsedtk detect exp/linear recording.flac
             wsedtk detect exp/linear recordings/ 'more/*.mp3' --output-dir labels \\
                 --format audacity --plot pictures
             wsedtk detect exp/linear season/ --jobs 4 --format csv --output events.csv \\
                 --summary summary.csv --clips clips
             wsedtk detect exp/linear --stream < recording.wav
    """
    allocator.keep_freed_memory()
    if streaming.run_if_live(options, live):
        return
    run = stage("detect").run
    if options.output is not None or options.output_dir is not None:
        run(options)
        return
    from wsedtk.data import formats

    form = formats.event_format(options.format_name)
    run(options, on_recording=printing_results.EventPrinter(form))


@verb(
    cli,
    "review",
    ReviewOptions,
    events=Parameter(metavar="EVENTS..."),
    audio=Parameter(metavar="AUDIO_DIR"),
    output=Parameter(type=OUT, metavar="REVIEW.html"),
    max_events=Parameter(minimum=1),
    margin=Parameter(type=Number(0, MOST_MARGIN_SECONDS)),
    format_name=Parameter(flag="--format", type=Extension("wsedtk.data.formats", "FORMATS")),
    jobs=Parameter(minimum=1),
)
def review(options: ReviewOptions) -> None:
    """Write a page on which you accept, reject and correct detected events.

    The page is one HTML file. It works without a network, and shows the spectrogram and plays the
    sound of each event. It is operated with keys or by touch. It saves a table, review.tsv, from
    which `prepare annotations` makes a data directory.

    EVENTS are outputs of `detect` in any format. CSV, JSON lines and Raven tables contain the
    scores that --order needs. EVENTS can also be a saved table, to go on with the review.

    \b
    Example: wsedtk review events.csv season/ review.html --model exp/linear
             wsedtk review labels/ recordings/ review.html --order time
    """
    printing_results.print_review(stage("review").run(options))


@verb(
    cli,
    "average",
    AverageOptions,
    scores=Parameter(metavar="SCORES..."),
    output=Parameter(type=OUT, metavar="OUT"),
    weights=Parameter(type=NumberList(float, "weights")),
)
def average(options: AverageOptions) -> None:
    """Average the scores of several systems for the same clips, or convert scores of one system.

    SCORES and OUT can be score files, whose names end in .h5, or folders of frame scores in the
    format of sed_scores_eval. Such a folder contains one table <clip>.tsv for each clip. The
    columns are onset, offset, and one column for each class.

    A folder contains no clip scores and no segment scores. Instead, the maxima of the frame scores
    are used. The clip names are the table names, without .tsv and without a Y before a YouTube ID.
    If such a name has no extension, .wav is added.

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

    The page shows tables, curves and errors, and pictures and sounds of the best and the worst
    clips. It is one file, which loads nothing from the internet. Each EXP is a model directory, or
    an experiment directory. For an experiment directory, the page shows all systems in it. The
    model cards of the systems are also updated.

    If there are several systems, each system is compared with the first system. The page shows the
    differences in the metrics, with intervals over clips. If systems were trained with several
    seeds (NAME.seed0, NAME.seed1, ...), their means over seeds are compared instead. In this case,
    each pooling function is compared with linear softmax pooling and max pooling in the same
    network, and pooling with a hierarchy is compared with the same pooling without a hierarchy. A
    system that is in none of these pairs is compared with the first system. With at least three
    seeds of each system, the differences have intervals over seeds and clips.

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
    """Describe artefacts: how and when they were made, their inputs, and whether they are complete.

    An artefact is a data directory, a feature file (also a shard or an unfinished file), a model
    directory, a checkpoint, a score file, a folder of score tables, an operating point, a decoded
    folder, a report, an exported model, a record, a configuration, a report page, the log of a job,
    a sound file, or an experiment directory. For a model directory, the description also lists what
    you should add before you share the model.

    The exit status is 1 if an artefact is missing or damaged, or does not match its inputs. An
    unfinished artefact is described as `complete: no`. This is not an error.

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
        verb = "is" if len(damaged) == 1 else "are"
        errors.append(
            f"{len(damaged)} of {len(options.paths)} artefacts {verb} damaged or inconsistent: "
            f"{', '.join(damaged)}"
        )
    if errors:
        raise InputError("\n".join(errors))
