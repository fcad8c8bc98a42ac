"""Reading spaces and recipes: file, then `--set`, then defaults; every mistake is told, not the first."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search.config.assignments import assign_all, assigned_settings
from search.config.backbone_names import wrong_backbone
from search.config.dimensions import PerBackbone, Range
from search.config.mistakes import (
    Tell,
    nearest,
    sentences,
    teller,
    unknown,
    wrong_callbacks,
    wrong_settings,
)
from search.config.space import Space
from search.config.strict_yaml import Document, KeyPath, read_document
from search.config.trial_config import TOGETHER, TrialConfig, keys_of_config
from search.errors import SpaceError


@dataclass(frozen=True)
class Recipe:
    """A fixed schedule that a tutorial recommends; a baseline to beat.

    Attributes:
        name: Its file's name without the ending.
        summary: What its author does, one line.
        settings: The settings it fixes, under their keys; its callbacks among them where it names any.
    """

    name: str
    summary: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class SpaceFile:
    """A space and its recipes.

    Attributes:
        space: The space.
        recipes: The recipes that run.
        left_out: The recipes that do not, by name, and why.
        path: The file.
        named: All recipes that the space names, those that are left out included.
    """

    space: Space
    recipes: tuple[Recipe, ...]
    left_out: Mapping[str, str]
    path: Path
    named: tuple[Recipe, ...]


def spaces_folder() -> Path:
    """Find the shipped space files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "spaces"
    return inside if inside.is_dir() else package.parent / "spaces"


def read_space(
    study: str, assignments: Sequence[str], backbones: Collection[str], recipe_alone: bool = False
) -> SpaceFile:
    """Read the space of a study.

    Args:
        study: A name in `spaces/`, or a YAML file.
        assignments: What `--set` was given, `KEY=VALUE` each; of two with one key the later one counts.
        backbones: The names of the table of backbones.
        recipe_alone: Whether the space is there for its one recipe only. Then what `--set` fixes goes before
            what the recipe says, and all that the recipe leaves open is fixed.

    Raises:
        SpaceError: One sentence for each mistake.
    """
    path = _find(study)
    document = read_document(_text_of(path), path.name)
    assigned, mistakes = assign_all(document.value, assignments)
    tell = teller(path.name, document, assigned)
    space, wrong = _validate(document, tell)
    mistakes = [*document.mistakes, *mistakes, *wrong]
    recipes: list[Recipe] = []
    if space is not None:
        mistakes += _cross_checks(space, document, tell, backbones)
        mistakes += _wrong_starts(space, tell, assigned_settings(assigned))
        mistakes += _read_recipes(space, tell, backbones, recipes)
        if recipe_alone:
            recipes = [_changed(recipe, space, assigned) for recipe in recipes]
        mistakes += _not_together(space, recipes, tell) if not mistakes else []
    if mistakes or space is None:
        raise SpaceError(*dict.fromkeys(mistakes))
    file = _without_contradicted(space, tuple(recipes), assigned, path)
    if recipe_alone and not file.left_out:
        return replace(file, space=space.only(space.config_of_recipe(recipes[0].settings)))
    return file


def read_recipe(path: Path, backbones: Collection[str]) -> Recipe:
    """Read a recipe file.

    Args:
        path: The file.
        backbones: The names of the table of backbones.

    Raises:
        SpaceError: One sentence for each mistake.
    """
    document = read_document(_text_of(path), path.name)
    tell = teller(path.name, document)
    known = ["summary", "fixed", "callbacks"]
    mistakes = [*document.mistakes]
    mistakes += [tell((key,), unknown(key, known)) for key in document.value if key not in known]
    settings = document.value.get("fixed")
    if not isinstance(settings, dict):
        raise SpaceError(*mistakes, tell(("fixed",), "expected a mapping of settings"))
    mistakes += wrong_settings(settings, "fixed", tell)
    if "callbacks" in document.value:
        settings = {**settings, "callbacks": document.value["callbacks"]}
        mistakes += wrong_callbacks(settings["callbacks"], tell)
    name = settings.get("backbone")
    if isinstance(name, str) and (wrong := wrong_backbone(name, backbones)):
        mistakes.append(tell(("fixed", "backbone"), wrong))
    if mistakes:
        raise SpaceError(*mistakes)
    return Recipe(path.stem, str(document.value.get("summary", "")), settings)


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
        near, known = nearest(study, names), ", ".join(names)
        raise SpaceError(
            f"--study: no space is called '{study}'{near}; there are {known}, or give a .yaml file."
        )
    return spaces_folder() / f"{study}.yaml"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read as UTF-8 text ({error}); give a YAML file.") from error


def _validate(document: Document, tell: Tell) -> tuple[Space | None, list[str]]:
    """Validate the whole; what pydantic refuses is told and left out, so that the rest is checked too."""
    value = deepcopy(document.value)
    try:
        return Space.model_validate(value), []
    except ValidationError as error:
        mistakes = sentences(error, Space, tell)
        for item in error.errors():
            _take_out(value, tuple(str(part) for part in item["loc"][:2]))
    try:
        return Space.model_validate({"study": "study", "data": {"source": "data"}, **value}), mistakes
    except ValidationError:
        return None, mistakes


def _take_out(tree: dict[str, Any], path: KeyPath) -> None:
    inner = tree.get(path[0])
    if path[0] == "recipes" and isinstance(inner, list):
        tree["recipes"] = [name for name in inner if isinstance(name, str)]
    elif len(path) == 2 and isinstance(inner, dict) and path[0] != "data":
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
        if space.sampler.name == "grid" and not _has_grid(dimension):
            yield tell(("free", key), "has no grid, which the grid sampler needs; add a step or list choices")


