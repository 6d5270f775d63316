"""Frozen dataclasses from flat YAML files, and back.

A configuration is a frozen dataclass. The type of each field is int, float, str, bool, `Literal`,
`tuple[X, ...]` or dict, or one of them `| None`. Its file is one flat YAML mapping. A field that
the file omits has its default. Unknown keys, repeated keys and values of other types are errors.

No library does this: msgspec ignores unknown keys and accepts NaN, cattrs casts "3" to 3, and
neither says which value it found.
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

    from wsedtk.core.types import PathLike

T = TypeVar("T", bound="DataclassInstance")

_MOST_BYTES = 8 << 20  # of a YAML file: the parser needs seconds for that many
_DEEPEST = 20
_LONGEST_NUMBER = 100  # characters; a longer value is text
# Escapes in YAML can write these characters, but no file name or text file can hold them.
_ODD_TEXT = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses repeated keys, aliases, tags and deep nesting.

    It reads `1e-3` as a number, like YAML 1.2, and dates as text.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # of types-PyYAML
        self._check(event)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _check(self, event: yaml.Event) -> None:
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):  # a few aliases can expand beyond the memory
            fault = f"*{event.anchor}: aliases are not read here; write the value out"
        elif tag is not None:
            fault = f"{tag}: tags are not read here; write the value alone"
        elif self.depth >= _DEEPEST:
            fault = f"found more than {_DEEPEST} levels of nesting"
        elif _ODD_TEXT.search(getattr(event, "value", "")):
            fault = "found a character that text can't hold; remove it"
        else:
            return
        assert event.start_mark is not None  # every event of a parser has one
        raise yaml.YAMLError(f"line {event.start_mark.line + 1}: {fault}")

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and len(value) > _LONGEST_NUMBER:
            return self.DEFAULT_SCALAR_TAG
        resolve = super().resolve
        tag: str = resolve(kind, value, implicit)  # type: ignore[no-untyped-call]  # as above
        return tag

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise yaml.YAMLError(
                    f"line {line}: {shown(key)} can't be a key; is it a name that needs quotes?"
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
    """Return a path as UTF-8 text, with escapes for bytes that are not UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


