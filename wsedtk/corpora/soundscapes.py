"""Mix recordings of a sound bank into soundscapes: clips of 10 s whose events are known exactly.

A soundscape is a mixture of one background and up to three events. The positions of the events, and
their levels above the background, are random. Test soundscapes use recordings of the test folds of
the bank, and training soundscapes use recordings of the other folds. The training recordings are
divided into groups, and each training soundscape uses one group. The name of a training soundscape
contains the number of its group (`mix03_170.000_180.000.wav` is the 18th soundscape of group 3).
The column `group` of clips.tsv contains the group, too, so that `balance` does not split a group.

See `wsedtk.corpora.sound_bank` for the structure of a bank. Shapes: K event classes.
"""

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core import atomic, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.core.progress import progress
from wsedtk.corpora import builtin_bank
from wsedtk.corpora.mixing import CLIP_SECONDS, Sounds, Soundscape, load, mix
from wsedtk.corpora.own_sets import summary
from wsedtk.corpora.registry import CORPORA, PreparedSet, PrepareResult
from wsedtk.corpora.sound_bank import BUILTIN, Pool, split
from wsedtk.data import datadir
from wsedtk.data.clip_sets import DataSet
from wsedtk.data.events import Events
from wsedtk.data.official import SOUNDSCAPES

MADE_BY = "prepare soundscapes"
MAX_EVENTS = 3
# The seed of each random generator contains one of these numbers, which identifies what the
# generator is used for. The number 5 is used in `wsedtk.corpora.sound_bank`.
_EMPTY, _NUM_EVENTS, _CLASS_ORDER, _CLIP = range(1, 5)


