"""README.md of a model directory: the card of a model that is shared, filled with what is known of it.

Between two marks stands what wsedtk writes, and writes anew; what is outside, the licence first of all, is its owner's. The same files
give the same card, and no path, host or user gets into it.
"""

import re
from pathlib import Path

from wsedtk.core import config, provenance
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.core.progress import printable, say
from wsedtk.decoding import operating_point
from wsedtk.evaluation import report_data, staleness
from wsedtk.models import checkpoint

BEGIN = "<!-- wsedtk:begin. Train and report write what is from here to wsedtk:end anew; your own text goes before or after. -->"
END = "<!-- wsedtk:end -->"
_MARKED = re.compile(
    r"^<!-- wsedtk:begin\b[^\n]*-->\r?$.*?^<!-- wsedtk:end -->", re.MULTILINE | re.DOTALL
)
_FRONT_MATTER = re.compile(r"---\r?\n(.*?)^---\r?$", re.MULTILINE | re.DOTALL)
_HEAD = """---
license: unknown
library_name: wsedtk
tags:
- sound-event-detection
---

# Sound event detection: {name}

"""
_NOT_SETTINGS = ("init", "made_by", "processes", "resume_seconds", "keep_checkpoints")


def escape(text):
    """Text of others as Markdown that shows just that text, in a line: no markup, link, HTML, formula or cell of a table."""
    line = " ".join(printable(text).split())
    line = re.sub(
        r"[&<>|~$@:^]|(?<=\bwww)\.", lambda found: f"&#{ord(found.group())};", line
    )  # in any dialect: just the character
    line = re.sub(r"(?<!&)#|[\\`*_{}\[\]!]", r"\\\g<0>", line)
    return re.sub(r"^(\d*)([-+.)=])(?!\d)", r"\1\\\2", line)


def facts(dataset):
    """What a card says of a set that a model was made from, for model.yaml."""
    official, corpus = dataset.info.get("official_clips"), dataset.info.get("corpus")
    return {
        "corpus": str(corpus) if corpus is not None else None,
        "clips": len(dataset),
        "official_clips": official if type(official) is int else None,
        "hours": round(float(dataset.durations.sum()) / 3600, 3),
    }


def _table(header, rows):
    return ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]


def _fenced(text):
    """Text as a block of code, that no line of it can end."""
    text = text.replace("<!--", "<!- -")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return [f"{fence}yaml", *text.rstrip("\n").split("\n"), fence]


def _what(spec, fingerprint):
    trained, frontend = spec.trained, spec.frontend_config()
    size = (
        f", {trained['parameters']:,} parameters"
        if isinstance(trained.get("parameters"), int)
        else ""
    )
    step = (
        f", scores every {trained['seconds_per_frame']:g} s"
        if isinstance(trained.get("seconds_per_frame"), float)
        else ""
    )
    hierarchy = (
        f", hierarchy {escape(spec.hierarchy)} {list(spec.groups)}" if spec.hierarchy else ""
    )
    yield from (
        f"It tags recordings with {len(spec.labels)} classes of sounds and says when they occur.",
        "",
    )
    yield f"- Network: {escape(spec.network)}, {escape(spec.pooling)} pooling{hierarchy}{size}{step}"
    yield (
        f"- Front end: {frontend.num_mels} mel bins from {frontend.min_hz:g} to {frontend.max_hz:g} Hz, "
        f"{1 / frontend.seconds_per_frame:g} frames a second, of audio at {frontend.sample_rate} Hz (others are resampled)"
    )
    yield f"- Fingerprint: {fingerprint}"


def _use(folder):
    point = folder / "operating_point.yaml"
    yield from (
        "",
        "## Use",
        "",
        "With wsedtk installed, and this folder for MODEL_DIR:",
        "",
        "```bash",
        "wsedtk detect MODEL_DIR recording.wav",
        "```",
        "",
    )
    if point.is_file():
        found = operating_point.read(point)
        yield f"Its thresholds and filters, in `operating_point.yaml`, were tuned on: {escape(found.tuned_on)}."
    else:
        yield "It has no operating point yet: `wsedtk tune` chooses thresholds, which detection needs."


def _number(value):
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.{1 if value >= 10 else 3}f}"
        if isinstance(value, float)
        else "unknown"
    )


def _data(trained):
    rows = [
        (what, found)
        for what, found in (
            ("fitted on", trained.get("fit")),
            ("validated on", trained.get("valid")),
        )
        if isinstance(found, dict)
    ]
    yield from ("", "## Data", "")
    if rows:
        yield from _table(
            ["", "corpus", "clips", "of official clips", "hours"],
            [
                [
                    what,
                    escape(found.get("corpus") or "unknown"),
                    *(_number(found.get(key)) for key in ("clips", "official_clips", "hours")),
                ]
                for what, found in rows
            ],
        )
    else:
        yield "Unknown: it was not trained by this version of wsedtk."


