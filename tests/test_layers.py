"""The folders of the package: imports go downward only, according to the syntax trees."""

import ast
from pathlib import Path

import pytest

import wsedtk

PACKAGE = Path(wsedtk.__file__).parent
# From top to bottom. Folders of one line do not import each other.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("stages",),
    ("inspection",),
    ("corpora", "report", "training"),
    ("evaluation", "inference"),
    ("decoding", "models"),
    ("audio", "data"),
    ("core",),
    ("__init__",),
)
LEVELS = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
WITHOUT_TORCH = ("data", "decoding", "evaluation", "core")


def imports():
    """Yield (folder, file, imported module) of all imports, including those inside functions."""
    for path in sorted(PACKAGE.rglob("*.py")):
        folder = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((folder, path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                for alias in node.names:
                    yield folder, path, f"{node.module}.{alias.name}"


def test_every_folder_has_a_layer():
    found = {
        path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")
    }
    assert found == set(LEVELS)


def test_imports_go_downward():
    for folder, path, name in imports():
        package, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if package != "wsedtk" or folder in (target, "__init__"):  # see tests/test_api.py
            continue
        target = target if target in LEVELS else "__init__"  # wsedtk.__version__
        assert LEVELS[target] > LEVELS[folder], f"{path}: {folder} imports {name}"


def test_stages_do_not_import_each_other():
    for folder, path, name in imports():
        of_stage = name.startswith("wsedtk.stages") and "stages.options" not in name
        assert folder != "stages" or not of_stage, f"{path}: {name}"


def test_options_of_stages_are_light():
    for folder, path, name in imports():
        if folder == "stages" and "options" in path.parts and name.startswith("wsedtk"):
            assert name.startswith(("wsedtk.core.", "wsedtk.stages.options")), f"{path}: {name}"


@pytest.mark.parametrize(
    "package, folders",
    [
        ("torch", set(LEVELS) - set(WITHOUT_TORCH)),
        ("h5py", {"data", "models/keras.py"}),
        ("pickle", set()),
        ("dill", set()),
        ("joblib", set()),
    ],
)
def test_packages_stay_in_their_folders(package, folders):
    for folder, path, name in imports():
        places = {folder, path.relative_to(PACKAGE).as_posix()}
        assert name.split(".")[0] != package or places & folders, f"{path}: {name}"


@pytest.mark.parametrize("folder", [name for name in LEVELS if not name.startswith("__")])
def test_every_folder_says_what_it_is_for(folder):
    assert (PACKAGE / folder / "__init__.py").read_text(encoding="utf-8").startswith('"""')
