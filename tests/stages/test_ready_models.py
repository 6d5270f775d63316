"""`wsedtk models`: a small ready model is listed, fetched from a server or files, and removed."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import published
import pytest
import torch
import yaml
from helpers import LABELS, contents, write_sound
from published import describe, ready_model, register, serving

import wsedtk
from wsedtk.core import download, model_cache, provenance
from wsedtk.core.errors import InputError
from wsedtk.models import checkpoint
from wsedtk.stages import models
from wsedtk.stages.options.models import FetchOptions, RemoveOptions

WEIGHTS = published.contents()["tiny.safetensors"]
SHA256 = describe(WEIGHTS)["sha256"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the ready models. Downloads do not pause, and use no proxy of the machine."""
    monkeypatch.setenv(model_cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch):
    """A server with the files of the ready model `tiny`, which is registered."""
    with serving() as server:
        register(ready_model(server.address), monkeypatch)
        yield server


@pytest.fixture
def fetched(server, cache):
    """The model directory of `tiny`."""
    return models.fetch(FetchOptions("tiny")).model_dir


@pytest.fixture
def files(tmp_path):
    """A folder with the published files."""
    (tmp_path / "mine").mkdir()
    for name, content in published.contents().items():
        (tmp_path / "mine" / name).write_bytes(content)
    return tmp_path / "mine"


