"""Corpora are an extension point: a function of the user's own is a command of `prepare`."""

import sys

import pytest
import yaml

from wsedtk.core.errors import InputError
from wsedtk.data import datadir
from wsedtk.stages import prepare

OWN = '''
import dataclasses, os
from pathlib import Path
import numpy as np
from wsedtk.corpora.registry import PreparedSet, PrepareResult
from wsedtk.data import datadir
from wsedtk.data.clip_sets import DataSet

@dataclasses.dataclass(frozen=True)
class BirdOptions:
    """The options of the birds.

    Parameters
    ----------
    source : path-like
        The recordings.
    data_dir : path-like
        The output.
    seconds : float
        The duration of a recording in seconds.
    species : str
        A species.
        Repeatable.
    count : int
        A number.
    """

    source: str | os.PathLike[str]
    data_dir: str | os.PathLike[str]
    _: dataclasses.KW_ONLY
    seconds: float = 1.5
    species: tuple[str, ...] = dataclasses.field(default=(), metadata={"flag": "--bird"})
    count: int = dataclasses.field(default=1, metadata={"minimum": 1})

class Result(PrepareResult):
    def to_text(self):
        return f"{len(self.sets[0].dataset)} birds\\n"

def birds(options: BirdOptions) -> PrepareResult:
    """Make a set of birds.

    The species are sorted.

    Returns
    -------
    PrepareResult

    Examples
    --------
    wsedtk prepare own_birds:birds in out
    """
    names = sorted(Path(options.source).iterdir())
    n, data_dir = len(names), Path(options.data_dir)
    data = DataSet(np.array([p.name for p in names]), np.array([str(p) for p in names]),
        np.full(n, options.seconds), sorted(options.species), np.arange(n), np.zeros(n, np.int64))
    datadir.write(data_dir / "birds", data)
    return Result((PreparedSet(data_dir / "birds", data),))

def wrong(options: BirdOptions):
    """Return nothing."""

def bare(options):
    """Have no annotation."""

not_a_function = 3
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_birds.py").write_text(OWN)
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav"):
        (tmp_path / "in" / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("own_birds", None)


def test_a_corpus_of_ones_own(run, own):
    """Its options and its help come from its dataclass and docstring, its output from its result."""
    record = own / "record.yaml"
    arguments = [own / "in", own / "out", "--seconds", 2, "--bird", "wren", "--bird", "owl"]
    result = run("--record", record, "prepare", "own_birds:birds", *arguments)
    assert (result.exit_code, result.stdout) == (0, "2 birds\n")
    data = datadir.read(own / "out" / "birds")
    assert data.filenames.tolist() == ["a.wav", "b.wav"] and data.labels == ["owl", "wren"]
    assert data.durations.tolist() == [2, 2]
    described = yaml.safe_load(record.read_text())
    assert described["options"] == {
        "source": str(own / "in"),
        "data_dir": str(own / "out"),
        "seconds": 2.0,
        "species": ["wren", "owl"],
        "count": 1,
    }
    assert "birds" not in str(described["inputs"])  # data_dir is an output
    shown = run("prepare", "own_birds:birds", "--help").stdout
    assert "Make a set of birds." in shown and "Example: wsedtk prepare own_birds:birds" in shown
    assert "Returns" not in shown and "A species. Repeatable." in shown
    assert run("prepare", "own_birds:birds", own / "in", own / "out", "--count", 0).exit_code == 2
    result = run("prepare", "own_birds:birds", own / "in", own / "in")
    assert result.exit_code == 1 and "would be overwritten" in result.stderr


@pytest.mark.parametrize(
    "name, message",
    [
        ("own_birds:missing", "corpus 'own_birds:missing': .*has no attribute 'missing'"),
        ("no_module_of_this_name:x", "corpus 'no_module_of_this_name:x': No module named"),
        ("own_birds:bare", "expected a function with one parameter that is annotated with a data"),
        ("own_birds:not_a_function", "expected a function with one parameter"),
        ("own_birds:wrong", "corpus 'own_birds:wrong': returned NoneType; expected a PrepareRes"),
    ],
)
def test_what_is_no_corpus(run, own, name, message):
    result = run("prepare", name, own / "in", own / "out")
    assert result.exit_code == 1
    with pytest.raises(InputError, match=message):
        raise InputError(result.stderr)


def test_registered_corpora(run, own):
    shown = run("prepare", "--help").stdout
    assert [name in shown for name in ("audioset", "dcase2017", "soundscapes")] == [True] * 3
    result = run("prepare", "dcase2018", own / "in", own / "out")
    assert result.exit_code == 2 and "No such command 'dcase2018'" in result.stderr
    from own_birds import BirdOptions

    with pytest.raises(InputError, match="found options of BirdOptions; expected Dcase2017Opt"):
        prepare.run("dcase2017", BirdOptions(own / "in", own / "out"))
    with pytest.raises(InputError, match="unknown corpus 'dcase'; did you mean 'dcase2017'"):
        prepare.run("dcase", BirdOptions(own / "in", own / "out"))
    result = prepare.run("own_birds:birds", BirdOptions(own / "in", own / "out", species=("x",)))
    assert result.sets[0].folder == own / "out" / "birds" and len(result.sets[0].dataset) == 2
