"""Memory does not grow with the number of pictures, but for a few kilobytes of text each."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memory.pictures import make_pictures
from search.data.folders import find_pictures

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_memory"
FEW, MANY = 5_000, 20_000
# Paths, digests and the rows of the table; decoded, a picture has 12 kB, and as a draw once more.
MOST_BYTES_A_PICTURE = 4_000


def peaks_of(n: int, folder: Path) -> dict[str, int]:
    words = [sys.executable, str(SCRIPT), "--pictures", str(n), "--folder", str(folder), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not list(folder.iterdir())
    found = json.loads(done.stdout)
    return {phase["name"]: phase["peak_bytes"] - found["baseline_bytes"] for phase in found["phases"]}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_no_phase_takes_memory_for_each_decoded_picture(tmp_path: Path) -> None:
    few, many = peaks_of(FEW, tmp_path), peaks_of(MANY, tmp_path)
    assert len(few) == 5
    grown = {name: (many[name] - few[name]) / (MANY - FEW) for name in few}
    assert max(grown.values()) < MOST_BYTES_A_PICTURE, grown
    assert max(many.values()) < 1.5 * 2**30


def test_made_up_pictures_have_two_classes_and_no_two_are_the_same_file(tmp_path: Path) -> None:
    make_pictures(tmp_path, 200)
    found = find_pictures(tmp_path)
    assert [picture.label for picture in found].count("warm") == 100
    assert len({picture.path.read_bytes() for picture in found}) == 200
    means = {}
    for picture in found:
        with Image.open(picture.path) as image:
            assert image.size == (64, 64)
            means[picture.label] = np.asarray(image).mean(axis=(0, 1))
    assert means["warm"][0] > means["warm"][2]
    assert means["cold"][0] < means["cold"][2]
