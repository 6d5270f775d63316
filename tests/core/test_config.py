import dataclasses
import time
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsedtk.core import config
from wsedtk.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Recipe:
    batch_size: int = 100
    rate: float = 0.5
    name: str = "linear"
    shuffle: bool = True
    choose: Literal["f1", "loss"] = "f1"
    level: Literal[1, 2] = 1
    sizes: tuple[int, ...] = (5, 5)
    limit: float | None = None
    options: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {self.batch_size}")


@dataclasses.dataclass(frozen=True)
class Needed:
    labels: tuple[str, ...]


@pytest.fixture
def load(tmp_path):
    def load(text, *overrides, cls=Recipe):
        path = tmp_path / "my recipe.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return config.load(cls, path, overrides)

    return load


@pytest.mark.parametrize(
    "value, suggestion",
    [
        (50, "0.5"),
        ("50", "0.5"),
        (12.5, "0.125"),
        (1.5, "0.015"),
        (100, "1"),
        ("0.5%", "0.005"),
        ("50 %", "0.5"),
        ("0%", "0"),
        (1, ""),
        (0.5, ""),
        (-5, ""),
        (101, ""),
        ("101%", ""),
        ("", ""),
        (float("nan"), ""),
        (float("inf"), ""),
        ("loud", ""),
        ("%", ""),
    ],
)
def test_a_percentage_suggests_a_fraction(value, suggestion):
    expected = f"; did you mean {suggestion}?" if suggestion else ""
    assert config.suggest_fraction(value) == expected


def test_text_that_is_not_utf_8_is_written_with_escapes():
    text = config.to_yaml({"a": ["x\udcff"], "ü\udc80": 1})
    assert config.parse_yaml(text, "here") == {"a": ["x\\udcff"], "ü\\udc80": 1}


def test_defaults_without_a_file_and_of_an_empty_one(load):
    assert config.load(Recipe) == load("") == load("# only a remark\n") == Recipe()


