"""AudioSet: the published lists of segments, and a folder of audio -> data/{train,eval}.

METADATA_DIR holds, at any depth, the files as Google published them, or as a spreadsheet or another tool saved them again:

    balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv     ID, start, end, "class ID,class ID,..."
    class_labels_indices.csv                                                          index, class ID, name: the classes in order
    ontology.json                                                                     may be missing: which class lies under which

Lists may have comment lines or a header, quotes, spaces, commas, semicolons or tabs, `10` for `10.000`, any line ends.
"""

import dataclasses
from pathlib import Path

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.progress import say
from wsedtk.corpora import audioset_metadata, official_sets, youtube
from wsedtk.data import datadir
from wsedtk.data.tables import first

SUBSETS = {
    "balanced": ("balanced",),
    "unbalanced": ("unbalanced",),
    "all": ("balanced", "unbalanced"),
}


def ancestors(ontology, mids):
    """Which of the classes lie above each, at any height, as booleans (K, K): [k, j] where j is above k."""
    index, above = {mid: k for k, mid in enumerate(mids)}, np.zeros((len(mids), len(mids)), bool)
    for j, mid in enumerate(mids):
        waiting, seen = list(ontology[mid][1]), set()
        while waiting:
            child = waiting.pop()
            if child not in seen:
                seen.add(child)
                waiting += ontology.get(child, ("", ()))[1]
        above[[index[child] for child in seen if child in index], j] = True
    return above


def join(sets):
    """One set of several without a clip in common. Raises InputError where they have one."""
    filenames = np.concatenate([dataset.filenames for dataset in sets])
    order = np.argsort(filenames, kind="stable")
    twice = np.flatnonzero(filenames[order][1:] == filenames[order][:-1])
    if len(twice):
        raise InputError(
            f"the lists share {len(twice)} segments: {first(filenames[order][twice].tolist())}; each must stand in one list"
        )
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    starts = np.cumsum([0, *(len(dataset) for dataset in sets)])
    clips = place[
        np.concatenate([dataset.tag_clip + start for dataset, start in zip(sets, starts)])
    ]
    labels = np.concatenate([dataset.tag_label for dataset in sets])
    by_clip = np.lexsort((labels, clips))
    return dataclasses.replace(
        sets[0],
        filenames=filenames[order],
        paths=np.full(len(order), "", datadir.TEXT),
        durations=np.concatenate([dataset.durations for dataset in sets])[order],
        tag_clip=clips[by_clip],
        tag_label=labels[by_clip],
        info={**sets[0].info, "official_clips": len(order)},
    )


def add_ancestors(dataset, above):
    """The set with every clip tagged, too, with the classes above its own; above: (K, K) as `ancestors` gives."""
    width, keys = len(dataset.labels), dataset.tag_clip * len(dataset.labels) + dataset.tag_label
    for k in np.flatnonzero(above.any(axis=1)).tolist():
        clips = dataset.tag_clip[dataset.tag_label == k]
        keys = np.append(keys, (clips[:, None] * width + np.flatnonzero(above[k])).ravel())
    tag_clip, tag_label = np.divmod(np.unique(keys), width)
    return dataclasses.replace(dataset, tag_clip=tag_clip, tag_label=tag_label)


def exclude(dataset, data_sets):
    """The set without the clips of the videos that other sets have clips of; its info says how many went, and for which set."""
    videos, gone, counts = youtube.videos_of(dataset.filenames), np.zeros(len(dataset), bool), {}
    for folder in data_sets:
        theirs = youtube.videos_of(datadir.read(folder).filenames)
        shared = np.isin(videos, theirs[theirs != ""])
        counts[str(folder)] = int(shared.sum())
        gone |= shared
        print(f"excluded: {counts[str(folder)]:,} clips of videos that {folder} has clips of")
    if gone.all():
        raise InputError(
            "--exclude: no clip is left of the training set: every video of it is in the sets to exclude"
        )
    return (
        dataclasses.replace(dataset.select(~gone), info={**dataset.info, "excluded": counts})
        if data_sets
        else dataset
    )


def read(metadata_dir, subset="balanced", with_ancestors=False):
    """The official sets without audio: {train, eval: DataSet}. Raises InputError where the metadata are not whole."""
    files = youtube.find_metadata(
        metadata_dir,
        f"AudioSet's lists, {audioset_metadata.CLASSES} and {audioset_metadata.LISTS['eval']} among them",
    )
    lists = [audioset_metadata.LISTS[name] for name in SUBSETS[subset]]
    for name in (
        audioset_metadata.CLASSES,
        *lists,
        audioset_metadata.LISTS["eval"],
        *([audioset_metadata.ONTOLOGY] if with_ancestors else []),
    ):
        if name not in files:
            raise InputError(
                f"{metadata_dir}: {name} is not there; is it the folder of AudioSet's metadata?"
            )
    names, mids = audioset_metadata.read_classes(files[audioset_metadata.CLASSES])
    ontology = (
        audioset_metadata.read_ontology(files[audioset_metadata.ONTOLOGY])
        if audioset_metadata.ONTOLOGY in files
        else {}
    )
    odd = [
        f"{mid}: {name!r}, {ontology[mid][0]!r}"
        for mid, name in zip(mids, names)
        if ontology.get(mid, (name,))[0] != name
    ]
    if odd:
        say(
            f"warning: {files[audioset_metadata.CLASSES]} and {files[audioset_metadata.ONTOLOGY]} name {len(odd)} classes differently: {first(odd)}"
        )
    parts = [audioset_metadata.read_list(files[name], names, mids) for name in lists]
    sets = {
        "train": join(parts) if len(parts) > 1 else parts[0],
        "eval": audioset_metadata.read_list(files[audioset_metadata.LISTS["eval"]], names, mids),
    }
    del parts
    sets["train"].info["corpus"] = f"AudioSet, {' and '.join(SUBSETS[subset])} training list"
    sets["eval"].info["corpus"] = "AudioSet, evaluation list"
    if with_ancestors:
        unknown = [mid for mid in mids if mid not in ontology]
        if unknown:
            raise InputError(
                f"{files[audioset_metadata.ONTOLOGY]}: {len(unknown)} classes of {files[audioset_metadata.CLASSES]} are not there: {first(unknown)}; --ancestors "
                "needs the ontology with the classes of the lists"
            )
        above = ancestors(ontology, mids)
        for name, dataset in sets.items():
            dataset.info["with_ancestors"] = True
            sets[name] = add_ancestors(dataset, above)
    return sets


def prepare(
    metadata_dir,
    audio_dirs,
    data_dir,
    subset,
    excluded,
    with_ancestors,
    metadata_only,
    strict,
    jobs,
):
    """Write data_dir/{train,eval} with what audio there is, or all official clips without any."""
    data_dir = Path(data_dir)
    official_sets.check_prepare(
        data_dir, ("train", "eval"), audioset_metadata.MADE_BY, metadata_only, strict
    )
    sets = read(metadata_dir, subset, with_ancestors)
    sets["train"] = exclude(sets["train"], excluded)
    shared = np.intersect1d(*(youtube.videos_of(dataset.filenames) for dataset in sets.values()))
    if len(shared):
        say(
            f"warning: the training and the evaluation list share {len(shared)} videos: {first(shared.tolist())}"
        )
    if metadata_only:
        official_sets.write_without_audio(sets, data_dir)
    else:
        official_sets.prepare(sets, audio_dirs, data_dir, strict, jobs)
