"""The functions of the user's own that a trial calls: what they are made of, whether they are reused."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions, version
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from search.config.trial_config import TrialConfig
from search.data.own_augmentor import OwnAugmentor
from search.digests import digest_of_file
from search.user_function import UserFunction, user_function

# Folders whose packages are told apart by their versions; what lies elsewhere is being worked on.
_INSTALLED = {"site-packages", "dist-packages"}


def why_not_reused(config: TrialConfig) -> str | None:
    """Say why nothing of a trial may be taken up by another one, None where it may.

    Raises:
        SpaceError: A function that it calls does not exist.
    """
    for key, function in _called(config):
        if function.digest is None:
            return f"{key}: the source of {function.name} cannot be read, so no trial that calls it is reused"
        if key == "augmentor" and not OwnAugmentor(function, seed=0).is_seedable:
            return (
                f"augmentor: {function.name} cannot be seeded (it has no parameter seed or rng, and no "
                "method set_random_seed), so the features of trials that call it are not reused"
            )
    return None


def ingredients(config: TrialConfig) -> dict[str, Any]:
    """Name all that decides what the functions give that a trial calls, by setting.

    That is the source, and of what its module imports the versions of packages and the digests of files.

    Raises:
        SpaceError: A function that it calls does not exist.
    """
    return {
        key: {"name": function.name, "source": function.digest, "imports": _imports(function)}
        for key, function in _called(config)
    }


def _called(config: TrialConfig) -> Iterator[tuple[str, UserFunction]]:
    """Load the functions; at strength 0 no augmentor is called."""
    for key, name in config.own_functions.items():
        if key != "augmentor" or config.augment > 0:
            yield key, user_function(name, key)


def _imports(function: UserFunction) -> dict[str, str]:
    """Name what the function's module imports, and what the files among that import."""
    distributions, found = _distributions(), dict[str, str]()
    waiting, seen = [function.name.partition(":")[0]], set[str]()
    while waiting:
        name = waiting.pop()
        top, file = name.partition(".")[0], getattr(sys.modules.get(name), "__file__", None)
        if name in seen or file is None or top in sys.stdlib_module_names:
            continue
        seen.add(name)
        if top in distributions and _INSTALLED & set(Path(file).parts):
            found[top] = version(distributions[top][0])
        elif file.endswith(".py"):
            found[name] = digest_of_file(Path(file))
            waiting += _imported_by(Path(file), sys.modules[name].__package__)
    return found


# reads what is installed, which takes a third of a second
_distributions = cache(packages_distributions)


def _imported_by(file: Path, package: str | None) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