@pytest.mark.parametrize(
    "text, key, value",
    [
        ("rate: 1e-3", "rate", 0.001),
        ("rate: 1E5", "rate", 100000.0),
        ("rate: -.5e+1", "rate", -5.0),
        ("rate: 3", "rate", 3.0),
        ("limit: .inf", "limit", float("inf")),
        ("limit: null", "limit", None),
        ("limit: 80", "limit", 80.0),
        ("sizes: [2, 3, 4]", "sizes", (2, 3, 4)),
        ("sizes: []", "sizes", ()),
        ("choose: loss", "choose", "loss"),
        ("level: 2", "level", 2),
        ("name: 'no'", "name", "no"),
        ("name: 1e-3x", "name", "1e-3x"),
        ("options: {a: [1, 2e-1]}", "options", {"a": [1, 0.2]}),
        ("\ufeffname: début", "name", "début"),
    ],
)
def test_a_value_is_read_as_its_type(load, text, key, value):
    found = getattr(load(text), key)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("batchsize: 3", r"my recipe.yaml: unknown key 'batchsize'; did you mean 'batch_size'\?"),
        ("zzz: 3", r"unknown key 'zzz'; known: batch_size, rate, .*options"),
        ("3: 3", r"line 1: 3 can't be a key; if it is a name, put it in quotes"),
        (
            "rate: 1\nname: x\nrate: 2",
            r"my recipe.yaml: not valid YAML: line 3: the key 'rate' is repeated; keep one",
        ),
        ("options: {a: 1, a: 2}", r"the key 'a' is repeated"),
        ("[a]: 3", r"line 1: \['a'\] can't be a key"),
        ("batch_size: true", r"my recipe.yaml: batch_size: expected a whole number, found True"),
        ("batch_size: 2.0", r"expected a whole number, found 2.0"),
        ("batch_size: 1e2", r"expected a whole number, found 100.0"),
        ("batch_size: '3'", r"expected a whole number, found '3'"),
        ("batch_size:", r"batch_size: expected a whole number, found None"),
        ("rate: fast", r"rate: expected a number, found 'fast'"),
        ("rate: true", r"rate: expected a number, found True"),
        ("rate: '1'", r"rate: expected a number, found '1'"),
        ("rate: 1" + "0" * 400, r"rate: expected a number, found '10{198}\.\.\."),
        ("name: no", r"name: expected text, found False"),
        ("shuffle: 1", r"shuffle: expected true or false, found 1"),
        ("choose: lose", r"choose: 'lose' is not a valid value; did you mean 'loss'\?"),
        ("level: 3", r"level: 3 is not a valid value; known: 1, 2"),
        ("level: true", r"level: True is not a valid value"),
        ("level: [1]", r"level: \[1\] is not a valid value"),
        ("sizes: 5", r"sizes: expected a list, found 5"),
        ("sizes: [5, x]", r"sizes: expected a whole number, found 'x'"),
        ("limit: none", r"limit: expected a number, found 'none'"),
        ("options: [1]", r"options: expected `key: value` lines, found \[1\]"),
        ("batch_size: 0", r"my recipe.yaml: batch_size must be at least 1, found 0"),
        ("- rate", r"expected `key: value` lines, found \['rate'\]"),
        ("rate", r"expected `key: value` lines, found 'rate'"),
        ("rate: [1", r"my recipe.yaml: not valid YAML"),
        ("rate: 2020-11-24", r"rate: expected a number, found '2020-11-24'"),
        (
            "name: !!binary aGk=",
            r"line 1: tag:yaml.org,2002:binary: YAML tags are not supported; write the value without a tag",
        ),
        ("name: !!bool x", r"line 1: .*: YAML tags are not supported"),
        ("rate: 1\nname: &a [*a]", r"line 2: \*a: aliases are not supported"),
        ('name: "\\0"', r"line 1: found a character that text can't contain"),
        ('name: "\\ud800"', r"line 1: found a character that text can't contain"),
        ('name: "\\UFFFFFFFF"', r"not valid YAML"),
        ("rate: 0x" + "f" * 20000, r"rate: expected a number, found '0xf*\.\.\."),
        ("rate: 1" + ":59" * 20000 + ".5", r"rate: expected a number, found '1:59"),
        ("a: 1\n--- \nb: 2", r"not valid YAML"),
        ("name: \x07", r"not valid YAML"),
        ("<<: {rate: 1}", r"unknown key '<<'"),
        ("name: !!python/object/apply:os.getcwd []", r"not valid YAML"),
        ("name: !!python/name:os.getcwd", r"not valid YAML"),
        (b"name: \xff", r"my recipe.yaml: can't be read: .*utf-8"),
    ],
)
def test_what_is_wrong_is_reported(load, text, message):
    with pytest.raises(InputError, match=message):
        load(text)


def test_a_needed_key(load):
    with pytest.raises(InputError, match="my recipe.yaml: missing key 'labels'"):
        load("", cls=Needed)
    assert load("labels: [a]", cls=Needed) == Needed(("a",))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="none.yaml: no such file"):
        config.load(Recipe, tmp_path / "none.yaml")
    with pytest.raises(InputError, match=f"{tmp_path}: can't be read: .*directory"):
        config.load(Recipe, tmp_path)


def test_overrides_come_last_and_in_order(load):
    found = load("rate: 1\nname: a", "rate=2", "rate=1e-3", "name=b=c", "limit=", "sizes=[1]")
    assert (found.rate, found.name, found.limit, found.sizes) == (0.001, "b=c", None, (1,))
    assert config.load(Recipe, None, ("shuffle=false",)).shuffle is False


@pytest.mark.parametrize(
    "override, message",
    [
        ("rate", "setting rate: expected key=value"),
        ("rat=1", r"my recipe.yaml with settings rat=1: unknown key 'rat'; did you mean 'rate'\?"),
        ("=1", "unknown key ''"),
        ("rate=x", "with settings rate=x: rate: expected a number, found 'x'"),
        ("sizes=[1", r"setting sizes=\[1: not valid YAML"),
    ],
)
def test_a_bad_override(load, override, message):
    with pytest.raises(InputError, match=message):
        load("", override)


