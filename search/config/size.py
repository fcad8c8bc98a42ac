"""Sizes as people write them."""

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(kB|MB|GB|TB)")
_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def bytes_of(text: object) -> int:
    """Read a size such as `500MB`, `20GB` or `1.5TB`; units are decimal, as disks have them.

    Raises:
        ValueError: It is none.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"'{text}' is no size; write a number and a unit, such as 500MB, 20GB or 1.5TB")
    return round(float(match[1]) * _BYTES[match[2]])