def listing(folder):
    """Return the names of all files in a folder, also of hidden ones."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


MODEL = [
    f"tiny/{name}"
    for name in (
        "README.md",
        "model.safetensors",
        "model.yaml",
        "ontology.json",
        "operating_point.yaml",
    )
]


# ---- fetch ----


def test_fetch(run, server, cache):
    result = run("models", "fetch", "tiny")
    assert (result.exit_code, result.stdout) == (
        0,
        f"{cache}/tiny: tiny, 2 classes, 15,886 parameters, 0.1 s per frame\n"
        "licence: CC-BY-4.0 (https://example.org/tiny)\n"
        "please cite: Doe & Roe (2020), Small networks\n"
        "to use it, run for example: wsedtk detect tiny recording.flac\n",
    )
    assert listing(cache) == MODEL and server.asked() == list(published.ROLES)
    spec, network, _ = checkpoint.load_model(cache / "tiny")
    expected = published.read_weights_of(WEIGHTS)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert (spec.labels, spec.mean, spec.std) == (tuple(LABELS), (-40.0,) * 32, (10.0,) * 32)
    assert spec.trained == {
        "ready_model": "tiny",
        "imported_from": "tiny.safetensors",
        "fingerprint": SHA256[:16],
        "clip_seconds": 10,
        **provenance.made_by(),
        **spec.size(network),
    }
    assert json.loads((cache / "tiny" / "ontology.json").read_text()) == published.PARENTS


def test_the_printed_example_works(run, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "recording.flac", seconds=2)
    printed = run("models", "fetch", "tiny").stdout.splitlines()[-1]
    program, *words = printed.removeprefix("to use it, run for example: ").split()
    result = run(*words)
    assert program == "wsedtk" and result.exit_code == 0, result.stderr
    assert result.stdout.startswith("filename\tonset\toffset\tevent_label\n")
    assert (
        "tiny: one threshold of 0.5 for all classes, not tuned on any recordings; to adapt the "
        "thresholds to your recordings, use --threshold or wsedtk tune"
    ) in result.stderr
    assert "not tuned" not in run(*words, "--threshold", "0.5").stderr


def test_fetch_again_downloads_nothing(run, fetched, server, cache):
    server.asked()
    before = contents(cache)
    result = run("models", "fetch", "tiny")
    assert result.exit_code == 0 and "0.1 s per frame (was fetched before)\n" in result.stdout
    assert "not used" not in result.stderr
    result = run("models", "fetch", "tiny", "--from", "elsewhere")
    assert result.exit_code == 0
    assert "so the given files are not used; to use them, run wsedtk models remove" in result.stderr
    assert server.asked() == [] and contents(cache) == before


def test_the_model_card(fetched):
    text = (fetched / "README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "CC-BY-4.0" and "# Sound event detection: tiny\n" in text
    assert "\n- Please cite: Doe &#38; Roe (2020), Small networks\n" in text
    assert "\n- Authors' page: <https://example.org/tiny>\n" in text
    assert "detects sound events of 2 classes" in text and ".tmp" not in text


def test_a_licence_is_one_value(monkeypatch, server):
    licence = "CC BY: 4.0 # \"weights\", 'code'"
    register(ready_model(server.address, licence=licence), monkeypatch)
    text = (models.fetch(FetchOptions("tiny")).model_dir / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n")[1])["license"] == licence


def test_an_interrupted_download_is_resumed(run, server, cache):
    server.faults = [-1000, 404]
    result = run("models", "fetch", "tiny")
    assert result.exit_code == 1 and listing(cache) == [
        "downloads/tiny/tiny.safetensors.part",
        "downloads/tiny/tiny.safetensors.part.version",
    ]
    server.requests.clear()
    assert run("models", "fetch", "tiny").exit_code == 0 and listing(cache) == MODEL
    assert server.requests[0][1]["Range"] == "bytes=1000-"


def test_no_network(run, cache, monkeypatch):
    with serving() as server:
        register(ready_model(server.address), monkeypatch)
    result = run("models", "fetch", "tiny")
    assert result.exit_code == 1 and result.stdout == ""
    assert (
        f"tiny.safetensors: can't be downloaded from {server.address}/tiny.safetensors: Connection "
        "refused; run the same command again to resume, or give a copy of the file with --from FILE"
    ) in result.stderr
    assert listing(cache) == []


@pytest.mark.parametrize("name", ["tiny.safetensors", "classes.txt"])
def test_a_missing_file_on_the_server(run, server, cache, name):
    del server.files[name]
    result = run("models", "fetch", "tiny")
    assert result.exit_code == 1 and f"{server.address}/{name}: HTTP status 404" in result.stderr
    assert not (cache / "tiny").exists()
    server.files = published.contents()
    assert run("models", "fetch", "tiny").exit_code == 0


@pytest.mark.parametrize("name", ["tiny.safetensors", "classes.txt"])
def test_a_wrong_hash(run, server, cache, name):
    """The file is removed, so that the next run downloads it again."""
    wrong = server.files[name][::-1]
    server.files[name] = wrong
    result = run("models", "fetch", "tiny")
    expected = describe(published.contents()[name])["sha256"]
    assert (
        result.exit_code == 1
        and (
            f"{server.address}/{name}: the downloaded file is not used: {cache}/downloads/tiny/{name}: "
            f"has the SHA-256 {describe(wrong)['sha256']}, expected {expected}"
        )
        in result.stderr
    )
    assert not (cache / "tiny").exists() and not (cache / "downloads" / "tiny" / name).exists()
    server.files = published.contents()
    assert run("models", "fetch", "tiny").exit_code == 0


def test_a_wrong_size(run, server, cache):
    server.files["classes.txt"] += b"x\n"
    result = run("models", "fetch", "tiny")
    size = len(server.files["classes.txt"])
    assert result.exit_code == 1
    assert f"a file of {size} bytes; expected {size - 2} bytes" in result.stderr
    assert not (cache / "tiny").exists()


@pytest.mark.parametrize("fault", ["missing", "changed", "no JSON"])
def test_without_the_ontology(run, server, cache, monkeypatch, fault):
    if fault == "missing":
        del server.files["tree.json"]
    elif fault == "changed":
        server.files["tree.json"] = server.files["tree.json"][::-1]
    else:
        register(ready_model(server.address, unknown=["tree.json"]), monkeypatch)
        server.files["tree.json"] = b"<html>"
    result = run("models", "fetch", "tiny")
    assert result.exit_code == 0 and result.stderr.count("warning: ") == 1
    assert "tree.json" in result.stderr and "the model is used without the file" in result.stderr
    assert listing(cache) == [name for name in MODEL if "ontology" not in name]


def test_a_hash_that_is_not_known(run, server, cache, monkeypatch):
    """The file is kept. The second run needs the hash, and does not download the file again."""
    register(ready_model(server.address, unknown=["tiny.safetensors"]), monkeypatch)
    for _ in range(2):
        result = run("models", "fetch", "tiny")
        assert (
            result.exit_code == 1
            and (
                f"{cache}/downloads/tiny/tiny.safetensors: the SHA-256 of the published "
                f"tiny.safetensors is not known to wsedtk; this file has the SHA-256 {SHA256}; "
            )
            in result.stderr
        )
        assert f"run the same command again with --sha256 {SHA256}" in result.stderr
    assert server.asked() == ["tiny.safetensors"]
    result = run("models", "fetch", "tiny", "--sha256", SHA256.upper())
    assert result.exit_code == 0 and listing(cache) == MODEL
    assert server.asked() == ["classes.txt", "tree.json"]


def test_another_hash_than_the_given_one(run, server, cache, monkeypatch):
    register(ready_model(server.address, unknown=["tiny.safetensors"]), monkeypatch)
    result = run("models", "fetch", "tiny", "--sha256", 64 * "0")
    assert result.exit_code == 1
    assert f"has the SHA-256 {SHA256}, expected {64 * '0'}" in result.stderr
    assert listing(cache) == []


def test_a_given_hash_that_is_not_the_published_one(run, server):
    result = run("models", "fetch", "tiny", "--sha256", 64 * "0")
    assert result.exit_code == 1 and server.asked() == []
    assert f"the published tiny.safetensors has the SHA-256 {SHA256}" in result.stderr
    assert run("models", "fetch", "tiny", "--sha256", SHA256).exit_code == 0


@pytest.mark.parametrize("text", ["", "abc", 63 * "0", 65 * "0", 63 * "0" + "g", 64 * "0" + "\n"])
def test_an_impossible_hash(text):
    with pytest.raises(InputError, match="expected 64 hexadecimal digits"):
        FetchOptions("tiny", sha256=text)


@pytest.mark.parametrize("command", ["fetch", "remove"])
def test_an_unknown_name(run, server, command):
    result = run("models", command, "tinny")
    assert result.exit_code == 1
    assert "unknown ready model 'tinny'; did you mean 'tiny'?" in result.stderr
    assert server.asked() == []


# ---- published files that do not fit ----


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_classes": 3}, r"classes\.txt: the number of classes is 2; expected 3"),
        ({"read_labels": lambda path: ("é", "e\u0301")}, r"classes\.txt: contains a class twice"),
        (
            {"network_options": {**published.OPTIONS, "num_channels": 3}},
            r"tiny\.safetensors: is not a file of tiny: the tensor 'head\.",
        ),
        (
            {"read_weights": lambda path: {**published.read_weights(path), "x": torch.ones(1)}},
            r"tiny\.safetensors: is not a file of tiny: the network does not have the tensor 'x'",
        ),
        (
            {
                "read_weights": lambda path: {
                    name: tensor / 0 for name, tensor in published.read_weights(path).items()
                }
            },
            r"tiny\.safetensors: the tensor '.*' contains numbers that are not finite",
        ),
    ],
)
def test_files_that_do_not_fit(server, cache, monkeypatch, changes, message):
    register(ready_model(server.address, **changes), monkeypatch)
    with pytest.raises(InputError, match=message):
        models.fetch(FetchOptions("tiny"))
    assert not (cache / "tiny").exists()


def test_counters_of_batch_norm_can_be_missing(server, monkeypatch):
    """TALNet has batch norm."""
    options = {"num_mels": 16, "embedding_size": 32, "num_convs": 4, "num_pools": 2}

    def read_weights(path):
        network = published.network.build_network("talnet", 2, **options)
        tensors = network.state_dict()
        assert any(name.endswith(".num_batches_tracked") for name in tensors)
        return {n: t for n, t in tensors.items() if not n.endswith(".num_batches_tracked")}

    changes = {"network": "talnet", "network_options": options, "read_weights": read_weights}
    register(ready_model(server.address, **changes), monkeypatch)
    checkpoint.load_model(models.fetch(FetchOptions("tiny")).model_dir)


# ---- --from ----


def test_from_a_folder(run, server, cache, files):
    result = run("models", "fetch", "tiny", "--from", files)
    assert result.exit_code == 0 and listing(cache) == MODEL and server.requests == []
    assert listing(files) == sorted(published.ROLES)


@pytest.mark.parametrize("weights", ["tiny.safetensors", "copy (1).bin"])
def test_from_files(run, server, cache, files, weights):
    """A file with another name than the published names contains the weights."""
    (files / "tiny.safetensors").rename(files / weights)
    result = run(
        "models", "fetch", "tiny", "--from", files / weights, "--from", files / "classes.txt"
    )
    assert result.exit_code == 0 and server.requests == []
    assert listing(cache) == [name for name in MODEL if "ontology" not in name]


def test_a_missing_ontology_is_a_message(server, files, caplog):
    caplog.set_level(logging.INFO, "wsedtk")
    (files / "tree.json").unlink()
    models.fetch(FetchOptions("tiny", from_files=[files]))
    assert caplog.messages == [
        f"tiny: used without the optional file tree.json ({server.address}/tree.json)"
    ]


@pytest.mark.parametrize(
    "removed", [["tiny.safetensors"], ["classes.txt"], ["tiny.safetensors", "classes.txt"]]
)
def test_missing_files_are_named_with_their_addresses(run, server, cache, files, removed):
    for name in removed:
        (files / name).unlink()
    result = run("models", "fetch", "tiny", "--from", files)
    names = ", ".join(f"{name} ({server.address}/{name})" for name in removed)
    assert result.exit_code == 1 and f"required files were not given: {names}; " in result.stderr
    assert server.requests == [] and listing(cache) == []


@pytest.mark.parametrize("name", ["tiny.safetensors", "classes.txt", "tree.json"])
def test_given_files_are_checked(run, server, cache, files, name):
    """A wrong file is not used, and not removed."""
    right, wrong = (files / name).read_bytes(), (files / name).read_bytes()[::-1]
    (files / name).write_bytes(wrong)
    result = run("models", "fetch", "tiny", "--from", files)
    assert (
        result.exit_code == 1
        and (
            f"{files / name}: has the SHA-256 {describe(wrong)['sha256']}, expected "
            f"{describe(right)['sha256']}"
        )
        in result.stderr
    )
    (files / name).write_bytes(right + b" ")
    result = run("models", "fetch", "tiny", "--from", files)
    assert result.exit_code == 1
    assert f"{files / name}: has {len(right) + 1:,} bytes, expected {len(right):,}" in result.stderr
    assert (files / name).exists() and listing(cache) == []


def test_given_weights_whose_hash_is_not_known(run, server, cache, files, monkeypatch):
    register(ready_model(server.address, unknown=["tiny.safetensors"]), monkeypatch)
    command = ("models", "fetch", "tiny", "--from", files)
    result = run(*command)
    assert result.exit_code == 1 and f"again with --sha256 {SHA256}" in result.stderr
    assert run(*command, "--sha256", 64 * "0").exit_code == 1 and listing(cache) == []
    assert run(*command, "--sha256", SHA256).exit_code == 0


def test_files_whose_role_is_not_clear(run, server, files):
    for name in ("a.bin", "b.bin"):
        (files / name).write_bytes(WEIGHTS)
    for given in (["a.bin", "b.bin", "classes.txt"], ["tiny.safetensors", "classes.txt", "a.bin"]):
        words = [word for name in given for word in ("--from", files / name)]
        result = run("models", "fetch", "tiny", *words)
        assert (
            result.exit_code == 1
            and (
                "a.bin: is not a published file of tiny; expected a file with one of the names "
                "tiny.safetensors, classes.txt, tree.json"
            )
            in result.stderr
        )


def test_a_given_file_that_does_not_exist(run, server, files):
    result = run("models", "fetch", "tiny", "--from", files / "clases.txt")
    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"{files}/clases.txt: no such file or folder; did you mean '{files}/classes.txt'?"
    )


# ---- list and remove ----


def test_list(run, server, cache):
    before = run("models").stdout
    assert before == run("models", "list").stdout
    header, *rows = before.splitlines()
    assert header.split("  ")[0] == "name" and header.endswith("source")
    (row,) = (row for row in rows if row.startswith("tiny "))
    size = (len(WEIGHTS) + len(server.files["classes.txt"])) / 1e6
    assert row.split() == f"tiny 2 0.1 {size:.1f} MB CC-BY-4.0 no https://example.org/tiny".split()
    models.fetch(FetchOptions("tiny"))
    after = run("models").stdout
    assert [row.split()[-2] for row in after.splitlines() if row.startswith("tiny ")] == ["yes"]


def test_list_as_json(run, server, cache, monkeypatch):
    register(ready_model(server.address, "other", unknown=["classes.txt"]), monkeypatch)
    models.fetch(FetchOptions("tiny"))
    found = {one["name"]: one for one in json.loads(run("models", "list", "--json").stdout)}
    assert found["tiny"] == {
        "name": "tiny",
        "summary": "A small network that nobody trained",
        "num_classes": 2,
        "seconds_per_frame": 0.1,
        "num_bytes": len(WEIGHTS) + len(server.files["classes.txt"]),
        "licence": "CC-BY-4.0",
        "citation": "Doe & Roe (2020), Small networks",
        "source": "https://example.org/tiny",
        "model_dir": f"{cache}/tiny",
        "is_included": False,
    }
    assert (found["other"]["num_bytes"], found["other"]["model_dir"]) == (None, None)
    assert sorted(found) == list(found)


def test_list_leaves_random_numbers_alone(server):
    state = torch.get_rng_state()
    models.list_models()
    models.fetch(FetchOptions("tiny"))
    assert torch.equal(torch.get_rng_state(), state)


def test_remove(run, fetched, cache):
    result = run("models", "remove", "tiny")
    assert (result.exit_code, result.stdout) == (0, f"tiny: removed {cache}/tiny\n")
    assert listing(cache) == []
    result = run("models", "remove", "tiny")
    assert result.exit_code == 1 and "tiny: this ready model is not on this comp" in result.stderr


def test_remove_unfinished_downloads(server, cache):
    server.faults = [-1000, 404]
    with pytest.raises(InputError):
        models.fetch(FetchOptions("tiny"))
    assert models.remove(RemoveOptions("tiny")).removed == (cache / "downloads" / "tiny",)
    assert listing(cache) == []


@pytest.mark.parametrize("command", [["fetch", "tiny"], ["remove", "tiny"]])
def test_other_files_in_the_folder_are_kept(run, server, cache, command):
    (cache / "tiny").mkdir(parents=True)
    (cache / "tiny" / "notes.txt").write_text("mine")
    result = run("models", *command)
    assert result.exit_code == 1
    assert f"{cache}/tiny: contains notes.txt, which is no part of the ready" in result.stderr
    assert listing(cache) == ["tiny/notes.txt"]


@pytest.mark.parametrize("command", [["fetch", "tiny"], ["remove", "tiny"]])
def test_another_model_in_the_folder_is_kept(run, fetched, cache, command):
    spec = yaml.safe_load((fetched / "model.yaml").read_text())
    del spec["trained"]["ready_model"]
    (fetched / "model.yaml").write_text(yaml.safe_dump(spec))
    before = contents(fetched)
    result = run("models", *command)
    assert result.exit_code == 1
    assert f"{cache}/tiny: contains another model, which is no part of the" in result.stderr
    assert contents(fetched) == before


@pytest.mark.parametrize("content", [None, "damaged: ["])
def test_a_damaged_model_can_be_removed(fetched, cache, content):
    if content is None:
        (fetched / "model.yaml").unlink()
    else:
        (fetched / "model.yaml").write_text(content)
    assert models.remove(RemoveOptions("tiny")).removed == (fetched,)
    assert listing(cache) == []


# ---- processes ----

# A shell that starts the tests in the background ignores SIGINT, and its children inherit this.
PROGRAM = """
import signal
import sys

