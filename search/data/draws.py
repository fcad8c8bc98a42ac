"""Draws: the random numbers of one augmentation pass over the pictures.

A draw is a pure function of (the data's draw seed, the draw's number, each picture's content hash), so a
picture is changed in the same way in every trial, and training on what was stored of a draw equals
training on the pictures.
"""

import numpy as np

# one number each: flip, rotation, zoom, shift right, shift down, brightness, contrast, saturation; and of
# what is cut out the side, the place from the left and from the top
N_NUMBERS = 11

# Extent of each change at strength 1. Rotation is that of RandomRotation(0.2), in turns.
ROTATION_TURNS = 0.2
ZOOM = 0.2
SHIFT = 0.1
BRIGHTNESS = 0.2
CONTRAST = 0.3
SATURATION = 0.3
# Largest side of what is cut out (DeVries and Taylor 2017), as a share of the picture's
CUTOUT = 0.5
# The strength up to which nothing is cut out
CUTOUT_FROM = 0.5
# Cut out are whole blocks of as many pixels as JPEG's have.
_BLOCK_PX = 8


def draw_of_epoch(epoch: int, n_draws: int, strength: float) -> int:
    """Choose the draw that an epoch takes, epochs counted from 0; strength 0 has one draw only."""
    return epoch % n_draws if strength > 0 else 0


def draw_numbers(content: np.ndarray, draw: int, seed: int) -> np.ndarray:
    """Draw the random numbers of one pass.

    Args:
        content: `(n,) uint64`, the first 64 bits of each picture's content hash.
        draw: The draw's number.
        seed: The data's draw seed.

    Returns:
        `(n, N_NUMBERS) float64` in [0, 1).
    """
    with np.errstate(over="ignore"):
        base = _base(content, draw, seed)
        counters = np.arange(1, N_NUMBERS + 1, dtype=np.uint64)
        bits = _mixed(base[:, None] + counters[None, :] * np.uint64(0x9E3779B97F4A7C15))
    return (bits >> np.uint64(11)) * 2.0**-53


def draw_seeds(content: np.ndarray, draw: int, seed: int) -> np.ndarray:
    """Draw a seed for each picture of one pass, for an augmentor that draws its own random numbers.

    Args:
        content: `(n,) uint64`, the first 64 bits of each picture's content hash.
        draw: The draw's number.
        seed: The data's draw seed.

    Returns:
        `(n,) uint64`, below 2**32.
    """
    with np.errstate(over="ignore"):
        # mixed once more, so that no counter of `draw_numbers` gives the same bits
        seeds: np.ndarray = _mixed(_mixed(_base(content, draw, seed))) >> np.uint64(32)
    return seeds


def flips_and_rotations(numbers: np.ndarray) -> np.ndarray:
    """Keep the numbers of flips and rotations, and set all others so that they change nothing."""
    kept = np.full_like(numbers, 0.5)
    kept[:, :2] = numbers[:, :2]
    kept[:, 8:] = 0.0  # the side of what is cut out
    return kept


def transforms(numbers: np.ndarray, strength: float, image_size_px: int) -> np.ndarray:
    """Turn numbers into projective transforms from output to input pixels, as `affine_transform` takes them.

    Args:
        numbers: `(n, N_NUMBERS)` in [0, 1).
        strength: In [0, 1]. Pictures are flipped with half this probability.
        image_size_px: Side of the square pictures.

    Returns:
        `(n, 8) float32`.
    """
    flip = np.where(numbers[:, 0] < 0.5 * strength, -1.0, 1.0)
    angle = _signed(numbers[:, 1]) * strength * ROTATION_TURNS * 2 * np.pi
    scale = 1.0 + _signed(numbers[:, 2]) * strength * ZOOM
    shift = _signed(numbers[:, 3:5]) * strength * SHIFT * image_size_px
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    centre = (image_size_px - 1) / 2
    a0, a1, b0, b1 = flip * cos, -sin * flip, sin, cos
    a2 = centre - (a0 + a1) * centre + shift[:, 0]
    b2 = centre - (b0 + b1) * centre + shift[:, 1]
    zero = np.zeros_like(a0)
    return np.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1).astype(np.float32)


def colours(numbers: np.ndarray, strength: float) -> np.ndarray:
    """Turn numbers into changes of colour.

    Returns:
        `(n, 3) float32`: what is added to the brightness (of 255), the factors of contrast and saturation.
    """
    brightness = _signed(numbers[:, 5]) * strength * BRIGHTNESS * 255
    contrast = 1.0 + _signed(numbers[:, 6]) * strength * CONTRAST
    saturation = 1.0 + _signed(numbers[:, 7]) * strength * SATURATION
    return np.stack([brightness, contrast, saturation], axis=1).astype(np.float32)


def holes(numbers: np.ndarray, strength: float, image_size_px: int) -> np.ndarray:
    """Turn numbers into the squares that are cut out of the pictures, whole blocks of 8 pixels.

    Returns:
        `(n, 4) int64`: top, left, bottom and right in pixels; top equals bottom where nothing is cut out.
    """
    most_px = max(0.0, strength - CUTOUT_FROM) / (1 - CUTOUT_FROM) * CUTOUT * image_size_px
    side = (numbers[:, 8] * most_px).astype(np.int64) // _BLOCK_PX * _BLOCK_PX
    # places at which the square fits
    n_places = (image_size_px - side) // _BLOCK_PX + 1
    left, top = ((numbers[:, i] * n_places).astype(np.int64) * _BLOCK_PX for i in (9, 10))
    return np.stack([top, left, top + side, left + side], axis=1)


def _base(content: np.ndarray, draw: int, seed: int) -> np.ndarray:
    place = np.array([seed, draw], dtype=np.uint64) * np.array([1_000_003, 1], dtype=np.uint64)
    return _mixed(content + _mixed(place.sum(keepdims=True)))


def _signed(numbers: np.ndarray) -> np.ndarray:
    signed: np.ndarray = 2.0 * numbers - 1.0
    return signed


def _mixed(bits: np.ndarray) -> np.ndarray:
    """Mix 64 bits (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = bits ^ (bits >> np.uint64(31))
    return mixed
