"""Wear: when a worker is to be renewed, since TensorFlow gives memory back to nobody."""

from search.executor.memory import machine_bytes

# All workers of a machine together may hold this share of its memory.
_MEMORY_SHARE = 0.8
# A renewed worker loads and compiles all again, so it is not done after every call.
_FEWEST_CALLS = 20


def most_bytes(n_workers: int) -> int:
    """Say what one of so many workers on this machine may hold before it is renewed."""
    return int(_MEMORY_SHARE * machine_bytes() / n_workers)


class Wear:
    """How worn one worker is.

    Args:
        most: What it may hold, bytes.
    """

    def __init__(self, most: int) -> None:
        self._most, self._n_calls, self._is_over = most, 0, False

    @property
    def is_over(self) -> bool:
        """Whether the worker is to be replaced before its next call."""
        return self._is_over

    def called(self, memory_bytes: int) -> None:
        """Note that a call is done, and what the worker holds after it."""
        self._n_calls += 1
        self._is_over = memory_bytes > self._most and self._n_calls >= _FEWEST_CALLS

    def died(self) -> None:
        """Note that the worker is gone."""
        self._is_over = True