def test_overrides_of_a_file_without_mapping(load):
    with pytest.raises(InputError, match="expected `key: value` lines"):
        load("- 1", "rate=1")


def test_round_trip(load):
    made = Recipe(
        batch_size=7,
        rate=1e-20,
        name="yes: 1e-3",
        sizes=(1, 2),
        limit=float("inf"),
        options={"b": [1], "a": None},
    )
    mapping = config.to_mapping(made)
    assert mapping["sizes"] == [1, 2]
    assert config.from_mapping(Recipe, mapping, "x") == load(config.to_yaml(mapping)) == made


def test_shared_values_are_written_out():
    shared = [1, 2]
    text = config.to_yaml({"a": shared, "b": shared})
    assert "&" not in text and config.parse_yaml(text, "x") == {"a": shared, "b": shared}


def test_a_fingerprint_is_of_the_content():
    first = config.fingerprint({"a": 1, "b": {"c": 2, "d": 3}})
    assert first == config.fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert len(first) == 16 and int(first, 16) >= 0
    assert (
        len(
            {
                first,
                config.fingerprint({"a": 1}),
                config.fingerprint({"a": 1.5}),
                config.fingerprint({"a": "1"}),
            }
        )
        == 4
    )


def bomb(levels=60):
    lines = ["a0: &a0 [x, x, x]"] + [
        f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, levels)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(),
        "batch_size:\n" + "\n".join("  " + line for line in bomb().splitlines()),
        "options: &a [*a]",
        "[" * 20000,
        "{a: " * 20000,
        "rate:\n" + "\n".join(" " * i + "a:" for i in range(1, 2000)),
        "options: " + "[" * 30 + "]" * 30,
    ],
    ids=["anchors", "anchors below", "itself", "lists", "mappings", "indented", "deep"],
)
def test_decompression_bombs_are_refused(load, text):
    start = time.process_time()
    with pytest.raises(InputError, match="my recipe.yaml: not valid YAML") as error:
        load(text)
    assert time.process_time() - start < 5
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "rate: " + "1" * 200000 + "x",
        "rate: " + "1." * 200000,
        "name: [" + "x" * 1000000 + "]",
        "x" * 1000000 + ": 1",
        "rate: " + "_" * 1000000,
    ],
    ids=["digits", "dots", "list", "key", "lines"],
)
def test_long_scalars_are_refused_at_once_and_shown_in_part(load, text):
    start = time.process_time()
    with pytest.raises(InputError, match="my recipe.yaml: ") as error:
        load(text)
    assert time.process_time() - start < 5
    assert len(str(error.value)) < 1000


def test_a_file_without_end_is_not_read(load):
    with pytest.raises(
        InputError,
        match="my recipe.yaml: expected at most 8,388,608 characters of YAML, found more",
    ):
        load("#" * (9 << 20))


def test_many_known_words_are_cut_short():
    known = [f"class {i}" for i in range(527)]
    assert config.suggest("class 52 ", known) == "did you mean 'class 52'?"
    assert config.suggest("xyz", known).endswith("class 18, class 19 and 507 more")
    assert config.suggest("xyz", known[:20]).endswith("class 18, class 19")


@settings(derandomize=True, max_examples=500, deadline=None)
@given(
    st.text("0123456789eE.+-_:x#'\"& \tano", max_size=20)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]))
)
@example("59438209763693e6")  # a fingerprint
@example("1e5")
@example("0x10")
@example("1_0")
@example("12:30:45")
@example("2026-11-24")
@example("no")
@example(".inf")
@example("=")
@example("<<")
def test_text_comes_back_as_text(text):
    assert config.parse_yaml(config.to_yaml({"a": text, text: 1}), "x") == {"a": text, text: 1}
