"""What the command shows without training."""

from pathlib import Path

import pytest
from command import Command
from PIL import Image
from reading import epochs_trained


@pytest.mark.slow
def test_a_picture_is_shown_at_four_strengths_in_eight_draws(command: Command, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = command.run("--show-augment", str(sheet))
    assert done.returncode == 0, done.stderr
    assert f"a picture at strengths 0.25, 0.5, 0.75, 1.0, 8 draws each: {sheet}" in done.stdout
    with Image.open(sheet) as picture:
        width, height = picture.size
    assert 1.5 * height < width < 3 * height
    assert epochs_trained(command.home) == 0

    done = command.run("--show-augment", str(tmp_path / "nowhere" / "sheet.png"))
    assert done.returncode == 2
    assert "cannot be written (No such file or directory); give another file." in done.stderr
