"""The named data sets: small archives of the same structure, downloaded from a server here."""

import hashlib
import io
import random
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from dataclasses import replace

import pytest

from search.data.download import Totals, download
from search.data.folders import find_pictures
from search.data.named import NAMED
from search.errors import DataError

# Of each data set a few members as they are called there, what is no picture among them.
MEMBERS = {
    "cats_dogs": [
        "cats_and_dogs_filtered/",
        "cats_and_dogs_filtered/vectorize.py",
        *(
            f"cats_and_dogs_filtered/{split}/{kind}s/{kind}.{n}.jpg"
            for split in ("train", "validation")
            for kind in ("cat", "dog")
            for n in (0, 1)
        ),
    ],
    "cats_dogs_full": [
        "PetImages/Cat/0.jpg", "PetImages/Cat/666.jpg", "PetImages/Cat/Thumbs.db", "PetImages/Dog/0.jpg",
        "PetImages/Dog/1.jpg", "MSR-LA - 3467.docx", "readme[1].txt",
    ],
    "oxford_pets": [
        "images/Abyssinian_1.jpg", "images/Abyssinian_34.jpg", "images/Abyssinian_34.mat",
        "images/._Abyssinian_34.jpg", "images/american_pit_bull_terrier_7.jpg", "images/boxer_1.jpg",
    ],
    "flowers": [
        "flower_photos/LICENSE.txt",
        *(
            f"flower_photos/{kind}/{n}_a{n}_n.jpg"
            for kind in ("daisy", "dandelion", "roses", "sunflowers", "tulips")
            for n in range(len(kind))
        ),
    ],
}  # fmt: skip
PICTURES = {
    "cats_dogs": {"train/cats": 2, "train/dogs": 2, "validation/cats": 2, "validation/dogs": 2},
    "cats_dogs_full": {"Cat": 2, "Dog": 2},
    "oxford_pets": Totals(classes=3, pictures=4),
    "flowers": {"daisy": 5, "dandelion": 9, "roses": 5, "sunflowers": 10, "tulips": 6},
}
CLASSES = {
    "cats_dogs": {"cats": 4, "dogs": 4},
    "cats_dogs_full": {"Cat": 2, "Dog": 2},
    "oxford_pets": {"Abyssinian": 2, "american_pit_bull_terrier": 1, "boxer": 1},
    "flowers": PICTURES["flowers"],
}


def content(name):
    """Bytes that shrink as little as pictures do."""
    return random.Random(name).randbytes(1000) + name.encode()


def packed(members, packing="tgz", **changed):
    """An archive whose files end in their own names; `changed` gives a tar member other attributes."""
    file = io.BytesIO()
    if packing == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for name in members:
                archive.writestr(name, b"" if name.endswith("/") else content(name))
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in members:
            info, data = tarfile.TarInfo(name), content(name)
            info.size = len(data)
            for key, value in changed.get(name, {}).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data.ljust(info.size)) if info.isreg() else None)
    return file.getvalue()


def row_of(name, body, address):
    """The row of the table, for a small archive."""
    digest = NAMED[name].sha256 and hashlib.sha256(body).hexdigest()
    return replace(NAMED[name], address=address, size_bytes=len(body), pictures=PICTURES[name], sha256=digest)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "home" / "data" / "set"


@pytest.mark.parametrize("name", NAMED)
def test_an_archive_of_the_rows_structure_becomes_class_folders(name, serve, place):
    body = packed(MEMBERS[name], NAMED[name].packing)
    download(row_of(name, body, serve(body)), place)
    found = find_pictures(place)
    assert Counter(picture.label for picture in found) == CLASSES[name]
    assert all(picture.path.read_bytes().endswith(picture.path.name.encode()) for picture in found)
    assert sum(path.is_file() for path in place.rglob("*")) == len(found)


def test_what_the_rows_say_is_what_is_published():
    assert NAMED["cats_dogs"].address.endswith("mledu-datasets/cats_and_dogs_filtered.zip")
    assert {name: row.size_bytes for name, row in NAMED.items()} == {
        "cats_dogs": 68_606_236,
        "cats_dogs_full": 824_887_076,
        "oxford_pets": 791_918_971,
        "flowers": 228_813_984,
    }
    assert {name: (row.totals.classes, row.totals.pictures) for name, row in NAMED.items()} == {
        "cats_dogs": (2, 3000),
        "cats_dogs_full": (2, 25_000),
        "oxford_pets": (37, 7390),
        "flowers": (5, 3670),
    }
    # a tar file has no checksums of its own
    assert all(row.sha256 for row in NAMED.values() if row.packing == "tgz")


def refused(name, body, serve, place, message, **changes):
    row = replace(row_of(name, body, serve(body)), **changes)
    with pytest.raises(DataError, match=message):
        download(row, place)
    assert [path.name for path in place.parent.iterdir() if path.suffix != ".lock"] == []


def test_another_digest_is_an_error(serve, place):
    body = packed(MEMBERS["flowers"])
    refused("flowers", body, serve, place, "has the SHA-256 0000; what came has [0-9a-f]{64}", sha256="0000")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("images/pug_1.jpg", "holds 4 pictures of 3 classes; this one holds 5 pictures of 4 classes"),
        ("images/pug.jpg", "names each picture CLASS_NUMBER; this one holds 'pug.jpg'"),
        ("images/_1.jpg", "this one holds '_1.jpg'"),
        ("images/pug/pug_1.jpg", "this one holds 'pug/pug_1.jpg'"),
        ("images/../../evil_1.jpg", "stays inside its folder"),
    ],
)
def test_a_picture_that_names_no_class_is_an_error(more, message, serve, place):
    refused("oxford_pets", packed([*MEMBERS["oxford_pets"], more]), serve, place, message)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_a_device_in_a_tar_file_is_an_error(kind, serve, place):
    link = "flower_photos/roses/0_a0_n.jpg"
    body = packed(MEMBERS["flowers"], **{link: {"type": kind, "linkname": "/etc/passwd", "size": 0}})
    refused("flowers", body, serve, place, "stays inside its folder; this one holds 'flower_photos/roses/0")


@pytest.mark.parametrize("keep", [0, 10, 200, 20_000])
def test_a_damaged_tar_file_is_an_error(keep, serve, place):
    body = packed(MEMBERS["flowers"])[:keep] or b"no archive at all"
    refused("flowers", body, serve, place, "is a whole tgz file; this one is damaged")


def test_a_tar_file_that_unpacks_to_far_more_is_an_error(serve, place):
    bomb = "flower_photos/tulips/0_a0_n.jpg"
    body = packed(MEMBERS["flowers"], **{bomb: {"size": 1_000_000}})
    refused("flowers", body, serve, place, "holds pictures; this one unpacks to")


def test_data_sets_are_listed_with_a_line_each():
    words = [sys.executable, "-m", "search.run", "--list-data"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(NAMED)
    assert "3670 pictures of  5 classes, 229 MB, https://" in lines[-1]
    assert lines[-1].endswith("licence: CC BY 2.0, see LICENSE.txt in it")
