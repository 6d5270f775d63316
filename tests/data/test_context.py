"""The warning about sets in which every clip has a tag, and what it says to do."""

import numpy as np
import pytest

from wsedtk.data import clip_sets, context

WARNING = "every clip has a tag, so a network that learns from this set finds events also where"


def make(info, count=20, untagged=0):
    """Return a set of clips with one tag each, except for the last ones."""
    tagged = np.arange(count - untagged)
    return clip_sets.DataSet(
        filenames=np.array([f"{i:02d}.wav" for i in range(count)]),
        paths=np.full(count, ""),
        durations=np.ones(count),
        labels=["Car"],
        tag_clip=tagged,
        tag_label=np.zeros(len(tagged), int),
        info=info,
    )


OWN = {"corpus": "own recordings"}


@pytest.mark.parametrize(
    "info, remedy",
    [
        ({**OWN, "recordings": "my birds"}, "prepare soundscapes 'my birds' DATA_DIR --background"),
        ({**OWN, "annotations": ["a"], "recordings": "rec"}, "with --all-recordings, also those"),
        ({"annotations": ["a"], "recordings": "rec"}, "with an empty annotation file"),
        ({**OWN, "table": "t.csv"}, "add rows with the class background to the table"),
        ({}, "add clips without sounds of the classes to clips.tsv, without rows in tags.tsv"),
        (OWN, "prepare soundscapes RECORDINGS_DIR DATA_DIR --background FOLDER"),
    ],
)
def test_the_remedy_fits_the_set(info, remedy):
    warning = context.context_warning(make(info))
    assert warning is not None and warning.startswith(WARNING) and remedy in warning
    assert context.context_warning(make(info, untagged=1)) is None


@pytest.mark.parametrize(
    "info, count, warns",
    [
        ({"corpus": "dcase2017"}, 100, False),
        ({"corpus": "audioset"}, 100, False),
        ({"corpus": "soundscapes"}, 100, False),
        ({}, 19, False),
        ({}, 20, True),
        (OWN, 1, True),
    ],
)
def test_which_sets_are_concerned(info, count, warns):
    assert (context.context_warning(make(info, count)) is not None) == warns
    assert context.context_warning(make(info, count, untagged=count)) is None
