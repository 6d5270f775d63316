"""Match the classes of a model with those of DCASE 2017 task 4, by AudioSet's class IDs.

    python3 dcase_classes.py MODEL_DIR AUDIOSET_METADATA DCASE_SET CLASSES.tsv [--frontend FILE]

The output is a table for `wsedtk predict --classes`. It has one row per class of DCASE, in the
order of DCASE, with the name of the class in the model and its name in DCASE. The names of the
classes of the model must be those of class_labels_indices.csv, or the IDs. DCASE_SET is a data
directory of the challenge. With --frontend, the model must have this front end.
"""

import argparse
from pathlib import Path

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.cli.messages import printed
from wsedtk.core import config
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.corpora import audioset_metadata, youtube
from wsedtk.data import class_map, datadir
from wsedtk.models import checkpoint


def classes_of(model_labels, audioset_classes, dcase_classes):
    """Return a pair (name in the model, name in DCASE) for each class of DCASE.

    Raise InputError if the model lacks a class.

    audioset_classes, dcase_classes: (names, IDs).
    """
    name_of = dict(zip(audioset_classes[1], audioset_classes[0]))
    pairs = [
        (next((name for name in (mid, name_of.get(mid)) if name in model_labels), None), label)
        for label, mid in zip(*dcase_classes)
    ]
    missing = [label for name, label in pairs if name is None]
    if missing:
        raise InputError(
            f"the model lacks {len(missing)} of DCASE's {len(pairs)} classes: "
            f"{', '.join(missing)}; the classes of the model must have the names or the IDs in "
            f"{audioset_metadata.CLASSES}"
        )
    return pairs


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("model_dir", "audioset_metadata", "dcase_set", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--frontend", type=Path)
    options = parser.parse_args()
    try:
        if not (options.model_dir / "model.yaml").is_file():
            raise InputError(
                f"{options.model_dir}: no model.yaml; train the model (stage 4), or give another "
                "model directory as --model"
            )
        spec = config.load(checkpoint.ModelSpec, options.model_dir / "model.yaml")
        labels = spec.labels
        if options.frontend is not None and spec.frontend_config() != config.load(
            FrontendConfig, options.frontend
        ):
            raise InputError(
                f"{options.model_dir}: the front end of the model differs from {options.frontend}; "
                "copy the mapping `frontend` of its model.yaml to a file, and give this file as "
                "--frontend"
            )
        files = youtube.find_metadata(
            options.audioset_metadata, f"AudioSet's {audioset_metadata.CLASSES}"
        )
        if audioset_metadata.CLASSES not in files:
            raise InputError(
                f"{options.audioset_metadata}: no {audioset_metadata.CLASSES}; give the folder of "
                "AudioSet's lists as --metadata"
            )
        dcase = datadir.read(options.dcase_set)
        pairs = classes_of(
            labels,
            class_map.read_classes(files[audioset_metadata.CLASSES]),
            (dcase.labels, dcase.info["class_ids"]),
        )
        write_text(options.output, "".join(f"{name}\t{label}\n" for name, label in pairs))
    except InputError as error:
        parser.exit(1, f"dcase_classes.py: {error}\n")
    print(f"{options.output}: contains {len(pairs)} of the model's {len(labels)} classes")


if __name__ == "__main__":
    with printed():  # print the warnings of wsedtk
        main()
