"""Slots: which of an executor's slots a segment goes to."""

from search.scheduler.trial import Trial

_Network = tuple[str, int]


class Slots:
    """The free slots, and what the worker of each holds in memory.

    Args:
        n: How many slots there are.
    """

    def __init__(self, n: int) -> None:
        self._free = set(range(n))
        self._trials: dict[int, int | str] = {}
        self._networks: dict[int, dict[_Network, None]] = {slot: {} for slot in range(n)}

    @property
    def any_free(self) -> bool:
        """Whether a segment can start."""
        return bool(self._free)

    def take(self, trial: Trial) -> int:
        """Take a free slot for a trial.

        That which trained it last holds its checkpoint, one that trained the same network its programs; of
        equals, that which trained the fewest networks, then the first one.
        """
        network = (trial.config.backbone, trial.config.image_size)
        chosen = min(
            self._free,
            key=lambda slot: (
                self._trials.get(slot) != trial.key,
                network not in self._networks[slot],
                len(self._networks[slot]),
                slot,
            ),
        )
        self._free.remove(chosen)
        self._trials[chosen] = trial.key
        self._networks[chosen][network] = None
        return chosen

    def give_back(self, slot: int) -> None:
        """Free a slot whose call is done."""
        self._free.add(slot)

    def forget(self, slot: int) -> None:
        """Note that a slot's worker is gone, with all that it held."""
        self._trials.pop(slot, None)
        self._networks[slot].clear()
