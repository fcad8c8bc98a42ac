"""YAML as people mean it: repeated keys, `1e-4` as text and `no` as False are refused, with the fix.

Every value keeps the line it stands on, so a mistake found later can still be shown where it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from search.errors import SpaceError

KeyPath = tuple[str, ...]

# YAML 1.1 wants a dot and a signed exponent in a float; what people write instead comes back as text.
_NUMBER_AS_TEXT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


@dataclass(frozen=True)
class Document:
    """A YAML document: its value and the line (from 1) of every key."""

    value: dict[str, object]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

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
        name: What to call it in messages: a file's name or `--set`.

    Raises:
        SpaceError: All that is wrong with its form, one sentence each.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise SpaceError(_syntax(error, name)) from error
    if not isinstance(node, yaml.MappingNode):
        raise SpaceError(f"{name}: a space file is a mapping of keys to values, such as 'study: my_study'.")
    reader = _Reader(name)
    value = reader.mapping(node, ())
    if reader.mistakes:
        raise SpaceError(*reader.mistakes)
    return Document(value, reader.lines)


def read_value(key: str, text: str) -> object:
    """Read one YAML value, as it stands behind `--set KEY=`.

    Raises:
        SpaceError: All that is wrong with its form, one sentence each.
    """
    return read_document(f"{key}: {text}", "--set").value[key]


def _syntax(error: yaml.MarkedYAMLError, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = _place(name, mark.line + 1) if mark else name
    return f"{where}: not valid YAML ({error.problem or error.context}); mend this line."


def _place(name: str, line: int) -> str:
    return name if name == "--set" else f"{name}, line {line}"


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self.mistakes: list[str] = []
        self._constructor = yaml.SafeLoader("")

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value_node in self._pairs(node, path):
            result[key] = self.value(value_node, (*path, key))
        return result

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, path) for item in node.value]
        value = self._constructor.construct_object(node, deep=True)  # type: ignore[no-untyped-call]
        self._check_scalar(node, value, path)
        return value

    def _pairs(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in seen:
                self._add(line, (*path, key), f"stands here and on line {seen[key]}; keep one of them")
                continue
            seen[key] = line
            self.lines[*path, key] = line
            yield key, value_node

    def _check_scalar(self, node: yaml.Node, value: object, path: KeyPath) -> None:
        line, text = node.start_mark.line + 1, node.value
        quoted = node.style is not None
        if isinstance(value, str) and not quoted and _NUMBER_AS_TEXT.fullmatch(text):
            self._add(line, path, f"'{text}' is text in YAML; write {_as_yaml_float(text)}")
        elif isinstance(value, bool) and text.lower() not in ("true", "false"):
            self._add(
                line, path, f"'{text}' means {value} in YAML; write {str(value).lower()}, or quote the word"
            )

    def _add(self, line: int, path: KeyPath, what: str) -> None:
        self.mistakes.append(f"{_place(self.name, line)}: {'.'.join(path)}: {what}.")


def _as_yaml_float(text: str) -> str:
    mantissa, exponent = re.split("[eE]", text)
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    mantissa = f"{mantissa}0" if mantissa.endswith(".") else mantissa
    sign = "" if exponent.startswith(("-", "+")) else "+"
    return f"{mantissa}e{sign}{exponent}"
