"""balance: a training set -> the part to fit on, and a balanced part to validate on."""

import dataclasses

import numpy as np

from wsedtk.core.errors import InputError
from wsedtk.core.progress import printable
from wsedtk.data import clip_sets, datadir

MADE_BY = "balance"
MOST_LINES = 40  # classes that the table shows


class _Classes:
    """Each class's clips in random order, those of sources that are already held out first. Clips without tags are one more class."""

    def __init__(self, dataset, sources, generator):
        self.dataset, self.sources = dataset, sources
        clips = dataset.clips_of_classes()
        self.waiting = [generator.permutation(members) for members in clips]
        self.next_waiting = [0] * len(clips)
        self.opened = [[] for _ in clips]
        self.members = np.argsort(
            sources, kind="stable"
        )  # of source s: those from starts[s] to starts[s + 1]
        self.starts = np.cumsum(np.append(0, np.bincount(sources)))
        self.left_to_fit = np.array(
            [len(members) for members in clips]
        )  # clips of each class from sources that are not held out
        self.least_to_fit = (self.left_to_fit + 1) // 2  # half of each class stays to fit on
        self.is_open = np.zeros(len(self.starts) - 1, bool)

    def classes_of(self, clip):
        """The classes that a clip stands in."""
        tags = self.dataset.tags_of(clip).tolist()
        return tags or [len(self.dataset.labels)]

    def draw(self, label, taken):
        """A clip of the class that is not taken, opening its source; None where none may be."""
        while self.opened[label]:
            clip = self.opened[label].pop()
            if not taken[clip]:
                return clip
        while self.next_waiting[label] < len(self.waiting[label]):
            clip = int(self.waiting[label][self.next_waiting[label]])
            self.next_waiting[label] += 1
            source = self.sources[clip]
            if taken[clip] or self.is_open[source]:
                continue
            members = self.members[self.starts[source] : self.starts[source + 1]].tolist()
            places = [(k, member) for member in members for k in self.classes_of(member)]
            cost = np.bincount([k for k, _ in places], minlength=len(self.left_to_fit))
            if (self.left_to_fit - cost < np.minimum(self.least_to_fit, self.left_to_fit)).any():
                continue
            self.left_to_fit -= cost
            self.is_open[source] = True
            for k, member in places:
                self.opened[k].append(member)
            return clip
        return None


def split(dataset, num_valid, seed):
    """Choose a balanced held-out set.

    Returns boolean masks (N,), (N,), clips to fit on and clips to validate on, and the classes (any
    number,) that were asked for one more clip and had none.

    Turn by turn every class, the rarest first, that has fewer held-out clips than there were turns gets one more, until
    `num_valid` are held out (Wang, Li & Metze 2019, section 3.1, hold out 1,142 of DCASE's 51,172 so). At least half of each
    class stays to fit on. The clips of one source (`clip_sets.sources`) never lie on both sides: what
    is left of a source that was drawn from is in neither. Clips without tags get their share of
    `num_valid`, and at least half of them stay too.
    """
    (sources,) = clip_sets.sources(dataset)
    classes = _Classes(dataset, sources, np.random.default_rng(seed))
    *counts, num_untagged = classes.left_to_fit.tolist()
    num_tagged = num_valid - round(num_valid * num_untagged / len(dataset))
    valid, held, num_held = np.zeros(len(dataset), bool), np.zeros(len(counts), np.int64), 0
    rarest_first = [k for k in np.argsort(counts, kind="stable").tolist() if counts[k]]
    turn, spent = 0, []
    while rarest_first and num_held < num_tagged:
        turn += 1
        for k in list(rarest_first):
            if held[k] >= turn or num_held >= num_tagged:
                continue
            clip = classes.draw(k, valid)
            if clip is None:
                rarest_first.remove(k)
                spent.append(k)
                continue
            valid[clip] = True
            held[dataset.tags_of(clip)] += 1
            num_held += 1
    for _ in range(num_valid - num_tagged):
        clip = classes.draw(len(counts), valid)
        if clip is None:
            break
        valid[clip] = True
    return ~classes.is_open[sources], valid, np.array(sorted(spent), np.int64)


