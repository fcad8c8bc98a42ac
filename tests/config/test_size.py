"""Sizes as people write them."""

import pytest

from search.config.size import bytes_of


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("5kB", 5000),
        ("500MB", 500_000_000),
        ("20GB", 20_000_000_000),
        ("1.5TB", 1_500_000_000_000),
        (" 2 GB ", 2 * 10**9),
    ],
)
def test_a_size_is_read_in_bytes(text: str, n_bytes: int) -> None:
    assert bytes_of(text) == n_bytes


@pytest.mark.parametrize("text", ["", "2", "GB", "-2GB", "2gb", "2GiB", "0GB", "2GB5MB", "much", 5, None])
def test_what_is_no_size_is_refused_with_examples(text: object) -> None:
    with pytest.raises(
        ValueError, match=r"is no size; write a number and a unit, such as 500MB, 20GB or 1\.5TB"
    ):
        bytes_of(text)
