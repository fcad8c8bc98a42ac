"""YAML as people mean it: repeated keys, `1e-4` as text and `no` as False are refused, with the fix.

Every value keeps the line it stands on, so a mistake found later can still be shown where it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from search.errors import SpaceError

# An item of a list is "[0]", "[1]" and so on in a path.
KeyPath = tuple[str, ...]

# YAML 1.1 wants a dot and a signed exponent in a float; what people write instead comes back as text.
_NUMBER_AS_TEXT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")
# What else YAML 1.1 takes for a number: 1_000, 1:30 (base 60), 012 (base 8), 0x1f and 0b11.
_PLAIN_NUMBER = re.compile(
    r"[-+]?(0|[1-9]\d*|\d+\.\d*([eE][-+]\d+)?|\.\d+([eE][-+]\d+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)"
)


@dataclass(frozen=True)
class Document:
    """A YAML document.

    Attributes:
        value: What it says; where its form is wrong, what was most probably meant.
        lines: The line (from 1) of every key and every item of a list.
        mistakes: What is wrong with its form, one sentence each.
    """

    value: dict[str, object]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    mistakes: tuple[str, ...] = ()

    def line(self, path: KeyPath) -> int | None:
        """Find the line of a key, or of the nearest key around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def read_document(text: str, name: str) -> Document:
    """Read a YAML document whose top level is a mapping.

    Args:
        text: The document.
        name: What to call it in messages, such as its file's name.

    Raises:
        SpaceError: It is no YAML, or no mapping. Lesser mistakes stand in the document.
    """
    node = _compose(text, name)
    if not isinstance(node, yaml.MappingNode):
        raise SpaceError(f"{name}: expected a mapping of keys to values, such as 'study: my_study'.")
    reader = _Reader(name, has_lines=True)
    value = reader.mapping(node, ())
    return Document(value, reader.lines, tuple(reader.mistakes))


def read_value(path: KeyPath, text: str, name: str) -> tuple[object, tuple[str, ...]]:
    """Read one YAML value, as it stands behind `--set KEY=`.

    Args:
        path: The key.
        text: The value.
        name: What to call it in messages.

    Returns:
        The value, and what is wrong with its form, one sentence each.

    Raises:
        SpaceError: It is no YAML.
    """
    node = _compose(text, f"{name}: {'.'.join(path)}")
    if node is None:
        return None, ()
    reader = _Reader(name, has_lines=False)
    return reader.value(node, path), tuple(reader.mistakes)


def shown(path: KeyPath) -> str:
    """Write a path as a key of the file; items of lists have none."""
    return ".".join(part for part in path if not part.startswith("["))


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}, line {mark.line + 1}" if mark and "\n" in text else name
        what = error.problem or error.context
        raise SpaceError(f"{where}: is not valid YAML ({what}); mend this line.") from error
    except yaml.reader.ReaderError as error:
        raise SpaceError(
            f"{name}: is no text (character #x{error.character:04x} stands in it); give a YAML file."
        ) from error


class _Reader:
    def __init__(self, name: str, has_lines: bool) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.mistakes: list[str] = []
        self._name, self._has_lines = name, has_lines
        self._constructor = yaml.SafeLoader("")
        self._open: list[yaml.Node] = []

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value_node in self._pairs(node, path):
            result[key] = self.value(value_node, (*path, key))
        return result

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        if node in self._open:
            self._add(node, path, "holds itself; write it out")
            return None
        self._open.append(node)
        try:
            return self._value(node, path)
        finally:
            self._open.pop()

    def _value(self, node: yaml.Node, path: KeyPath) -> object:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, f"[{i}]")) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _item(self, node: yaml.Node, path: KeyPath) -> object:
        self.lines[path] = _line(node)
        return self.value(node, path)

    def _pairs(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._add(key_node, path, "has a list or a mapping for a key; write a word")
                continue
            key = str(key_node.value)
            if key in seen:
                before = f"on line {seen[key]}" if self._has_lines else "before"
                self._add(key_node, (*path, key), f"stands here and {before}; keep one of them")
                continue
            seen[key] = self.lines[*path, key] = _line(key_node)
            yield key, value_node

    def _scalar(self, node: yaml.Node, path: KeyPath) -> object:
        """Read a scalar, telling where YAML takes it for something that its writer hardly meant."""
        text = str(node.value)
        try:
            value: object = self._constructor.construct_object(node, deep=True)
        except (yaml.constructor.ConstructorError, ValueError):
            self._add(node, path, f"'{text}' cannot be read as what YAML takes it for; quote it")
            return text
        if isinstance(value, str):
            return self._text(node, text, path)
        if isinstance(value, bool) and text.lower() not in ("true", "false"):
            meant = str(value).lower()
            self._add(node, path, f"'{text}' means {meant} in YAML; write {meant}, or quote the word")
        elif not isinstance(value, bool | int | float | None):
            self._add(node, path, f"'{text}' is a {type(value).__name__} in YAML; quote it")
            return text
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._check_number(node, text, value, path)
        return value

    def _text(self, node: yaml.Node, text: str, path: KeyPath) -> str | float:
        quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
        if quoted or not _NUMBER_AS_TEXT.fullmatch(text):
            return text
        self._add(node, path, f"'{text}' is text in YAML; write {_as_yaml_float(text)}")
        return float(text)

    def _check_number(self, node: yaml.Node, text: str, value: float, path: KeyPath) -> None:
        if not _PLAIN_NUMBER.fullmatch(text):
            self._add(node, path, f"'{text}' means {value} in YAML; write {value}, or quote it")

    def _add(self, node: yaml.Node, path: KeyPath, what: str) -> None:
        where = f"{self._name}, line {_line(node)}" if self._has_lines else self._name
        self.mistakes.append(f"{where}: {shown(path)}: {what}.")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _as_yaml_float(text: str) -> str:
    mantissa, exponent = re.split("[eE]", text)
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    mantissa = f"{mantissa}0" if mantissa.endswith(".") else mantissa
    sign = "" if exponent.startswith(("-", "+")) else "+"
    return f"{mantissa}e{sign}{exponent}"
