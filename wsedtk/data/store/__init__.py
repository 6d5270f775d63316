"""Read and write HDF5 files of features and scores. The files are written atomically.

In `data`, only the modules of this folder use h5py. Of the other folders of wsedtk, this folder may
import only `data` and `core`.

    features.h5   features (N, T_max, F), num_frames (N,), duration (N,), mean (N, F): the mean over
                  the frames of each clip, squared_deviations (N, F): the sum of the squared
                  deviations from this mean, filename (N,), failed (M, 2): the file name of each
                  failed clip, and the reason; attributes: frontend (the configuration as JSON),
                  fingerprint (of the front end), clips_fingerprint, data_fingerprint,
                  audio_fingerprint
    scores.h5     clip (N, K), segment (N, S, K), num_frames (N,), duration (N,), filename (N,),
                  labels (K,); optional: frame (N, T, K), weight (N, T, K): the attention weights,
                  and failed (M, 2); attributes: seconds_per_frame, model (its fingerprint),
                  features (the path of the feature file), fingerprint (of the scores),
                  clips_fingerprint, audio_fingerprint

The files have further attributes, such as `kind`.

A clip fails if its audio is missing, can't be read or is too long. It then has no features and no
scores.

Sizes: N clips, T frames, F mel bins, S segments, K classes, M failed clips. T_max is the largest
number of frames that a clip in the file can have.
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
