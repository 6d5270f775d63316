"""predict: a model and features -> clip, frame and segment scores.

T frames, S segments, K classes.
"""

from pathlib import Path

import numpy as np

from wsedtk.core import config, provenance
from wsedtk.core.errors import InputError
from wsedtk.core.progress import progress
from wsedtk.data import class_lists, datadir, store
from wsedtk.inference import network_runner
from wsedtk.models import checkpoint


def _choose_rows(features, data_set):
    """Rows of the store to score, in the order of the file names, and {file name: reason} of the clips whose audio failed.

    They are those of a data set where one is given.
    """
    if data_set is None:
        return features.order, features.failed
    dataset = datadir.read(data_set)
    rows = features.rows_of_set(dataset, data_set)
    return rows[rows >= 0], {
        name: features.failed[name] for name in dataset.filenames[rows < 0].tolist()
    }


def run(model_dir, feats, output_path, data_set, precise, no_frames, classes, device):
    """Score every clip of the feature files, or those of a data set only; `classes`: a file of the classes to keep, or None."""
    spec, network, model_fingerprint = checkpoint.load_model(model_dir)
    names = (
        {label: label for label in spec.labels}
        if classes is None
        else class_lists.read(classes, spec.labels, model_dir)
    )
    columns, labels = [spec.labels.index(name) for name in names], list(names.values())
    features = store.FeatureStore([feats])
    if features.frontend != spec.frontend:
        odd = [
            f"{k}: {spec.frontend.get(k)} there, {features.frontend.get(k)} here"
            for k in sorted({*spec.frontend, *features.frontend})
            if spec.frontend.get(k) != features.frontend.get(k)
        ]
        raise InputError(
            f"{feats}: made with another front end ({features.fingerprint}) than {model_dir} was trained on "
            f"({config.fingerprint(spec.frontend)}): {'; '.join(odd)}"
        )
    rows, failed = _choose_rows(features, data_set)
    if not len(rows):
        raise InputError(f"{feats}: no clips to score")
    frontend, num_classes = spec.frontend_config(), len(labels)
    samples_per_frame = frontend.hop * network.time_reduction
    runner = network_runner.Runner.of(
        network, spec.mean, spec.std, network_runner.pick_device(device), precise
    )
    num_frames = np.maximum(features.num_frames[rows] // network.time_reduction, 1)
    num_segments = ((2 * int(num_frames.max()) - 1) * samples_per_frame) // (
        2 * frontend.sample_rate
    ) + 1
    shapes = {
        "clip": (num_classes,),
        "segment": (num_segments, num_classes),
        "num_frames": (),
        "duration": (),
    }
    if not no_frames:
        shapes["frame"] = (int(num_frames.max()), num_classes)
        if network.pooling.needs_weights:
            shapes["weight"] = shapes["frame"]

    def batches():
        scored = network_runner.score(
            runner, features, rows, samples_per_frame, frontend.sample_rate
        )
        for positions, output, segments in progress(
            scored, "predict", -(-len(rows) // runner.batch_size)
        ):
            arrays = {
                "clip": output.clip,
                "segment": segments,
                "frame": output.frame,
                "weight": output.weight,
            }
            arrays = {
                name: arrays[name][..., columns].float().cpu().numpy()
                for name in shapes
                if name in arrays
            }
            yield (
                positions,
                {
                    **arrays,
                    "num_frames": num_frames[positions],
                    "duration": features.durations[rows[positions]],
                },
            )

    filenames = features.filenames[rows]
    identity = {
        "model": model_fingerprint,
        "frontend": features.fingerprint,
        "features": features.content_fingerprint(rows),
        "precise": precise,
        "classes": list(names.items()),
    }
    store.write_scores(
        output_path,
        filenames,
        labels,
        shapes,
        batches(),
        failed=failed,
        seconds_per_frame=samples_per_frame / frontend.sample_rate,
        model=model_fingerprint,
        features=str(Path(feats).absolute()),
        features_fingerprint=features.fingerprint,
        audio_fingerprint=features.audio[0],
        precise=precise,
        fingerprint=config.fingerprint(identity),
        **provenance.made_by(),
    )
    print(
        f"{output_path}: {len(rows)} clips, {num_classes} classes, {samples_per_frame / frontend.sample_rate:g} s a frame"
        + (f"; {len(failed)} clips failed and have no scores" if failed else "")
    )
