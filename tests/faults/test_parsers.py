"""All parsers on damaged and on random files: a result, or an InputError that names the file."""

import shutil

import numpy as np
import pytest
import torch
from audioset_lists import write_lists
from helpers import make_point, write_set
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import count, mutate, survives
from test_checkpoint import small_spec

from wsedtk.audio.frontend import FrontendConfig
from wsedtk.core import config
from wsedtk.corpora import audioset, audioset_metadata, dcase2017
from wsedtk.data import (
    class_lists,
    class_map,
    datadir,
    ontologies,
    score_folders,
    score_tables,
    table_files,
)
from wsedtk.data.events import Event
from wsedtk.data.formats import FORMATS, Recording, dcase, event_format
from wsedtk.decoding import operating_point
from wsedtk.models import checkpoint, normalizers, published_weights
from wsedtk.training.train_config import TrainConfig

FUZZ = settings(
    max_examples=count(2000, 40),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FIELDS = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "b.wav",
            "Car",
            "0",
            "1",
            "1.5",
            "-1",
            "nan",
            "inf",
            "1e999",
            "1_0",
            "\ufeff",
            "\x00",
            '"',
            "filename",
            "onset",
            "offset",
            "event_label",
            "/m/0k4j",
            "Y-abcdefghijk_0.000_10.000.wav",
            "٣",
            " ",
        ]
    ),
    st.text(max_size=8),
)
TABLE = st.lists(st.lists(FIELDS, max_size=5), max_size=6)
LABELS = ["Car", "Air horn, truck horn"]


def read_list(path):
    """Read an event list. Raise InputError naming its faults."""
    table_files.raise_on_errors(dcase.read(path).faults)


def read_annotations(name, path):
    """Read an annotation file. Raise InputError naming its faults."""
    table_files.raise_on_errors(event_format(name).read(path).faults)


def annotation_file(name):
    """Return a function that writes an annotation file, and one that reads it."""
    form = event_format(name)
    events = [Event(0.5, 1.0, "Car", 0.9), Event(0.75, 2.0, "Car", 0.8), Event(3, 4, "Möwe", 1)]
    about = Recording("x/a.wav", "a.wav", channel=1, max_hz=8000.0, seconds=10.0)
    text = form.header + form.text(about, events)
    return (
        file_of("x" + form.suffix, lambda p: p.write_text(text, encoding="utf-8")),
        of_file("x" + form.suffix, lambda p: read_annotations(name, p)),
    )


def make_set(folder):
    write_set(
        folder,
        [("a.wav", "x.wav", 10), ("b.wav", "", 2.5)],
        LABELS,
        [("a.wav", LABELS[0]), ("b.wav", LABELS[1])],
        [("a.wav", 0, 1, LABELS[0]), ("b.wav", 0.5, 0.5, LABELS[1])],
    )
    (folder / "info.yaml").write_text("corpus: x\nofficial_clips: 3\n")


def make_decoded(folder):
    make_set(folder.parent / "truth")
    truth = datadir.read(folder.parent / "truth")
    datadir.write_decoded(
        folder,
        truth.filenames,
        truth.durations,
        LABELS,
        truth.tag_matrix(),
        events=truth.events,
        info={"mode": "frame"},
    )


def make_scores(folder):
    score_folders.write(
        folder, ["a.wav", "b.wav"], LABELS, 0.1, ((np.full((n, 2), 0.25), n / 10) for n in (5, 3))
    )


def make_model(folder):
    checkpoint.save_model(folder, small_spec(), small_spec().build().state_dict())


def file_of(name, write):
    """Return a function that writes a folder with one file."""

    def make(folder):
        folder.mkdir()
        write(folder / name)

    return make


def of_file(name, read):
    return lambda folder: read(folder / name)


def read_dcase_file(path):
    for read in (dcase2017.read_classes, dcase2017.read_list, dcase2017.read_truth):
        survives(read, path)


def write_normalizer(path):
    np.savetxt(path, np.stack([np.arange(8.0), np.ones(8)]))


# name: (function that writes a folder, function that reads it)
PARSERS = {
    "data directory": (make_set, datadir.read),
    "decoded folder": (make_decoded, lambda f: datadir.read_decoded(f, LABELS)),
    "score folder": (make_scores, score_folders.ScoreFolder),
    "model directory": (make_model, checkpoint.load_model),
    "AudioSet's lists": (write_lists, lambda f: audioset.read(f, "all", True)),
    "operating point": (
        file_of("p.yaml", lambda p: operating_point.write(p, make_point(labels=LABELS))),
        of_file("p.yaml", operating_point.read),
    ),
    "front end": (
        file_of("f.yaml", lambda p: p.write_text(config.to_yaml(FrontendConfig().settings()))),
        of_file("f.yaml", lambda p: config.load(FrontendConfig, p)),
    ),
    "training configuration": (
        file_of("t.yaml", lambda p: p.write_text(config.to_yaml(config.to_mapping(TrainConfig())))),
        of_file("t.yaml", lambda p: config.load(TrainConfig, p)),
    ),
    "classes": (
        file_of("c.tsv", lambda p: p.write_text("Car\nDog\tBark, howl\n")),
        of_file("c.tsv", lambda p: class_lists.read(p, ["Car", "Dog", "Cat"], "model")),
    ),
    "normalizer": (
        file_of("n.txt", write_normalizer),
        of_file("n.txt", lambda p: normalizers.read_normalizer(p, 8)),
    ),
    "normalizer, npz": (
        file_of("n.npz", lambda p: np.savez(p, mean=np.zeros(8), std=np.ones(8))),
        of_file("n.npz", lambda p: normalizers.read_normalizer(p, 8)),
    ),
    "checkpoint": (
        file_of(
            "c.pt",
            lambda p: checkpoint.save_checkpoint(
                p, {"model": small_spec().build().state_dict(), "step": 3}
            ),
        ),
        of_file("c.pt", checkpoint.load_checkpoint),
    ),
    "published weights": (
        file_of("c.pt", lambda p: torch.save(small_spec().build().state_dict(), p)),
        of_file("c.pt", published_weights.read_checkpoint),
    ),
    "old weights": (
        file_of(
            "c.pt",
            lambda p: torch.save(
                small_spec().build().state_dict(), p, _use_new_zipfile_serialization=False
            ),
        ),
        of_file("c.pt", published_weights.read_checkpoint),
    ),
    "event list": (
        file_of(
            "e.tsv",
            lambda p: p.write_text(
                "filename\tonset\toffset\tevent_label\na.wav\t0\t1.5\tCar\nb.wav\n"
            ),
        ),
        of_file("e.tsv", read_list),
    ),
    **{f"annotations, {name}": annotation_file(name) for name in FORMATS.names()},
}


