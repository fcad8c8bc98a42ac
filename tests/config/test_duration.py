"""Durations as people write them."""

import pytest

from search.config.duration import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90.0), ("45m", 2700.0), ("2h", 7200.0), ("1.5d", 129600.0), (" 2 h ", 7200.0)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2x", "0s", "2h30m", "two hours", 5, None])
def test_what_is_no_duration_is_refused_with_examples(text: object) -> None:
    with pytest.raises(ValueError, match="is no duration; write a number and a unit, such as 90s, 45m or 2h"):
        seconds_of(text)