signal.signal(signal.SIGINT, signal.default_int_handler)
import published
from wsedtk.models.ready_models import READY_MODELS
READY_MODELS.register("tiny")(published.ready_model(sys.argv.pop(1)))
from wsedtk.cli.main import main
main()
"""


def start(server, *words):
    """Start `wsedtk WORD...` in a process that knows the ready model `tiny`."""
    places = [Path(wsedtk.__file__).parent.parent, Path(published.__file__).parent]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.address, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Halt:
    """A fault: the server sends half of the file, and then waits for the test."""

    def __init__(self, server, cache):
        self.part, self.is_over = cache / "downloads/tiny/tiny.safetensors.part", False
        server.faults = [self]

    def __call__(self, handler):
        while not self.is_over:
            time.sleep(0.01)

    def reached(self, process):
        """Wait until the process has received half of the file."""
        while not self.part.exists() or self.part.stat().st_size < len(WEIGHTS) // 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)


@pytest.fixture
def halt(server, cache):
    halt = Halt(server, cache)
    yield halt
    halt.is_over = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals(server, cache, halt, number):
    """The incomplete file is kept, and the next run resumes the download."""
    process = start(server, "models", "fetch", "tiny")
    halt.reached(process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert (process.returncode, stdout) == (75, "")
        assert stderr == f"wsedtk: stopped by {number.name}; run the same command again\n"
    assert halt.part.read_bytes() == WEIGHTS[: len(WEIGHTS) // 2] and not (cache / "tiny").exists()
    server.requests.clear()
    result = models.fetch(FetchOptions("tiny"))
    assert server.requests[0][1]["Range"] == f"bytes={len(WEIGHTS) // 2}-"
    assert not result.was_fetched and listing(cache) == MODEL


def test_two_at_once(run, server, cache, halt):
    """The second process is refused, and the first process is not disturbed."""
    process = start(server, "models", "fetch", "tiny")
    halt.reached(process)
    for command in ("fetch", "remove"):
        result = run("models", command, "tiny")
        assert result.exit_code == 1
        assert f"{cache}/tiny: is in use by process {process.pid} on " in result.stderr
    halt.is_over = True
    stdout, _ = process.communicate(timeout=60)
    # The halted request ends without the second half, which the process requests again.
    assert process.returncode == 0 and stdout.startswith(f"{cache}/tiny: tiny, 2 classes")
    assert listing(cache) == MODEL


# ---- the folder of the cache ----


@pytest.mark.parametrize(
    "platform, environment, expected",
    [
        ("linux", {"WSEDTK_MODELS": "/m"}, "/m"),
        ("linux", {"XDG_CACHE_HOME": "/c"}, "/c/wsedtk/models"),
        ("linux", {"XDG_CACHE_HOME": "c"}, "/home/me/.cache/wsedtk/models"),
        ("linux", {"WSEDTK_MODELS": "", "XDG_CACHE_HOME": ""}, "/home/me/.cache/wsedtk/models"),
        ("darwin", {"XDG_CACHE_HOME": "/c"}, "/home/me/Library/Caches/wsedtk/models"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/wsedtk/models"),
        ("win32", {"XDG_CACHE_HOME": "/c"}, "/home/me/AppData/Local/wsedtk/models"),
    ],
)
def test_the_folder(monkeypatch, platform, environment, expected):
    for name in ("WSEDTK_MODELS", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(model_cache.sys, "platform", platform)
    for name, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(name, value)
    assert model_cache.folder() == Path(expected)


def test_no_home_folder(monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("WSEDTK_MODELS")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(model_cache.Path, "home", fail)
    with pytest.raises(InputError, match="there is no home folder .* set WSEDTK_MODELS to a fold"):
        model_cache.folder()


def test_a_cache_that_cannot_be_written(run, server, cache):
    cache.write_text("no folder")
    result = run("models", "fetch", "tiny")
    assert result.exit_code == 1 and f"{cache}/tiny: can't be written: " in result.stderr
