"""Convert YAML files to frozen dataclasses, and dataclasses to YAML.

A configuration is a frozen dataclass. The type of each field is int, float, str, bool, `Literal`,
`tuple[X, ...]` or dict. A field may accept several of these types, or None, for example
`int | None`. The YAML file contains one mapping from field names to values. A field that is not in
the file has its default. Missing fields without a default, unknown keys, repeated keys, NaN and
values of a wrong type are errors. A float field accepts an int. A dict field accepts a dict with
any values, even NaN.

The libraries msgspec and cattrs do not meet these requirements. msgspec ignores unknown keys and
accepts NaN, and cattrs casts "3" to 3. Many error messages of both libraries do not contain
the value that was found.
"""

import dataclasses
import difflib
import hashlib
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from wsedtk.core import configurations
from wsedtk.core.errors import InputError

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from wsedtk.core.paths import PathLike

T = TypeVar("T", bound="DataclassInstance")

# The words for the types of values in messages
_WORDS: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    dict: "`key: value` lines",
}
_MOST_BYTES = 8 << 20  # maximum number of characters of YAML; parsing this many takes about 20 s
_DEEPEST = 20
_LONGEST_NUMBER = 100  # maximum number of characters of a number; longer values are read as text
# NUL and lone surrogates. YAML escapes can produce them, but file names can't contain NUL, and
# UTF-8 can't encode lone surrogates.
_ODD_TEXT = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """A SafeLoader that rejects repeated keys, aliases, YAML tags and deep nesting.

    It also rejects keys that are not text, and the characters of `_ODD_TEXT`. It reads `1e-3` as a
    number, like YAML 1.2. It reads dates as text.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # types-PyYAML lacks the type
        self._check(event)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _check(self, event: yaml.Event) -> None:
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):  # nested aliases can expand until memory runs out
            fault = f"*{event.anchor}: aliases are not supported; write the value instead"
        elif tag is not None:
            fault = f"{tag}: YAML tags are not supported; write the value without a tag"
        elif self.depth >= _DEEPEST:
            fault = f"expected at most {_DEEPEST} levels of nesting, found more"
        elif _ODD_TEXT.search(getattr(event, "value", "")):
            fault = "found a character that text can't contain; remove NUL and lone surrogates"
        else:
            return
        assert event.start_mark is not None  # the parser sets the mark of each event
        raise yaml.YAMLError(f"line {event.start_mark.line + 1}: {fault}")

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and len(value) > _LONGEST_NUMBER:
            return self.DEFAULT_SCALAR_TAG
        resolve = super().resolve
        tag: str = resolve(kind, value, implicit)  # type: ignore[no-untyped-call]  # untyped, too
        return tag

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise yaml.YAMLError(
                    f"line {line}: {shown(key)} can't be a key; if it is a name, put it in quotes"
                )
            if key in mapping:
                raise yaml.YAMLError(f"line {line}: the key {shown(key)} is repeated; keep one")
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


_Loader.yaml_implicit_resolvers = {
    mark: [
        (tag, form)
        for tag, form in known
        if tag.rpartition(":")[2] not in ("timestamp", "merge", "value")
    ]
    for mark, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _Loader.construct_mapping)


def as_text(path: "PathLike") -> str:
    """Return a path as text that UTF-8 can encode. Bytes that are not UTF-8 become escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


class _Dumper(yaml.SafeDumper):
    """A SafeDumper that writes no aliases, and escapes characters that UTF-8 can't encode."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return super().represent_str(as_text(data))


_Dumper.add_representer(str, _Dumper.represent_str)
# With this rule, the loader reads `1e-3` as a number. The dumper needs the rule too, so that it
# quotes text that looks like such a number. For example, a fingerprint can consist of digits and
# one `e`.
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
        list("-+.0123456789"),
    )


def parse_yaml(text: str, where: object) -> Any:
    """Parse YAML text.

    Parameters
    ----------
    text : str
        The YAML text.
    where : object
        The source of the text, for messages.

    Returns
    -------
    object
        Plain Python values: None, bool, int, float, str, or lists and dicts of them.

    Raises
    ------
    InputError
        If the text is not valid YAML, contains something that this module rejects, such as an
        alias, or has more than 8,388,608 characters.
    """
    if len(text) > _MOST_BYTES:
        raise InputError(
            f"{where}: expected at most {_MOST_BYTES:,} characters of YAML, found more"
        )
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{where}: not valid YAML: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()


def read_yaml(path: "PathLike") -> Any:
    """Read a YAML file.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    object
        Plain Python values: None, bool, int, float, str, or lists and dicts of them.

    Raises
    ------
    InputError
        If the file is missing or unreadable, or if `parse_yaml` raises an error.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be read: {reason}") from None
    return parse_yaml(text, path)


