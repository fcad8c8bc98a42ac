"""The whole data room on the 3,000 real photographs of cats and dogs."""

import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from search.data.arrays import decoded
from search.data.named import NAMED
from search.data.pictures import decode
from search.data.sources import find_source
from search.data.split import SplitRule
from search.data.table import read_pictures
from search.store.entries import Store

# Contents, labels and splits at the default split rule; it must not change with a version of this program,
# or every study on these pictures would be refused.
FINGERPRINT = "785574460c35f871899ea93031c7d01ae541d92897a67d82e191b3cdfa3db93c"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def data(photographs, store):
    return read_pictures(photographs, SplitRule(), store=store)


def test_all_photographs_are_read_and_validation_is_halved(data):
    counts = data.counts()
    assert data.classes == ("cats", "dogs")
    assert data.quarantined == ()
    assert counts["train"].tolist() == [1000, 1000]
    assert (counts["validation"] + counts["test"]).tolist() == [500, 500]
    assert counts["test"].min() >= 220
    assert data.fingerprint == FINGERPRINT


def test_all_photographs_are_decoded_once(data, store):
    calls = []
    pictures = decoded(data, 96, store, lambda done, n: calls.append((done, n)))
    assert pictures.shape == (3000, 96, 96, 3)
    assert calls[-1] == (3000, 3000)
    for row in range(0, 3000, 500):
        assert np.array_equal(pictures[row], decode(Path(data.table["path"].iloc[row]).read_bytes(), 96))
    decoded(data, 96, store, lambda done, n: pytest.fail("nothing is decoded twice"))


def test_the_archive_of_the_tutorial_gives_the_same_data_set(photographs, data, serve, tmp_path):
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("cats_and_dogs_filtered/vectorize.py", "")
        for path in photographs.rglob("*.jpg"):
            zipped.write(path, f"cats_and_dogs_filtered/{path.relative_to(photographs)}")
    body = file.getvalue()
    archive = replace(NAMED["cats_dogs"], address=serve(body), size_bytes=len(body))
    source = find_source("cats_dogs", None, tmp_path, {}, study_exists=False, named={"cats_dogs": archive})
    assert (source.kind, source.place) == ("download", tmp_path / "data" / "cats_dogs")
    assert read_pictures(source.place, SplitRule()).fingerprint == data.fingerprint
