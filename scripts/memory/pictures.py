"""Many small made-up pictures: a few drawings, each written many times with other bytes."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cold", "warm")
_PX = 64
_DRAWINGS = 32  # of each class
_QUALITY = 85
_IN_A_FOLDER = 1000


def make_pictures(folder: Path, n: int) -> None:
    """Write so many JPEG files of 64 pixels, half of each class; no two have the same bytes."""
    drawings = {label: [_drawing(label, number) for number in range(_DRAWINGS)] for label in CLASSES}
    for number in range(n):
        label = CLASSES[number % len(CLASSES)]
        place = folder / label / f"{number // _IN_A_FOLDER:04}"
        place.mkdir(parents=True, exist_ok=True)
        drawing = drawings[label][number // len(CLASSES) % _DRAWINGS]
        (place / f"{number:07}.jpg").write_bytes(_commented(drawing, f"{number}".encode()))


def _drawing(label: str, number: int) -> bytes:
    """Draw blurred squares, rather blue or rather red."""
    rng = np.random.default_rng([CLASSES.index(label), number])
    squares = rng.integers(0, 160, (8, 8, 3), dtype=np.uint8)
    squares[..., 2 if label == "cold" else 0] += 60
    file = BytesIO()
    Image.fromarray(squares).resize((_PX, _PX), Image.Resampling.BILINEAR).save(
        file, "JPEG", quality=_QUALITY
    )
    return file.getvalue()


def _commented(jpeg: bytes, comment: bytes) -> bytes:
    """Put a comment behind the marker that begins a JPEG file; its length counts its own two bytes."""
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:]
