"""The names of the package are imported on first use, and known to editors and mypy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wsedtk

NAMES = {
    "load_model",
    "Model",
    "Prediction",
    "Event",
    "evaluate",
    "Report",
    "read_data",
    "DataSet",
    "Pooling",
    "InputError",
    "train",
    "TrainOptions",
    "TrainResult",
}
HEAVY = ("torch", "numpy", "scipy", "h5py", "yaml", "tqdm", "click", "soundfile", "logging")


def python(code):
    """Return the output of a new Python process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_names():
    assert set(wsedtk.__all__) == NAMES and wsedtk.__all__ == sorted(wsedtk.__all__)
    assert NAMES | {"__version__"} <= set(dir(wsedtk))
    for name in NAMES:
        found = getattr(wsedtk, name)
        assert callable(found) and found.__doc__ and vars(wsedtk)[name] is found
    with pytest.raises(AttributeError, match="module 'wsedtk' has no attribute 'nothing'"):
        wsedtk.nothing  # noqa: B018


def test_importing_the_package_is_light():
    """Neither the import nor `dir` loads a library."""
    code = f"import sys, wsedtk; dir(wsedtk); print([m for m in {HEAVY} if m in sys.modules])"
    assert python(code) == "[]\n"


@pytest.mark.parametrize(
    "name, heavy",
    [
        ("InputError", "torch numpy"),
        ("read_data", "torch h5py scipy matplotlib sed_eval"),
        ("DataSet", "torch h5py scipy"),
        ("evaluate", "torch h5py matplotlib sed_eval"),
        ("Report", "torch h5py matplotlib sed_eval"),
        ("Pooling", "h5py soundfile matplotlib"),
        ("load_model", "librosa matplotlib sed_eval"),
        ("train", "matplotlib sed_eval click"),
    ],
)
def test_a_name_imports_what_it_needs(name, heavy):
    loaded = f"print([m for m in {heavy.split()} if m in sys.modules])"
    assert python(f"import sys, wsedtk; wsedtk.{name}; {loaded}") == "[]\n"


def test_a_star_import_gives_the_names():
    assert python("from wsedtk import *; print(load_model.__name__, InputError.__name__)") == (
        "load_model InputError\n"
    )


def test_type_checkers_see_the_same_names():
    """The block for type checkers imports each name from its place at run time."""
    tree = ast.parse(Path(wsedtk.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    places = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        for alias in node.names
    }
    assert places == wsedtk._PLACES and set(places) == NAMES