def damage(folder, read, what, number, record_property):
    """Mutate one file of a folder at a time, and read the folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    record_property("trials", number)
    for seed in range(number):
        path = files[seed % len(files)]
        whole = path.read_bytes()
        path.write_bytes(mutate(whole, seed))
        try:
            survives(read, folder, path.name)
        except Exception as error:
            raise AssertionError(f"{what}: mutant {seed} of {path.name}: {error!r}") from error
        finally:
            path.write_bytes(whole)


@pytest.mark.parametrize("what", PARSERS)
def test_damaged_files(tmp_path, what, record_property):
    make, read = PARSERS[what]
    make(tmp_path / "f")
    assert survives(read, tmp_path / "f")
    damage(tmp_path / "f", read, what, count(3000, 60), record_property)


@pytest.mark.parametrize(
    "corpus, read",
    [("audioset", lambda f: audioset.read(f, "balanced", True)), ("dcase2017", dcase2017.read)],
)
def test_damaged_official_metadata(real_data, tmp_path, corpus, read, record_property):
    (tmp_path / "f").mkdir()
    for path in (real_data / corpus).iterdir():
        data = path.read_bytes()
        cut = (
            data
            if path.suffix in (".json", ".txt") or "class" in path.name
            else b"".join(data.splitlines(True)[:200])
        )
        (tmp_path / "f" / path.name).write_bytes(cut)
    damage(
        tmp_path / "f", read, f"the official metadata of {corpus}", count(1000, 20), record_property
    )


TEXT_READERS = {
    "event list": read_list,
    "labels": datadir.read_labels,
    "AudioSet's classes": class_map.read_classes,
    "AudioSet's list": lambda p: audioset_metadata.read_list(
        p, ["Car", "Dog"], ["/m/0k4j", "/m/0bt9lr"]
    ),
    "ontology": ontologies.read,
    "DCASE's classes": dcase2017.read_classes,
    "DCASE's list": dcase2017.read_list,
    "DCASE's truth": dcase2017.read_truth,
    "classes": lambda p: class_lists.read(p, ["Car", "a"], "model"),
    "scores": score_tables.read_table,
    "normalizer": lambda p: normalizers.read_normalizer(p, 2),
    "operating point": operating_point.read,
    "training configuration": lambda p: config.load(TrainConfig, p),
}


@pytest.mark.parametrize("what", TEXT_READERS)
@FUZZ
@given(
    rows=TABLE,
    separator=st.sampled_from(["\t", ",", " ", ": ", ";"]),
    end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
)
def test_made_up_tables(tmp_path_factory, what, rows, separator, end):
    path = tmp_path_factory.getbasetemp() / f"fuzz-{list(TEXT_READERS).index(what)}.tsv"
    path.write_bytes(end.join(separator.join(row) for row in rows).encode("utf-8", "surrogatepass"))
    survives(TEXT_READERS[what], path)


@pytest.mark.parametrize(
    "table", ["clips.tsv", "tags.tsv", "events.tsv", "labels.txt", "info.yaml"]
)
@FUZZ
@given(rows=TABLE, with_header=st.booleans())
def test_made_up_tables_of_a_data_directory(tmp_path_factory, table, rows, with_header):
    folder = tmp_path_factory.getbasetemp() / f"set-{table}"
    if not folder.exists():
        make_set(folder)
    header = ["\t".join(datadir.COLUMNS[table])] if with_header and table in datadir.COLUMNS else []
    (folder / table).write_bytes(
        "\n".join(header + ["\t".join(row) for row in rows]).encode("utf-8", "surrogatepass")
    )
    survives(datadir.read, folder)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from([10**9, 10**30, -1, 0, "talnet", "gated-crnn", "attention", "os:system"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "what, name",
    [
        ("operating point", "p.yaml"),
        ("front end", "f.yaml"),
        ("training configuration", "t.yaml"),
        ("model directory", "model.yaml"),
    ],
)
@FUZZ
@given(data=st.data())
def test_made_up_settings(tmp_path_factory, what, name, data):
    make, read = PARSERS[what]
    folder = tmp_path_factory.getbasetemp() / f"settings-{name}"
    if not folder.exists():
        make(folder)
        shutil.copy(folder / name, folder / "whole")
    mapping = config.read_yaml(folder / "whole")
    for key in data.draw(st.lists(st.sampled_from(sorted(mapping)), min_size=1, max_size=2)):
        below = (
            mapping[key]
            if isinstance(mapping[key], dict) and mapping[key] and data.draw(st.booleans())
            else mapping
        )
        below[key if below is mapping else data.draw(st.sampled_from(sorted(below)))] = data.draw(
            VALUES
        )
    (folder / name).write_text(config.to_yaml(mapping), encoding="utf-8", errors="surrogatepass")
    survives(read, folder, name)
