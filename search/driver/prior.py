"""Prior: what advice changes in a study, which is the order of what is tried first; nothing is left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.config.space import Space
from search.config.trial_config import TrialConfig

# Where a depth lies that is named by a layer or a pattern, as a share of the blocks: nobody knows.
_SOMEWHERE = 0.5


@dataclass(frozen=True)
class Prior:
    """What is to be tried first.

    Attributes:
        backbones: The backbones, the best one first.
        unfreeze: How deep stage 2 should train.
    """

    backbones: tuple[str, ...]
    unfreeze: float

    @classmethod
    def of(cls, advice: Mapping[str, Any]) -> "Prior":
        """Read it from an advice's JSON values."""
        names = tuple(row["probe"]["backbone"] for row in advice["backbones"])
        return cls(names, advice["case"]["unfreeze"])

    def recipes(self, recipes: Mapping[str, TrialConfig]) -> dict[str, TrialConfig]:
        """Order recipes: those first whose depth suits the case, then by backbone, then as they stood."""

        def place(config: TrialConfig) -> tuple[float, int]:
            return self._misfit(config.unfreeze), self._rank(config.backbone)

        return dict(sorted(recipes.items(), key=lambda item: place(item[1])))

    def space(self, space: Space) -> Space:
        """Order the points at which a search begins: by backbone, then by depth, then as they stood.

        Where there are none, one is made of what was found. A grid has an order of its own, and gets none.
        """
        advised = {"backbone": self.backbones[0], "unfreeze": self.unfreeze}
        points = space.starts or ([] if space.sampler.name == "grid" else [advised])
        return space.starting_at(sorted(points, key=self._place))

    def _place(self, point: Mapping[str, Any]) -> tuple[int, float]:
        return self._rank(point.get("backbone", "")), self._misfit(point.get("unfreeze", self.unfreeze))

    def _rank(self, backbone: str) -> int:
        return self.backbones.index(backbone) if backbone in self.backbones else len(self.backbones)

    def _misfit(self, unfreeze: float | str) -> float:
        return abs((_SOMEWHERE if isinstance(unfreeze, str) else unfreeze) - self.unfreeze)
