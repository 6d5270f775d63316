"""Write the texts that `extract`, `balance`, `train`, `import` and `export` print."""

from typing import TYPE_CHECKING

from wsedtk.core.progress import printable
from wsedtk.core.wording import counted

if TYPE_CHECKING:
    from wsedtk.stages.balance import BalanceResult, ClassCounts
    from wsedtk.stages.export import ExportResult
    from wsedtk.stages.extract import ExtractResult
    from wsedtk.stages.import_ import ImportResult
    from wsedtk.stages.options.systems import TrainOptions
    from wsedtk.stages.train import TrainResult

MOST_CLASSES = 40  # if there are more classes, a table shows MOST_CLASSES // 4 of them
_REST = "sources are not split, and at least half of the clips of each class must stay for training"
_REST_BY_TIME = (
    "the held-out part of each recording is contiguous, and at least half of the clips of each "
    "class must stay for training"
)
MOST_PARTS = 10  # if more parts of recordings are held out, MOST_PARTS of them are printed
_PASSES = (
    "passes: how often balanced minibatches use each clip of a class, relative to the clips of the "
    "largest class"
)


def balance(result: "BalanceResult", num_wanted: int) -> str:
    """Return a table of the numbers of clips of each class.

    The table is followed by the reasons why some classes have fewer validation clips than others.
    """
    lines = [*_balance_table(result), _PASSES, *_short_classes(result)]
    if result.num_valid < num_wanted:
        lines.append(
            f"the validation set has {result.num_valid} of {num_wanted} requested clips, because "
            f"{_rest(result)}"
        )
    if result.parts is None:
        lines += _unsplit_classes(result)
    else:
        lines += [
            f"held out: {printable(part.recording)}, {part.start:g} s to {part.end:g} s"
            for part in result.parts[:MOST_PARTS]
        ]
        if len(result.parts) > MOST_PARTS:
            lines.append(f"... and parts of {len(result.parts) - MOST_PARTS} more recordings")
    return "\n".join(lines)


def _rest(result: "BalanceResult") -> str:
    return _REST if result.parts is None else _REST_BY_TIME


def _unsplit_classes(result: "BalanceResult") -> list[str]:
    """Return what to do about classes that could have held-out clips, but have none."""
    missing = [one for one in result.classes if not one.num_valid and one.num_clips > 1]
    if not missing:
        return []
    if not any(one.is_exhausted for one in missing):
        return [
            f"classes without held-out clips get no thresholds ({len(missing)} of "
            f"{len(result.classes)} classes); hold out more clips with --num-valid"
        ]
    return [
        "classes without held-out clips get no thresholds; --by time splits recordings that were "
        "cut into clips, and --groups TABLE reads smaller groups from a table of the recordings"
    ]


def _balance_table(result: "BalanceResult") -> list[str]:
    classes = result.classes
    if len(classes) > MOST_CLASSES:
        classes = tuple(sorted(classes, key=lambda one: one.num_fit)[: MOST_CLASSES // 4])
    labels = [printable(one.label) for one in classes]
    width = max(map(len, labels))
    most = max(one.num_fit for one in result.classes)
    lines = [f"{'class':{width}}  {'all':>7}  {'fit':>7}  {'valid':>7}  passes"]
    for label, one in zip(labels, classes):
        passes = f"{most / one.num_fit:.1f}" if one.num_fit else "-"
        lines.append(
            f"{label:{width}}  {one.num_clips:7}  {one.num_fit:7}  {one.num_valid:7}{passes:>8}"
        )
    totals = result.num_clips, result.num_fit, result.num_valid
    rest = result.num_clips - result.num_fit - result.num_valid
    neither = ""
    if rest:
        verb = "is" if rest == 1 else "are"
        of = "of held-out sources" if result.parts is None else "near the held-out parts"
        neither = f"; {counted(rest, 'clip')} {of} {verb} in neither fit nor valid"
    lines.append(f"{'clips':{width}}  " + "  ".join(f"{count:7}" for count in totals) + neither)
    if len(classes) < len(result.classes):
        lines.append(
            f"(the table shows {len(classes)} of {len(result.classes)} classes: those with the "
            "fewest clips in fit)"
        )
    return lines


def _short_classes(result: "BalanceResult") -> list[str]:
    """Return the reasons why some classes have clearly fewer held-out clips than others."""
    most = max(one.num_valid for one in result.classes)
    short = [one for one in result.classes if one.is_exhausted and one.num_valid < 0.9 * most]
    if len(short) > MOST_CLASSES // 4:
        return [
            f"{len(short)} classes have fewer held-out clips than others (other classes have up to "
            f"{most}), because {_rest(result)}"
        ]
    return [
        f"{printable(one.label)}: has {counted(one.num_valid, 'held-out clip')} (other classes "
        f"have up to {most}), because {_why_no_more(one, result)}"
        for one in short
    ]


def _why_no_more(one: "ClassCounts", result: "BalanceResult") -> str:
    if one.num_valid >= one.num_clips // 2:
        return f"at least half of the {counted(one.num_clips, 'clip')} must stay for training"
    if result.parts is not None:
        return _REST_BY_TIME
    if one.num_sources == 1:
        return f"all {one.num_clips} clips of the class are from one source"
    return (
        f"the sources of its {one.num_clips} clips are not split, and at least half of the clips "
        "of each class must stay for training"
    )


def extract(result: "ExtractResult") -> str:
    """Return a text with the path of a feature file, and its numbers of clips, frames and bins."""
    failed = f"; {counted(len(result.failed), 'clip')} failed" if result.failed else ""
    return (
        f"{result.feats}: {counted(result.num_clips, 'clip')}, at most "
        f"{counted(result.max_frames, 'frame')} x {result.num_bins} bins{failed}"
    )


def train(result: "TrainResult") -> str:
    """Return a text that names the batch after which the weights were best.

    The text also contains the F1, the MAP or the loss of these weights on the validation set.
    """
    return (
        f"{result.model_dir}: the weights were best after batch {result.best.step} of "
        f"{result.history[-1].step}; validation {result.select_by}: {result.best_figure:.4f}"
    )


def after_training(options: "TrainOptions") -> str:
    """Return the commands that choose the thresholds of a model on its validation set."""
    from wsedtk.inference import tuning_commands

    lines = tuning_commands.commands(options.model_dir, options.valid_set, options.feature_paths)
    return f"next: {lines[0]}\n      {lines[1]}"


def import_(result: "ImportResult") -> str:
    """Return a text with the kind and the size of an imported network."""
    assumed = " (assumed, because the file does not name the pooling; --pooling changes it)"
    return (
        f"{result.model_dir}: {result.network}, {counted(result.num_classes, 'class')}, "
        f"{result.num_parameters:,} parameters, {result.pooling} pooling"
        + (assumed if result.pooling_is_assumed else "")
    )


def export(result: "ExportResult") -> str:
    """Return a text with the outputs and the size of an ONNX file.

    If onnxruntime is installed, the text also contains the largest difference between the scores
    of onnxruntime and of torch.
    """
    checked = "the scores were not checked, because onnxruntime is not installed"
    if result.difference is not None:
        checked = (
            "the scores of onnxruntime and torch differ by at most "
            f"{result.difference:.1e} on noise"
        )
    return (
        f"{result.output}: outputs {', '.join(result.outputs)} for "
        f"{counted(result.num_classes, 'class')}, {result.num_bytes / 1e6:.1f} MB; {checked}"
    )
