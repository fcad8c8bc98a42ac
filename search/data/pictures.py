"""One picture: from the bytes of a file to RGB pixels.

Training, evaluation and prediction all decode here, so a picture means the same pixels everywhere.
"""

import struct
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from search.errors import DataError

# Changes whenever the same bytes would give other pixels.
DECODING = "exif upright, RGB on white, bilinear stretch, 1"

# What Pillow raises on bytes that are no whole picture; it has no exception of its own for that.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
)


def decode(data: bytes, image_size_px: int) -> NDArray[np.uint8]:
    """Decode the bytes of a picture file and stretch it to a square.

    It is turned upright as its EXIF block says; what is transparent becomes white; 16-bit grey keeps its
    upper 8 bits; of an animation the first frame counts. The stretch is Pillow's bilinear filter, which
    averages when it makes smaller.

    Returns:
        (image_size_px, image_size_px, 3) uint8.

    Raises:
        DataError: The bytes are no whole picture.
    """
    try:
        image = _rgb(data, smallest=False)
    except BROKEN as error:
        raise DataError(f"A picture must decode; this one does not: {_reason(error)}; replace it.") from error
    return np.asarray(image.resize((image_size_px, image_size_px), Image.Resampling.BILINEAR))


def why_unreadable(data: bytes) -> str | None:
    """Say why the bytes are no whole picture, or None where `decode` gives its pixels."""
    if not data:
        return "the file is empty"
    try:
        _rgb(data, smallest=True)
    except BROKEN as error:
        return _reason(error)
    return None


def _rgb(data: bytes, *, smallest: bool) -> Image.Image:
    with Image.open(BytesIO(data)) as image:
        if smallest:
            # A JPEG at an eighth of its size still reads every byte, in half the time.
            image.draft(image.mode, (1, 1))
        image.load()
        return _without_alpha(_eight_bits(_upright(image)))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except BROKEN:
        # A broken EXIF block says nothing about the pixels, which are decoded already.
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, which have no agreed range")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if values.size and (values.min() < 0 or values.max() > 0xFFFF):
        raise ValueError("its pixels are whole numbers of 32 bits, which have no agreed range")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _without_alpha(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    return paper.convert("RGB")


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no picture format that is known"
    return " ".join(str(error).split()) or type(error).__name__