def _why_no_more(dataset, label, num_held):
    """Why no more clips of a class are held out."""
    clips = dataset.tag_clip[dataset.tag_label == label]
    if num_held >= len(clips) // 2:
        return f"at least half of its {len(clips)} clips stay to fit on"
    (sources,) = clip_sets.sources(dataset)
    if len(np.unique(sources[clips])) == 1:
        return f"all its {len(clips)} clips are of one source"
    return (
        f"the sources of its {len(clips)} clips stay whole, and half of each class stays to fit on"
    )


def tell(dataset, fit, valid, spent):
    """Print how many clips of each class went where; of many classes the rarest.

    spent: the classes that had no more to hold out.
    """
    labels = [printable(label) for label in dataset.labels]
    counts = np.array([part.clips_per_class() for part in (dataset, fit, valid)])  # (3, K)
    shown = (
        list(range(len(labels)))
        if len(labels) <= MOST_LINES
        else np.argsort(counts[1], kind="stable")[: MOST_LINES // 4].tolist()
    )
    width = max(len(labels[k]) for k in shown)
    print(f"{'class':{width}}  {'all':>7}  {'fit':>7}  {'valid':>7}  passes")
    for k in shown:
        passes = f"{counts[1].max() / counts[1, k]:8.1f}" if counts[1, k] else f"{'-':>8}"
        print(
            f"{labels[k]:{width}}  " + "  ".join(f"{n:7}" for n in counts[:, k].tolist()) + passes
        )
    left_out = len(dataset) - len(fit) - len(valid)
    print(
        f"{'clips':{width}}  {len(dataset):7}  {len(fit):7}  {len(valid):7}"
        + (f"; {left_out} clips of the held-out sources are in neither" if left_out else "")
    )
    if len(shown) < len(labels):
        print(f"(of {len(labels)} classes the {len(shown)} with the fewest clips to fit on)")
    print(
        "passes: how often balanced minibatches go through a class's clips while they go once through the largest class's"
    )
    share = counts[2].max()
    short = spent[counts[2, spent] < 0.9 * share].tolist()
    if len(short) > MOST_LINES // 4:
        print(
            f"{len(short)} classes have fewer clips held out than others, which have up to "
            f"{share}: sources stay whole, and half of each class stays to fit on"
        )
        return
    for k in short:
        print(
            f"{labels[k]}: {counts[2, k]} held out (others: up to {share}); "
            f"{_why_no_more(dataset, k, counts[2, k])}"
        )


def run(options):
    """Write the two data directories and print how many clips of each class went where."""
    data_set, fit_set, valid_set = options.data_set, options.fit_set, options.valid_set
    num_valid, seed = options.num_valid, options.seed
    dataset = datadir.read(data_set)
    if not 1 <= num_valid < len(dataset):
        raise InputError(
            f"--num-valid {num_valid}: expected 1 to {len(dataset) - 1}; {data_set} has {len(dataset)} clips"
        )
    if len({folder.resolve() for folder in (data_set, fit_set, valid_set)}) < 3:
        raise InputError(
            f"{data_set}, {fit_set}, {valid_set}: two of them are one folder; each needs its own, the set stays as it is"
        )
    for folder in (fit_set, valid_set):
        datadir.check_overwrite(folder, MADE_BY)
    fit_mask, valid_mask, spent = split(dataset, num_valid, seed)
    if not valid_mask.any():
        raise InputError(
            f"{data_set}: no clip can be held out: every source recording holds more "
            "than half of the clips of a class; a column `group` of clips.tsv can say "
            "which clips are of one source"
        )
    fit, valid = dataset.select(fit_mask), dataset.select(valid_mask)
    for part, folder in ((fit, fit_set), (valid, valid_set)):
        info = {
            **dataset.info,
            "made_by": MADE_BY,
            "official_clips": len(part),
            "seed_of_split": seed,
            "source_fingerprint": dataset.fingerprint(),
        }
        datadir.write(folder, dataclasses.replace(part, info=info))
    tell(dataset, fit, valid, spent)
    if len(valid) < num_valid:
        print(
            f"{len(valid)} of the {num_valid} clips asked for: sources stay whole, and half of each class stays to fit on"
        )
