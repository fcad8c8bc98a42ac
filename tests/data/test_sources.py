import socket
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from search.data.download import Archive
from search.data.sources import SAMPLE, Source, find_source, local_source
from search.errors import DataError


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def elsewhere(tmp_path):
    """An environment whose `$SEARCH_DATA` holds a folder `cats_dogs`."""
    (tmp_path / "all data" / "cats_dogs").mkdir(parents=True)
    return {"SEARCH_DATA": str(tmp_path / "all data")}


def unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/pictures.zip"


def named(address, size_bytes=1):
    pictures = {"train/cats": 1, "train/dogs": 1}
    return {"cats_dogs": Archive(address, size_bytes, "pets", pictures, has_sample=True)}


def test_a_given_folder_comes_first(home, elsewhere):
    source = find_source("cats_dogs", Path("/my/pets"), home, elsewhere, study_exists=False)
    assert source == Source("cats_dogs", "folder", Path("/my/pets"), "given with --data")


def test_the_environment_comes_second(home, elsewhere):
    (home / "data" / "cats_dogs").mkdir(parents=True)
    source = find_source("cats_dogs", None, home, elsewhere, study_exists=False)
    assert (source.kind, source.place) == ("environment", Path(elsewhere["SEARCH_DATA"]) / "cats_dogs")


@pytest.mark.parametrize("env", [{}, {"SEARCH_DATA": ""}, {"SEARCH_DATA": "/nowhere"}])
def test_an_earlier_download_comes_third(home, env):
    (home / "data" / "cats_dogs").mkdir(parents=True)
    source = find_source("cats_dogs", None, home, env, study_exists=True)
    assert (source.kind, source.place) == ("download", home / "data" / "cats_dogs")


def test_the_download_comes_last(home, serve):
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("pets/train/cats/1.jpg", b"cat")
        archive.writestr("pets/train/dogs/1.jpg", b"dog")
    address = serve(file.getvalue())
    known = named(address, len(file.getvalue()))
    assert local_source("cats_dogs", None, home, {}, named=known) is None
    source = find_source("cats_dogs", None, home, {}, study_exists=False, named=known)
    assert source == Source(
        "cats_dogs", "download", home / "data" / "cats_dogs", f"downloaded from {address}"
    )
    assert (source.place / "train" / "cats" / "1.jpg").read_bytes() == b"cat"
    assert local_source("cats_dogs", None, home, {}, named=known).kind == "download"


def test_without_any_connection_the_sample_stands_in_and_says_why(home):
    address = unreachable()
    source = find_source("cats_dogs", None, home, {}, study_exists=False, named=named(address))
    assert (source.name, source.kind, source.place) == (SAMPLE, "sample", home / "data" / "sample")
    assert source.reason.startswith(f"no connection to {address} (")
    assert "Connection refused" in source.reason


def test_the_sample_never_stands_in_for_the_pictures_of_a_study_that_exists(home):
    with pytest.raises(
        DataError, match=r"to go on with its study; there is no connection to .*give their folder"
    ):
        find_source("cats_dogs", None, home, {}, study_exists=True, named=named(unreachable()))


@pytest.mark.parametrize(
    "answer", [{"status": 404}, {"body": b"x" * 10, "declared": 100}, {"body": b"x" * 100}]
)
def test_a_download_that_fails_after_the_connection_is_no_reason_for_the_sample(home, serve, answer):
    with pytest.raises(DataError, match="--data"):
        find_source("cats_dogs", None, home, {}, study_exists=False, named=named(serve(**answer), 100))


@pytest.mark.parametrize(("name", "data"), [("cats_dogs", "sample"), ("sample", None)])
def test_the_sample_can_be_asked_for_by_name(home, elsewhere, name, data):
    source = find_source(name, data, home, elsewhere, study_exists=True)
    assert source == Source(SAMPLE, "sample", home / "data" / "sample", "the sample was asked for by name")


def test_a_folder_called_sample_is_a_folder(home):
    assert find_source("sample", Path("sample"), home, {}, study_exists=False).kind == "folder"


@pytest.mark.parametrize(
    ("env", "where"),
    [({}, "SEARCH_DATA is not set"), ({"SEARCH_DATA": "/nowhere"}, "/nowhere/trees does not exist")],
)
def test_a_data_set_of_ones_own_must_be_given(home, env, where):
    with pytest.raises(
        DataError,
        match=f"'trees' must be given; .*{where}, and only cats_dogs.*, oxford_pets can be downloaded",
    ):
        find_source("trees", None, home, env, study_exists=False)


def test_what_has_no_sample_needs_its_connection(home):
    known = {"flowers": replace(named(unreachable())["cats_dogs"], has_sample=False)}
    with pytest.raises(DataError, match=r"'flowers' must be downloaded; there is no connection to .*; give"):
        find_source("flowers", None, home, {}, study_exists=False, named=known)