@dataclasses.dataclass(frozen=True)
class SoundscapesOptions:
    """The inputs, the output and the settings of `prepare soundscapes`.

    Parameters
    ----------
    bank_dir : path-like
        The folder with the recordings, which contains one folder for each class. With "builtin", a
        bank is synthesised in `data_dir`.
    data_dir : path-like
        The folder in which the data directories are written.
    backgrounds : sequence of str
        A class folder of BANK_DIR that contains backgrounds, or another folder with recordings of
        backgrounds. Repeatable. A class folder named `background` is always used, and the built-in
        bank has default backgrounds.
    test_folds : sequence of int
        The folds for the test set. The training set uses all other folds.
    num_train : int
        Number of training soundscapes of 10 s.
    num_test : int
        Number of test soundscapes of 10 s.
    all_folds : bool
        Use all folds for the training set, and write no test set.
    empty_every : int
        With N, one of N soundscapes has no events, so that systems learn backgrounds. With 1, no
        soundscape has events.
    seed : int
        Seed of all random choices. The same seed gives identical files.
    sample_rate : int
        The sample rate in Hz, at least 8000.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    bank_dir: PathLike
    data_dir: PathLike
    _: dataclasses.KW_ONLY
    backgrounds: Sequence[str] = dataclasses.field(
        default=(), metadata={"flag": "--background", "metavar": "FOLDER"}
    )
    test_folds: Sequence[int] = dataclasses.field(
        default=(4,), metadata={"comma_separated": "folds"}
    )
    num_train: int = dataclasses.field(default=600, metadata={"minimum": 1})
    num_test: int = dataclasses.field(default=120, metadata={"minimum": 1})
    all_folds: bool = False
    empty_every: int = dataclasses.field(default=20, metadata={"minimum": 1})
    seed: int = dataclasses.field(default=0, metadata={"minimum": 0})
    sample_rate: int = dataclasses.field(default=16000, metadata={"hidden_from_cli": True})

    def __post_init__(self) -> None:
        if min(self.num_train, self.num_test) < 1:
            raise InputError(
                "expected at least one training and one test soundscape, "
                f"found {self.num_train} and {self.num_test}"
            )
        if self.empty_every < 1:
            raise InputError(f"empty_every: expected at least 1, found {self.empty_every}")
        if self.seed < 0 or self.sample_rate < 8000:
            raise InputError(
                "expected a seed of at least 0 and a sample rate of at least 8000 Hz, "
                f"found {self.seed} and {self.sample_rate}"
            )


class _Clip(NamedTuple):
    """A soundscape: its name without suffix, its group, and its number in the set."""

    stem: str
    group: int
    number: int


@dataclasses.dataclass(frozen=True)
class _Mixer:
    """The pools, the recordings and the settings from which the soundscapes of a set are mixed."""

    name: str
    pools: Sequence[Pool]
    sounds: Sounds
    seed: int
    sample_rate: int
    empty_every: int

    @property
    def number(self) -> int:
        """The number that identifies the set in a seed: 0 for train, 1 for test."""
        return int(self.name == "test")

    @property
    def labels(self) -> list[str]:
        """The names of the K event classes, sorted."""
        return sorted(self.pools[0].events)

    def clips(self, count: int) -> list[_Clip]:
        """Return the name, group and number of each soundscape of the set, sorted by name."""
        clips = []
        for index in range(count):
            n, group = divmod(index, len(self.pools))
            prefix = "test" if self.name == "test" else f"mix{group:02d}"
            stem = f"{prefix}_{n * CLIP_SECONDS:.3f}_{(n + 1) * CLIP_SECONDS:.3f}"
            clips.append(_Clip(stem, group, index))
        return sorted(clips)

    def classes_of_clip(self, index: int) -> list[int]:
        """Return the class index of each event of a soundscape, which has 0 to MAX_EVENTS events.

        The classes come from an endless sequence of shuffled lists of all classes. Soundscape
        `index` uses up to MAX_EVENTS positions of the sequence, beginning at `index * MAX_EVENTS`.
        Therefore all classes are about equally frequent. If there are many classes, a class is
        rarely repeated within a soundscape.
        """
        num_classes = len(self.labels)
        block, place = divmod(index, self.empty_every)
        if self._generator(block, _EMPTY).integers(self.empty_every) == place:
            return []
        num_events = int(self._generator(index, _NUM_EVENTS).integers(1, MAX_EVENTS + 1))
        start = index * MAX_EVENTS
        return [
            self._class_at(position, num_classes) for position in range(start, start + num_events)
        ]

    def _class_at(self, position: int, num_classes: int) -> int:
        """Return the class at a position of the endless sequence."""
        number, place = divmod(position, num_classes)
        return int(self._generator(number, _CLASS_ORDER).permutation(num_classes)[place])

    def mix(self, clip: _Clip) -> Soundscape:
        """Mix one soundscape."""
        rng = self._generator(clip.number, _CLIP)
        classes = self.classes_of_clip(clip.number)
        return mix(self.pools[clip.group], classes, self.sounds, rng, self.sample_rate)

    def _generator(self, number: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.number, number, purpose))


def _write_set(
    data_dir: Path, mixer: _Mixer, num_clips: int, info: Mapping[str, object]
) -> PreparedSet:
    """Mix one set, and write its data directory and its audio."""
    folder, is_test = data_dir / mixer.name, mixer.name == "test"
    audio_dir = data_dir / "audio" / mixer.name
    for table in datadir.COLUMNS:  # after an interruption, old tables would not match new audio
        atomic.remove(folder / table)
    clips = mixer.clips(num_clips)
    rows, contents = [], []
    for position, clip in enumerate(progress(clips, f"mixing {mixer.name}")):
        samples, events = mixer.mix(clip)
        audio_files.write(audio_dir / f"{clip.stem}.flac", samples, mixer.sample_rate)
        contents.append(provenance.fingerprint(samples.tobytes()))
        for start, end, label in events:
            onset, offset = (round(time / mixer.sample_rate, 6) for time in (start, end))
            rows.append((position, onset, offset, label))
    tags = sorted({(position, label) for position, _, _, label in rows})
    tag_clip, tag_label = np.array(tags, np.int64).reshape(-1, 2).T
    filenames = np.array([f"{clip.stem}.wav" for clip in clips])
    audio_fingerprint = provenance.fingerprint_audio(filenames, np.array(contents))
    groups = np.array([clip.stem.partition("_")[0] for clip in clips])
    paths = [f"../audio/{mixer.name}/{clip.stem}.flac" for clip in clips]
    dataset = DataSet(
        filenames=filenames,
        paths=np.array(paths, datadir.TEXT),
        durations=np.full(len(clips), float(CLIP_SECONDS)),
        labels=mixer.labels,
        tag_clip=tag_clip,
        tag_label=tag_label,
        events=Events.from_rows(rows) if is_test else None,
        info={**info, "audio_fingerprint": audio_fingerprint},
        groups=None if is_test else groups,
    )
    datadir.write(folder, dataset)
    return PreparedSet(folder, dataset)


def _mixers(
    options: SoundscapesOptions, folder: Path, backgrounds: list[str]
) -> Iterator[tuple[_Mixer, int]]:
    """Yield the mixer of each set, and the number of soundscapes of the set."""
    test_folds = () if options.all_folds else options.test_folds
    train, test = split(folder, backgrounds, test_folds, options.seed)
    pools_of_sets = [("train", train, options.num_train)]
    if test is not None:
        pools_of_sets.append(("test", [test], options.num_test))
    sounds = load([pool for _, pools, _ in pools_of_sets for pool in pools], options.sample_rate)
    for name, pools, num_clips in pools_of_sets:
        mixer = _Mixer(name, pools, sounds, options.seed, options.sample_rate, options.empty_every)
        yield mixer, num_clips


@dataclasses.dataclass(frozen=True)
class SoundscapesResult(PrepareResult):
    """The sets of soundscapes that were written.

    Attributes
    ----------
    sets : tuple of PreparedSet
        The set `train`, and the set `test` if there is one.
    """

    def to_text(self) -> str:
        """Return the text that `wsedtk prepare soundscapes` prints: the sizes, and what is next."""
        lines = [summary(one.folder, one.dataset) for one in self.sets]
        data_set = shlex.quote(str(self.sets[0].folder))
        lines.append(f"next: wsedtk build {data_set} MODEL_DIR")
        return "".join(f"{line}\n" for line in lines)


@CORPORA.register("soundscapes")
def prepare(options: SoundscapesOptions) -> PrepareResult:
    """Mix the recordings of a bank into 10 s soundscapes.

    The set DATA_DIR/train has tags, and the set DATA_DIR/test has tags and events. BANK_DIR
    contains one folder for each class. If recordings are named fold-id-take.ext, as in ESC-10, the
    names determine the folds. Otherwise, the recordings are divided into five folds. No source
    recording is in both sets. If `builtin` is given instead of BANK_DIR, a small bank is
    synthesised in DATA_DIR/bank. If only the number of soundscapes is increased, the new set
    contains all soundscapes of the old set.

    Parameters
    ----------
    options : SoundscapesOptions
        The folders and the settings.

    Returns
    -------
    PrepareResult

    Raises
    ------
    InputError
        If the bank does not have this structure, if a recording is unreadable or silent, or if the
        sets can't be written.

    Examples
    --------
    wsedtk prepare soundscapes builtin data --num-train 100 --num-test 20
    """
    data_dir = Path(options.data_dir)
    for name in ("train",) if options.all_folds else ("train", "test"):
        datadir.check_overwrite(data_dir / name, MADE_BY)
    folder, backgrounds = Path(options.bank_dir), list(dict.fromkeys(options.backgrounds))
    if str(options.bank_dir) == BUILTIN:
        folder, backgrounds = data_dir / "bank", backgrounds or list(builtin_bank.BACKGROUNDS)
        builtin_bank.synthesise(folder, options.seed, sample_rate=options.sample_rate)
    written = []
    for mixer, num_clips in _mixers(options, folder, backgrounds):
        info = {
            "made_by": MADE_BY,
            "corpus": SOUNDSCAPES,
            "bank": str(options.bank_dir),
            "seed": options.seed,
            "test_folds": [] if options.all_folds else sorted(set(options.test_folds)),
            "backgrounds": backgrounds,
            datadir.TAGS: datadir.COMPLETE,
        }
        written.append(_write_set(data_dir, mixer, num_clips, info))
    return SoundscapesResult(tuple(written))
