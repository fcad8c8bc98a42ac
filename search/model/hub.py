"""Backbones that KerasHub makes, from files on this machine: presets of its own and checkpoints of timm."""

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras

from search.errors import WeightsError
from search.model.backbones import HubBackbone


def hub_model(row: HubBackbone, image_size_px: int, folder: Path | None) -> keras.Model:
    """Build a backbone by KerasHub.

    Args:
        row: The backbone.
        image_size_px: Side of the square pictures.
        folder: The folder of its files, or None for random weights, which only timm's have.

    Returns:
        A functional model with one output, its deepest feature map.

    Raises:
        WeightsError: The files do not hold this backbone.
    """
    with contextlib.ExitStack() as stack:
        loads = folder is not None
        if folder is None:
            folder = stack.enter_context(_folder_without_weights(row))
        stack.enter_context(_told(row, folder))
        _check_architecture(row, folder)
        from keras_hub.models import Backbone

        # Its converters print each weight.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        # a relative path could be the name of one of its presets
        place, shape = str(folder.resolve()), (image_size_px, image_size_px, 3)
        return _with_one_output(Backbone.from_preset(place, load_weights=loads, image_shape=shape))


def hub_scale_and_offset(row: HubBackbone, folder: Path) -> tuple[float | list[float], float | list[float]]:
    """Read how a backbone's pictures in [0, 255] are mapped: `picture * scale + offset`, channel by channel.

    What the files say of size, cropping and interpolation does not matter here: pictures are decoded and
    resized once, for all backbones.

    Raises:
        WeightsError: The files do not say it.
    """
    with _told(row, folder):
        from keras_hub.layers import ImageConverter

        converter = ImageConverter.from_preset(str(folder.resolve()))
    if converter is None:
        raise WeightsError(
            f"backbone {row.name}: {folder}/config.json does not say how pictures are mapped; "
            "take timm's own file, which has input_size, mean and std in pretrained_cfg."
        )
    return (
        1.0 if converter.scale is None else converter.scale,
        0.0 if converter.offset is None else converter.offset,
    )


@contextlib.contextmanager
def _told(row: HubBackbone, folder: Path) -> Iterator[None]:
    """Tell the user of files that KerasHub cannot make sense of."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"backbone {row.name}: {folder} does not hold it ({reason}); take the right files, or remove the "
            "folder if its download broke off."
        ) from error


def _check_architecture(row: HubBackbone, folder: Path) -> None:
    found = json.loads((folder / "config.json").read_text()).get("architecture")
    if row.is_timm and found != row.architecture:
        raise ValueError(f"its config.json says architecture {found}")


@contextlib.contextmanager
def _folder_without_weights(row: HubBackbone) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        config = {"architecture": row.architecture, "pretrained_cfg": {"tag": row.tag}}
        (Path(folder) / "config.json").write_text(json.dumps(config))
        yield Path(folder)


def _with_one_output(model: keras.Model) -> keras.Model:
    """Keep the deepest of several feature maps (HGNetV2 gives one a stage)."""
    deepest = max(model.outputs, key=lambda output: output.shape[-1])
    return keras.Model(model.inputs[0], deepest)
