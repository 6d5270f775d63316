import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml

import wsedtk
from wsedtk import __version__
from wsedtk.core import provenance
from wsedtk.core.errors import InputError


def record(folder, **options):
    provenance.write(folder / "log" / "02 extract.yaml", "wsedtk extract", options)
    return yaml.safe_load((folder / "log" / "02 extract.yaml").read_text())


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_the_record_of_a_command(run, small_set, tmp_path):
    (tmp_path / "c.yaml").write_text("num_mels: 8")
    result = run(
        "--record",
        tmp_path / "log" / "a.yaml",
        "extract",
        small_set,
        tmp_path / "a.h5",
        "--config",
        tmp_path / "c.yaml",
        "--shard",
        "1/3",
    )
    assert result.exit_code == 0
    found = yaml.safe_load((tmp_path / "log" / "a.yaml").read_text())
    assert found["command"].endswith("extract") and found["wsedtk"] == __version__
    assert found["options"] == {
        "data_set": str(small_set),
        "feats": str(tmp_path / "a.h5"),
        "config_path": str(tmp_path / "c.yaml"),
        "frontend": None,
        "jobs": 1,
        "shard": [1, 3],
        "max_seconds": 10.0,
        "crop": False,
        "dtype": "float32",
        "max_failures": 0.01,
        "device": "auto",
    }
    inputs = [
        tmp_path / "c.yaml",
        *(small_set / n for n in ("clips.tsv", "events.tsv", "labels.txt", "tags.tsv")),
    ]
    assert found["inputs"] == {str(p): digest(p) for p in inputs}
    assert {"python", "host", "commit", "arguments", "started"} <= set(found)


def test_the_record_of_a_command_that_fails(run, tmp_path):
    assert run("--record", tmp_path / "a.yaml", "validate", tmp_path / "none").exit_code == 1
    options = {"data_sets": [str(tmp_path / "none")], "with_audio": False, "jobs": 1}
    assert yaml.safe_load((tmp_path / "a.yaml").read_text())["options"] == options


def test_an_input_that_cannot_be_read(tmp_path):
    (tmp_path / "labels.txt").symlink_to("labels.txt")
    with pytest.raises(
        InputError, match="labels.txt: can't be read: Too many levels of symbolic links"
    ):
        provenance.fingerprint_file(tmp_path / "labels.txt")


def test_no_record_unless_asked(run, small_set, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    run("validate", small_set)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_record_that_cannot_be_written(run, small_set, tmp_path):
    result = run("--record", tmp_path, "validate", small_set)
    assert (
        result.exit_code == 1
        and "is a folder; choose another path for the output file" in result.stderr
    )


def test_values_of_all_kinds(tmp_path):
    (tmp_path / "-é.txt").write_text("x")
    found = record(
        tmp_path,
        none=None,
        many=(Path("x"), Path("y")),
        words=["a", "b"],
        path=tmp_path / "-é.txt",
        limit=float("inf"),
        yes=True,
        empty=(),
        text="tmp: 1",
    )
    assert found["options"] == {
        "none": None,
        "many": ["x", "y"],
        "words": ["a", "b"],
        "path": str(tmp_path / "-é.txt"),
        "limit": float("inf"),
        "yes": True,
        "empty": [],
        "text": "tmp: 1",
    }
    assert found["inputs"] == {str(tmp_path / "-é.txt"): digest(tmp_path / "-é.txt")}


def test_a_folder_counts_by_its_tables(tmp_path):
    folder = tmp_path / "set"
    (folder / "sub.txt").mkdir(parents=True)
    for name in ("clips.tsv", "labels.txt", "model.safetensors", "train.log", "sub.txt/x.tsv"):
        (folder / name).write_text(name)
    found = provenance.fingerprints(folder)
    assert found == {
        str(folder / n): digest(folder / n)
        for n in ("clips.tsv", "labels.txt", "model.safetensors")
    }


@pytest.mark.parametrize(
    "change",
    [lambda b: b[:-1] + b"x", lambda b: b"x" + b[1:], lambda b: b[:50] + b"x" + b[50:]],
    ids=["end", "head", "size"],
)
def test_large_files_by_head_tail_and_size(tmp_path, monkeypatch, change):
    monkeypatch.setattr(provenance, "_LARGE", 20)
    path, content = tmp_path / "a", bytes(100)
    found = []
    for text in (content, change(content)):
        path.write_bytes(text)
        found.append(provenance.fingerprint_file(path))
    assert len(set(found)) == 2 and all(len(f) == 16 for f in found)


@pytest.fixture
def asked_anew():
    """git is asked again before and after the test."""
    provenance.commit.cache_clear()
    yield
    provenance.commit.cache_clear()


def test_outside_a_checkout(tmp_path, monkeypatch, asked_anew):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "wsedtk" / "core" / "provenance.py"))
    assert (
        provenance.made_by() == {"wsedtk": __version__, "commit": "unknown"}
        and record(tmp_path)["commit"] == "unknown"
    )


def test_the_file_is_two_folders_below_the_checkout():
    """`commit` looks there for the repository."""
    assert Path(provenance.__file__).parents[1] == Path(wsedtk.__file__).parent


def test_without_git(tmp_path, monkeypatch, asked_anew):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record(tmp_path)["commit"] == "unknown"


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a", *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_a_checkouts_commit_and_whether_it_is_changed(tmp_path, monkeypatch, asked_anew):
    (tmp_path / "wsedtk" / "core").mkdir(parents=True)
    (tmp_path / "wsedtk" / "core" / "provenance.py").write_text("1")
    (tmp_path / "other").mkdir()
    for folder, name in ((tmp_path, "wsedtk"), (tmp_path / "other", "")):
        git(folder, "init", "--quiet")
        git(folder, "add", "--all", f"./{name}")
        git(folder, "commit", "--quiet", "--allow-empty", "--message", "x")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "wsedtk" / "core" / "provenance.py"))
    monkeypatch.setenv(
        "GIT_DIR", str(tmp_path / "other" / ".git")
    )  # as in a hook of another checkout
    clean = provenance.commit()
    assert len(clean) == 12 and clean == git_head(tmp_path)[:12]
    (tmp_path / "wsedtk" / "core" / "provenance.py").write_text("2")
    assert provenance.commit() == clean  # cached for the process
    provenance.commit.cache_clear()
    assert provenance.commit() == clean + "+"


def git_head(folder):
    head = (folder / ".git" / "HEAD").read_text().split()[1]
    return (folder / ".git" / head).read_text().strip()
