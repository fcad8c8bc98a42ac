"""UserFunction: a function of the user's own, named `my_module:f`, with the digest of its source."""

import hashlib
import importlib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import SpaceError


@dataclass(frozen=True)
class UserFunction:
    """What a name such as `my_module:f` stands for.

    Attributes:
        name: That name.
        call: The function, class or callable object.
        digest: Of the whole source files of the module that is named and of the one that defines the
            function, since one function calls others; None where a source cannot be read: then nothing that
            the function had a part in may be used again.
    """

    name: str
    call: Callable[..., Any]
    digest: str | None


def user_function(name: str, key: str) -> UserFunction:
    """Load a function of the user's own.

    Args:
        name: `module:function`; the module is found as Python finds all modules, the working folder included.
        key: The setting that names it, for messages.

    Raises:
        SpaceError: The name has another form, there is no such module or function, or it cannot be called.
    """
    module_name, _, function_name = name.partition(":")
    if not (module_name and function_name):
        raise SpaceError(f"{key}: '{name}' names no function; write MODULE:FUNCTION, such as my_module:f.")
    module = _module(module_name, key)
    found: Any = module
    for part in function_name.split("."):
        if not hasattr(found, part):
            raise SpaceError(
                f"{key}: module {module_name} has no '{function_name}'; it was read from {_place(module)}."
            )
        found = getattr(found, part)
    if not callable(found):
        raise SpaceError(
            f"{key}: {name} is no function but {type(found).__name__}; name one that can be called."
        )
    defining = inspect.getmodule(found if hasattr(found, "__module__") else type(found)) or module
    return UserFunction(name, found, _digest([module, defining]))


def _module(name: str, key: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.split(".")[: error.name.count(".") + 1] == error.name.split("."):
            raise SpaceError(
                f"{key}: there is no module '{name}'; put {name.replace('.', '/')}.py into the working "
                "folder, or install it."
            ) from error
        raise SpaceError(
            f"{key}: module {name} cannot be loaded ({error}); install what it needs."
        ) from error


def _digest(modules: list[Any]) -> str | None:
    paths = sorted({_place(module) for module in modules})
    if not all(path.endswith(".py") and Path(path).is_file() for path in paths):
        return None
    return hashlib.sha256(b"\0".join(Path(path).read_bytes() for path in paths)).hexdigest()


def _place(module: Any) -> str:
    return str(getattr(module, "__file__", None) or module.__name__)