def to_yaml(mapping: Mapping[str, object]) -> str:
    """Return a mapping of plain Python values as YAML text. The order of the keys is kept."""
    text: str = yaml.dump(mapping, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def shown(value: object) -> str:
    """Return `repr(value)` for a message, shortened to at most 203 characters."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def nearest(word: object, known: Iterable[object]) -> str | None:
    """Return the known word that is most similar to `word`, or None if no word is similar.

    The case of letters is ignored. If a known word contains commas, such as the class "Baby cry,
    infant cry", `word` is also compared with the parts between the commas.
    """
    names = [str(name) for name in known]
    folded = {name.lower(): name for name in reversed(names)}
    for name in names:
        for part in name.lower().split(", "):
            folded.setdefault(part, name)
    near = difflib.get_close_matches(str(word)[:200].lower(), folded, n=1)
    return folded[near[0]] if near else None


def suggest(word: object, known: Iterable[object]) -> str:
    """Return a suggestion for a message: "did you mean X?" if a known word is similar to `word`.

    If no known word is similar, return a text that lists up to 20 known words. They are separated
    by semicolons if one of them contains a comma, otherwise by commas.
    """
    names = [str(name) for name in known]
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {near!r}?"
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    separator = "; " if any("," in name for name in names[:20]) else ", "
    return "known: " + separator.join(names[:20]) + more


def suggest_fraction(value: object) -> str:
    """Return a suggestion for a message: "; did you mean 0.5?" if the value is 50 or "50 %".

    A number from 0 to 100 is regarded as a percentage if it is above 1, or if "%" follows it. For
    all other values, "" is returned.
    """
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return ""
    is_percentage = 0 <= number <= 100 and (number > 1 or text.endswith("%"))
    return f"; did you mean {number / 100:g}?" if is_percentage else ""


def _convert(value: Any, kind: Any, where: str) -> Any:
    """Check that a value has the annotated type `kind`, and return the value.

    If `kind` is float, an int is cast to float. If `kind` is a tuple, a list becomes a tuple. Raise
    InputError if the value has another type, is NaN, or is not one of the values of a `Literal`.
    The message begins with `where`. The values inside a dict are not checked.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        kinds = [a for a in args if a is not type(None)]
        try:
            return _convert(value, next((a for a in kinds if type(value) is a), kinds[0]), where)
        except InputError as error:
            others = "".join(f" ({_WORDS[kind]} is valid, too)" for kind in kinds[1:])
            raise InputError(f"{error}{others}") from None
    if origin is typing.Literal:
        if not any(type(value) is type(a) and value == a for a in args):
            raise InputError(
                f"{where}: {shown(value)} is not a valid value; {suggest(value, args)}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: expected a list, found {shown(value)}")
        return tuple(_convert(v, args[0], where) for v in value)
    kind = origin or kind  # the origin of dict[str, X] is dict
    if kind is float and type(value) is int:
        return float(value)  # does not overflow, because the loader reads long numbers as text
    if kind is float and value != value:
        raise InputError(f"{where}: expected a number, found NaN")
    if type(value) is not kind:
        expected = _WORDS.get(kind, kind.__name__)
        raise InputError(f"{where}: expected {expected}, found {shown(value)}")
    return value


def from_mapping(cls: type[T], mapping: object, where: str) -> T:
    """Build a configuration from a mapping.

    Parameters
    ----------
    cls : type
        The frozen dataclass of the configuration.
    mapping : dict or None
        The values, by field name. None means an empty mapping.
    where : str
        The source of the mapping, for messages.

    Returns
    -------
    cls
        The configuration.

    Raises
    ------
    InputError
        If `mapping` is not a dict, if a key is unknown or missing, or if a value has a wrong type
        or is out of range.
    """
    if mapping is None:
        mapping = {}
    if not isinstance(mapping, dict):
        raise InputError(f"{where}: expected `key: value` lines, found {shown(mapping)}")
    kinds = typing.get_type_hints(cls)
    for key in mapping:
        if key not in kinds:
            raise InputError(f"{where}: unknown key {shown(key)}; {_remedy(key, mapping, kinds)}")
    for field in dataclasses.fields(cls):
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if not has_default and field.name not in mapping:
            raise InputError(f"{where}: missing key {field.name!r}")
    values = {key: _convert(value, kinds[key], f"{where}: {key}") for key, value in mapping.items()}
    try:
        return cls(**values)
    except ValueError as error:  # `__post_init__` raises it for values out of range
        raise InputError(f"{where}: {error}") from None


def _remedy(key: str, mapping: Mapping[str, object], known: Mapping[str, object]) -> str:
    """Return the remedy for an unknown key of a mapping."""
    remedy = suggest(key, known)
    if len(mapping) > 1 and known.keys().isdisjoint(mapping):
        return f"is this a configuration of another kind? {remedy}"
    return remedy


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings as plain YAML values. Tuples become lists.

    Raise InputError if YAML can't represent the type of a value.
    """
    try:
        text = to_yaml(dict(settings))
    except yaml.YAMLError as error:
        found = shown(error.args[-1])
        raise InputError(
            f"settings: found {found}; expected plain Python values such as numbers and texts"
        ) from None
    plain: dict[str, object] = parse_yaml(text, "settings")
    return plain


def _replace(mapping: dict[str, Any], key: str, value: object) -> None:
    """Replace a value of a mapping. The key `a.b` is the key `b` of the mapping `a`.

    Raises InputError if `a` is not a mapping.
    """
    *outer, last = key.split(".")
    for depth, name in enumerate(outer):
        inner = mapping.setdefault(name, {})
        if not isinstance(inner, dict):
            above = ".".join(outer[: depth + 1])
            raise InputError(
                f"setting {key}: {above} is {shown(inner)}, which has no keys; set {above} as a "
                "whole"
            )
        mapping = inner
    mapping[last] = value


def load(
    cls: type[T],
    path: "PathLike | None" = None,
    overrides: Mapping[str, object] | Sequence[str] = (),
) -> T:
    """Read a configuration from a YAML file. Values of the file can be replaced.

    Parameters
    ----------
    cls : type
        The frozen dataclass of the configuration.
    path : path-like, optional
        The YAML file, or the name of an installed configuration (`wsedtk.core.configurations`).
        Without a path, each field that is not in `overrides` has its default.
    overrides : mapping of str to object, or sequence of str
        Values that replace the values of the file: a mapping, or texts of the form `key=value`,
        where the value is YAML. The key `a.b` is the key `b` of the dict `a`, whose other keys keep
        their values.

    Returns
    -------
    cls
        The configuration.

    Raises
    ------
    InputError
        If the file is missing or can't be read, or if a key or a value is invalid.
    """
    mapping = {} if path is None else read_yaml(configurations.find(path))
    where = str(path) if path is not None else "defaults"
    if mapping is None:
        mapping = {}
    if isinstance(overrides, Mapping) and overrides and isinstance(mapping, dict):
        for key, value in _plain(overrides).items():
            _replace(mapping, key, value)
        where += f" with settings {', '.join(map(str, overrides))}"
    elif overrides and isinstance(mapping, dict):
        for item in overrides:
            key, equals, value = item.partition("=")
            if not equals:
                raise InputError(f"setting {item}: expected key=value")
            _replace(mapping, key, parse_yaml(value, f"setting {item}"))
        where += " with settings " + " ".join(overrides)
    return from_mapping(cls, mapping, where)


def to_mapping(config: "DataclassInstance") -> dict[str, Any]:
    """Return a configuration as a mapping that can be written as YAML. Tuples become lists."""
    mapping = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        mapping[field.name] = list(value) if isinstance(value, tuple) else value
    return mapping


def fingerprint(content: Mapping[str, object] | Sequence[object]) -> str:
    """Return 16 hexadecimal digits that identify plain values. The order of keys is ignored."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
