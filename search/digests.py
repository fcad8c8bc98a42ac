"""Digests: the names of things that are told apart by what they hold."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def digest_of(value: Mapping[str, object]) -> str:
    """Digest a value made of dicts, lists, text, numbers, booleans and None.

    The order of keys does not matter; `1` and `1.0` differ.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: A number in it is NaN or infinite.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """Digest the bytes of a file: 64 hexadecimal digits of SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
