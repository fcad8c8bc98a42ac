"""The download of ImageNet weights: Keras' own, from Keras' address into Keras' cache."""

import contextlib
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import keras

from search.model.backbones import AnyBackbone, HubBackbone, OwnBackbone, WeightsFile
from search.model.fetch_hub import address_of, fetch_preset
from search.model.weights import files_by_preference, find_weights, keras_cache, missing_weights

# A server that says nothing for this long counts as out of reach.
CONNECT_TIMEOUT_S = 5.0


def fetch_weights(
    row: AnyBackbone, image_size_px: int, weights: str, folder: Path | None, others: Sequence[str] = ()
) -> Path | None:
    """Find the file that holds a backbone's weights, and download it where it is not on this machine.

    Args:
        row: The backbone.
        image_size_px: Size of the pictures.
        weights: `imagenet`, `none`, `shapes` or the path of a file.
        folder: The user's own folder of weights.
        others: The backbones of the space that remain without this one, for the error's advice.

    Returns:
        The file or folder; None for `none`, and for a backbone of the user's own.

    Raises:
        WeightsError: The weights are neither at hand nor to be downloaded.
    """
    found = find_weights(row, image_size_px, weights, folder)
    if found is not None or weights != "imagenet" or isinstance(row, OwnBackbone):
        return found
    if isinstance(row, HubBackbone):
        address, download = address_of(row), partial(fetch_preset, row, keras_cache())
    else:
        file = files_by_preference(row, image_size_px)[0]
        address, download = file.address, partial(_download, file)
    try:
        _knock(address)
        return download()
    except Exception as error:  # get_file raises the bare class where a download fails
        reason = f"{address} cannot be downloaded ({' '.join(str(error).split())})"
        raise missing_weights(row, folder, reason, others) from error


def _knock(address: str) -> None:
    # get_file has no timeout: a network that swallows packets would hold it for minutes.
    request = urllib.request.Request(address, method="HEAD")
    # A server that answers no is there: what it has to say comes with the download.
    with (
        contextlib.suppress(urllib.error.HTTPError),
        urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_S),
    ):
        pass


def _download(file: WeightsFile) -> Path:
    place = keras_cache()
    place.mkdir(parents=True, exist_ok=True)
    # Under a name of its own first, so that a killed download never stands in the cache as a whole file.
    draft = place / f"{uuid.uuid4().hex}-{file.name}"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            path = keras.utils.get_file(
                draft.name, file.address, file_hash=file.file_hash, cache_dir=place, cache_subdir=""
            )
        return Path(path).replace(place / file.name)
    finally:
        draft.unlink(missing_ok=True)
