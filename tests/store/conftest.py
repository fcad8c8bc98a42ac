"""Entries of a known size and age."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from search.store.entries import Store
from search.store.kinds import Kind

PutEntry = Callable[..., Path]
_MANIFEST_BYTES = len(json.dumps({"content": "0" * 64}))


@pytest.fixture
def put() -> PutEntry:
    """Put an entry of exactly so many bytes, last used so many seconds after 1970."""

    def put_entry(store: Store, key: str, n_bytes: int, used_s: float, kind: Kind = "features") -> Path:
        with store.build(kind, key) as draft:
            (draft / "content").write_bytes(bytes(n_bytes - _MANIFEST_BYTES))
        entry = store.root / kind / key
        os.utime(entry, (used_s, used_s))
        return entry

    return put_entry
