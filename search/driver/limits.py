"""Limits: holds points to the space's constraints, by what their networks measure."""

from collections.abc import Callable, Mapping

from search.config.space import Space
from search.config.trial_config import TrialConfig
from search.errors import SpaceError
from search.executor.executor import Executor, ask
from search.training.segment import Size


def measured_by(executor: Executor) -> Callable[[TrialConfig], Size]:
    """Have networks measured where the work is done."""

    def measure(config: TrialConfig) -> Size:
        size: Size = ask(executor, "size", config)
        return size

    return measure


class Limits:
    """Measures each network once and for ever, since a second measurement could give another answer.

    Args:
        space: The space, with its constraints.
        known: Sizes that were measured before, by network.
        measure: Measures the network of a config.
        note: Keeps a new size for later starts.
    """

    def __init__(
        self,
        space: Space,
        known: Mapping[str, Size],
        measure: Callable[[TrialConfig], Size],
        note: Callable[[str, Size], None],
    ) -> None:
        self._space, self._limits = space, space.constraints.limits
        self._sizes, self._measure, self._note = dict(known), measure, note

    def of(self, config: TrialConfig) -> dict[str, float]:
        """Give Optuna's value of each constraint: how far the network is over the limit, as a share of it.

        Returns:
            At most 0 where the constraint is kept; nothing where the space has no constraints.
        """
        if not self._limits:
            return {}
        size = self._size(config)
        return {name: getattr(size, name) / limit - 1.0 for name, limit in self._limits.items()}

    def broken(self, constraints: Mapping[str, float]) -> str | None:
        """Say which constraints are broken, None where all are kept."""
        parts = [
            f"{name} {self._limits[name] * (1.0 + over):.4g}, at most {self._limits[name]:.4g}"
            for name, over in constraints.items()
            if over > 0
        ]
        return f"constraints: {'; '.join(parts)}" if parts else None

    def check(self) -> None:
        """Refuse a space in which no backbone keeps the constraints, not even with the smallest pictures.

        Raises:
            SpaceError: What each measures.
        """
        sizes = self._space.dimensions.get("image_size")
        smallest = {"image_size": int(min(sizes.ends()))} if sizes else {}
        broken = {}
        for name in self._space.backbones if self._limits else ():
            reason = self.broken(self.of(self._space.config({"backbone": name, **smallest})))
            if reason is None:
                return
            broken[name] = reason.removeprefix("constraints: ")
        if broken:
            found = "; ".join(f"{name} has {reason}" for name, reason in broken.items())
            raise SpaceError(
                f"constraints: no backbone keeps them ({found}); raise them or add a smaller one."
            )

    def _size(self, config: TrialConfig) -> Size:
        network = f"{config.backbone} {config.image_size} px"
        if network not in self._sizes:
            self._sizes[network] = self._measure(config)
            self._note(network, self._sizes[network])
        return self._sizes[network]
