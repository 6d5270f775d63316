"""An installation by `pip install -e` is imported in any folder, also beside a checkout."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wsedtk import __version__

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A checkout named wsedtk, and the files that `pip install -e` adds to site-packages."""
    folder = tmp_path_factory.mktemp("installation")
    checkout, site = folder / "beside" / "wsedtk", folder / "site-packages"
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    shutil.copytree(
        ROOT / "wsedtk", checkout / "wsedtk", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from setuptools import build_meta; build_meta.build_editable('wheel')",
        ],
        cwd=checkout,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next((checkout / "wheel").glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return checkout, site


@pytest.mark.parametrize("place", [".", "..", "wsedtk", "/"])
def test_it_is_imported_from_any_folder(installed, place):
    """Run Python without packages of this environment.

    `-c` puts the working directory first on the path.
    """
    checkout, site = installed
    code = (
        f"import site; site.addsitedir({str(site)!r}); "
        "import wsedtk.core.errors; print(wsedtk.__version__, wsedtk.__file__)"
    )
    result = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code],
        cwd=checkout / place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [__version__, str(checkout / "wsedtk" / "__init__.py")]


def test_a_folder_of_that_name_does_not_hide_it(installed, tmp_path):
    """Such a folder may contain the results of a user."""
    (tmp_path / "wsedtk" / "errors").mkdir(parents=True)
    test_it_is_imported_from_any_folder(installed, tmp_path)
