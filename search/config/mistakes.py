"""Mistakes in a space file, told in sentences: file, line, key, what was expected, the nearest name."""

import difflib
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from search.config.dimensions import KINDS
from search.config.strict_yaml import Document, KeyPath
from search.config.trial_config import TrialConfig, keys_of_config

Tell = Callable[[KeyPath, str], str]

_FORMS = "{choice: [...]}, {float: [low, high]}, {int: [low, high]} or {per_backbone: {...}}"
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
    "union_tag_not_found": f"a dimension, one of {_FORMS}",
}


def teller(name: str, document: Document, assigned: Collection[KeyPath] = ()) -> Tell:
    """Make the function that puts file, line and key before what is wrong.

    Args:
        name: The file's name.
        document: The file, for its lines.
        assigned: Keys that came from `--set`.
    """

    def tell(path: KeyPath, what: str) -> str:
        by_set = any(key[: len(path)] == path or path[: len(key)] == key for key in assigned)
        line = document.line(path)
        where = "--set" if by_set else f"{name}, line {line}" if line else name
        return f"{where}: {'.'.join(path)}: {what}."

    return tell


def sentences(error: ValidationError, model: type[BaseModel], tell: Tell) -> list[str]:
    """Tell each mistake that pydantic found in a sentence."""
    return list(dict.fromkeys(_sentence(dict(item), model, tell) for item in error.errors()))


def wrong_settings(settings: dict[str, Any], section: str, tell: Tell) -> list[str]:
    """Check settings of trials by their keys; each mistake is a sentence."""
    fields = keys_of_config()
    mistakes = []
    for key, value in settings.items():
        if key not in fields:
            mistakes.append(tell((section, key), unknown(key, list(fields))))
            continue
        try:
            _adapter(fields[key]).validate_python(value, strict=True)
        except ValidationError as error:
            mistakes += sentences(error, TrialConfig, lambda _, what, key=key: tell((section, key), what))  # type: ignore[misc]
    return mistakes


def unknown(key: str, known: Sequence[str]) -> str:
    """Say that a key is not known, with the nearest one and all there are."""
    return f"is no key here{nearest(key, known)}; there are {', '.join(known)}"


def nearest(word: str, words: Collection[str]) -> str:
    """Suggest the nearest of some words, or nothing where none is near."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f" (did you mean {found[0]}?)" if found else ""


def _sentence(item: dict[str, Any], model: type[BaseModel], tell: Tell) -> str:
    location = tuple(str(part) for part in item["loc"])
    path, kind, got = _without_tags(location), item["type"], item.get("input")
    if kind == "extra_forbidden":
        return tell(path, unknown(path[-1], _keys_beside(model, location)))
    if kind == "missing":
        return tell(path, "is missing; add it")
    if kind == "value_error":
        return tell(path, item["msg"].removeprefix("Value error, "))
    expected = _EXPECTED.get(kind) or item["msg"].removeprefix("Input should be ")
    return tell(path, f"expected {expected}, got {got!r}")


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
            annotation = model.model_fields[part].annotation
            if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
                return []
            model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def _adapter(name: str) -> TypeAdapter[Any]:
    field = TrialConfig.model_fields[name]
    annotation: Any = field.annotation
    for rule in field.metadata:
        annotation = Annotated[annotation, rule]
    return TypeAdapter(annotation)
