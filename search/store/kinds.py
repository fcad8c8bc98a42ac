"""The kinds of entries, and where each entry lies."""

from pathlib import Path
from typing import Literal

Kind = Literal["arrays", "draws", "features", "checkpoints", "contents", "probes"]

# What may be dropped where the store is full. Lists of unreadable pictures and probes are small and dear.
BOUNDED: tuple[Kind, ...] = ("arrays", "draws", "features", "checkpoints")


def place_of(root: Path, kind: Kind, key: str) -> Path:
    """Give the folder of an entry, there or not."""
    return root / kind / key
