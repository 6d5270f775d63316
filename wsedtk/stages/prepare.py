"""prepare: other people's metadata and audio -> data directories."""

from wsedtk.corpora import audioset as audioset_corpus
from wsedtk.corpora import dcase2017 as dcase2017_corpus
from wsedtk.corpora import soundscapes as corpus


def soundscapes(bank_dir, data_dir, backgrounds, test_folds, num_train, num_test, seed):
    """Mix a bank of recordings into data_dir/train (tags) and data_dir/test (tags and events)."""
    corpus.prepare(bank_dir, data_dir, backgrounds, test_folds, num_train, num_test, seed)


def dcase2017(metadata_dir, audio_dirs, data_dir, metadata_only, strict, jobs):
    """Make data_dir/{train,test,eval} of the challenge's metadata and the audio at hand."""
    dcase2017_corpus.prepare(metadata_dir, audio_dirs, data_dir, metadata_only, strict, jobs)


def audioset(
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
    """Make data_dir/{train,eval} of AudioSet's lists and the audio at hand."""
    audioset_corpus.prepare(
        metadata_dir,
        audio_dirs,
        data_dir,
        subset,
        excluded,
        with_ancestors,
        metadata_only,
        strict,
        jobs,
    )
