"""The clips that systems did best and worst on, as pictures over time with their sound, for a page.

N clips, K classes.
"""

import html

import numpy as np

from wsedtk.audio import audio_files
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress
from wsedtk.data import tables
from wsedtk.evaluation import comparisons, metrics
from wsedtk.report import plots

NUM_CLIPS = 10  # the best, and as many of the worst
MAX_SYSTEMS = 5  # in one picture, as in Wang, Li & Metze's figure 3
SOUND_RATE = 16000  # Hz
LONGEST_SOUND = 30.0  # seconds; 10 s are 54 KB of the page
MOST_SOUNDS = 200  # a page: 11 MB where they are of 10 s


def _events_by_clip(dataset):
    lists = [[] for _ in range(len(dataset))]
    for clip, onset, offset, label in dataset.events.rows():
        lists[clip].append((onset, offset, label))
    return lists


class ClipPages:
    """Pictures and sounds of one set's clips.

    group: Scored folders of the same set, each of another system, with frame scores and reference; those beyond MAX_SYSTEMS are not
    drawn. sounds: how many sounds the page may still hold.
    """

    def __init__(self, group, sounds):
        self.group, self.truth = group[:MAX_SYSTEMS], group[0].truth
        self.true = _events_by_clip(self.truth) if group[0].has_events else None
        self.found = [_events_by_clip(one.decoded) for one in self.group]
        self.features = next((one.features for one in self.group if one.features is not None), None)
        self.recordings, self.sounds, self.without_sound = group[0].recordings, sounds, []
        self.errors = np.stack([comparisons.clip_errors(one) for one in self.group])  # (systems, N)

    def add(self, page):
        """Add the best and the worst clips to a page."""
        clips = self.truth.tag_clip
        if self.true is not None:
            clips = metrics.drop_zero_length(self.truth.events).clip  # what can be found
        num_true = np.bincount(clips, minlength=len(self.truth))
        best, worst = comparisons.choose_clips(self.errors.sum(axis=0), num_true, NUM_CLIPS)
        kind = "segment errors" if self.true is not None else "wrong tags"
        for title, clips in (
            (f"Best clips: those with the fewest {kind}", best),
            (f"Worst clips: those with the most {kind}", worst),
        ):
            if clips:
                page.add(f"<h3>{title}</h3>")
            for clip in progress(clips, f"{title.split(':')[0].lower()} of {self.group[0].set}"):
                self._add_clip(page, clip, kind)
        if self.without_sound:
            page.add(
                f'<p class="note">Without sound: {len(self.without_sound)} of these clips ({html.escape(self.without_sound[0])}).</p>'
            )

    def _tracks(self, clip):
        for one, found in zip(self.group, self.found):
            row = one.rows[clip]
            weights = one.scores.frames(row, "weight") if one.scores.has("weight") else None
            name = one.system if len(self.group) > 1 else "found"
            yield plots.Track(
                name,
                one.scores.frames(row),
                one.scores.seconds_per_frame,
                one.thresholds,
                found[clip],
                weights,
            )

    def _spectrogram(self, name):
        """Its features (T, F), and the seconds of each; None where there are none."""
        row = self.features.rows([name])[0] if self.features is not None else -1
        if row < 0:
            return None, None
        return self.features.read([row])[0], self.features.frontend["hop"] / self.features.frontend[
            "sample_rate"
        ]

    def _sound(self, name, duration):
        """The clip as MP3, or None; why is noted where a recording should be there."""
        path = self.recordings.get(name)
        if path is None:
            return None
        if self.sounds <= 0 or duration > LONGEST_SOUND:
            self.without_sound.append(
                f"{name} is longer than {LONGEST_SOUND:g} s"
                if self.sounds > 0
                else f"the page holds {MOST_SOUNDS}, and no more"
            )
            return None
        try:
            samples, _ = audio_files.read(path, SOUND_RATE, LONGEST_SOUND)
            sound = audio_files.mp3(samples, SOUND_RATE)
        except InputError as error:
            self.without_sound.append(str(error))
            return None
        self.sounds -= 1
        return sound

    def _add_clip(self, page, clip, kind):
        name, duration, labels = (
            str(self.truth.filenames[clip]),
            self.truth.durations[clip],
            self.truth.labels,
        )
        tracks = list(self._tracks(clip))
        picture = plots.timelines(
            "",
            duration,
            labels,
            tracks,
            self.true[clip] if self.true is not None else None,
            *self._spectrogram(name),
        )
        said = [("true", self.true[clip])] if self.true is not None else []
        alt = "; ".join(
            f"{who}: {_in_words(events, labels)}"
            for who, events in [*said, *((t.name, t.found) for t in tracks)]
        )
        counts = [
            f"{errors:.0f}" + (f" ({one.system})" if len(self.group) > 1 else "")
            for one, errors in zip(self.group, self.errors[:, clip])
        ]
        tags = ", ".join(labels[k] for k in self.truth.tags_of(clip)) or "no tags"
        caption = f"<b>{html.escape(name)}</b> ({html.escape(tags)}); {kind}: {html.escape(', '.join(counts))}"
        page.figure(
            f"{self.group[0].set}: {name}",
            picture,
            f"{name} over time. {alt}",
            caption,
            True,
            self._sound(name, duration),
        )


def _in_words(events, labels):
    words = [f"{labels[k]} {onset:.1f} to {offset:.1f} s" for onset, offset, k in events]
    return tables.first(words, 20) or "nothing"