def _training(folder, trained):
    yield from ("", "## Training", "")
    words = {
        "wsedtk": "wsedtk",
        "commit": "commit",
        "torch": "PyTorch",
        "python": "Python",
        "seed": "seed",
        "step": "best after batch",
        "f1": "F1 on the validation set",
        "map": "MAP on the validation set",
        "loss": "loss on the validation set",
        "init": "begun from the model",
        "imported_from": "imported from",
    }
    yield from (
        f"- {word}: {escape(f'{trained[key]:.4f}' if isinstance(trained[key], float) else trained[key])}"
        for key, word in words.items()
        if trained.get(key) is not None
    )
    settings = (
        config.read_yaml(folder / "config.yaml") if (folder / "config.yaml").is_file() else None
    )
    if isinstance(settings, dict):
        kept = {
            key: value
            for key, value in settings.items()
            if key not in _NOT_SETTINGS and not key.endswith("fingerprint")
        }
        yield from (
            "",
            "With these settings (`wsedtk train --config`):",
            "",
            *_fenced(config.to_yaml(kept)),
        )


def _score_row(folder, report):
    """The row of one scored folder <set>/<mode>/, as a line of the table."""
    clips = report["clips"]
    name = escape("/".join(folder.parts[-2:])) + (
        " (tuned on this very set)" if clips.get("tuned_on_these") else ""
    )
    cells = []
    for _, section, key in report_data.FIGURES:
        note = report_data.zero_length_note(report) if section == "event" else ""
        num_classes = report.get("psds_classes")
        if section == "psds" and num_classes and num_classes < len(report["classes"]):
            note = f" ({num_classes} of {len(report['classes'])} classes)"
        cells.append(
            report_data.cell(report[section][key], report[section].get(f"{key}_ci")) + note
        )
    return [name, f"{_number(clips['scored'])} of {_number(clips['official'])}", *cells]


def _scored(folder, fingerprint):
    """Yield (folder, report) of the scored folders of a model directory that are this model's; the others are of an earlier one."""
    for path in sorted(folder.glob("*/*/report.json")):
        report = report_data.read_report(path)
        if report.get("made_from", {}).get("model") in (None, fingerprint) and not staleness.breaks(
            folder, path.parent, report
        ):
            yield path.parent, report


def _scores(folder, fingerprint):
    rows = [_score_row(*scored) for scored in _scored(folder, fingerprint)]
    yield from ("", "## Scores", "")
    if rows:
        yield from _table(
            ["set/mode", "clips, of official ones", *(name for name, *_ in report_data.FIGURES)],
            rows,
        )
        legend = (
            "In brackets: 95 % intervals over clips. ER: error rate, of segments of 1 s. "
            "PSDS: over the classes with events; PSDS2 of one class has no cross triggers."
        )
        yield from ("", legend)
    else:
        yield "Not scored yet."


def generated(folder, spec, fingerprint):
    """What stands between the marks, without them, of a model directory with this ModelSpec and fingerprint. Raises InputError."""
    folder = Path(folder)
    lines = [
        *_what(spec, fingerprint),
        *_use(folder),
        *_data(spec.trained),
        *_training(folder, spec.trained),
        *_scores(folder, fingerprint),
        "",
        "## Classes",
        "",
        *(f"- {escape(label)}" for label in spec.labels),
    ]
    return "\n".join(lines) + "\n"


def _read(path):
    """A card's text, line ends as they are; None where it can't be read."""
    try:
        return path.read_bytes().decode() if path.is_file() else None
    except (OSError, UnicodeDecodeError):
        return None


def refresh(folder):
    """Write the card of a model directory, or what is between the marks anew; where there is no model, nothing.

    A README.md without the marks is left as it is. Raises InputError where something that a card is made from is damaged.
    """
    folder = Path(folder)
    if not (folder / "model.yaml").is_file():
        return
    spec = checkpoint.read_spec(folder)
    part = (
        f"{BEGIN}\n{generated(folder, spec, provenance.fingerprint_model_directory(folder))}{END}"
    )
    path = folder / "README.md"
    text = (
        _read(path)
        if path.exists()
        else _HEAD.format(name=escape(folder.absolute().name)) + f"{BEGIN}\n{END}\n"
    )
    if text is None or not _MARKED.search(text):
        say(
            f"{path}: was not written by wsedtk, and is left as it is; take it away for a model card to be made"
        )
    elif (new := _MARKED.sub(lambda _: part, text, count=1)) != text or not path.exists():
        write_text(path, new)


def faults(folder, fingerprint):
    """What is wrong with the card of a model directory, if it has one: sentences. Raises InputError where a report is damaged."""
    path = Path(folder) / "README.md"
    text = _read(path) if path.exists() else ""
    if text == "":
        return [] if not path.exists() else ["README.md is empty"]
    if text is None:
        return ["README.md can't be read as text"]
    found, match = [], _FRONT_MATTER.match(text)
    try:
        head = config.parse_yaml(match.group(1), path) if match else None
    except InputError:
        head = None
    licence = head.get("license") if isinstance(head, dict) else None
    if licence in (None, "", "unknown"):
        found.append("README.md says no licence: write one in its first lines, `license: ...`")
    if not _MARKED.search(text):
        return found
    if f"- Fingerprint: {fingerprint}\n" not in text.replace("\r\n", "\n"):
        found.append("README.md is of another model; wsedtk report writes it anew")
    missing = [
        "/".join(scored.parts[-2:])
        for scored, report in _scored(Path(folder), fingerprint)
        if _table(_score_row(scored, report), [])[0] not in text
    ]
    if missing:
        found.append(
            f"README.md lacks the scores, as they are now, of {', '.join(missing)}; wsedtk report writes them into it"
        )
    if "\n".join(_use(Path(folder))) not in text.replace("\r\n", "\n"):
        found.append(
            "README.md tells of another operating point, or of none; wsedtk report writes it anew"
        )
    return found
