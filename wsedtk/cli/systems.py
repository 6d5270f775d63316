"""Commands from audio to a trained system."""

import click

from wsedtk.cli.common import Fraction, Shard, cli, stage, verb
from wsedtk.cli.options import IN_DIR, OUT, Parameter
from wsedtk.core import signals
from wsedtk.core.process_rank import rank_and_size
from wsedtk.stages.options.systems import BalanceOptions, TrainOptions


@verb(cli, "extract")
@click.argument("data_set", type=IN_DIR)
@click.argument("feats", type=OUT, metavar="FEATS.h5")
@click.option(
    "--config", "config_path", type=IN_DIR, help="The front end (YAML); without it Wang's."
)
@click.option("--jobs", default=1, type=click.IntRange(1), help="Processes.")
@click.option(
    "--shard", type=Shard(), help="Only the K-th of N parts of the set, to FEATS.K-of-N.h5."
)
@click.option(
    "--max-seconds",
    default=10.0,
    type=click.FloatRange(0, min_open=True),
    help="Length that clips may have.",
)
@click.option("--crop", is_flag=True, help="Cut longer clips instead of refusing them.")
@click.option(
    "--dtype",
    default="float32",
    type=click.Choice(["float16", "float32"]),
    help="Precision of the features in the file.",
)
@click.option(
    "--max-failures", default=0.01, type=Fraction(), help="Fraction of clips that may fail."
)
@click.option(
    "--device", default="auto", help="auto, cpu, cuda, cuda:1, ...: where the front end computes."
)
def extract(
    data_set, feats, config_path, jobs, shard, max_seconds, crop, dtype, max_failures, device
):
    """Compute the log-mel features of a set's audio.

    \b
    Example: wsedtk extract data/train feats/train.h5 --config conf/frontend_wang.yaml --jobs 2
             wsedtk extract data/test feats/test.h5 --config conf/frontend_wang.yaml --jobs 2
    """
    stage("extract").run(
        data_set, feats, config_path, jobs, shard, max_seconds, dtype, crop, max_failures, device
    )


@verb(
    cli,
    "balance",
    BalanceOptions,
    fit_set=Parameter(type=OUT),
    valid_set=Parameter(type=OUT),
    num_valid=Parameter(type=click.IntRange(1)),
    seed=Parameter(type=click.IntRange(0)),
)
def balance(options: BalanceOptions) -> None:
    """Hold out a validation set with about equally many clips of each class.

    No clips of one source are on both sides. The source of a clip is its `group` in clips.tsv, or
    without one the recording that its name tells.

    \b
    Example: wsedtk balance data/train data/fit data/valid --num-valid 20
    """
    stage("balance").run(options)


@verb(
    cli,
    "train",
    TrainOptions,
    model_dir=Parameter(type=OUT),
    feats=Parameter(flag="--feats"),
    config=Parameter(key="config_path"),
    settings=Parameter(flag="--set", key="overrides", metavar="KEY=VALUE"),
    init_dir=Parameter(flag="--init", metavar="MODEL_DIR"),
)
@click.option("--dry-run", is_flag=True, help="Print the network's layers and stop.")
def train(options: TrainOptions, dry_run: bool) -> None:
    """Train a network on clip tags. Run again, it goes on from its last checkpoint.

    Over several GPUs torchrun starts it, a process a GPU: `torchrun --standalone --nproc-per-node 4 -m wsedtk train ...`. They share
    out each batch of `batch_size` clips. README tells of several machines, and of bin/torchrun.py.

    \b
    Example: wsedtk train data/fit data/valid exp/linear --feats feats/train.h5 --config conf/crnn_linear.yaml
             wsedtk train data/fit data/valid exp/attention --feats feats/train.h5 --config conf/crnn_attention.yaml
    """
    train = stage("train")
    text = (
        train.describe(options)
        if dry_run
        else _summary(train.run(options, stop_signals=signals.noted))
    )
    if rank_and_size()[0] == 0:
        print(text)


def _summary(result):
    """Return what `wsedtk train` prints at its end."""
    return (
        f"{result.model_dir}: the model is batch {result.best.step} of {result.history[-1].step}, "
        f"valid {result.select_by} {result.best_figure:.4f}"
    )


@verb(cli, "import")
@click.argument("checkpoint", type=IN_DIR, metavar="CHECKPOINT.pt")
@click.argument("model_dir", type=OUT)
@click.option(
    "--labels",
    required=True,
    type=IN_DIR,
    help="The classes, one a line, in the order of the network's outputs.",
)
@click.option(
    "--normalizer",
    required=True,
    type=IN_DIR,
    help="Mean and deviation of the mel bins: two rows of text, or npz.",
)
@click.option(
    "--frontend", required=True, type=IN_DIR, help="The front end that it was trained on (YAML)."
)
@click.option(
    "--pooling",
    type=click.Choice(["max", "average", "linear", "exp", "attention"]),
    help="What it was trained with; else attention where it has such weights, and linear.",
)
def import_(checkpoint, model_dir, labels, normalizer, frontend, pooling):
    """Turn weights that Wang, Li & Metze published (TALNet.pt, or their DCASE networks) into a model directory.

    \b
    Example: wsedtk import TALNet.pt talnet --labels labels.txt --normalizer norm.txt --frontend conf/frontend_wang.yaml
    """
    stage("import_").run(checkpoint, model_dir, labels, normalizer, frontend, pooling)


@verb(cli, "export")
@click.argument("model_dir", type=IN_DIR)
@click.argument("output", type=OUT, metavar="OUT.onnx")
def export(model_dir, output):
    """Write a model as one ONNX file, from samples to probabilities: front end, network, pooling; labels and thresholds as metadata.

    It takes mono recordings of the model's sample rate and of any length. Where onnxruntime is installed, its scores are compared
    with torch's on noise. Of the directory's operating_point.yaml the thresholds and filters go along.

    \b
    Example: wsedtk export exp/linear linear.onnx
    """
    stage("export").run(model_dir, output)
