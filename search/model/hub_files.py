"""Where the files of KerasHub's presets and of timm's checkpoints lie on this machine.

`DIR/timm/resnet18.a1_in1k` holds what timm keeps at Hugging Face under this name: `config.json` and
`model.safetensors`. `DIR/hub/resnet_18_imagenet` holds what KerasHub keeps at Kaggle: `config.json`,
`image_converter.json` and `model.weights.h5`. Looks at files only.
"""

from pathlib import Path

from search.digests import digest_of, digest_of_file
from search.errors import WeightsError
from search.model.backbones import HubBackbone

# What decides a network and its preprocessing; of others, such as a README, nothing hangs.
TIMM_FILES = ("config.json", "model.safetensors")
HUB_FILES = ("config.json", "image_converter.json", "model.weights.h5")


def files_of(row: HubBackbone) -> tuple[str, ...]:
    """Name the files that a backbone is made of."""
    return TIMM_FILES if row.is_timm else HUB_FILES


def find_preset(row: HubBackbone, weights: str, places: list[Path]) -> Path | None:
    """Find the folder of a backbone's files.

    Args:
        row: The backbone.
        weights: `imagenet`, `none`, `shapes` or the path of a folder.
        places: Folders of weights, the first one that has it counts.

    Returns:
        The folder; None for `none`, or where no place has it whole.

    Raises:
        WeightsError: The folder named lacks a file, or `weights` says what this backbone cannot have.
    """
    if weights == "none" and not row.is_timm:
        raise WeightsError(
            f"weights: none is not possible for {row.name}, whose layers are described in its files; "
            "use imagenet, or a backbone of the table or of timm."
        )
    if weights == "none":
        return None
    if weights != "imagenet":
        return _named(row, Path(weights).expanduser())
    return next((place / row.folder for place in places if not _lacks(row, place / row.folder)), None)


def digest_of_preset(folder: Path) -> str:
    """Digest all files of a backbone that decide its numbers: 64 hexadecimal digits."""
    names = {*TIMM_FILES, *HUB_FILES}
    return digest_of({file.name: digest_of_file(file) for file in folder.iterdir() if file.name in names})


def _named(row: HubBackbone, folder: Path) -> Path:
    lacks = _lacks(row, folder)
    if lacks:
        raise WeightsError(
            f"weights: must be imagenet{', none' if row.is_timm else ''} or a folder with "
            f"{', '.join(files_of(row))} for backbone {row.name}; '{folder}' lacks {', '.join(lacks)}."
        )
    return folder


def _lacks(row: HubBackbone, folder: Path) -> list[str]:
    return [name for name in files_of(row) if not (folder / name).is_file()]
