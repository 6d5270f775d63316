"""Add pictures and sounds of the best and the worst clips to a report page.

In shapes, N is the number of clips.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress
from wsedtk.data import tables
from wsedtk.data.clip_sets import DataSet
from wsedtk.evaluation import comparisons, metrics
from wsedtk.evaluation.scored_systems import Scored
from wsedtk.report import plots
from wsedtk.report.page import Page, note
from wsedtk.report.plots import Spectrogram, TimedEvent, Track
from wsedtk.report.rendering import part

NUM_CLIPS = 10  # largest number of best clips, and of worst clips
MAX_SYSTEMS = 5  # largest number of systems in one picture, as in figure 3 of Wang, Li & Metze
SOUND_RATE = 16000  # Hz
LONGEST_SOUND = 30.0  # seconds; a sound of 10 s adds 54 KB to the page
MOST_SOUNDS = 200  # largest number of sounds on a page; 200 sounds of 10 s add 11 MB


def _events_by_clip(dataset: DataSet) -> list[list[TimedEvent]]:
    lists: list[list[TimedEvent]] = [[] for _ in range(len(dataset))]
    if dataset.events is not None:
        for clip, onset, offset, label in dataset.events.rows():
            lists[clip].append(TimedEvent(onset, offset, label))
    return lists


class ClipPages:
    """The best and the worst clips of one set, which are shown with pictures and sounds.

    Parameters
    ----------
    group : sequence of Scored
        Evaluated folders of the same set, one for each system. The folders have frame scores and a
        copy of the reference. Only the first `MAX_SYSTEMS` folders are drawn.
    sounds : int
        The number of sounds that can still be added to the page.

    Attributes
    ----------
    sounds : int
        The number of sounds that can still be added to the page. `add` decreases it.
    """

    def __init__(self, group: Sequence[Scored], sounds: int) -> None:
        self._group, self._truth = group[:MAX_SYSTEMS], group[0].truth
        self._true = _events_by_clip(self._truth) if group[0].has_events else None
        self._found = [_events_by_clip(one.decoded) for one in self._group]
        features = [one.features for one in self._group if one.features is not None]
        self._features = features[0] if features else None
        self._recordings, self.sounds = group[0].recordings, sounds
        # One reason for each clip that has a recording, but no sound on the page.
        self._without_sound: list[str] = []
        # (systems, N)
        self._errors = np.stack([comparisons.clip_errors(one) for one in self._group])

    def add(self, page: Page) -> None:
        """Add the best and the worst clips to a page."""
        clips, kind = self._truth.tag_clip, "wrong tags"
        if self._truth.events is not None and self._true is not None:
            clips, kind = metrics.drop_zero_length(self._truth.events).clip, "segment errors"
        num_true = np.bincount(clips, minlength=len(self._truth))
        chosen = comparisons.choose_clips(self._errors.sum(axis=0), num_true, NUM_CLIPS)
        for name, text, some in (
            ("Best clips", f"those with the fewest {kind}", chosen.best),
            ("Worst clips", f"those with the most {kind}", chosen.worst),
        ):
            if some:
                page.add(part("subsection", title=f"{name}: {text}"))
            for clip in progress(some, f"{name.lower()} of {self._group[0].set}"):
                self._add_clip(page, clip, kind)
        if self._without_sound:
            count, first = len(self._without_sound), self._without_sound[0]
            page.add(note(f"Clips without sound: {count}. The reason for the first: {first}."))

    def _tracks(self, clip: int) -> Iterator[Track]:
        for one, found in zip(self._group, self._found):
            if one.scores is None:
                continue
            row = one.rows[clip]
            yield Track(
                one.system if len(self._group) > 1 else "found",
                one.scores.frames(row),
                one.scores.seconds_per_frame,
                one.thresholds,
                found[clip],
                one.scores.frames(row, "weight") if one.scores.has("weight") else None,
            )

    def _spectrogram(self, name: str) -> Spectrogram | None:
        """Return the spectrogram of a clip. None if its features are missing."""
        if self._features is None:
            return None
        row = self._features.rows([name])[0]
        if row < 0:
            return None
        frontend = self._features.frontend
        return Spectrogram(
            self._features.read(np.array([row]))[0], frontend["hop"] / frontend["sample_rate"]
        )

    def _sound(self, name: str, duration: float) -> bytes | None:
        """Return the sound of a clip as MP3.

        None if the recording of the clip is missing or cannot be read, if the sound cannot be
        encoded, if the clip is too long, or if the page already contains `MOST_SOUNDS` sounds.
        """
        path = self._recordings.get(name)
        if path is None:
            return None
        if self.sounds <= 0:
            self._without_sound.append(f"the page already contains {MOST_SOUNDS} sounds")
            return None
        if duration > LONGEST_SOUND:
            self._without_sound.append(f"{name} is longer than {LONGEST_SOUND:g} s")
            return None
        try:
            samples, _ = audio_files.read(path, SOUND_RATE, LONGEST_SOUND)
            sound: bytes = audio_files.mp3(samples, SOUND_RATE)
        except InputError as error:
            self._without_sound.append(str(error))
            return None
        self.sounds -= 1
        return sound

    def _add_clip(self, page: Page, clip: int, kind: str) -> None:
        name, labels = str(self._truth.filenames[clip]), self._truth.labels
        duration = float(self._truth.durations[clip])
        tracks = list(self._tracks(clip))
        truth = self._true[clip] if self._true is not None else None
        picture = plots.timelines(
            "", duration, labels, tracks, truth=truth, spectrogram=self._spectrogram(name)
        )
        words = [] if truth is None else [f"true: {_in_words(truth, labels)}"]
        words += [f"{track.name}: {_in_words(track.found, labels)}" for track in tracks]
        counts = []
        for one, errors in zip(self._group, self._errors[:, clip]):
            counts.append(f"{errors:.0f}" + (f" ({one.system})" if len(self._group) > 1 else ""))
        tags = ", ".join(labels[k] for k in self._truth.tags_of(clip)) or "no tags"
        page.figure(
            f"{self._group[0].set}: {name}",
            picture,
            alt=f"{name} over time. {'; '.join(words)}",
            caption=part("clip_caption", name=name, tags=tags, kind=kind, counts=", ".join(counts)),
            of_clip=True,
            sound=self._sound(name, duration),
        )


def _in_words(events: Sequence[tuple[float, float, int]], labels: Sequence[str]) -> str:
    words = [f"{labels[k]} {onset:.1f} to {offset:.1f} s" for onset, offset, k in events]
    return tables.first(words, 20) or "nothing"
