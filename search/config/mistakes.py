"""Mistakes in a space file, told in sentences: file, line, key, what was expected, the nearest name."""

import difflib
import re
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from search.config.callbacks import Callback
from search.config.dimensions import KINDS
from search.config.strict_yaml import Document, KeyPath, shown
from search.config.trial_config import TrialConfig, keys_of_config

Tell = Callable[[KeyPath, str], str]

_RANGES = "{choice: [...]}, {float: [low, high]}, {int: [low, high]}"
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list [ ]",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


def teller(name: str, document: Document, assigned: Collection[KeyPath] = ()) -> Tell:
    """Make the function that puts file, line and key before what is wrong.

    Args:
        name: The file's name.
        document: The file, for its lines.
        assigned: Keys that came from `--set`.
    """

    def tell(path: KeyPath, what: str) -> str:
        line = document.line(path)
        by_set = any(path[: len(key)] == key[: len(path)] for key in assigned)
        where = "--set" if by_set else f"{name}, line {line}" if line else name
        return f"{where}: {shown(path)}: {what}."

    return tell


def sentences(error: ValidationError, model: type[BaseModel], tell: Tell) -> list[str]:
    """Tell each mistake that pydantic found in a sentence."""
    return list(dict.fromkeys(_sentence(dict(item), model, tell) for item in error.errors()))


def wrong_settings(settings: dict[str, Any], section: str, tell: Tell) -> list[str]:
    """Check settings of trials by their keys; each mistake is a sentence."""
    return [sentence for key in settings for sentence in _wrong_setting(key, settings[key], section, tell)]


def wrong_callbacks(callbacks: object, tell: Tell) -> list[str]:
    """Check the callbacks of a recipe; each mistake is a sentence."""
    try:
        TypeAdapter(list[Callback]).validate_python(callbacks, strict=True)
    except ValidationError as error:
        return sentences(error, TrialConfig, lambda path, what: tell(("callbacks", *path), what))
    return []


def unknown(key: str, known: Sequence[str]) -> str:
    """Say that a key is not known, with the nearest one and all there are."""
    return f"is no key here{nearest(key, known)}; there are {', '.join(known)}"


def nearest(word: str, words: Collection[str]) -> str:
    """Suggest the nearest of some words, or nothing where none is near."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f" (did you mean {found[0]}?)" if found else ""


def _wrong_setting(key: str, value: Any, section: str, tell: Tell) -> list[str]:
    fields, path = keys_of_config(), (section, key)
    if key not in fields:
        return [tell(path, unknown(key, list(fields)))]
    try:
        _adapter(fields[key]).validate_python(value, strict=True)
    except ValidationError as error:
        return sentences(error, TrialConfig, lambda _, what: tell(path, what))
    return []


def _sentence(item: dict[str, Any], model: type[BaseModel], tell: Tell) -> str:
    location = tuple(f"[{part}]" if isinstance(part, int) else part for part in item["loc"])
    path = _without_tags(location)
    if item["type"] == "extra_forbidden":
        return tell(path, unknown(path[-1], _keys_beside(model, location)))
    if item["type"] == "missing":
        return tell(path, "is missing; add it")
    if item["type"] == "value_error":
        return tell(path, item["msg"].removeprefix("Value error, "))
    return tell(path, f"expected {_expected(item, path)}, got {item['input']!r}{_near(item)}")


def _expected(item: dict[str, Any], path: KeyPath) -> str:
    kind, message = item["type"], str(item["msg"]).removeprefix("Input should be ")
    if kind in ("too_short", "too_long"):
        return "two numbers [low, high]" if path[-1] in ("float", "int") else "at least one"
    if kind == "union_tag_not_found":
        return f"one of {_RANGES}" + ("" if "per_backbone" in path else ", {per_backbone: {...}}")
    if message.startswith(("greater", "less")):
        return f"a number {message}"
    return _EXPECTED.get(kind, message)


def _near(item: dict[str, Any]) -> str:
    """Suggest the nearest name where only some are possible."""
    got = item["input"]
    if item["type"] == "literal_error" and isinstance(got, str):
        return nearest(got, re.findall(r"'([^']*)'", item["ctx"]["expected"]))
    if item["type"] == "union_tag_not_found" and isinstance(got, dict) and got:
        return nearest(str(next(iter(got))), KINDS)
    return ""


def _without_tags(path: KeyPath) -> KeyPath:
    """Drop pydantic's names for the kinds of dimensions, which are no keys of the file."""
    if path[:1] != ("free",):
        return path
    path = path[:2] + path[3:]
    return path[:4] + path[5:] if path[2:3] == ("per_backbone",) else path


def _keys_beside(model: type[BaseModel], location: KeyPath) -> list[str]:
    if location[0] == "free" and len(location) > 2:
        model = KINDS[location[-2]]
    else:
        for part in location[:-1]:
            if part.startswith("["):
                continue
            annotation = model.model_fields[part].annotation
            if get_origin(annotation) is list:
                (annotation,) = get_args(annotation)
            if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
                return []
            model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    field = TrialConfig.model_fields[name]
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[(annotation, *field.metadata)] if field.metadata else annotation)