class _Dumper(yaml.SafeDumper):
    """A SafeDumper that writes repeated values in full, and text that is not UTF-8 with escapes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return super().represent_str(as_text(data))


_Dumper.add_representer(str, _Dumper.represent_str)
# The dumper needs this rule too: it must quote text such as `12e3`, which some fingerprints are.
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
        If the text is not valid YAML, or longer than 8 MB.
    """
    if len(text) > _MOST_BYTES:
        raise InputError(
            f"{where}: {len(text):,} characters of YAML; files of at most {_MOST_BYTES:,} are read"
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
        If the file is missing, unreadable or not valid YAML.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read: {error}") from None
    return parse_yaml(text, path)


def to_yaml(mapping: Mapping[str, object]) -> str:
    """Return a mapping of plain Python values as YAML text, with the keys in their order."""
    text: str = yaml.dump(mapping, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def shown(value: object) -> str:
    """Return the representation of a value for a message, at most 203 characters long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def nearest(word: object, known: Iterable[object]) -> str | None:
    """Return the known word that is most similar to a word, or None if none is similar.

    Upper and lower case count as equal.
    """
    folded: dict[str, str] = {}
    for name in map(str, known):
        folded.setdefault(name.lower(), name)
    near = difflib.get_close_matches(str(word)[:200].lower(), folded, n=1)
    return folded[near[0]] if near else None


def suggest(word: object, known: Iterable[object]) -> str:
    """Return "did you mean X?" if a known word is similar, else the first 20 known words."""
    names = [str(name) for name in known]
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {near!r}?"
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return "known: " + ", ".join(names[:20]) + more


def suggest_fraction(value: object) -> str:
    """Return "; did you mean 0.5?" for 50 or "50 %", where a fraction is expected, else ""."""
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return ""
    is_percentage = 0 <= number <= 100 and (number > 1 or text.endswith("%"))
    return f"; did you mean {number / 100:g}?" if is_percentage else ""


def _convert(value: Any, kind: Any, where: str) -> Any:
    """Return a value as the annotated type `kind`. Only an int is cast, to float."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        return _convert(value, next(a for a in args if a is not type(None)), where)
    if origin is typing.Literal:
        if not any(type(value) is type(a) and value == a for a in args):
            raise InputError(f"{where}: {shown(value)} is not a choice; {suggest(value, args)}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: expected a list, found {shown(value)}")
        return tuple(_convert(v, args[0], where) for v in value)
    kind = origin or kind  # dict of dict[str, X]
    if kind is float and type(value) is int:
        return float(value)  # no overflow: the loader reads longer numbers as text
    if kind is float and value != value:
        raise InputError(f"{where}: expected a number, found NaN")
    if type(value) is not kind:
        raise InputError(f"{where}: expected {kind.__name__}, found {shown(value)}")
    return value


def from_mapping(cls: type[T], mapping: object, where: str) -> T:
    """Build a configuration from a mapping.

    Parameters
    ----------
    cls : type
        The frozen dataclass of the configuration.
    mapping : dict or None
        Values by field. None is an empty mapping.
    where : str
        The source of the mapping, for messages.

    Returns
    -------
    cls
        The configuration.

    Raises
    ------
    InputError
        If `mapping` is not a dict, a key is unknown or missing, or a value is of another type or
        out of range.
    """
    if mapping is None:
        mapping = {}
    if not isinstance(mapping, dict):
        raise InputError(f"{where}: expected `key: value` lines, found {shown(mapping)}")
    kinds = typing.get_type_hints(cls)
    for key in mapping:
        if key not in kinds:
            raise InputError(f"{where}: unknown key {shown(key)}; {suggest(key, kinds)}")
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


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings as plain YAML values, with lists for tuples. Raises InputError."""
    try:
        text = to_yaml(dict(settings))
    except yaml.YAMLError as error:
        found = shown(error.args[-1])
        raise InputError(f"settings: found {found}; expected plain Python values") from None
    plain: dict[str, object] = parse_yaml(text, "settings")
    return plain


def load(
    cls: type[T],
    path: "PathLike | None" = None,
    overrides: Mapping[str, object] | Sequence[str] = (),
) -> T:
    """Read a configuration from a YAML file, and replace values.

    Parameters
    ----------
    cls : type
        The frozen dataclass of the configuration.
    path : path-like, optional
        The YAML file, or the name of an installed configuration (`wsedtk.core.configurations`). By
        default each field has its default.
    overrides : mapping of str to object, or sequence of str
        The values that replace those of the file, as a mapping or as texts `key=value` (YAML).

    Returns
    -------
    cls
        The configuration.

    Raises
    ------
    InputError
        If the file is missing or can't be read, or a key or a value is wrong.
    """
    mapping = {} if path is None else read_yaml(configurations.find(path))
    where = str(path) if path is not None else "defaults"
    if mapping is None:
        mapping = {}
    if isinstance(overrides, Mapping) and overrides and isinstance(mapping, dict):
        mapping |= _plain(overrides)
        where += f" with settings {', '.join(map(str, overrides))}"
    elif overrides and isinstance(mapping, dict):
        for item in overrides:
            key, equals, value = item.partition("=")
            if not equals:
                raise InputError(f"setting {item}: expected key=value")
            mapping[key] = parse_yaml(value, f"setting {item}")
        where += " with settings " + " ".join(overrides)
    return from_mapping(cls, mapping, where)


def to_mapping(config: "DataclassInstance") -> dict[str, Any]:
    """Return a configuration as a mapping that YAML can hold, with lists for tuples."""
    mapping = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        mapping[field.name] = list(value) if isinstance(value, tuple) else value
    return mapping


def fingerprint(content: Mapping[str, object] | Sequence[object]) -> str:
    """Return 16 hexadecimal digits that identify plain content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
