"""Reading spaces and recipes: file, then `--set`, then defaults; every mistake is told, not the first."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search.config.dimensions import PerBackbone
from search.config.mistakes import Tell, nearest, sentences, teller, unknown, wrong_settings
from search.config.space import Space
from search.config.strict_yaml import Document, KeyPath, read_document, read_value
from search.errors import SpaceError


@dataclass(frozen=True)
class Recipe:
    """A fixed schedule that a tutorial recommends; a baseline to beat.

    Attributes:
        name: Its file's name without the ending.
        summary: What its author does, one line.
        settings: The settings it fixes, under their keys.
    """

    name: str
    summary: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class SpaceFile:
    """A space, the recipes that run with it, and the recipes that `--set` contradicts, with the reason."""

    space: Space
    recipes: tuple[Recipe, ...]
    left_out: Mapping[str, str]
    path: Path


def spaces_folder() -> Path:
    """Find the shipped space files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "spaces"
    return inside if inside.is_dir() else package.parent / "spaces"


def read_space(study: str, assignments: Sequence[str], backbones: Collection[str]) -> SpaceFile:
    """Read the space of a study.

    Args:
        study: A name in `spaces/`, or a YAML file.
        assignments: What `--set` was given, `KEY=VALUE` each.
        backbones: The names that a backbone may have.

    Raises:
        SpaceError: One sentence for each mistake.
    """
    path = _find(study)
    document = read_document(_text_of(path), path.name)
    assigned = dict(_parse_assignment(text) for text in assignments)
    for key_path, value in assigned.items():
        _assign(document.value, key_path, value)
    tell = teller(path.name, document, assigned)
    space = _validate(document, tell, backbones)
    return _without_contradicted(space, tuple(_recipes(space)), assigned, path)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        SpaceError: One sentence for each mistake.
    """
    document = read_document(_text_of(path), path.name)
    tell = teller(path.name, document)
    known = ["summary", "fixed"]
    mistakes = [tell((key,), unknown(key, known)) for key in document.value if key not in known]
    settings = document.value.get("fixed")
    if isinstance(settings, dict):
        mistakes += wrong_settings(settings, "fixed", tell)
    else:
        mistakes.append(tell(("fixed",), "expected a mapping of settings"))
    if mistakes:
        raise SpaceError(*mistakes)
    return Recipe(path.stem, str(document.value.get("summary", "")), dict(settings or {}))  # type: ignore[call-overload]


def _find(study: str) -> Path:
    names = sorted(path.stem for path in spaces_folder().glob("*.yaml"))
    if study.endswith((".yaml", ".yml")):
        path = Path(study)
        if not path.is_file():
            raise SpaceError(
                f"--study: there is no file {study}; give one that exists, or one of {', '.join(names)}."
            )
        return path
    if study not in names:
        near = nearest(study, names)
        raise SpaceError(
            f"--study: no space is called '{study}'{near}; there are {', '.join(names)}, or give a .yaml file."
        )
    return spaces_folder() / f"{study}.yaml"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read as UTF-8 text ({error}); give a YAML file.") from error


def _parse_assignment(text: str) -> tuple[KeyPath, object]:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise SpaceError(f"--set {text}: expected KEY=VALUE, such as --set fixed.image_size=96.")
    head, _, rest = key.partition(".")
    path = (head, rest) if head in ("fixed", "free") and rest else tuple(key.split("."))
    parsed = read_value(key, value)
    if path[0] == "free" and len(path) == 2 and isinstance(parsed, list):
        parsed = {"choice": parsed}
    return path, parsed


def _assign(tree: dict[str, Any], path: KeyPath, value: object) -> None:
    """Set a key; a dimension that becomes fixed is no longer free, and the other way round."""
    other = {"fixed": "free", "free": "fixed"}.get(path[0])
    if other and len(path) == 2 and isinstance(tree.get(other), dict):
        tree[other].pop(path[1], None)
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise SpaceError(
                f"--set {'.'.join(path)}: {key} is a value, not a section; leave out what follows it."
            )
    tree[path[-1]] = deepcopy(value)


def _validate(document: Document, tell: Tell, backbones: Collection[str]) -> Space:
    """Validate the whole; what pydantic refuses is told and taken out, so that the rest is checked as well."""
    mistakes: list[str] = []
    value = deepcopy(document.value)
    try:
        space = Space.model_validate(value)
    except ValidationError as error:
        mistakes = sentences(error, Space, tell)
        for item in error.errors():
            _take_out(value, tuple(str(part) for part in item["loc"][:2]))
        try:
            space = Space.model_validate(value)
        except ValidationError:
            raise SpaceError(*mistakes) from error
    mistakes += _cross_checks(space, document, tell, backbones)
    if mistakes:
        raise SpaceError(*dict.fromkeys(mistakes))
    return space


def _take_out(tree: dict[str, Any], path: KeyPath) -> None:
    inner = tree.get(path[0])
    if len(path) == 2 and isinstance(inner, dict):
        inner.pop(path[1], None)
    else:
        tree.pop(path[0], None)


def _cross_checks(space: Space, document: Document, tell: Tell, backbones: Collection[str]) -> Iterator[str]:
    yield from _in_both(document, tell)
    yield from _wrong_backbones(space, document, tell, backbones)
    for key, dimension in space.dimensions.items():
        for value in dimension.ends():
            yield from wrong_settings({key: value}, "free", tell)
        if isinstance(dimension, PerBackbone):
            yield from _uncovered(space, key, dimension, tell)
        elif space.sampler.name == "grid" and not dimension.values():
            yield tell(("free", key), "has no grid, which the grid sampler needs; add a step or list choices")
    for name in space.recipes:
        if not _recipe_path(name).is_file():
            near, names = nearest(name, _recipe_names()), ", ".join(_recipe_names())
            yield tell(("recipes",), f"no recipe is called '{name}'{near}; there are {names}")


def _in_both(document: Document, tell: Tell) -> Iterator[str]:
    fixed, free = (document.value.get(section) for section in ("fixed", "free"))
    if isinstance(fixed, dict) and isinstance(free, dict):
        for key in fixed.keys() & free.keys():
            yield tell(("free", key), "stands in fixed as well; keep one of them")


def _wrong_backbones(
    space: Space, document: Document, tell: Tell, backbones: Collection[str]
) -> Iterator[str]:
    sections = [document.value.get(section) for section in ("fixed", "free")]
    if not any(isinstance(section, dict) and "backbone" in section for section in sections):
        yield tell(("free", "backbone"), "is missing; name at least one, such as {choice: [mobilenet_v2]}")
        return
    section = "free" if "backbone" in space.dimensions else "fixed"
    for name in space.backbones:
        if name not in backbones:
            yield tell((section, "backbone"), f"no backbone is called '{name}'{nearest(name, backbones)}")


def _uncovered(space: Space, key: str, dimension: PerBackbone, tell: Tell) -> Iterator[str]:
    if key == "backbone":
        yield tell(("free", key), "cannot depend on itself; write {choice: [...]}")
        return
    if space.sampler.name == "grid":
        yield tell(
            ("free", key), "differs by backbone, which the grid sampler cannot do; take one range for all"
        )
    for name in dimension.per_backbone.keys() - {"other", *space.backbones}:
        near = nearest(name, space.backbones)
        yield tell(("free", key, "per_backbone", name), f"is no backbone of this space{near}")
    for name in space.backbones:
        if dimension.of(name) is None:
            yield tell(("free", key), f"says nothing for {name}; add it, or 'other' for all the rest")


def _recipe_names() -> list[str]:
    return sorted(path.stem for path in (spaces_folder() / "recipes").glob("*.yaml"))


def _recipe_path(name: str) -> Path:
    return Path(name) if name.endswith((".yaml", ".yml")) else spaces_folder() / "recipes" / f"{name}.yaml"


def _recipes(space: Space) -> Iterator[Recipe]:
    for name in dict.fromkeys(space.recipes):
        yield read_recipe(_recipe_path(name))


def _without_contradicted(
    space: Space, recipes: tuple[Recipe, ...], assigned: Mapping[KeyPath, object], path: Path
) -> SpaceFile:
    keys = {key_path[1] for key_path in assigned if len(key_path) == 2 and key_path[0] in ("fixed", "free")}
    left_out = {}
    for recipe in recipes:
        wrong = [
            key
            for key in sorted(keys & recipe.settings.keys())
            if not _allows(space, key, recipe.settings[key])
        ]
        if wrong:
            left_out[recipe.name] = (
                f"--set contradicts its {', '.join(f'{key}={recipe.settings[key]}' for key in wrong)}"
            )
    kept = tuple(recipe for recipe in recipes if recipe.name not in left_out)
    return SpaceFile(space, kept, left_out, path)


def _allows(space: Space, key: str, value: Any) -> bool:
    if key in space.dimensions:
        return space.dimensions[key].holds(value)
    return bool(space.fixed_settings[key] == value)
