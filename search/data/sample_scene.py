"""What is around the drawn animals: coats, scenes, clutter, light; and the geometry all is drawn with."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE_PX = 64
CANVAS_PX = 2 * SIDE_PX  # drawn at twice the size: Pillow draws hard edges, scaling down smooths them

Colour = tuple[int, int, int]
Point = tuple[float, float]
FURS: tuple[Colour, ...] = (
    (44, 40, 40),
    (98, 72, 52),
    (122, 122, 128),
    (158, 112, 70),
    (206, 140, 70),
    (222, 196, 152),
    (236, 232, 224),
)
WALLS: tuple[Colour, ...] = (
    (150, 190, 220),
    (196, 214, 226),
    (206, 192, 170),
    (178, 160, 150),
    (140, 160, 140),
    (168, 120, 104),
    (92, 108, 130),
)
GROUNDS: tuple[Colour, ...] = (
    (104, 140, 76),
    (140, 160, 92),
    (150, 116, 84),
    (176, 150, 116),
    (128, 124, 122),
    (120, 84, 84),
    (96, 110, 140),
)
EYES: tuple[Colour, ...] = ((96, 150, 70), (206, 170, 60), (120, 76, 40), (90, 140, 180))
PINK: Colour = (214, 136, 136)
DARK: Colour = (34, 28, 30)


def draw_coat(rng: np.random.Generator, base: Colour) -> Image.Image:
    """Draw a fur of one colour with stripes, patches or a second half, as large as the canvas."""
    coat = Image.new("RGB", (CANVAS_PX, CANVAS_PX), base)
    draw = ImageDraw.Draw(coat)
    second = pick(rng, FURS, 16)
    pattern = rng.integers(4)
    if pattern == 1:
        dark = shade(base, 0.65)
        for x in range(-CANVAS_PX, 2 * CANVAS_PX, int(rng.integers(8, 15))):
            lean = rng.uniform(-30, 30)
            draw.line([(x, 0), (x + lean, CANVAS_PX)], fill=dark, width=int(rng.integers(2, 5)))
    elif pattern == 2:
        for _ in range(int(rng.integers(4, 10))):
            x, y = rng.uniform(0, CANVAS_PX, 2)
            draw.polygon(blob(x, y, *rng.uniform(8, 24, 2)), fill=second)
    elif pattern == 3:
        draw.rectangle((0, rng.uniform(0.3, 0.7) * CANVAS_PX, CANVAS_PX, CANVAS_PX), fill=second)
    return coat


def draw_scene(rng: np.random.Generator) -> Image.Image:
    """Draw wall and ground, with what lies about on them."""
    scene = Image.new("RGB", (CANVAS_PX, CANVAS_PX), pick(rng, WALLS, 25))
    draw = ImageDraw.Draw(scene)
    horizon = rng.uniform(0.35, 0.8) * CANVAS_PX
    ground = pick(rng, GROUNDS, 25)
    draw.rectangle((0, horizon, CANVAS_PX, CANVAS_PX), fill=ground)
    if rng.random() < 0.25:
        _stripes(rng, draw, horizon)
    if rng.random() < 0.5:
        _blades(rng, draw, horizon, shade(ground, rng.uniform(0.7, 1.3)))
    for _ in range(int(rng.integers(0, 3))):
        _thing(rng, draw, rng.uniform(8, 26))
    return scene


def _stripes(rng: np.random.Generator, draw: ImageDraw.ImageDraw, horizon: float) -> None:
    colour = pick(rng, WALLS, 25)
    width = int(rng.integers(2, 12))
    for x in range(int(rng.integers(0, 12)), CANVAS_PX, int(rng.integers(14, 36))):
        draw.rectangle((x, 0, x + width, horizon), fill=colour)


def _blades(rng: np.random.Generator, draw: ImageDraw.ImageDraw, top: float, colour: Colour) -> None:
    for x, y, lean in rng.uniform((0, top, -4), (CANVAS_PX, CANVAS_PX + 10, 4), (60, 3)):
        draw.polygon([(x - 2, y), (x + lean, y - 12), (x + 2, y)], fill=colour)


def _thing(rng: np.random.Generator, draw: ImageDraw.ImageDraw, size: float) -> None:
    """Draw a ball, a box, a tent or a pair of corners: what a hasty eye takes for a part of an animal."""
    x, y = rng.uniform(0, CANVAS_PX, 2)
    colour = _any_colour(rng) if rng.random() < 0.6 else pick(rng, FURS, 16)
    edge = shade(colour, 0.6)
    kind = rng.integers(4)
    if kind == 0:
        draw.polygon(
            blob(x, y, size * rng.uniform(0.4, 1), size, tilt=rng.uniform(-1, 1)), fill=colour, outline=edge
        )
    elif kind == 1:
        draw.rectangle((x - size, y - size * 0.7, x + size, y + size * 0.7), fill=colour, outline=edge)
    elif kind == 2:
        corners = [(x, y - size), (x - size * 0.7, y + size * 0.6), (x + size * 0.7, y + size * 0.6)]
        draw.polygon(corners, fill=colour, outline=edge)
    else:
        for side in (-1, 1):
            tip = (x + side * size * 0.7, y - size)
            draw.polygon([tip, (x + side * size, y), (x + side * size * 0.15, y)], fill=colour, outline=edge)
        draw.polygon(blob(x, y, size, size * 0.4), fill=colour, outline=edge)


def draw_foreground(rng: np.random.Generator, scene: Image.Image) -> None:
    """Draw what hides a part of the animal."""
    draw = ImageDraw.Draw(scene)
    kind = rng.integers(9)
    if kind == 0:
        _blades(rng, draw, 0.8 * CANVAS_PX, pick(rng, GROUNDS, 25))
    elif kind == 1:
        _thing(rng, draw, rng.uniform(10, 20))
    elif kind == 2:
        x = rng.uniform(0, CANVAS_PX)
        draw.rectangle((x, 0, x + rng.uniform(4, 12), CANVAS_PX), fill=pick(rng, GROUNDS, 25))


def photograph(rng: np.random.Generator, scene: Image.Image) -> Image.Image:
    """Scale down and add what a camera adds: light from one side, a cast, blur and noise."""
    small = scene.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    if rng.random() < 0.1:
        small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 0.8)))
    if rng.random() < 0.15:
        small = small.convert("L").convert("RGB")
    pixels = np.asarray(small, np.float32)
    start, end = rng.uniform(0.75, 1.2, 2)
    light = np.linspace(start, end, SIDE_PX)
    light = light[:, None, None] if rng.random() < 0.5 else light[None, :, None]
    cast = rng.uniform(0.9, 1.1, 3)
    noise = rng.normal(0, rng.uniform(1, 5), pixels.shape)
    return Image.fromarray(np.clip(pixels * light * cast + noise, 0, 255).astype(np.uint8))


def blob(x: float, y: float, rx: float, ry: float, *, tilt: float = 0.0) -> list[Point]:
    """The outline of an ellipse, as 24 points."""
    cos, sin = math.cos(tilt), math.sin(tilt)
    turns = [(rx * math.cos(t), ry * math.sin(t)) for t in (math.tau * i / 24 for i in range(24))]
    return [(x + cos * a - sin * b, y + sin * a + cos * b) for a, b in turns]


def curve(start: Point, bend: Point, end: Point) -> list[Point]:
    """A quadratic Bezier curve, as 9 points."""
    parts = [(i / 8, 1 - i / 8) for i in range(9)]
    return [
        (
            q * q * start[0] + 2 * q * p * bend[0] + p * p * end[0],
            q * q * start[1] + 2 * q * p * bend[1] + p * p * end[1],
        )
        for p, q in parts
    ]


def polar(angle: float, reach: float) -> Point:
    """Go so far from the origin at an angle, in radians from straight up."""
    return reach * math.sin(angle), -reach * math.cos(angle)


def pick(rng: np.random.Generator, colours: Sequence[Colour], jitter: int = 12) -> Colour:
    """Choose one of some colours and move it a little."""
    chosen = np.array(colours[int(rng.integers(len(colours)))]) + rng.integers(-jitter, jitter + 1, 3)
    r, g, b = (int(c) for c in np.clip(chosen, 0, 255))
    return r, g, b


def _any_colour(rng: np.random.Generator) -> Colour:
    r, g, b = (int(c) for c in rng.integers(50, 230, 3))
    return r, g, b


def shade(colour: Colour, factor: float) -> Colour:
    """Make a colour darker or lighter by a factor."""
    r, g, b = (min(255, int(c * factor)) for c in colour)
    return r, g, b