def _wrong_starts(space: Space, tell: Tell, assigned: Collection[str]) -> Iterator[str]:
    """Name what no dimension holds. What `--set` says of a setting goes before a point of the file."""
    for number, start in enumerate(space.start):
        point = start.model_dump(by_alias=True, exclude_unset=True)
        for key in (key for key in point if key not in assigned):
            if not any(_is_allowed(space, key, {"backbone": name, **point}) for name in space.backbones):
                yield tell(("start", f"[{number}]", key), f"no dimension in free holds {point[key]!r}")


def _not_together(space: Space, recipes: Sequence[Recipe], tell: Tell) -> Iterator[str]:
    """Name settings that do not go together, in a point of the space or in what a recipe becomes in it."""
    where = ("free" if "classifier" in space.dimensions else "fixed", "classifier")
    free = [key for key in TOGETHER if key in space.dimensions]
    for values in product(*(space.dimensions[key].ends() for key in free)):
        point = {"backbone": space.backbones[0], **dict(zip(free, values, strict=True))}
        yield from (tell(where, what) for what in _wrong_config(space.config, point))
    for recipe in recipes:
        for what in _wrong_config(space.config_of_recipe, recipe.settings):
            yield f"recipe {recipe.name}: {what}."


def _wrong_config(make: Callable[[dict[str, Any]], TrialConfig], settings: Mapping[str, Any]) -> list[str]:
    try:
        make(dict(settings))
    except ValidationError as error:
        return sentences(error, TrialConfig, lambda _, what: what)
    return []


def _has_grid(dimension: Range | PerBackbone) -> bool:
    ranges = dimension.per_backbone.values() if isinstance(dimension, PerBackbone) else [dimension]
    return all(one.values() is not None for one in ranges)


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
        if wrong := wrong_backbone(name, backbones):
            yield tell((section, "backbone"), wrong)


def _uncovered(space: Space, key: str, dimension: PerBackbone, tell: Tell) -> Iterator[str]:
    if key == "backbone":
        yield tell(("free", key), "cannot depend on itself; write {choice: [...]}")
        return
    for name in dimension.per_backbone.keys() - {"other", *space.backbones}:
        near = nearest(name, space.backbones)
        yield tell(("free", key, "per_backbone", name), f"is no backbone of this space{near}")
    for name in space.backbones:
        if dimension.of(name) is None:
            yield tell(("free", key), f"says nothing for {name}; add it, or 'other' for all the rest")


def shipped_recipes(backbones: Collection[str]) -> list[Recipe]:
    """Read the recipes in `spaces/recipes/`, by name."""
    return [read_recipe(_recipe_path(name), backbones) for name in _recipe_names()]


def _recipe_names() -> list[str]:
    return sorted(path.stem for path in (spaces_folder() / "recipes").glob("*.yaml"))


def _recipe_path(name: str) -> Path:
    return Path(name) if name.endswith((".yaml", ".yml")) else spaces_folder() / "recipes" / f"{name}.yaml"


def _read_recipes(space: Space, tell: Tell, backbones: Collection[str], found: list[Recipe]) -> Iterator[str]:
    """Read the recipes of a space into a list; what is wrong with them comes out."""
    for name in dict.fromkeys(space.recipes):
        path = _recipe_path(name)
        if not path.is_file():
            near, names = nearest(name, _recipe_names()), ", ".join(_recipe_names())
            yield tell(("recipes",), f"no recipe is called '{name}'{near}; there are {names}")
        elif path.stem in [recipe.name for recipe in found]:
            yield tell(("recipes",), f"two recipes are called '{path.stem}'; rename one")
        else:
            try:
                found.append(read_recipe(path, backbones))
            except SpaceError as error:
                yield from error.sentences


def _changed(recipe: Recipe, space: Space, assigned: Mapping[KeyPath, object]) -> Recipe:
    """Let what `--set` fixes go before what a recipe says."""
    fixed = {path[1] for path in assigned if path[0] == "fixed" and len(path) == 2}
    changes = {key: value for key, value in space.fixed_settings.items() if key in fixed}
    return replace(recipe, settings={**recipe.settings, **changes})


def _without_contradicted(
    space: Space, recipes: tuple[Recipe, ...], assigned: Mapping[KeyPath, object], path: Path
) -> SpaceFile:
    keys = assigned_settings(assigned)
    left_out = {}
    for recipe in recipes:
        wrong = [
            key for key in recipe.settings if key in keys and not _is_allowed(space, key, recipe.settings)
        ]
        if wrong:
            named = ", ".join(f"{key}={recipe.settings[key]}" for key in wrong)
            left_out[recipe.name] = f"--set contradicts its {named}"
    kept = tuple(recipe for recipe in recipes if recipe.name not in left_out)
    return SpaceFile(space, kept, left_out, path, recipes)


def _is_allowed(space: Space, key: str, settings: Mapping[str, Any]) -> bool:
    dimension = space.dimensions.get(key)
    if isinstance(dimension, PerBackbone):
        dimension = dimension.of(settings.get("backbone", space.backbones[0]))
    if dimension is not None:
        return dimension.holds(settings[key])
    default = TrialConfig.model_fields[keys_of_config()[key]].default
    return bool(space.fixed_settings.get(key, default) == settings[key])
