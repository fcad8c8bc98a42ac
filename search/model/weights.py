"""Where the weights of a backbone lie on this machine, and the error for those that lie nowhere.

Looks at files only: the scheduler asks here, and it may not load Keras. What is missing is fetched by
fetch.py.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from search.errors import WeightsError
from search.model.backbones import AnyBackbone, Backbone, HubBackbone, OwnBackbone, WeightsFile
from search.model.hub_files import files_of, find_preset

# Trained by the program itself on drawn shapes; the embedded sample starts from them.
SHAPES_BACKBONE = "mobilenet_025"
SHAPES_FILE = Path(__file__).parent / "weights" / "mobilenet_025_shapes.weights.h5"


def find_weights(row: AnyBackbone, image_size_px: int, weights: str, folder: Path | None) -> Path | None:
    """Find the file that holds a backbone's weights, or the folder of KerasHub's and timm's, on this machine.

    ImageNet weights are looked for in the folder and then in Keras' cache, under their official names; those
    for another picture size serve too, since a network without its top does not depend on the size.

    Args:
        row: The backbone.
        image_size_px: Size of the pictures, which decides between files for several sizes.
        weights: `imagenet`, `none`, `shapes` or the path of a file.
        folder: The user's own folder of weights.

    Returns:
        The file or folder, or None: there is nothing to load for `none`, and `imagenet` is not on this
        machine. A backbone of the user's own brings its own, unless a file is named.

    Raises:
        WeightsError: The file or folder named does not exist, or this backbone cannot have what was asked.
    """
    if weights == "shapes" and row.name != SHAPES_BACKBONE:
        raise WeightsError(
            f"weights: 'shapes' exist for {SHAPES_BACKBONE} only, got backbone {row.name}; "
            "use imagenet, none or the path of a file."
        )
    if isinstance(row, HubBackbone):
        return find_preset(row, weights, _places(folder))
    if isinstance(row, OwnBackbone):
        return _of_own(row, weights)
    if weights == "none":
        return None
    if weights == "shapes":
        return SHAPES_FILE
    if weights != "imagenet":
        return _named(row, Path(weights).expanduser())
    return next((file for place in _places(folder) for file in _official(row, image_size_px, place)), None)


def weights_at_hand(row: AnyBackbone, image_size_px: int, weights: str, folder: Path | None) -> bool:
    """Tell whether a backbone can be built on this machine without a download.

    Raises:
        WeightsError: As `find_weights`.
    """
    found = find_weights(row, image_size_px, weights, folder)
    return found is not None or weights == "none" or isinstance(row, OwnBackbone)


def files_by_preference(row: Backbone, image_size_px: int) -> list[WeightsFile]:
    """Sort a backbone's files: for this picture size, for 224 px (Keras' own choice), the larger."""
    return sorted(
        row.files,
        key=lambda file: (
            file.image_size_px != image_size_px,
            file.image_size_px != 224,
            -file.image_size_px,
        ),
    )


def keras_cache() -> Path:
    """Tell where Keras keeps the weights that it downloads: `models` in KERAS_HOME, or else in ~/.keras."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def missing_weights(
    row: Backbone | HubBackbone, folder: Path | None, reason: str, others: Sequence[str]
) -> WeightsError:
    """Word the error for weights that are neither at hand nor to be downloaded.

    Args:
        row: The backbone.
        folder: The user's own folder of weights.
        reason: Why the download failed, as the end of a sentence.
        others: The backbones of the space that remain without this one; may be empty.
    """
    places = " and ".join(str(place) for place in _places(folder))
    leave_out = f"--set free.backbone=[{','.join(others)}]" if others else "--set free.backbone=[...]"
    if isinstance(row, HubBackbone):
        names, put = f"{row.folder}/ with {', '.join(files_of(row))}", f"them into DIR/{row.folder}"
    else:
        names, put = row.files[-1].name, "the file into a folder"
    return WeightsError(
        f"backbone {row.name}: its weights ({names}) are not in {places}, and {reason}; put {put} and name "
        f"it with --weights DIR, or leave {row.name} out with {leave_out}."
    )


def _of_own(row: OwnBackbone, weights: str) -> Path | None:
    if weights == "none":
        raise WeightsError(
            f"weights: none is not possible for {row.name}, which brings its weights; let the function give "
            "random ones, from seeds, or use imagenet for those it brings."
        )
    return None if weights == "imagenet" else _named(row, Path(weights).expanduser())


def _named(row: AnyBackbone, path: Path) -> Path:
    if not path.is_file():
        raise WeightsError(
            f"weights: must be imagenet, none, shapes or a file, and there is no file '{path}' "
            f"for backbone {row.name}; check the path."
        )
    return path


def _places(folder: Path | None) -> list[Path]:
    if folder is None:
        return [keras_cache()]
    if not folder.is_dir():
        raise WeightsError(f"--weights: must be a folder, got '{folder}'; check the path or leave it out.")
    return [folder, keras_cache()]


def _official(row: Backbone, image_size_px: int, place: Path) -> list[Path]:
    names = [name for file in files_by_preference(row, image_size_px) for name in file.names]
    return [place / name for name in names if (place / name).is_file()]
