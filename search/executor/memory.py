"""The memory of this machine, or of the container that the program runs in."""

import os
from pathlib import Path

# where the kernel says what a container may take, version 2 and version 1 of control groups
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def machine_bytes() -> int:
    """Give the memory that all processes together can take here."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *(limit for file in _LIMITS if (limit := _read(file)) is not None)])


def _read(file: Path) -> int | None:
    try:
        said = file.read_text().strip()
    except OSError:
        return None
    return int(said) if said.isdigit() else None
