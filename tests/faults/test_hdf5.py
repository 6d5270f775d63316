"""Feature and score files that are damaged or hostile."""

import faulthandler
import os
import resource
import subprocess
import sys
import traceback
import types
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import write_score_file
from mutations import LONGEST_SECONDS, count, mutate, survives

from wsedtk.core.errors import InputError
from wsedtk.data import store

N, T, F, K = 4, 6, 3, 2
NAMES = [f"clip {i}.wav" for i in range(N)]


def features(path):
    rng = np.random.default_rng(0)
    layout = store.FeatureLayout(T, F, "float32", {"hop": 400}, "print")
    with store.writing_features(path, layout) as (append, failed):
        for i, name in enumerate(NAMES):
            append(name, rng.normal(size=(T - i, F)), 1.0 + i)
        failed["bad.wav"] = "why"
    return path


def scores(path):
    rng = np.random.default_rng(1)
    return write_score_file(
        path,
        NAMES,
        ["Car", "Dog"],
        rng.random((N, K)),
        rng.random((N, T, K)),
        durations=np.full(N, 0.6),
        failed=["bad.wav"],
    )


def read_features(path):
    found = store.FeatureStore([path])
    found.rows_of_set(types.SimpleNamespace(filenames=np.array(NAMES), info={}), "set")
    found.read(np.arange(len(found)))
    found.statistics(np.arange(len(found)))
    found.cache(np.arange(len(found)))


def read_scores(path):
    found = store.ScoreFile(path)
    for name in ("frame", "segment", "weight"):
        if found.has(name):
            list(found.blocks(np.arange(len(found)), name))
    for row in range(len(found)):
        found.segments(row)
        found.frames(row) if found.has("frame") else None
    found.rows(np.array(NAMES))


KINDS = {"features": (features, read_features), "scores": (scores, read_scores)}


