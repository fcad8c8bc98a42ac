"""OwnAugmentor: the user's own augmentor, one uint8 picture to another, in place of the built-in one."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from traceback import extract_tb
from typing import Any

import numpy as np

from search.data.draws import draw_seeds
from search.errors import SpaceError
from search.user_function import UserFunction

# What takes a seed: a parameter of one of these names, or this method, as Albumentations has it.
_PARAMETERS = ("seed", "rng")
_METHOD = "set_random_seed"


class OwnAugmentor:
    """Calls the user's function picture by picture.

    How it is called hangs on its signature. One with a parameter `image`, or with none by name but `**data`,
    gets `image=picture`, as Albumentations has it; any other one gets the picture as its first argument. It
    gives a picture, or a mapping that holds one as `image`. A parameter `seed` gets a whole number below
    2**32, `rng` a `numpy.random.Generator`, and a method `set_random_seed` is called before each picture: all
    made of the picture's content hash and the draw, so the same picture and draw give the same change. One
    with none of the three cannot be seeded.

    Args:
        function: The function.
        seed: The data's draw seed.

    Attributes:
        is_seedable: Whether the same picture and draw give the same change.
        pays: Whether storing the pictures of a draw pays, once that was measured.
    """

    def __init__(self, function: UserFunction, seed: int) -> None:
        self._function, self._seed = function, seed
        self.pays: bool | None = None
        parameters = _parameters(function.call)
        self._by_name = "image" in parameters or _is_named_only(parameters)
        self._seeded_by = next((name for name in _PARAMETERS if name in parameters), None)
        self._has_method = hasattr(function.call, _METHOD)
        self.is_seedable = self._seeded_by is not None or self._has_method

    def __call__(self, pictures: np.ndarray, content: np.ndarray, draw: int, strength: float) -> np.ndarray:
        """Give each picture its change in this draw.

        Args:
            pictures: `(n, px, px, 3) uint8`.
            content: `(n,) uint64`, the first 64 bits of each picture's content hash.
            draw: The draw's number.
            strength: 0 is the identity; the function knows no other.

        Returns:
            `(n, px, px, 3) uint8`.

        Raises:
            SpaceError: The function fails, or gives what is no such picture.
        """
        if strength == 0 or len(pictures) == 0:
            return pictures
        seeds = draw_seeds(content, draw, self._seed).tolist()
        changed = np.empty_like(pictures)
        for row, (picture, seed) in enumerate(zip(pictures, seeds, strict=True)):
            changed[row] = self._changed(picture, seed)
        return changed

    def check(self, picture: np.ndarray) -> None:
        """Try the function on a picture, `(px, px, 3) uint8`.

        Raises:
            SpaceError: It fails, gives what is no such picture, or minds no seed although it takes one.
        """
        for seed in range(3):
            first, second = (self._changed(picture, seed) for _ in range(2))
            if self.is_seedable and not np.array_equal(first, second):
                taken = f"has {_METHOD}" if self._seeded_by is None else f"takes {self._seeded_by}"
                raise self._wrong(
                    f"{taken} and must give the same picture for the same seed; it gave two",
                    "draw all its random numbers from that, or take it away",
                )

    def _changed(self, picture: np.ndarray, seed: int) -> np.ndarray:
        given: dict[str, Any] = {self._seeded_by: _seed_as(self._seeded_by, seed)} if self._seeded_by else {}
        # a copy, since the function may write into it
        arguments = () if self._by_name else (picture.copy(),)
        if self._by_name:
            given["image"] = picture.copy()
        try:
            if self._has_method:
                getattr(self._function.call, _METHOD)(seed)
            changed = self._function.call(*arguments, **given)
        except MemoryError:  # that is nothing to mend in the function
            raise
        except Exception as error:
            raise self._wrong(f"failed with {_told(error)}", "mend it") from error
        return self._checked(changed, picture)

    def _checked(self, changed: Any, picture: np.ndarray) -> np.ndarray:
        if isinstance(changed, Mapping):
            changed = changed.get("image")
        if isinstance(changed, np.ndarray) and (changed.shape, changed.dtype) == (picture.shape, np.uint8):
            return changed
        is_array = isinstance(changed, np.ndarray)
        got = f"{changed.shape} {changed.dtype}" if is_array else type(changed).__name__
        rule = f"must give a {picture.shape} uint8 picture as it gets one"
        raise self._wrong(f"{rule}; it gave {got}", "mend it")

    def _wrong(self, what: str, advice: str) -> SpaceError:
        return SpaceError(f"augmentor: {self._function.name} {what}; {advice}.")


def _parameters(call: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(call).parameters
    except (TypeError, ValueError):  # what is written in C has none
        return {}


def _is_named_only(parameters: Mapping[str, inspect.Parameter]) -> bool:
    kinds = {parameter.kind for parameter in parameters.values()}
    by_place = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return inspect.Parameter.VAR_KEYWORD in kinds and not kinds & by_place


def _seed_as(parameter: str, seed: int) -> int | np.random.Generator:
    return seed if parameter == "seed" else np.random.default_rng(seed)


def _told(error: Exception) -> str:
    """Name an error, and the line of the user's code that raised it."""
    text = " ".join(str(error).split()).rstrip(".")
    place = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(place.filename).name}, line {place.lineno})"
