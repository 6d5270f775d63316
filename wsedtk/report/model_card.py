"""Write the model card, which is the README.md of a model directory.

`wsedtk train` and `wsedtk import` write the card, and `wsedtk report` updates it. They generate the
text between two marks, and never change existing text outside the marks. The owner of the model
adds information outside the marks, such as the licence. The same files give the same generated
text. This text contains no paths, host names or user names.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsedtk.core import config, provenance
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.official import official_clips
from wsedtk.decoding import operating_point
from wsedtk.evaluation import report_data, staleness
from wsedtk.evaluation.columns import columns, legends, metrics_of
from wsedtk.evaluation.metric import Place
from wsedtk.models import checkpoint
from wsedtk.models.checkpoint import ModelSpec
from wsedtk.models.ready_models import ReadyModel
from wsedtk.report.rendering import escape_markdown, render

_LOG = logging.getLogger(__name__)


# Cards of earlier versions have these marks. Therefore the marks must not be changed.
BEGIN = (
    "<!-- wsedtk:begin. Train and report write what is from here to wsedtk:end anew; "
    "your own text goes before or after. -->"
)
END = "<!-- wsedtk:end -->"
_MARKED = re.compile(
    r"^<!-- wsedtk:begin\b[^\n]*-->\r?$.*?^<!-- wsedtk:end -->", re.MULTILINE | re.DOTALL
)
_FRONT_MATTER = re.compile(r"---\r?\n(.*?)^---\r?$", re.MULTILINE | re.DOTALL)
_NOT_SETTINGS = (
    "init",
    "added",
    "inputs",
    "made_by",
    "processes",
    "resume_seconds",
    "keep_checkpoints",
)
# Properties of a training run: the key in model.yaml, and the text in the card.
_TRAINING = {
    "wsedtk": "wsedtk",
    "commit": "commit",
    "torch": "PyTorch",
    "python": "Python",
    "seed": "seed",
    "step": "best after batch",
    "f1": "F1 on the validation set",
    "map": "MAP on the validation set",
    "loss": "loss on the validation set",
    "init": "initial model",
    "first_model": "began with the weights of",
    "imported_from": "imported from",
}


def facts(dataset: DataSet) -> dict[str, str | int | float | None]:
    """Return the properties of a training or validation set, for the card.

    `wsedtk train` stores these properties in model.yaml.
    """
    official, corpus = official_clips(dataset.info), dataset.info.get("corpus")
    return {
        "corpus": str(corpus) if corpus is not None else None,
        "clips": len(dataset),
        "official_clips": official if type(official) is int else None,
        "hours": round(float(dataset.durations.sum()) / 3600, 3),
    }


def _row(cells: Iterable[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _header(cells: Sequence[str]) -> str:
    return f"{_row(cells)}\n{_row(['---'] * len(cells))}"


def _fenced(text: str) -> str:
    """Return text as a Markdown code block. No part of the text can end the block."""
    text = text.replace("<!--", "<!- -").rstrip("\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}yaml\n{text}\n{fence}"


def _number(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if value >= 10 else f"{value:,.3f}"
    return "unknown"


def _network(spec: ModelSpec) -> dict[str, str]:
    """Return the template values that describe the network and the front end."""
    parameters = spec.trained.get("parameters")
    seconds_per_frame = spec.trained.get("seconds_per_frame")
    size = step = hierarchy = ""
    if isinstance(parameters, int):
        size = f", {parameters:,} parameters"
    if isinstance(seconds_per_frame, float):
        step = f", scores every {seconds_per_frame:g} s"
    if spec.hierarchy:
        hierarchy = f", hierarchy {escape_markdown(spec.hierarchy)} {list(spec.groups)}"
    frontend = spec.frontend_config()
    return {
        "network": spec.network,
        "pooling": spec.pooling,
        "hierarchy": hierarchy,
        "size": size,
        "step": step,
        "frontend": f"{frontend.num_mels} mel bins from {frontend.min_hz:g} to "
        f"{frontend.max_hz:g} Hz, {1 / frontend.seconds_per_frame:g} frames per second, from audio "
        f"at {frontend.sample_rate} Hz (audio with another sample rate is resampled)",
    }


def _use(folder: Path) -> str:
    """Return the section on how to use the model."""
    path = folder / "operating_point.yaml"
    tuned_on = operating_point.read(path).tuned_on if path.is_file() else None
    return render("model_card_use.md", tuned_on=tuned_on).rstrip("\n")


def _data_table(trained: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the header and the rows of the table of training and validation data.

    The table has a column of official numbers of clips only if such a number is known.
    """
    rows = [("fitted on", trained.get("fit")), ("validated on", trained.get("valid"))]
    added = trained.get("added")
    for number, one in enumerate(added if isinstance(added, list) else [], 1):
        rows.insert(number, (_added_words(one), one))
    sets = [(words, found) for words, found in rows if isinstance(found, dict)]
    columns = {"clips": "clips", "official_clips": "of official clips", "hours": "hours"}
    if all(official_clips(found) is None for _, found in sets):
        del columns["official_clips"]
    header = _header(["", "corpus", *columns.values()])
    return header, [_data_row(words, found, list(columns)) for words, found in sets]


