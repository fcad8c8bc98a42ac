"""One thing done to many pictures, by as many threads as there are cores."""

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Called with (how many are done, how many there are) from the thread that asked, never from a worker.
Progress = Callable[[int, int], None]

# Items handed to each thread at a time: few enough that Ctrl-C is answered at once and a bar moves,
# many enough that no thread waits long for the slowest.
ITEMS_A_THREAD = 32


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None
) -> list[Result]:
    """Do `work` to every item; the results stand in the items' order.

    An exception of `work` ends it all and comes out here. No items give an empty list and no progress.
    """
    n_threads = os.cpu_count() or 1
    n_together = n_threads * ITEMS_A_THREAD
    results: list[Result] = []
    with ThreadPoolExecutor(n_threads) as pool, warnings.catch_warnings():
        # Pillow warns of every broken EXIF block; thousands of such lines would tear a live view.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for start in range(0, len(items), n_together):
            results.extend(pool.map(work, items[start : start + n_together]))
            if progress is not None:
                progress(len(results), len(items))
    return results
