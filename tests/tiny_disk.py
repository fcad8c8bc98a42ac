"""A disk that is soon full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def disk_of(megabytes: int, folder: Path) -> Iterator[Path]:
    """Mount a disk in memory on a folder that is made for it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
    yield folder
    # lazily: this process may have read what is on it
    subprocess.run(["umount", "--lazy", folder], check=True)