def _data_row(words: str, found: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return the row of one set in the table of training and validation data."""
    corpus = escape_markdown(found.get("corpus") or "unknown")
    numbers = {**found, "official_clips": official_clips(found)}
    return _row([words, corpus, *(_number(numbers.get(name)) for name in columns)])


def _added_words(added: object) -> str:
    """Return the name of the row of a set that was added to the training set."""
    share = added.get("share") if isinstance(added, dict) else None
    if not isinstance(share, float):
        return "added to it"
    return f"added to it ({share:.4g} of each batch)"


def _training(trained: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each known property of the training run."""
    for key, words in _TRAINING.items():
        value = trained.get(key)
        if value is not None:
            yield words, f"{value:.4f}" if isinstance(value, float) else str(value)


def _settings(folder: Path) -> str:
    """Return the training configuration as a code block. "" if there is no configuration."""
    path = folder / "config.yaml"
    settings = config.read_yaml(path) if path.is_file() else None
    if not isinstance(settings, dict):
        return ""
    kept = {
        key: value
        for key, value in settings.items()
        if key not in _NOT_SETTINGS and not key.endswith("fingerprint")
    }
    return _fenced(config.to_yaml(kept))


def _score_row(folder: Path, report: Mapping[str, Any]) -> str:
    """Return the row of an evaluated folder <set>/<mode>/ in the table of scores."""
    clips = report["clips"]
    name = escape_markdown("/".join(folder.parts[-2:]))
    if clips.get("tuned_on_these"):
        name += " (tuned on this set)"
    cells = []
    for column in columns(Place.SUMMARY):
        note = report_data.zero_length_note(report) if column.section == "event" else ""
        num_classes, num_labels = report.get("psds_classes"), len(report["classes"])
        if column.section == "psds" and num_classes and num_classes < num_labels:
            note = f" ({num_classes} of {num_labels} classes)"
        ends = report_data.interval(report, column)
        cells.append(report_data.cell(report_data.figure(report, column), ends) + note)
    kind = " official clips" if clips["is_official"] else ""
    return _row([name, f"{_number(clips['scored'])} of {_number(clips['official'])}{kind}", *cells])


def _scored(folder: Path, fingerprint: str | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield (folder, report) of each evaluated folder of this model.

    Folders that were evaluated with another model, or whose inputs have changed, are skipped.
    """
    for path in sorted(folder.glob("*/*/report.json")):
        report = report_data.read_report(path)
        is_same = report["made_from"].get("model") in (None, fingerprint)
        if is_same and not staleness.breaks(folder, path.parent, report):
            yield path.parent, report


def _legend() -> str:
    texts = legends(columns(Place.SUMMARY), metrics_of([]))
    return (
        f"In brackets: 95 % intervals over clips. {'; '.join(texts)}. "
        "PSDS is computed over the classes with events. If only one class has events, PSDS2 does "
        "not count cross triggers."
    )


def generated(folder: PathLike, spec: ModelSpec, fingerprint: str | None) -> str:
    """Generate the text between the marks of a model card.

    Parameters
    ----------
    folder : path-like
        A model directory.
    spec : ModelSpec
        The content of its model.yaml.
    fingerprint : str or None
        The fingerprint of the model.

    Raises
    ------
    InputError
        If a file that the card describes is damaged.
    """
    folder = Path(folder)
    headings = [column.heading for column in columns(Place.SUMMARY)]
    data_header, data_rows = _data_table(spec.trained)
    return render(
        "model_card.md",
        **_network(spec),
        labels=spec.labels,
        fingerprint=fingerprint,
        use=_use(folder),
        data=data_rows,
        data_header=data_header,
        training=list(_training(spec.trained)),
        settings=_settings(folder),
        scores=[_score_row(*one) for one in _scored(folder, fingerprint)],
        scores_header=_header(["set/mode", "evaluated clips", *headings]),
        legend=_legend(),
    )


def _read(path: Path) -> str | None:
    """Return the text of a card with unchanged line ends. None if it cannot be read as UTF-8."""
    try:
        return path.read_bytes().decode() if path.is_file() else None
    except (OSError, UnicodeDecodeError):
        return None


def _head(folder: Path, ready: ReadyModel | None) -> str:
    """Return the text above the marks of a new card."""
    if ready is None:
        return render(
            "model_card_head.md", name=folder.absolute().name, licence="unknown", ready=None
        )
    licence = config.to_yaml({"license": ready.licence}).removeprefix("license: ").rstrip("\n")
    return render("model_card_head.md", name=ready.name, licence=licence, ready=ready)


def refresh(folder: PathLike, ready: ReadyModel | None = None) -> None:
    """Write the card of a model directory, or replace the text between the marks of its card.

    Nothing is written if there is no model, or if README.md exists but has no marks or cannot be
    read.

    Parameters
    ----------
    folder : path-like
    ready : ReadyModel, optional
        The ready model in the folder. A new card contains its licence, its source and its citation.

    Raises
    ------
    InputError
        If a file that the card describes is damaged.
    """
    folder = Path(folder)
    if not (folder / "model.yaml").is_file():
        return
    spec = checkpoint.read_spec(folder)
    content = generated(folder, spec, provenance.fingerprint_model_directory(folder))
    marked, path = f"{BEGIN}\n{content}{END}", folder / "README.md"
    if path.exists():
        text = _read(path)
    else:
        head = _head(folder, ready)
        text = f"{head}{BEGIN}\n{END}\n"
    if text is None or not _MARKED.search(text):
        _LOG.info(
            f"{path}: has no readable lines wsedtk:begin and wsedtk:end, so the file is not "
            "changed; remove or rename the file to get a model card"
        )
        return
    new = _MARKED.sub(lambda _: marked, text, count=1)
    if new != text or not path.exists():
        write_text(path, new)


def faults(folder: PathLike, fingerprint: str | None) -> list[str]:
    """Return the faults of the card of a model directory, or [] if there is no card.

    Parameters
    ----------
    folder : path-like
    fingerprint : str or None
        The fingerprint of the model.

    Raises
    ------
    InputError
        If a file that the card describes is damaged.
    """
    folder = Path(folder)
    path = folder / "README.md"
    if not path.exists():
        return []
    text = _read(path)
    if text is None:
        return ["README.md can't be read as text"]
    if text == "":
        return ["README.md is empty"]
    found = (
        []
        if _has_licence(path, text)
        else ["README.md names no licence; set `license: ...` between two --- lines at its start"]
    )
    if not _MARKED.search(text):
        return found
    text = text.replace("\r\n", "\n")
    if f"- Fingerprint: {fingerprint}\n" not in text:
        found.append("README.md describes another model; run wsedtk report to update it")
    missing = [
        "/".join(scored.parts[-2:])
        for scored, report in _scored(folder, fingerprint)
        if _score_row(scored, report) not in text
    ]
    if missing:
        found.append(
            f"README.md lacks the current results of {', '.join(missing)}; "
            "run wsedtk report to update it"
        )
    if _use(folder) not in text:
        found.append(
            'the section "Use" in README.md is not up to date; run wsedtk report to update it'
        )
    return found


def _has_licence(path: Path, text: str) -> bool:
    """Return whether the front matter of a card names a licence."""
    match = _FRONT_MATTER.match(text)
    try:
        head = config.parse_yaml(match.group(1), path) if match else None
    except InputError:
        head = None
    licence = head.get("license") if isinstance(head, dict) else None
    return licence not in (None, "", "unknown")
