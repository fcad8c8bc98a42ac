import os
import subprocess
import sys
import unicodedata

import pytest

from search.data.folders import find_pictures
from search.errors import DataError


def found(root):
    return [(str(one.path.relative_to(root)), one.label, one.split) for one in find_pictures(root)]


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode("utf-8", "surrogateescape"))


def test_class_folders_give_their_names_as_labels(tmp_path):
    touch(tmp_path, "dogs/b.jpg", "dogs/a.JPEG", "cats/1.png")
    assert found(tmp_path) == [
        ("cats/1.png", "cats", "train"),
        ("dogs/a.JPEG", "dogs", "train"),
        ("dogs/b.jpg", "dogs", "train"),
    ]


@pytest.mark.parametrize(
    ("folder", "split"),
    [("validation", "validation"), ("valid", "validation"), ("val", "validation"), ("Val", "validation"),
     ("test", "test"), ("TEST", "test")],
)  # fmt: skip
def test_split_folders_go_by_their_usual_names(tmp_path, folder, split):
    touch(tmp_path, "train/cats/1.jpg", "train/dogs/1.jpg", f"{folder}/cats/2.jpg", f"{folder}/dogs/2.jpg")
    assert {(path, given) for path, _, given in found(tmp_path)} == {
        ("train/cats/1.jpg", "train"),
        ("train/dogs/1.jpg", "train"),
        (f"{folder}/cats/2.jpg", split),
        (f"{folder}/dogs/2.jpg", split),
    }


def test_a_class_may_be_called_train(tmp_path):
    touch(tmp_path, "train/1.jpg", "bus/1.jpg", "test/1.jpg")
    assert [label for _, label, _ in found(tmp_path)] == ["bus", "test", "train"]


def test_what_is_no_picture_of_a_class_is_passed_over(tmp_path):
    touch(tmp_path, "cats/1.jpg", "dogs/1.jpg", "loose.jpg", "dogs/._1.jpg", "dogs/notes.txt", ".git/1.jpg")
    touch(tmp_path, "__MACOSX/cats/1.jpg", "dogs/.thumbs/1.jpg", "cats/jpg")
    assert [path for path, _, _ in found(tmp_path)] == ["cats/1.jpg", "dogs/1.jpg"]


def test_folders_inside_a_class_folder_belong_to_the_class(tmp_path):
    touch(tmp_path, "cats/tabby/young/1.jpg", "dogs/1.jpg")
    assert found(tmp_path)[0] == ("cats/tabby/young/1.jpg", "cats", "train")


def test_names_may_hold_blanks_quotes_and_any_letter(tmp_path):
    touch(tmp_path, "it's a \"cat\"/a b'c.jpg", "собака/犬 1.jpg")
    assert found(tmp_path) == [
        ("it's a \"cat\"/a b'c.jpg", 'it\'s a "cat"', "train"),
        ("собака/犬 1.jpg", "собака", "train"),
    ]


def test_a_label_is_the_same_however_the_file_system_spells_it(tmp_path):
    touch(tmp_path, unicodedata.normalize("NFD", "train/Bär/1.jpg"), "train/cats/1.jpg")
    touch(tmp_path, unicodedata.normalize("NFC", "test/Bär/1.jpg"), "test/cats/1.jpg")
    assert {label for _, label, _ in found(tmp_path)} == {unicodedata.normalize("NFC", "Bär"), "cats"}


def test_links_are_followed_and_a_loop_is_entered_once(tmp_path):
    touch(tmp_path, "elsewhere/1.jpg", "data/dogs/1.jpg", "lone.jpg")
    data = tmp_path / "data"
    (data / "cats").symlink_to(tmp_path / "elsewhere")
    (data / "dogs" / "again").symlink_to(data / "dogs")
    (data / "dogs" / "2.jpg").symlink_to(tmp_path / "lone.jpg")
    assert [path for path, _, _ in found(data)] == ["cats/1.jpg", "dogs/1.jpg", "dogs/2.jpg"]


def test_a_dead_link_is_found_and_a_pipe_is_not(tmp_path):
    touch(tmp_path, "cats/1.jpg", "dogs/1.jpg")
    (tmp_path / "cats" / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "cats" / "pipe.jpg")
    assert [path for path, _, _ in found(tmp_path)] == ["cats/1.jpg", "cats/dead.jpg", "dogs/1.jpg"]


def test_a_relative_folder_gives_absolute_paths(tmp_path, monkeypatch):
    touch(tmp_path, "data/cats/1.jpg", "data/dogs/1.jpg")
    monkeypatch.chdir(tmp_path)
    pictures = find_pictures((tmp_path / "data").relative_to(tmp_path))
    assert pictures[0].path == tmp_path / "data" / "cats" / "1.jpg"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cats/1.jpg"], "at least two classes; .* holds one class folder, 'cats'; add the folder"),
        (["photos/cats/1.jpg", "photos/dogs/1.jpg"], "did you mean --data .*photos\\?"),
        (["train/cats/1.jpg", "test/cats/1.jpg"], "at least two classes; .* one class folder, 'cats'"),
        (
            ["cats/1.jpg", "dogs/notes.txt"],
            "class folder must hold pictures .*dogs holds none; add some or remove",
        ),
        (["1.jpg", "2.jpg"], "must lie in one folder a class; .* holds no folders; put them into"),
        (["notes.txt"], "must lie in one folder a class; .* holds no folders"),
        (["train/a/1.jpg", "train/b/1.jpg", "test/1.jpg"], "one folder a class; .*test holds no folders"),
        (["train/a/1.jpg", "train/b/1.jpg", "birds/1.jpg"], "also 'birds'; move one kind away"),
        (
            ["val/a/1.jpg", "val/b/1.jpg", "valid/a/2.jpg", "train/a/3.jpg"],
            "both stand for validation; merge",
        ),
        (["val/a/1.jpg", "val/b/1.jpg", "test/a/2.jpg"], "must include 'train'; .* has 'test', 'val' only"),
        (["\udcff/1.jpg", "dogs/1.jpg"], "class folder's name must be UTF-8; '\\\\udcff' is not; rename"),
    ],
)
def test_a_folder_of_another_form_is_refused(tmp_path, names, message):
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        find_pictures(tmp_path)


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    touch(tmp_path, "a.zip")
    with pytest.raises(DataError, match="nowhere does not exist; give the right path with --data"):
        find_pictures(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"a\.zip is a file; give the right path"):
        find_pictures(tmp_path / "a.zip")


def test_a_link_to_itself_is_refused_by_name(tmp_path):
    touch(tmp_path, "cats/1.jpg", "dogs/1.jpg")
    (tmp_path / "cats" / "2.jpg").symlink_to(tmp_path / "cats" / "2.jpg")
    with pytest.raises(DataError, match=r"must be readable; .*2\.jpg is not"):
        find_pictures(tmp_path)


def test_checking_a_path_imports_neither_pandas_nor_pillow():
    code = (
        "import sys, search.data.sources, search.data.folders, search.data.split;"
        "print({'pandas', 'PIL', 'numpy', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
