"""Frozen dataclasses <-> flat YAML files. Unknown keys, repeated keys and wrong types are errors.

A configuration is a frozen dataclass whose fields are int, float, str, bool, `Literal`, `tuple[X, ...]`, a dict, or any of
them `| None`. Its file is one flat YAML mapping; a key that the file leaves out keeps the field's default.
"""

import dataclasses
import difflib
import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path

import yaml

from wsedtk.core.errors import InputError

_MOST_BYTES = 8 << 20  # of a YAML file: its parser takes seconds for each
_DEEPEST = 20
_LONGEST_NUMBER = 100  # characters; what is longer is text
_ODD_TEXT = re.compile(
    "[\0\ud800-\udfff]"
)  # which escapes can write, and no file name or file can hold


class _Loader(yaml.SafeLoader):
    """safe_load that refuses repeated keys, aliases, tags and depths, and reads `1e-3` as YAML 1.2 does: a number. Dates are text."""

    depth = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        odd = (
            f"*{event.anchor}: aliases are not read here; write the value out"
            if isinstance(event, yaml.AliasEvent)
            else f"{event.tag}: tags are not read here; write the value alone"
            if event.tag is not None
            else f"more than {_DEEPEST} levels"
            if self.depth >= _DEEPEST
            else "a character that no text may hold"
            if _ODD_TEXT.search(getattr(event, "value", ""))
            else None
        )
        if odd:  # a few lines of aliases stand for more than memory holds
            raise yaml.YAMLError(f"line {event.start_mark.line + 1}: {odd}")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def resolve(self, kind, value, implicit):
        if kind is yaml.ScalarNode and len(value) > _LONGEST_NUMBER:
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)

    def construct_mapping(self, node, deep=False):
        mapping = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.YAMLError(
                    f"line {key_node.start_mark.line + 1}: {shown(key)} can't be a key; is it a name that needs quotes?"
                )
            if key in mapping:
                raise yaml.YAMLError(
                    f"line {key_node.start_mark.line + 1}: the key {shown(key)} stands twice"
                )
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


def as_text(path):
    """Return a path as text that is UTF-8: bytes that are not stand there with escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


class _Dumper(yaml.SafeDumper):
    """safe_dump that writes a value twice rather than an alias of it.

    Text that is not UTF-8 is written as `as_text` has it: no YAML can hold it as it is.
    """

    def ignore_aliases(self, data):
        return True

    def represent_str(self, data):
        return super().represent_str(as_text(data))


_Dumper.add_representer(str, _Dumper.represent_str)
for _kind in (
    _Loader,
    _Dumper,
):  # which must quote the text `12e3`: one fingerprint in a thousand is of this form
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
        list("-+.0123456789"),
    )


def parse_yaml(text, where):
    """Parse YAML text; `where` names it in errors. Raises InputError."""
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


def read_yaml(path):
    """Read a YAML file. Raises InputError where it is missing, unreadable or not YAML."""
    path = Path(path)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read: {error}") from None
    return parse_yaml(text, path)


def to_yaml(mapping):
    """YAML text of plain Python values, keys in their order."""
    return yaml.dump(mapping, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def shown(value):
    """A value as it is written, cut short, for messages."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def nearest(word, known):
    """The known word that is the most like another; None where none is much like it. Upper and lower case are one."""
    word, known = str(word)[:200], [str(k) for k in known]
    folded = {k.lower(): k for k in reversed(known)}
    near = difflib.get_close_matches(word.lower(), folded, n=1)
    return folded[near[0]] if near else None


def suggest(word, known):
    """'did you mean X?' where a known word is near, else the known words, the first twenty of them."""
    known = [str(k) for k in known]
    near = nearest(word, known)
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return (
        f"did you mean {near!r}?" if near is not None else "known: " + ", ".join(known[:20]) + more
    )


def suggest_fraction(value):
    """'; did you mean 0.5?' of 50, or of the text 50 %, where a fraction is expected; else ''."""
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return ""
    is_percentage = 0 <= number <= 100 and (number > 1 or text.endswith("%"))
    return f"; did you mean {number / 100:g}?" if is_percentage else ""


def _convert(value, kind, where):
    """Return `value` as the annotated type `kind`, or raise InputError. An int serves as a float; nothing else is cast."""
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
        return float(value)  # never beyond its range: a longer number was read as text
    if kind is float and value != value:
        raise InputError(f"{where}: expected a number, found NaN")
    if type(value) is not kind:
        raise InputError(f"{where}: expected {kind.__name__}, found {shown(value)}")
    return value


def from_mapping(cls, mapping, where):
    """Build the configuration dataclass `cls` from a mapping; `where` names its source in errors."""
    if mapping is None:
        mapping = {}
    if not isinstance(mapping, dict):
        raise InputError(f"{where}: expected `key: value` lines, found {shown(mapping)}")
    kinds = typing.get_type_hints(cls)
    for key in mapping:
        if key not in kinds:
            raise InputError(f"{where}: unknown key {shown(key)}; {suggest(key, kinds)}")
    needed = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and f.name not in mapping
    ]
    if needed:
        raise InputError(f"{where}: missing key {needed[0]!r}")
    values = {key: _convert(value, kinds[key], f"{where}: {key}") for key, value in mapping.items()}
    try:
        return cls(**values)
    except ValueError as error:  # a dataclass's own __post_init__ says what is out of range
        raise InputError(f"{where}: {error}") from None


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings as their YAML is read: tuples become lists. Raises InputError."""
    try:
        text = to_yaml(dict(settings))
    except yaml.YAMLError as error:
        found = shown(error.args[-1])
        raise InputError(f"settings: found {found}; expected plain Python values") from None
    plain: dict[str, object] = parse_yaml(text, "settings")
    return plain


def load(cls, path=None, overrides=()):
    """Read `cls` from a YAML file, or its defaults without one, and replace values.

    overrides: a mapping of the new values, or texts `key=value` (YAML) in order.
    """
    mapping = read_yaml(path) if path is not None else {}
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
                raise InputError(f"--set {item}: expected key=value")
            mapping[key] = parse_yaml(value, f"--set {item}")
        where += " with --set " + " ".join(overrides)
    return from_mapping(cls, mapping, where)


def to_mapping(config):
    """The plain mapping of a configuration, ready for YAML: tuples become lists."""
    return {
        f.name: list(v) if isinstance(v := getattr(config, f.name), tuple) else v
        for f in dataclasses.fields(config)
    }


def fingerprint(mapping):
    """16 hexadecimal digits that name a plain mapping's content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(mapping, sort_keys=True).encode()).hexdigest()[:16]
