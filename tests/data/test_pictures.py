from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from search.data.pictures import decode, why_unreadable
from search.errors import DataError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image, kind="PNG", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixel(data):
    """The one colour of a picture."""
    pixels = decode(data, 4)
    assert pixels.shape == (4, 4, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[0, 0]).all()
    return tuple(int(value) for value in pixels[0, 0])


def grey(value, dtype):
    return Image.fromarray(np.full((6, 5), value, dtype))


def palette(transparent):
    image = Image.new("P", (5, 6), 1)
    image.putpalette([0, 0, 0, *RED])
    return encoded(image, transparency=transparent)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(Image.new("RGB", (5, 6), RED)), RED),
        (encoded(Image.new("RGB", (1, 1), RED)), RED),
        (encoded(Image.new("RGBA", (5, 6), (*RED, 255))), RED),
        (encoded(Image.new("RGBA", (5, 6), (*RED, 0))), WHITE),
        (encoded(Image.new("RGBA", (5, 6), (*RED, 51))), (255, 204, 204)),
        (encoded(Image.new("LA", (5, 6), (10, 0))), WHITE),
        (encoded(Image.new("LA", (5, 6), (10, 255))), (10, 10, 10)),
        (palette(transparent=0), RED),
        (palette(transparent=1), WHITE),
        (palette(transparent=bytes([0, 51])), (255, 204, 204)),
        (encoded(Image.new("P", (5, 6), 0), "GIF"), (0, 0, 0)),
        (encoded(Image.new("L", (5, 6), 77)), (77, 77, 77)),
        (encoded(Image.new("1", (5, 6), 1)), WHITE),
        (encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"), RED),
        (encoded(grey(0x80FF, np.uint16)), (128, 128, 128)),
        (encoded(grey(0x80FF, ">u2"), "TIFF"), (128, 128, 128)),
        (encoded(grey(0x80FF, np.uint16), "PPM"), (128, 128, 128)),
        (encoded(grey(0x80FF, np.int32), "TIFF"), (128, 128, 128)),
        (encoded(Image.new("RGB", (5, 6), RED), "BMP"), RED),
        (encoded(Image.new("RGB", (5, 6), RED), "WEBP", lossless=True), RED),
    ],
)
def test_every_kind_of_picture_becomes_rgb(data, expected):
    assert why_unreadable(data) is None
    assert pixel(data) == expected


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_every_kind_of_jpeg_becomes_rgb(mode, progressive):
    data = encoded(Image.new("RGB", (16, 16), (200, 200, 200)).convert(mode), "JPEG", progressive=progressive)
    assert why_unreadable(data) is None
    assert pixel(data) == pytest.approx((200, 200, 200), abs=2)


def test_a_picture_is_turned_upright_as_its_exif_block_says():
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = RED
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise": what was left is then at the top
    upright = decode(encoded(Image.fromarray(pixels), exif=exif), 8)
    assert (upright[:3] == RED).all()
    assert (upright[5:] == 0).all()


def test_a_broken_exif_block_does_not_spoil_a_picture():
    data = encoded(Image.new("RGB", (16, 16), RED), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert why_unreadable(data) is None
    assert pixel(data) == pytest.approx(RED, abs=2)


def test_a_picture_is_stretched_to_a_square_and_averaged():
    checks = (np.indices((64, 32)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = decode(encoded(Image.fromarray(checks)), 8)
    assert pixels.shape == (8, 8, 3)
    assert np.abs(pixels.astype(int) - 127).max() <= 2


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (5, 6), colour) for colour in (RED, WHITE)]
    assert pixel(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])) == RED


PHOTOGRAPH = encoded(Image.effect_noise((64, 48), 80).convert("RGB"), "JPEG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>not found</html>", "no picture format that is known"),
        (PHOTOGRAPH[: len(PHOTOGRAPH) // 2], "truncated"),
        (encoded(Image.effect_noise((64, 48), 80))[:400], "truncated"),
        (encoded(grey(0.5, np.float32), "TIFF"), "floating-point numbers, which have no agreed range"),
        (encoded(grey(70_000, np.int32), "TIFF"), "whole numbers of 32 bits, which have no agreed range"),
    ],
)
def test_what_is_no_whole_picture_is_told_with_the_reason(data, reason):
    assert reason in why_unreadable(data)
    with pytest.raises(DataError, match="A picture must decode; this one does not"):
        decode(data, 4)


def test_a_picture_that_would_fill_the_memory_is_unreadable(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert "exceeds limit" in why_unreadable(encoded(Image.new("RGB", (5, 6))))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF"])
def test_damaged_bytes_never_raise_anything_else_and_both_ways_agree(kind):
    whole = encoded(Image.effect_noise((24, 16), 80).convert("RGB"), kind)
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = np.frombuffer(whole, np.uint8).copy()[: rng.integers(len(whole) // 2, len(whole) + 1)]
        data[rng.integers(0, min(len(data), 200), 3)] = rng.integers(0, 256, 3)
        assert (why_unreadable(data.tobytes()) is None) == decodes(data.tobytes())


def decodes(data):
    try:
        decode(data, 4)
    except DataError:
        return False
    return True
