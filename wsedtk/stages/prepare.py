"""prepare: other people's metadata and audio -> data directories."""

from wsedtk.corpora import soundscapes as corpus


def soundscapes(bank_dir, data_dir, backgrounds, test_folds, num_train, num_test, seed):
    """Mix a bank of recordings into data_dir/train (tags) and data_dir/test (tags and events)."""
    corpus.prepare(bank_dir, data_dir, backgrounds, test_folds, num_train, num_test, seed)
