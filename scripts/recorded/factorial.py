"""The factorial: every point of a space's grid, in an order of which any beginning is of use."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from search.config.dimensions import PerBackbone
from search.config.space import Space
from search.digests import digest_of
from search.errors import SpaceError

# Most points of a table; what is recorded must stay small in the repository and in machine time.
MOST_POINTS = 150

Point = Mapping[str, Any]


def points_of(space: Space) -> list[Point]:
    """List every point of a space's grid.

    They stand in the order of their digests, which favours no value of any dimension: what is recorded by
    the time a recording is stopped is a fair sample of the whole.

    Raises:
        SpaceError: A dimension has no grid, or there are more than `MOST_POINTS` points.
    """
    grid = {key: _grid(key, dimension) for key, dimension in space.dimensions.items()}
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if len(points) > MOST_POINTS:
        raise SpaceError(
            f"A recorded table has at most {MOST_POINTS} points, and the grid of {space.study} has "
            f"{len(points)}; drop some values."
        )
    return sorted(points, key=digest_of)


def head_of(point: Point) -> Point:
    """Give the settings of a point that its stage 1 hangs on."""
    return {key: point[key] for key in point if key != "unfreeze" and not key.startswith("tune.")}


def _grid(key: str, dimension: Any) -> Sequence[Any]:
    values = None if isinstance(dimension, PerBackbone) else dimension.values()
    if values is None:
        raise SpaceError(f"free.{key}: a recorded table needs a list of values; write choice: [...].")
    return list(values)
