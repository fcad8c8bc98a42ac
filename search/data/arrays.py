"""The pictures as one array on disk: decoded and resized once, memory-mapped by every worker."""

import hashlib
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from search.data.pictures import DECODING, decode
from search.data.table import DataSet
from search.data.threads import Progress, in_threads
from search.digests import digest_of
from search.errors import DataError
from search.store.entries import Store
from search.store.mapped import give_back, new_map

PICTURES = "pictures.npy"


def arrays_key(data: DataSet, image_size_px: int) -> str:
    """Name the store entry: the digest of all that can change a pixel or the order of rows."""
    return digest_of(
        {
            "fingerprint": data.fingerprint,
            "image_size_px": image_size_px,
            "decoding": DECODING,
            "pillow": PIL.__version__,
        }
    )


def decoded(
    data: DataSet, image_size_px: int, store: Store, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """Give all pictures at one size, in the order of the table.

    They are decoded at the first call by as many threads as there are cores, and stand in the store from
    then on. Of several processes that ask at the same time, one decodes and the others wait.

    Returns:
        (n, image_size_px, image_size_px, 3) uint8, memory-mapped and read-only.

    Raises:
        DataError: A picture was changed or removed since the table was read, or the disk is too full.
    """
    key = arrays_key(data, image_size_px)
    entry = store.find("arrays", key)
    if entry is None:
        entry = _build(data, image_size_px, store, key, progress)
    pictures: NDArray[np.uint8] = np.load(entry / PICTURES, mmap_mode="r")
    return pictures


def _build(data: DataSet, image_size_px: int, store: Store, key: str, progress: Progress | None) -> Path:
    with store.alone("arrays", key):
        if (entry := store.find("arrays", key)) is None:
            n_bytes = len(data.table) * image_size_px**2 * 3
            with store.build("arrays", key, n_bytes) as draft:
                _decode_all(data, image_size_px, draft / PICTURES, progress)
            entry = store.find("arrays", key)
    assert entry is not None, "an entry was built under its lock and is gone"
    return entry


def _decode_all(data: DataSet, image_size_px: int, file: Path, progress: Progress | None) -> None:
    pictures = new_map(file, (len(data.table), image_size_px, image_size_px, 3), np.uint8)

    def fill(row: tuple[int, str, str]) -> None:
        index, path, content = row
        pictures[index] = decode(_unchanged_bytes(Path(path), content), image_size_px)

    def tell(done: int, total: int) -> None:
        give_back(pictures)
        if progress is not None:
            progress(done, total)

    rows = list(zip(range(len(data.table)), data.table["path"], data.table["content"], strict=True))
    in_threads(fill, rows, tell)
    pictures.flush()


def _unchanged_bytes(path: Path, content: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"The pictures must stay while a study starts; {path} cannot be read any more "
            f"({error.strerror}); start again."
        ) from error
    if hashlib.sha256(data).hexdigest() != content:
        raise DataError(
            f"The pictures must stay as they are while a study starts; {path} changed; start again."
        )
    return data
