"""Count clips of DCASE 2017 task 4 whose videos are in AudioSet. Select clips of unseen videos.

    python3 overlap.py AUDIOSET_METADATA DCASE_DATA --output OVERLAP.tsv
        [--data DATA_SET ... --model MODEL_DIR --feats FEATS.h5]

For each AudioSet list in AUDIOSET_METADATA and each data set of --data, the program counts the
clips of DCASE_DATA/{train,test,eval} whose video is also in the list or data set. It prints the
counts and writes them to OVERLAP.tsv.

The data sets of --data are those that were used to train the model. The first of them must be its
training set. Without --data, the program assumes that the model was trained on all AudioSet
training lists in AUDIOSET_METADATA. If some, but not all, videos of DCASE_DATA/test or
DCASE_DATA/eval were used, the clips of the other videos are written to data/test_unseen or
data/eval_unseen, in the folder of OVERLAP.tsv.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from wsedtk.cli.messages import printed
from wsedtk.core import config
from wsedtk.core.atomic import write_text
from wsedtk.core.errors import InputError
from wsedtk.corpora import audioset_metadata, official_sets, youtube
from wsedtk.data import class_map, clip_sets, datadir
from wsedtk.data.store import FeatureStore
from wsedtk.evaluation import report_data
from wsedtk.models import checkpoint
from wsedtk.training.feature_batches import FeatureBatches


def seen_videos(metadata_dir, data_sets):
    """Return {name: video IDs} of lists and data sets, and the names of those used in training.

    Raise InputError if no list or data set was used in training.
    """
    files = youtube.find_metadata(metadata_dir, "AudioSet's lists")
    sources, trained, classes = (
        {},
        [],
        class_map.read_classes(
            files.get(audioset_metadata.CLASSES, metadata_dir / audioset_metadata.CLASSES)
        ),
    )
    for name, file in audioset_metadata.LISTS.items():
        if file in files:
            sources[f"AudioSet {name}"] = youtube.videos_of(
                audioset_metadata.read_list(files[file], *classes).filenames
            )
            trained += [f"AudioSet {name}"] if name != "eval" else []
    if data_sets:
        trained = [str(folder) for folder in data_sets]
        sources.update(
            (str(folder), youtube.videos_of(datadir.read(folder).filenames)) for folder in data_sets
        )
    if trained == ["AudioSet balanced"]:
        print(
            f"warning: {metadata_dir}: no {audioset_metadata.LISTS['unbalanced']}; if the model "
            "was trained on this list, the videos of the list are missing from the counts; put the "
            "list into this folder",
            file=sys.stderr,
        )
    if not trained:
        raise InputError(
            f"{metadata_dir}: has none of AudioSet's training lists, so the training videos of the "
            "model are unknown; put the lists into this folder"
        )
    return sources, trained


def check_model(model_dir, feats, fit_set):
    """Raise InputError if a model was trained on other clips than those of a data set.

    Clips of the data set whose audio can't be read are left out.
    """
    clips = FeatureBatches(FeatureStore([feats]), datadir.read(fit_set), fit_set).dataset.filenames
    found = config.load(checkpoint.ModelSpec, model_dir / "model.yaml").trained.get(
        "fit_clips_fingerprint"
    )
    if found != clip_sets.fingerprint_clips(clips):
        raise InputError(
            f"{model_dir}: the model was not trained on the clips of {fit_set}, so its training "
            "videos are unknown; train it on these clips (stage 4), or choose another --system"
        )


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("metadata_dir", type=Path)
    parser.add_argument("dcase_data", type=Path)
    parser.add_argument("--data", action="append", type=Path, default=[])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--feats", type=Path)
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args()
    try:
        if options.model is not None:
            check_model(options.model, options.feats, options.data[0])
        sets = {
            name: datadir.read(options.dcase_data / name)
            for name in ("train", "test", "eval")
            if (options.dcase_data / name).is_dir()
        }
        sources, trained = seen_videos(options.metadata_dir, options.data)
        videos = {name: youtube.videos_of(dataset.filenames) for name, dataset in sets.items()}
        rows = [
            ["videos of", *(f"{name} ({len(dataset):,} clips)" for name, dataset in sets.items())]
        ]
        rows += [
            [
                source + (" (trained on)" if source in trained else ""),
                *(f"{int(np.isin(v, theirs).sum()):,}" for v in videos.values()),
            ]
            for source, theirs in sources.items()
        ]
        write_text(options.output, "".join("\t".join(row) + "\n" for row in rows))
        print(
            "For each of these lists and sets, the number of clips of DCASE 2017 task 4 whose "
            "video is also in it:",
            *report_data.text_table(rows[0], rows[1:]),
            sep="\n",
        )
        for name in [name for name in sets if name != "train"]:
            folder, unseen = (
                options.output.parent / "data" / f"{name}_unseen",
                np.ones(len(sets[name]), bool),
            )
            for source in trained:
                unseen &= ~np.isin(videos[name], sources[source])
            official_sets.remove(folder)
            print(
                f"{name}: {int(unseen.sum()):,} of {len(unseen):,} clips are of videos "
                "that the model was not trained on"
            )
            if unseen.any() and not unseen.all():
                datadir.write(folder, sets[name].select(unseen))
    except InputError as error:
        parser.exit(1, f"overlap.py: {error}\n")


if __name__ == "__main__":
    with printed():  # print the warnings of wsedtk
        main()
