"""Space files for the tests of the config room."""

from collections.abc import Callable
from pathlib import Path

import pytest

WriteSpace = Callable[..., str]

MINIMAL = """\
study: small
data: {source: pictures}
fixed: {backbone: small_net}
"""


@pytest.fixture
def write_space(tmp_path: Path) -> WriteSpace:
    """Write a space file and give its path, as `--study` takes it."""

    def write(text: str = MINIMAL, name: str = "a.yaml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write
