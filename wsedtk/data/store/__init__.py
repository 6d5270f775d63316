"""HDF5 files of features and of scores. The only package that knows h5py.

N clips, T frames, F mel bins, S segments, K classes. Files appear whole or not at all.

    features.h5   features (N, T_max, F), num_frames (N,), duration (N,), mean (N, F), squared_deviations (N, F), filename (N,);
                  failed (filename, reason): clips that could not be read; attributes: the front end and its fingerprint, those of
                  the list of clips, of the data set and of its audio where it is known
    scores.h5     clip (N, K), frame (N, T, K), segment (N, S, K), weight (N, T, K) with attention, num_frames (N,),
                  duration (N,), filename (N,), labels (K,), failed (filename, reason); attributes: seconds_per_frame, model,
                  features, fingerprint, clips_fingerprint, audio_fingerprint
"""

from wsedtk.data.store.features import (
    FeatureStore,
    find_shards,
    read_about,
    shard_path,
    writing_features,
)
from wsedtk.data.store.files import check_overwrite, look
from wsedtk.data.store.scores import ScoreFile, write_scores

__all__ = [
    "FeatureStore",
    "ScoreFile",
    "check_overwrite",
    "find_shards",
    "look",
    "read_about",
    "shard_path",
    "write_scores",
    "writing_features",
]
