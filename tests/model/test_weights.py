from pathlib import Path

import pytest

from search.errors import WeightsError
from search.model.backbones import backbone
from search.model.weights import SHAPES_FILE, files_by_preference, find_weights, weights_at_hand

SMALL = backbone("mobilenet_v2_035")
AT_224 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
AT_96 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"
AT_160 = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_160_no_top.h5"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    folder = tmp_path / "keras" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "weights of mine"
    folder.mkdir()
    return folder


def test_weights_for_224_px_serve_at_96_px(folder: Path, cache: Path) -> None:
    (folder / AT_224).touch()
    assert find_weights(SMALL, 96, "imagenet", folder) == folder / AT_224


def test_weights_for_the_very_size_come_first_and_those_for_224_px_next(folder: Path, cache: Path) -> None:
    for name in (AT_160, AT_224, AT_96):
        (folder / name).touch()
    assert find_weights(SMALL, 96, "imagenet", folder) == folder / AT_96
    assert find_weights(SMALL, 100, "imagenet", folder) == folder / AT_224
    assert [file.image_size_px for file in files_by_preference(SMALL, 96)] == [96, 224, 192, 160, 128]


def test_the_users_folder_comes_before_the_cache_of_keras(folder: Path, cache: Path) -> None:
    (cache / AT_96).touch()
    assert find_weights(SMALL, 96, "imagenet", folder) == cache / AT_96
    (folder / AT_224).touch()
    assert find_weights(SMALL, 96, "imagenet", folder) == folder / AT_224
    assert find_weights(SMALL, 96, "imagenet", None) == cache / AT_96


def test_weights_that_are_nowhere_are_not_at_hand(folder: Path, cache: Path) -> None:
    assert find_weights(SMALL, 96, "imagenet", folder) is None
    assert not weights_at_hand(SMALL, 96, "imagenet", folder)


def test_a_file_is_found_by_the_name_of_its_address_too(folder: Path, cache: Path) -> None:
    (folder / "NASNet-mobile-no-top.h5").touch()
    assert find_weights(backbone("nasnet_mobile"), 224, "imagenet", folder) is not None


def test_random_weights_need_no_file(cache: Path) -> None:
    assert find_weights(SMALL, 96, "none", None) is None
    assert weights_at_hand(SMALL, 96, "none", None)


def test_a_named_file_is_taken_as_it_is(folder: Path, cache: Path) -> None:
    file = folder / "mine.weights.h5"
    file.touch()
    assert find_weights(SMALL, 96, str(file), None) == file


def test_a_named_file_that_is_missing_is_an_error(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no file '.*gone\.h5' for backbone mobilenet_v2_035"):
        find_weights(SMALL, 96, str(folder / "gone.h5"), None)


def test_a_folder_of_weights_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"--weights: must be a folder, got '.*nowhere'"):
        find_weights(SMALL, 96, "imagenet", tmp_path / "nowhere")


def test_shapes_are_packaged_for_one_backbone_only() -> None:
    assert find_weights(backbone("mobilenet_025"), 96, "shapes", None) == SHAPES_FILE
    with pytest.raises(
        WeightsError, match="'shapes' exist for mobilenet_025 only, got backbone mobilenet_v2_035"
    ):
        find_weights(SMALL, 96, "shapes", None)


def test_the_real_weights_are_found_by_their_official_names(weights_folder: Path, cache: Path) -> None:
    for name in ("mobilenet_025", "mobilenet_075", "mobilenet_v2_035", "mobilenet_v2"):
        assert weights_at_hand(backbone(name), 96, "imagenet", weights_folder)
