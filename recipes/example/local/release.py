"""Write the model directory of the example: the model, its operating point, card and credits.

    python3 release.py MODEL_DIR SUMMARY.md CREDITS.md OUTPUT_DIR

MODEL_DIR is the model that was trained on all folds. SUMMARY.md has the results of each held-out
fold, and is copied into the model card.
"""

import argparse
import dataclasses
import shutil
import sys
from pathlib import Path

import numpy as np

from wsedtk.core import config
from wsedtk.core.atomic import explained, make_folder, write_text
from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint
from wsedtk.models.ready_directories import READY_MODEL

NAME = "example"
COPIED = ("model.safetensors", "operating_point.yaml")
CARD = """\
---
license: mit
library_name: wsedtk
tags:
- sound-event-detection
---

# Sound event detection: example

A small network for first trials. It detects seven classes of sound events, with their onsets and
offsets. It is part of wsedtk, so it needs no download:

```bash
wsedtk detect example recording.wav
```

- Network: {network}, {pooling} pooling, {parameters:,} parameters, scores every {step:g} s
- Audio: {rate} Hz (audio with another sample rate is resampled)
- Licence: MIT. The recordings on which the network was trained have the licences CC0 and CC BY 3.0.
  [CREDITS.md](CREDITS.md) names their authors.

## What it is for

The network shows how wsedtk works. It was trained on a few hundred recordings. The results below
show that it misses many events, and that it detects events of its classes in other sounds. For
other purposes, train a network on your own recordings, or use another ready model
(`wsedtk models`).

## Data and training

The events and the backgrounds (rain, sea waves, crackling fire) are recordings of ESC-10. They were
mixed into clips of 10 s with up to three events. The network was trained on the tags of these
clips, without event times. If `ESC-10` is the folder of this corpus, this command trains the
network:

```bash
bash recipes/example/run.sh --esc10 ESC-10
```

- Training: {fit[clips]:,} clips ({fit[hours]:.2f} hours)
- Validation: {valid[clips]:,} clips ({valid[hours]:.2f} hours) of other recordings
- wsedtk {wsedtk}, commit {commit}, seed {seed}

## Results on recordings that were not used for training

To choose the network and its training settings, networks were trained on folds 1 and 2, and
compared on fold 3. To choose the target of the thresholds, three targets were compared by the
number of false events in the backgrounds of all folds. Because of these choices, the results on
other recordings can be worse. The aim was at most 10 false events per hour in the backgrounds. With
each of the three targets, the number was higher, so the strictest target is used.
`recipes/example/RESULTS.md` has the results of all three targets.

{summary}
## Operating point

To give few false alarms, the thresholds in `operating_point.yaml` were tuned on the tags of the
validation clips. Each class has the same target: {target}.

{thresholds}
"""


def card(model_dir: Path, summary: str) -> str:
    """Return the text of the model card."""
    spec = checkpoint.read_spec(model_dir)
    point = operating_point.read(model_dir / "operating_point.yaml")
    target = (point.tuned or {}).get("target") or {}
    rows = ["| class | frame threshold |", "| --- | --- |"]
    for label, threshold in zip(point.labels, point.frame_thresholds):
        shown = f"{threshold:.3f}" if np.isfinite(threshold) else "never detected"
        rows.append(f"| {label} | {shown} |")
    trained = spec.trained
    return CARD.format(
        network=spec.network,
        pooling=spec.pooling,
        parameters=trained["parameters"],
        step=trained["seconds_per_frame"],
        rate=spec.frontend_config().sample_rate,
        fit=trained["fit"],
        valid=trained["valid"],
        wsedtk=trained["wsedtk"],
        commit=trained.get("commit", "unknown"),
        seed=trained["seed"],
        target=", ".join(f"{quantity} {value:g}" for quantity, value in target.items()),
        summary=summary,
        thresholds="\n".join(rows),
    )


def release(model_dir: Path, summary: Path, credits: Path, output: Path) -> None:
    """Write the model directory. Files of an earlier release are replaced."""
    with explained(summary):
        text = card(model_dir, summary.read_text(encoding="utf-8"))
    make_folder(output)
    for path in (*(model_dir / name for name in COPIED), credits):
        with explained(path):
            shutil.copyfile(path, output / path.name)
    spec = checkpoint.read_spec(model_dir)
    spec = dataclasses.replace(spec, trained={READY_MODEL: NAME, **spec.trained})
    write_text(output / "model.yaml", config.to_yaml(config.to_mapping(spec)))
    write_text(output / "README.md", text)
    point = operating_point.read(model_dir / "operating_point.yaml")
    never = [label for label, t in zip(point.labels, point.frame_thresholds) if np.isinf(t)]
    if never:
        print(
            f"warning: {model_dir}: no threshold reaches the target for {', '.join(never)}, so "
            "these classes are never detected; give a lower target as --target, and run stages 6 "
            "to 11 again",
            file=sys.stderr,
        )
    print(f"{output}: {sum(path.stat().st_size for path in output.iterdir()):,} bytes")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("model_dir", "summary", "credits", "output"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    try:
        release(options.model_dir, options.summary, options.credits, options.output)
    except InputError as error:
        parser.exit(1, f"release.py: {error}\n")


if __name__ == "__main__":
    main()
