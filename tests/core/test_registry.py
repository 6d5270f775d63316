"""Extension points are found by name, or as package.module:Object."""

import subprocess
import sys

import pytest

from wsedtk.core.errors import InputError
from wsedtk.core.registry import Registry, check_options


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A registry whose built-in objects are in a package of two modules."""
    package = tmp_path / "shapes_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from wsedtk.core.registry import Registry\n"
        "SHAPES = Registry('shape', __name__)\n"
        "SHAPES.register('circle')(1)\n"
    )
    (package / "squares.py").write_text(
        "from shapes_of_a_test import SHAPES\nSHAPES.register('square')(4)\n"
    )
    (tmp_path / "own_of_a_test.py").write_text("triangle = 3\n")
    (tmp_path / "broken_of_a_test.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    import shapes_of_a_test

    yield shapes_of_a_test.SHAPES
    for name in [n for n in sys.modules if "_of_a_test" in n]:
        del sys.modules[name]


def test_built_in_and_own_objects(shapes):
    assert shapes.names() == ("circle", "square")
    assert shapes.get("square") == 4
    assert shapes.get("own_of_a_test:triangle") == 3


@pytest.mark.parametrize(
    "name, message",
    [
        ("sqare", "unknown shape 'sqare'; did you mean 'square'.*package.module:Object"),
        ("own_of_a_test:hexagon", "shape 'own_of_a_test:hexagon': .*hexagon"),
        ("missing_of_a_test:a", "shape 'missing_of_a_test:a': No module named"),
        ("broken_of_a_test:a", "shape 'broken_of_a_test:a': no licence"),
    ],
)
def test_unknown_objects(shapes, name, message):
    with pytest.raises(InputError, match=message):
        shapes.get(name)


def test_a_name_is_registered_once():
    shapes = Registry("shape", "math")
    shapes.register("circle")(1)
    with pytest.raises(ValueError, match="two objects are registered as shape 'circle'"):
        shapes.register("circle")(2)


def test_options_of_a_registered_class():
    def network(pooling, size, *, depth=1):
        pass

    check_options(network, ["size", "depth"], "network 'a'")
    check_options(lambda pooling, **options: None, ["anything"], "network 'a'")
    with pytest.raises(InputError, match="^network 'a': has no option 'pooling' .o.; known: size"):
        check_options(network, ["pooling"], "network 'a'", "o")
    with pytest.raises(InputError, match="^x: has no option 'dept'; did you mean 'depth'?"):
        check_options(network, ["dept"], "x")
    for found in (lambda: None, lambda pooling: None):
        with pytest.raises(InputError, match="^x: has no option 'a'; it has no options$"):
            check_options(found, ["a"], "x")


def test_the_names_do_not_depend_on_the_order_of_imports():
    code = (
        "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; "
        "from wsedtk.data.formats import FORMATS; print(*FORMATS.names())"
    )
    orders = [(), ("wsedtk.data.formats.raven", "wsedtk.data.formats.elan")]
    found = [
        subprocess.run(
            [sys.executable, "-c", code, *order], check=True, capture_output=True, text=True
        ).stdout
        for order in orders
    ]
    assert found[0] == found[1] and found[0].startswith("audacity csv ")
