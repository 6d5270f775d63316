"""Define the commands `extract`, `balance`, `train`, `import` and `export`."""

import click

from wsedtk.cli.common import cli, stage, verb
from wsedtk.cli.options import OUT, Parameter
from wsedtk.cli.value_types import Added, Fraction, Shard
from wsedtk.core import allocator, signals
from wsedtk.core.process_rank import rank_and_size
from wsedtk.stages.options.systems import (
    BalanceOptions,
    ExportOptions,
    ExtractOptions,
    ImportOptions,
    TrainOptions,
)


@verb(
    cli,
    "extract",
    ExtractOptions,
    feats=Parameter(type=OUT, metavar="FEATS.h5"),
    config=Parameter(key="config_path"),
    frontend=Parameter(metavar="MODEL_DIR"),
    jobs=Parameter(minimum=1),
    shard=Parameter(type=Shard()),
    max_seconds=Parameter(type=click.FloatRange(0, min_open=True)),
    max_failures=Parameter(type=Fraction()),
)
def extract(options: ExtractOptions) -> None:
    """Compute the log-mel features of the audio of a data directory.

    \b
    Example: wsedtk extract data/train feats/train.h5 --config frontend_wang --jobs 2
             wsedtk extract data/test feats/test.h5 --config frontend_wang --jobs 2
    """
    result = stage("extract").run(options, stop_signals=signals.noted)
    from wsedtk.cli import printing_systems

    print(printing_systems.extract(result))


@verb(
    cli,
    "balance",
    BalanceOptions,
    fit_set=Parameter(type=OUT),
    valid_set=Parameter(type=OUT),
    num_valid=Parameter(minimum=1),
    groups=Parameter(metavar="TABLE"),
    group_column=Parameter(metavar="HEADING"),
    seed=Parameter(minimum=0),
)
def balance(options: BalanceOptions) -> None:
    """Hold out a validation set with about equally many clips of each class.

    The two output sets never contain clips of the same source. The source of a clip is its `group`
    in clips.tsv, or in the table of --groups. If a clip has no group, its source is the recording
    that its name indicates. With --by time, a part of each recording is held out instead. This is
    for sets of one or few recordings.

    \b
    Example: wsedtk balance data/train data/fit data/valid --num-valid 20
    """
    result = stage("balance").run(options)
    from wsedtk.cli import printing_systems

    print(printing_systems.balance(result, options.num_valid))


@verb(
    cli,
    "train",
    TrainOptions,
    model_dir=Parameter(type=OUT),
    feats=Parameter(flag="--feats"),
    add=Parameter(type=Added()),
    config=Parameter(key="config_path"),
    settings=Parameter(flag="--set", key="overrides", metavar="KEY=VALUE"),
    init_dir=Parameter(flag="--init", metavar="MODEL_DIR"),
)
@click.option("--dry-run", is_flag=True, help="Print the network's layers and stop.")
def train(options: TrainOptions, dry_run: bool) -> None:
    """Train a network on clip tags. An interrupted run is resumed from its last saved state.

    To train on several GPUs, start the command with torchrun, with one process for each GPU:
    `torchrun --standalone --nproc-per-node 4 -m wsedtk train ...`. Each batch of `batch_size` clips
    is divided among the processes. README describes bin/torchrun.py and training on several
    machines.

    \b
    Example: wsedtk train data/fit data/valid exp/linear --feats feats/train.h5 \\
                 --config mini/crnn_linear
             wsedtk train data/fit data/valid exp/attention --feats feats/train.h5 \\
                 --config mini/crnn_attention
    """
    allocator.keep_freed_memory()
    module = stage("train")
    if dry_run:
        text = module.describe(options)
    else:
        result = module.run(options, stop_signals=signals.noted)
        from wsedtk.cli import printing_systems

        text = f"{printing_systems.train(result)}\n{printing_systems.after_training(options)}"
    if rank_and_size()[0] == 0:
        print(text)


@verb(
    cli,
    "import",
    ImportOptions,
    checkpoint=Parameter(metavar="CHECKPOINT.pt"),
    model_dir=Parameter(type=OUT),
)
def import_(options: ImportOptions) -> None:
    """Make a model directory from weights that Wang, Li & Metze published.

    These weights are TALNet.pt and the weights of their networks for DCASE 2017.

    \b
    Example: wsedtk import TALNet.pt talnet --labels labels.txt --normalizer norm.txt \\
                 --frontend frontend_wang
    """
    result = stage("import_").run(options)
    from wsedtk.cli import printing_systems

    print(printing_systems.import_(result))


@verb(cli, "export", ExportOptions, output=Parameter(type=OUT, metavar="OUT.onnx"))
def export(options: ExportOptions) -> None:
    """Export a model as one ONNX file that computes probabilities from samples.

    The graph consists of the front end, the network and the pooling function. The input of the
    graph is a mono recording of any length, at the sample rate of the model. The metadata of the
    file contain the classes. If the model directory has an operating_point.yaml, the metadata also
    contain its thresholds and filters. If onnxruntime is installed, onnxruntime and torch compute
    scores for the same noise, and the scores are compared.

    \b
    Example: wsedtk export exp/linear linear.onnx
    """
    result = stage("export").run(options)
    from wsedtk.cli import printing_systems

    print(printing_systems.export(result))
