"""Durations as people write them."""

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: object) -> float:
    """Read a duration such as `90s`, `45m`, `2h` or `1.5d`.

    Raises:
        ValueError: It is none.
    """
    match = _DURATION.fullmatch(str(text).strip())
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"'{text}' is no duration; write a number and a unit, such as 90s, 45m or 2h")
    return float(match[1]) * _SECONDS[match[2]]
