"""The download for KerasHub: timm's checkpoints from Hugging Face, its own presets from Kaggle."""

import contextlib
import shutil
import sys
import uuid
from pathlib import Path

from search.config.backbone_names import HUB, hub_presets
from search.model.backbones import HubBackbone
from search.model.hub_files import files_of


def address_of(row: HubBackbone) -> str:
    """Tell where a backbone's files come from."""
    if row.is_timm:
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{row.folder}"
    from kagglesdk.kaggle_env import get_env, get_web_endpoint

    return f"{get_web_endpoint(get_env())}/models/{_handle(row)}"


def fetch_preset(row: HubBackbone, cache: Path) -> Path:
    """Download a backbone's files.

    Args:
        row: The backbone.
        cache: The folder of weights that they go into.

    Returns:
        The folder of the files, in the cache, which appears whole.
    """
    draft, place = cache / uuid.uuid4().hex, cache / row.folder
    try:
        with contextlib.redirect_stdout(sys.stderr):
            for name in files_of(row):
                _download(row, name, draft / "download")
        whole = draft / "whole"
        whole.mkdir()
        for name in files_of(row):
            (draft / "download" / name).replace(whole / name)
        # Left by something else, since it lacks a file: what is whole is never downloaded again.
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(exist_ok=True)
        return whole.replace(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _download(row: HubBackbone, name: str, folder: Path) -> None:
    if row.is_timm:
        from huggingface_hub import hf_hub_download

        hf_hub_download(row.folder, name, local_dir=folder)
    else:
        import kagglehub

        kagglehub.model_download(_handle(row), name, output_dir=str(folder))


def _handle(row: HubBackbone) -> str:
    return hub_presets()[row.name.removeprefix(HUB)].removeprefix("kaggle://")
