"""Dimensions: what a free setting may be, and the values it can take."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator


def plain_value(value: object) -> object:
    """Refuse what is no single value, in one sentence where a union of types would say one each."""
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"expected a number, a word, true or false, got {value!r}")
    return value


Scalar = Annotated[bool | int | float | str, BeforeValidator(plain_value)]


class _Dimension(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Choice(_Dimension):
    """One of a list of values, in no order."""

    choice: list[Scalar] = Field(min_length=1, description="the values to choose from")

    @model_validator(mode="after")
    def _each_once(self) -> "Choice":
        if len({(isinstance(value, bool), value) for value in self.choice}) < len(self.choice):
            raise ValueError("names a value twice; name each once")
        return self

    def values(self) -> Sequence[Scalar]:
        """List the values."""
        return list(self.choice)

    def ends(self) -> Sequence[Scalar]:
        """List the values that must be legal for all to be."""
        return list(self.choice)

    def holds(self, value: object) -> bool:
        """Tell whether the value is one of the choices."""
        return any(
            isinstance(value, bool) is isinstance(item, bool) and value == item for item in self.choice
        )


class _Range(_Dimension):
    log: bool = Field(default=False, description="search on a logarithmic scale")

    def _check(self, ends: Sequence[float], step: float | None) -> None:
        low, high = ends
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"[{low}, {high}] has an end that is not finite; write two numbers")
        if low >= high:
            raise ValueError(f"[{low}, {high}] holds nothing to search; write [low, high] with low < high")
        if self.log and low <= 0:
            raise ValueError(
                f"[{low}, {high}] starts at or below 0, where no logarithm is; raise the low end"
            )
        if self.log and step is not None:
            raise ValueError("has both log and step; Optuna takes one of them, so drop one")
        if step is not None and not 0 < step <= high - low:
            raise ValueError(f"step {step} does not fit into [{low}, {high}]; take a smaller positive one")


class FloatRange(_Range):
    """A real number between two ends, both included."""

    float_: Annotated[
        list[float], Field(alias="float", min_length=2, max_length=2, description="[low, high]")
    ]
    step: float | None = Field(default=None, description="distance of the values; without it any value")

    @model_validator(mode="after")
    def _legal(self) -> "FloatRange":
        self._check(self.float_, self.step)
        return self

    def values(self) -> Sequence[float] | None:
        """List the values on the grid, or None where there is no grid."""
        if self.step is None:
            return None
        low, high = self.float_
        return [round(low + i * self.step, 12) for i in range(int((high - low) / self.step + 1e-9) + 1)]

    def ends(self) -> Sequence[float]:
        """List the lowest and the highest value; the high end counts only where it is on the grid."""
        grid = self.values()
        return [grid[0], grid[-1]] if grid else list(self.float_)

    def holds(self, value: object) -> bool:
        """Tell whether the value lies in the range, and on its grid if it has one."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        grid = self.values()
        if grid is not None:
            return any(math.isclose(value, item, abs_tol=1e-12) for item in grid)
        low, high = self.float_
        return low <= value <= high


class IntRange(_Range):
    """A whole number between two ends, both included."""

    int_: Annotated[list[int], Field(alias="int", min_length=2, max_length=2, description="[low, high]")]
    step: int | None = Field(default=None, description="distance of the values, 1 if not said")

    @model_validator(mode="after")
    def _legal(self) -> "IntRange":
        self._check(self.int_, self.step)
        return self

    def values(self) -> Sequence[int]:
        """List the values."""
        low, high = self.int_
        return range(low, high + 1, self.step or 1)

    def ends(self) -> Sequence[int]:
        """List the lowest and the highest value; the high end counts only where it is on the grid."""
        return [self.values()[0], self.values()[-1]]

    def holds(self, value: object) -> bool:
        """Tell whether the value is a whole number of the range and on its grid."""
        return isinstance(value, int) and not isinstance(value, bool) and value in self.values()


Range = Choice | FloatRange | IntRange


def kind_of(value: Any) -> str | None:
    """Tell by its keys which kind of dimension a mapping or a dimension is, or None."""
    if isinstance(value, _Dimension):
        return next(kind for kind, model in KINDS.items() if type(value) is model)
    return next((kind for kind in KINDS if isinstance(value, dict) and kind in value), None)


OneRange = Annotated[
    Annotated[Choice, Tag("choice")] | Annotated[FloatRange, Tag("float")] | Annotated[IntRange, Tag("int")],
    Discriminator(kind_of),
]


class PerBackbone(_Dimension):
    """A range of its own for each backbone; `other` serves those that are not named."""

    per_backbone: dict[str, OneRange] = Field(
        min_length=1, description="a range for each backbone, 'other' for the rest"
    )

    def of(self, backbone: str) -> Range | None:
        """Find the range that holds for a backbone, or None where none does."""
        return self.per_backbone.get(backbone, self.per_backbone.get("other"))

    def ends(self) -> Sequence[Scalar]:
        """List the values that must be legal for all to be."""
        return [end for dimension in self.per_backbone.values() for end in dimension.ends()]

    def holds(self, value: object) -> bool:
        """Tell whether the value lies in the range of any backbone."""
        return any(dimension.holds(value) for dimension in self.per_backbone.values())


KINDS: dict[str, type[_Dimension]] = {
    "choice": Choice,
    "float": FloatRange,
    "int": IntRange,
    "per_backbone": PerBackbone,
}

Dimension = Annotated[
    Annotated[Choice, Tag("choice")]
    | Annotated[FloatRange, Tag("float")]
    | Annotated[IntRange, Tag("int")]
    | Annotated[PerBackbone, Tag("per_backbone")],
    Discriminator(kind_of),
]