def work(kind, folder, first, last):
    """Read mutants number `first` to `last` of a file in a process, which HDF5 may crash."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    read = KINDS[kind][1]
    whole, path = (folder / "whole.h5").read_bytes(), folder / "mutant.h5"
    for seed in range(first, last):
        path.write_bytes(mutate(whole, seed))
        print(seed, flush=True)
        faulthandler.dump_traceback_later(
            LONGEST_SECONDS, exit=True
        )  # a timer in Python does not run during C code
        try:
            print("read" if survives(read, path, "set: ") else "refused", flush=True)
        except Exception as error:
            print(f"lost: {error!r} {traceback.format_exc()[-700:]!r}", flush=True)
        faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes(tmp_path, kind, record_property):
    KINDS[kind][0](tmp_path / "whole.h5")
    first, last, outcomes = 0, count(3000, 120), {}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    while first < last:  # continue after a mutant that ended the process
        process = subprocess.run(
            [sys.executable, __file__, kind, tmp_path, str(first), str(last)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        lines = process.stdout.splitlines()
        assert lines, process.stderr
        ended = (
            f"{'HDF5' if 'h5py/_hl' in process.stderr else 'lost'}: "
            f"the process ended with {process.returncode}: {process.stderr[:600]}"
        )
        outcomes.update(zip(map(int, lines[::2]), [*lines[1::2], ended]))
        first = max(outcomes) + 1
    lost = {seed: outcome for seed, outcome in outcomes.items() if outcome.startswith("lost")}
    died = sum(
        outcome.startswith("HDF5") for outcome in outcomes.values()
    )  # in C code, which only another process can end
    record_property("trials", last)
    record_property("survived", last - died)
    assert died <= max(2, last // 50) and not lost, (
        f"{len(lost)} of {last}: {list(lost.items())[:8]}"
    )


def refused(kind, path, message):
    with pytest.raises(InputError, match=message):
        KINDS[kind][1](path)


def replaced(path, name, make):
    """Copy the file with one member replaced: make(file, name, previous content)."""
    with h5py.File(path, "r+") as file:
        before = file[name][()]
        del file[name]
        make(file, name, before)
    return path


@pytest.mark.parametrize(
    "kind, name",
    [("features", "features"), ("features", "filename"), ("scores", "frame"), ("scores", "labels")],
)
@pytest.mark.parametrize(
    "link, word",
    [
        (h5py.SoftLink("/elsewhere"), "SoftLink"),
        (h5py.ExternalLink("other.h5", "/it"), "ExternalLink"),
    ],
)
def test_links_are_not_followed(tmp_path, kind, name, link, word):
    path = KINDS[kind][0](tmp_path / "a.h5")

    def make(file, name, before):
        with h5py.File(tmp_path / "other.h5", "a") as other:
            (file if word == "SoftLink" else other).create_dataset(
                "elsewhere" if word == "SoftLink" else "it", data=before
            )
        file[name] = link

    replaced(path, name, make)
    refused(kind, path, rf"a.h5: '{name}' is a link \({word}\), which is not followed")


def test_data_outside_the_file_are_not_read(tmp_path):
    path = replaced(
        features(tmp_path / "a.h5"),
        "duration",
        lambda file, name, before: file.create_dataset(
            name, (N,), "f8", external=[("/etc/passwd", 0, 8 * N)]
        ),
    )
    refused(
        "features",
        path,
        "a.h5: duration: its data are in another file, '/etc/passwd', which is not opened",
    )


def test_virtual_datasets_are_not_read(tmp_path):
    scores(tmp_path / "other.h5")
    layout = h5py.VirtualLayout((N, K), "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "clip", (N, K))
    path = replaced(
        scores(tmp_path / "a.h5"),
        "clip",
        lambda file, name, before: file.create_virtual_dataset(name, layout),
    )
    refused(
        "scores",
        path,
        "a.h5: clip: is a virtual dataset; its data are in other files, which are not opened",
    )


def test_compression_bombs_are_not_unpacked(tmp_path):
    path = replaced(
        scores(tmp_path / "a.h5"),
        "frame",
        lambda file, name, before: file.create_dataset(
            name, (N, 1 << 26, K), "f4", chunks=(1, 1 << 20, K), compression="gzip"
        ),
    )
    refused("scores", path, "a.h5: frame: compressed data are not read, .*h5repack -f NONE")


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 1024, K)}])
def test_more_than_the_file_holds_is_not_read(tmp_path, options):
    path = replaced(
        scores(tmp_path / "a.h5"),
        "frame",
        lambda file, name, before: file.create_dataset(name, (N, 1 << 30, K), "f4", **options),
    )
    refused(
        "scores",
        path,
        "a.h5: frame: needs 34,359,738,368 bytes, but the file has only [0-9,]+ bytes; the file is damaged",
    )


def test_long_texts_are_not_read(tmp_path):
    path = replaced(
        scores(tmp_path / "a.h5"),
        "labels",
        lambda file, name, before: file.create_dataset(
            name, data=["x" * 100000, "y"], dtype=h5py.string_dtype()
        ),
    )
    refused("scores", path, "a.h5: labels: its texts have 100,001 bytes; expected at most 65,536")


def test_a_text_with_many_references_is_not_read(tmp_path):
    path = replaced(
        features(tmp_path / "a.h5"),
        "failed",
        lambda file, name, before: file.create_dataset(
            name, data=np.array([["x" * 60000, "y"]] * 100, object), dtype=h5py.string_dtype()
        ),
    )
    with h5py.File(path) as file:
        place = file["failed"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[place : place + 3200] = data[place : place + 16] * 200  # all equal to the first
    size = place + 3200 + 70000
    path.write_bytes(data)
    assert size < 200 * 60000
    refused("features", path, "a.h5: failed: its texts have 12,000,000 bytes; expected at most")


def some(shape, kind):
    return lambda file, name, before: file.create_dataset(name, data=np.ones(shape, kind))


WRONG = {
    "a group": lambda file, name, before: file.create_group(name),
    "nothing": lambda file, name, before: file.create_dataset(name, data=h5py.Empty("f4")),
    "one number": some((), "f4"),
    "too short": some((N - 1,), "f4"),
    "empty": some((0,), "f4"),
    "four axes": some((N, 1, 1, 1), "f4"),
    "integers": some((N, K), "i4"),
    "complex": some((N, K), "c8"),
    "booleans": some((N, K), "?"),
    "bytes": some((N,), "S3"),
    "references": lambda file, name, before: file.create_dataset(
        name, data=[file.ref] * N, dtype=h5py.ref_dtype
    ),
    "records": lambda file, name, before: file.create_dataset(name, N, [("a", "i4"), ("b", "f4")]),
    "lists": lambda file, name, before: file.create_dataset(name, N, h5py.vlen_dtype("f4")),
    "left out": lambda *_: None,
    "a copy of the file": lambda file, name, before: file.__setitem__(name, file["/"]),
}
MEMBERS = [
    ("features", name)
    for name in (
        "features",
        "num_frames",
        "duration",
        "mean",
        "squared_deviations",
        "filename",
        "failed",
    )
]
MEMBERS += [
    ("scores", name)
    for name in (
        "clip",
        "frame",
        "segment",
        "num_frames",
        "duration",
        "filename",
        "labels",
        "failed",
    )
]


@pytest.mark.parametrize("kind, name", MEMBERS)
def test_members_of_another_form(tmp_path, kind, name):
    results = 0
    for number, make in enumerate(WRONG.values()):
        path = replaced(KINDS[kind][0](tmp_path / f"{number}.h5"), name, make)
        results += survives(KINDS[kind][1], path)
    assert results <= 1  # frame and failed scores may be missing


@pytest.mark.parametrize(
    "kind, name",
    [
        ("features", "frontend"),
        ("features", "fingerprint"),
        ("features", "kind"),
        ("scores", "kind"),
        ("scores", "seconds_per_frame"),
        ("scores", "model"),
        ("scores", "fingerprint"),
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, 2],
        h5py.Empty("f"),
        np.bytes_(b"x"),
        float("nan"),
        0.0,
        -1.0,
        1e300,
        "[" * 9999,
        "[1]",
        7,
    ],
)
def test_attributes_of_another_form(tmp_path, kind, name, value):
    path = KINDS[kind][0](tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value
    free = name in ("fingerprint", "model") and isinstance(value, str)  # any text is valid
    assert survives(KINDS[kind][1], path) == free


@pytest.mark.parametrize(
    "name, place, value, message",
    [
        (
            "clip",
            (2, 1),
            np.nan,
            "1 clip has clip scores that are not numbers from 0 to 1, the first 'clip 2.wav'",
        ),
        ("clip", (slice(1, 3), 0), 1.1, "2 clips have clip scores .* the first 'clip 1.wav'"),
        ("frame", (slice(1, 4), 2, 0), -0.1, "3 clips have frame scores .* the first 'clip 1.wav'"),
        ("segment", (0, 0, 0), np.inf, "1 clip has segment scores .* the first 'clip 0.wav'"),
        (
            "num_frames",
            3,
            T + 1,
            "1 clip has an impossible number of frames, the first 'clip 3.wav': 7",
        ),
        (
            "duration",
            slice(1, 3),
            np.nan,
            "2 clips have an impossible number of seconds, the first 'clip 1.wav': nan",
        ),
        ("filename", 1, "clip 0.wav", "the clip 'clip 0.wav' occurs twice"),
        ("filename", 1, "a\tb", r"'a\\tb': no clip or class can have this name"),
        (
            "labels",
            1,
            "Car",
            "expected at least one clip and at least one class, and each class only once",
        ),
    ],
)
def test_impossible_values(tmp_path, name, place, value, message):
    path = scores(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file[name][place] = value
    refused("scores", path, f"a.h5: {message}")


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
