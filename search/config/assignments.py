"""Assignments: what `--set KEY=VALUE` changes in a space file."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from search.config.strict_yaml import KeyPath, read_value
from search.config.trial_config import keys_of_config
from search.errors import SpaceError


def assign_all(
    tree: dict[str, object], assignments: Sequence[str]
) -> tuple[dict[KeyPath, object], list[str]]:
    """Change what a space file says.

    Args:
        tree: The file's value, which is changed.
        assignments: `KEY=VALUE` each.

    Returns:
        What was assigned, and what is wrong with it, one sentence a mistake.
    """
    assigned: dict[KeyPath, object] = {}
    mistakes: list[str] = []
    for text in assignments:
        try:
            path, value, wrong = _parse_assignment(text)
            _assign(tree, path, value)
        except SpaceError as error:
            mistakes += error.sentences
            continue
        assigned[path] = value
        mistakes += wrong
    return assigned, mistakes


def assigned_settings(assigned: Mapping[KeyPath, object]) -> set[str]:
    """Find the settings of trials that assignments say something of, whole sections included."""
    keys: set[str] = set()
    for path, value in assigned.items():
        if path[0] in ("fixed", "free"):
            keys |= {path[1]} if len(path) > 1 else set(value) if isinstance(value, dict) else set()
    return keys


def _parse_assignment(text: str) -> tuple[KeyPath, object, tuple[str, ...]]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SpaceError(f"--set {text}: expected KEY=VALUE, such as --set fixed.image_size=96.")
    path = _path_of(key.strip())
    parsed, wrong = read_value(path, value, "--set")
    if path[0] == "free" and len(path) == 2 and isinstance(parsed, list):
        parsed = {"choice": parsed}
    return path, parsed, wrong


def _path_of(key: str) -> KeyPath:
    """Split a key at its dots, but for those inside a setting's key such as `head.lr`."""
    section, _, rest = key.partition(".")
    if section not in ("fixed", "free") or not rest:
        return tuple(key.split("."))
    for setting in keys_of_config():
        if rest.startswith(f"{setting}."):
            return (section, setting, *rest.removeprefix(f"{setting}.").split("."))
    return (section, rest)


def _assign(tree: dict[str, Any], path: KeyPath, value: object) -> None:
    """Set a key; a dimension that becomes fixed is no longer free, and the other way round."""
    other = {"fixed": "free", "free": "fixed"}.get(path[0])
    if other and len(path) > 1 and isinstance(tree.get(other), dict):
        tree[other].pop(path[1], None)
    for length, key in enumerate(path[:-1], start=1):
        if tree.get(key) is None:
            tree[key] = {}
        tree = tree[key]
        if not isinstance(tree, dict):
            section = ".".join(path[:length])
            raise SpaceError(f"--set: {'.'.join(path)}: {section} holds no other keys; set {section} itself.")
    tree[path[-1]] = deepcopy(value)
