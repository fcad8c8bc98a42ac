"""Memory maps that are larger than memory: pages are given back once they were read or written."""

import math
import mmap
import os
from pathlib import Path

import numpy as np

# Up to here a map may stay resident as a whole: it is read again and again, and memory is there for it.
_MOST_RESIDENT_BYTES = 64 << 20


def new_map(path: Path, shape: tuple[int, ...], dtype: np.dtype | type) -> np.memmap:
    """Make an array in a file, `shape` of `dtype`, whose room on the disk is taken at once.

    A disk that fills up later, under a map, would kill the process.

    Raises:
        OSError: There is not so much room.
    """
    kind = np.dtype(dtype)
    described = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, described)
        n_bytes = file.tell() + math.prod(shape) * kind.itemsize
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:
            file.truncate(n_bytes)
    return np.lib.format.open_memmap(path, mode="r+")


def read_rows(mapped: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Read rows of an array that may be a memory map, `(n, ...)`, without keeping its pages."""
    found: np.ndarray = np.asarray(mapped[rows])
    give_back(mapped)
    return found


def give_back(mapped: np.ndarray) -> None:
    """Give back the memory of a large memory map's pages; what was written to them is in the file.

    Of an array in memory, of a small map, and where the system has no such call, nothing is given back.
    """
    pages = getattr(mapped, "_mmap", None)
    if pages is not None and mapped.nbytes > _MOST_RESIDENT_BYTES and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
