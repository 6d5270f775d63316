"""HDF5 files of features and of scores, which are written atomically.

No other module of `data` uses h5py. It may import the other modules of `data`, and `core`.

    features.h5   features (N, T_max, F), num_frames (N,), duration (N,), mean (N, F),
                  squared_deviations (N, F), filename (N,), failed (M, 2): file name and reason of
                  clips whose audio could not be read; attributes: the front end and its
                  fingerprint, and the fingerprints of the list of clips, of the data set and of
                  its audio
    scores.h5     clip (N, K), frame (N, T, K), segment (N, S, K), weight (N, T, K) with attention,
                  num_frames (N,), duration (N,), filename (N,), labels (K,), failed (M, 2);
                  attributes: seconds_per_frame, model, features, fingerprint, clips_fingerprint,
                  audio_fingerprint

N clips, T frames, F mel bins, S segments, K classes, M failed clips.
"""

from wsedtk.data.store.feature_writing import FeatureLayout, writing_features
from wsedtk.data.store.features import FeatureStore, Statistics, read_about
from wsedtk.data.store.files import check_overwrite, look
from wsedtk.data.store.scores import ScoreFile, write_scores
from wsedtk.data.store.shards import find_shards, shard_path

__all__ = [
    "FeatureLayout",
    "FeatureStore",
    "ScoreFile",
    "Statistics",
    "check_overwrite",
    "find_shards",
    "look",
    "read_about",
    "shard_path",
    "write_scores",
    "writing_features",
]
