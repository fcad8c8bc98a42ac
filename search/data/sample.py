"""The embedded sample: cats and dogs that the program draws itself, for machines without pictures or network.

Both kinds share coats, poses, scenes, clutter and light, so that neither colour nor background gives the
class away. What tells them apart is shape: ears, muzzle, nose, pupils, whiskers, tail and legs - and these
overlap, as there are dogs with pricked ears and cats with folded ones.
"""

import math
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from search.seeds import seed_for

SIDE_PX = 64
CANVAS_PX = 2 * SIDE_PX  # drawn at twice the size: Pillow draws hard edges, scaling down smooths them

Colour = tuple[int, int, int]
Point = tuple[float, float]
Pose = Literal["portrait", "sitting", "standing", "lying"]

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


def draw_sample(folder: Path, *, seed: int = 0, n_per_class: int = 500) -> None:
    """Draw cats and dogs into `folder/cats/*.png` and `folder/dogs/*.png`, 64 x 64 px RGB.

    The pictures are a function of the seed and their place in the row alone: a larger sample begins with the
    smaller one. The folder appears whole or not at all; one that exists is left as it is.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for kind in ("cat", "dog"):
            _draw_class(draft / f"{kind}s", kind, seed, n_per_class)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def draw_animal(kind: Literal["cat", "dog"], seed: int) -> Image.Image:
    """Draw one picture of a cat or a dog, 64 x 64 px RGB, from its seed."""
    rng = np.random.default_rng(seed)
    scene = _scene(rng)
    animal = _cat(rng) if kind == "cat" else _dog(rng)
    pose = _POSES[int(rng.choice(len(_POSES), p=_POSE_SHARES))]
    _animal(Pen.held(rng, scene, pose), animal, pose)
    _foreground(rng, scene)
    return _photograph(rng, scene)


def _draw_class(folder: Path, kind: Literal["cat", "dog"], seed: int, n: int) -> None:
    folder.mkdir(parents=True)
    for index in range(n):
        draw_animal(kind, seed_for(seed, f"sample {kind}", index)).save(folder / f"{kind}_{index:04d}.png")


def _publish(draft: Path, folder: Path) -> None:
    try:
        draft.rename(folder)
    except OSError:
        if not folder.exists():  # otherwise another process was first, with the same pictures
            raise


# The animals' shapes. Lengths are in head radii, angles in radians from straight up.


@dataclass(frozen=True)
class Animal:
    """What a cat and a dog differ in, and the turn of the head (0 from the front, 1 in profile)."""

    ear: Literal["pointed", "pricked", "folded", "floppy"]
    ear_length: float
    ear_width: float
    ear_angle: float
    muzzle_length: float
    muzzle_width: float
    nose: float
    pupil: float
    whiskers: bool
    tongue: bool
    tail_length: float
    tail_width: float
    leg_length: float
    eye: Colour
    turn: float


def _cat(rng: np.random.Generator) -> Animal:
    ear: Literal["pointed", "folded"] = "folded" if rng.random() < 0.08 else "pointed"
    return Animal(
        ear=ear,
        ear_length=rng.uniform(0.65, 1.0),
        ear_width=rng.uniform(0.36, 0.48),
        ear_angle=rng.uniform(0.55, 0.85),
        muzzle_length=rng.uniform(0.0, 0.25),
        muzzle_width=rng.uniform(0.26, 0.36),
        nose=rng.uniform(0.08, 0.12),
        pupil=rng.uniform(0.2, 0.45),
        whiskers=rng.random() < 0.96,
        tongue=False,
        tail_length=rng.uniform(1.6, 2.6),
        tail_width=rng.uniform(0.22, 0.36),
        leg_length=rng.uniform(0.7, 1.1),
        eye=_pick(rng, EYES),
        turn=rng.uniform(-0.5, 0.8),
    )


def _dog(rng: np.random.Generator) -> Animal:
    ear: Literal["pricked", "floppy"] = "pricked" if rng.random() < 0.18 else "floppy"
    return Animal(
        ear=ear,
        ear_length=rng.uniform(0.55, 0.95),
        ear_width=rng.uniform(0.26, 0.36),
        ear_angle=rng.uniform(0.5, 0.85),
        muzzle_length=rng.uniform(0.5, 0.9),
        muzzle_width=rng.uniform(0.3, 0.42),
        nose=rng.uniform(0.19, 0.27),
        pupil=rng.uniform(0.85, 1.1),
        whiskers=rng.random() < 0.03,
        tongue=rng.random() < 0.25,
        tail_length=rng.uniform(0.9, 1.8),
        tail_width=rng.uniform(0.26, 0.44),
        leg_length=rng.uniform(0.9, 1.5),
        eye=_pick(rng, EYES),
        turn=rng.uniform(-0.5, 0.8),
    )


class Pen:
    """Draws in an animal's own coordinates: the middle of the head at (0, 0), y downwards."""

    def __init__(
        self, canvas: Image.Image, coat: Image.Image, edge: Colour, frame: tuple[float, ...]
    ) -> None:
        self.canvas = canvas
        self.coat = coat
        self.edge = edge
        self.frame = frame
        self.draw = ImageDraw.Draw(canvas)

    @classmethod
    def held(cls, rng: np.random.Generator, canvas: Image.Image, pose: Pose) -> "Pen":
        """Hold the pen at a random place, size, tilt and side that suit the pose, with a coat of its own."""
        base = _pick(rng, FURS, 16)
        radius, x, y = _PLACES[pose]
        scale = CANVAS_PX * radius * rng.uniform(0.85, 1.15)
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        x = x if mirror > 0 else 1 - x
        frame = (
            CANVAS_PX * (x + rng.uniform(-0.07, 0.07)),
            CANVAS_PX * (y + rng.uniform(-0.06, 0.06)),
            scale,
            rng.uniform(-0.2, 0.2),
            mirror,
        )
        return cls(canvas, _coat(rng, base), _shade(base, 0.6), frame)

    def fur(self, points: Sequence[Point], *, coat: float = 1.0) -> None:
        """Fill an outline with the coat, made darker or lighter by a factor, and draw its edge."""
        mask = Image.new("L", self.canvas.size)
        placed = self._placed(points)
        ImageDraw.Draw(mask).polygon(placed, fill=255)
        texture = self.coat if coat == 1.0 else ImageEnhance.Brightness(self.coat).enhance(coat)
        self.canvas.paste(texture, mask=mask)
        self.draw.line([*placed, placed[0]], fill=self.edge, width=1)

    def limb(self, points: Sequence[Point], width: float) -> None:
        """Draw a leg or a tail: a thick line of fur with round ends."""
        mask = Image.new("L", self.canvas.size)
        draw = ImageDraw.Draw(mask)
        placed = self._placed(points)
        px = width * self.frame[2]
        draw.line(placed, fill=255, width=max(2, round(px)), joint="curve")
        for x, y in placed:
            draw.ellipse((x - px / 2, y - px / 2, x + px / 2, y + px / 2), fill=255)
        self.canvas.paste(self.edge, mask=mask.filter(ImageFilter.MaxFilter(3)))
        self.canvas.paste(self.coat, mask=mask)

    def fill(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill an outline with one colour."""
        self.draw.polygon(self._placed(points), fill=colour)

    def line(self, points: Sequence[Point], colour: Colour) -> None:
        """Draw a thin line."""
        self.draw.line(self._placed(points), fill=colour, width=2)

    def _placed(self, points: Sequence[Point]) -> list[Point]:
        left, top, scale, tilt, mirror = self.frame
        cos, sin = math.cos(tilt) * scale, math.sin(tilt) * scale
        return [(left + mirror * (x * cos - y * sin), top + x * sin + y * cos) for x, y in points]


def _animal(pen: Pen, animal: Animal, pose: Pose) -> None:
    if pose == "standing":
        _standing(pen, animal)
    elif pose == "lying":
        _lying(pen, animal)
    else:
        _sitting(pen, animal)
    _head(pen, animal)


def _sitting(pen: Pen, animal: Animal) -> None:
    pen.limb(_curve((0.7, 2.9), (1.7, 2.9), (1.5, 2.9 - animal.tail_length)), animal.tail_width)
    pen.fur(_blob(0, 2.1, 1.0, 1.35))
    pen.fur(_blob(0.7, 2.9, 0.5, 0.6))
    pen.fur(_blob(-0.7, 2.9, 0.5, 0.6))
    for x in (-0.33, 0.33):
        pen.limb([(x, 2.0), (x, 3.35)], 0.42)


def _standing(pen: Pen, animal: Animal) -> None:
    foot = 1.9 + animal.leg_length
    pen.limb(_curve((-3.4, 0.9), (-4.4, 0.6), (-4.1, 0.7 - animal.tail_length)), animal.tail_width)
    for x in (-3.1, -0.6):
        pen.limb([(x + 0.3, 1.5), (x + 0.45, foot - 0.1)], 0.4)
    pen.limb([(-0.9, 1.2), (-0.1, 0.3)], 1.1)
    pen.fur(_blob(-1.9, 1.3, 1.75, 0.85))
    for x in (-3.1, -0.8):
        pen.limb([(x, 1.5), (x, foot)], 0.42)


def _lying(pen: Pen, animal: Animal) -> None:
    pen.limb(_curve((-2.8, 1.5), (-4.2, 1.7), (-3.4, 1.6 - 0.6 * animal.tail_length)), animal.tail_width)
    pen.fur(_blob(-1.4, 1.05, 1.8, 0.9))
    pen.fur(_blob(-2.4, 1.4, 0.7, 0.6))
    for y in (1.35, 1.6):
        pen.limb([(-0.7, y), (0.4 + animal.leg_length * 0.6, y + 0.12)], 0.4)


def _head(pen: Pen, animal: Animal) -> None:
    if animal.ear != "floppy":
        _ears(pen, animal)
    pen.fur(_blob(0, 0, 1.0, 0.88))
    _eyes(pen, animal)
    _muzzle(pen, animal)
    if animal.ear == "floppy":
        _ears(pen, animal)


def _ears(pen: Pen, animal: Animal) -> None:
    for side in (-1.0, 1.0):
        outline = _EARS[animal.ear](animal, side)
        shifted = [(x - 0.22 * animal.turn, y) for x, y in outline]
        pen.fur(shifted, coat=0.8 if animal.ear == "floppy" else 1.0)
        if animal.ear in ("pointed", "pricked"):
            middle_x, middle_y = (sum(c) / len(shifted) for c in zip(*shifted, strict=True))
            pen.fill(
                [(middle_x + 0.5 * (x - middle_x), middle_y + 0.5 * (y - middle_y)) for x, y in shifted], PINK
            )


def _pointed(animal: Animal, side: float) -> list[Point]:
    a, h, reach = animal.ear_angle, animal.ear_width, 0.95 + animal.ear_length
    return [_polar(side * (a - h), 0.85), _polar(side * a, reach), _polar(side * (a + h), 0.85)]


def _pricked(animal: Animal, side: float) -> list[Point]:
    a, h, reach = animal.ear_angle, animal.ear_width, 0.95 + animal.ear_length
    tip = [_polar(side * (a + d), reach - 0.08 * (d != 0)) for d in (-0.09, 0.0, 0.09)]
    return [_polar(side * (a - h), 0.85), *tip, _polar(side * (a + h), 0.85)]


def _folded(animal: Animal, side: float) -> list[Point]:
    a, h = animal.ear_angle, animal.ear_width
    tip = [_polar(side * (a + 0.15), 1.15), _polar(side * (a + 0.3), 0.75)]
    return [_polar(side * (a - h), 0.85), *tip, _polar(side * (a + h), 0.85)]


def _floppy(animal: Animal, side: float) -> list[Point]:
    length = 0.35 + 0.5 * animal.ear_length
    return _blob(side * 0.95, -0.45 + length, animal.ear_width, length, tilt=-0.25 * side)


def _eyes(pen: Pen, animal: Animal) -> None:
    for side in (-1.0, 1.0):
        x = 0.4 * side + 0.3 * animal.turn
        pen.fill(_blob(x, -0.15, 0.28, 0.22), animal.eye)
        pen.fill(_blob(x, -0.15, 0.2 * animal.pupil, 0.2), DARK)


def _muzzle(pen: Pen, animal: Animal) -> None:
    x = animal.turn * (0.35 + 0.75 * animal.muzzle_length)
    y = 0.36 + 0.2 * animal.muzzle_length
    width = animal.muzzle_width + 0.5 * abs(animal.turn) * animal.muzzle_length
    height = 0.28 + 0.28 * animal.muzzle_length * (1 - abs(animal.turn))
    if animal.tongue:
        pen.fill(_blob(x, y + height, 0.14, 0.3), PINK)
    pen.fur(_blob(x, y, width, height), coat=1.2)
    nose_x = x + animal.turn * width * 0.8
    nose_y = y - height * 0.5
    pen.fill(_blob(nose_x, nose_y, animal.nose, 0.75 * animal.nose), DARK)
    pen.line([(nose_x, nose_y), (nose_x, y + 0.1), (nose_x - 0.2, y + 0.2)], DARK)
    if animal.whiskers:
        for side in (-1, 1):
            for dy in (-0.1, 0.05, 0.2):
                pen.line([(x + 0.2 * side, y), (x + 0.95 * side, y + dy * 1.5)], (235, 235, 235))


_EARS = {"pointed": _pointed, "pricked": _pricked, "folded": _folded, "floppy": _floppy}
_POSES: tuple[Pose, ...] = ("portrait", "sitting", "standing", "lying")
_POSE_SHARES = (0.84, 0.11, 0.02, 0.03)
# Where the head is, and its radius, as shares of the picture.
_PLACES: dict[Pose, tuple[float, float, float]] = {
    "portrait": (0.31, 0.5, 0.46),
    "sitting": (0.22, 0.5, 0.33),
    "standing": (0.15, 0.72, 0.36),
    "lying": (0.21, 0.64, 0.45),
}


# What is around the animals.


def _coat(rng: np.random.Generator, base: Colour) -> Image.Image:
    coat = Image.new("RGB", (CANVAS_PX, CANVAS_PX), base)
    draw = ImageDraw.Draw(coat)
    second = _pick(rng, FURS, 16)
    pattern = rng.integers(4)
    if pattern == 1:
        dark = _shade(base, 0.65)
        for x in range(-CANVAS_PX, 2 * CANVAS_PX, int(rng.integers(8, 15))):
            lean = rng.uniform(-30, 30)
            draw.line([(x, 0), (x + lean, CANVAS_PX)], fill=dark, width=int(rng.integers(2, 5)))
    elif pattern == 2:
        for _ in range(int(rng.integers(4, 10))):
            x, y = rng.uniform(0, CANVAS_PX, 2)
            draw.polygon(_blob(x, y, *rng.uniform(8, 24, 2)), fill=second)
    elif pattern == 3:
        draw.rectangle((0, rng.uniform(0.3, 0.7) * CANVAS_PX, CANVAS_PX, CANVAS_PX), fill=second)
    return coat


def _scene(rng: np.random.Generator) -> Image.Image:
    scene = Image.new("RGB", (CANVAS_PX, CANVAS_PX), _pick(rng, WALLS, 25))
    draw = ImageDraw.Draw(scene)
    horizon = rng.uniform(0.35, 0.8) * CANVAS_PX
    ground = _pick(rng, GROUNDS, 25)
    draw.rectangle((0, horizon, CANVAS_PX, CANVAS_PX), fill=ground)
    if rng.random() < 0.25:
        _stripes(rng, draw, horizon)
    if rng.random() < 0.5:
        _blades(rng, draw, horizon, _shade(ground, rng.uniform(0.7, 1.3)))
    for _ in range(int(rng.integers(0, 3))):
        _thing(rng, draw, rng.uniform(8, 26))
    return scene


def _stripes(rng: np.random.Generator, draw: ImageDraw.ImageDraw, horizon: float) -> None:
    colour = _pick(rng, WALLS, 25)
    width = int(rng.integers(2, 12))
    for x in range(int(rng.integers(0, 12)), CANVAS_PX, int(rng.integers(14, 36))):
        draw.rectangle((x, 0, x + width, horizon), fill=colour)


def _blades(rng: np.random.Generator, draw: ImageDraw.ImageDraw, top: float, colour: Colour) -> None:
    for x, y, lean in rng.uniform((0, top, -4), (CANVAS_PX, CANVAS_PX + 10, 4), (60, 3)):
        draw.polygon([(x - 2, y), (x + lean, y - 12), (x + 2, y)], fill=colour)


def _thing(rng: np.random.Generator, draw: ImageDraw.ImageDraw, size: float) -> None:
    """Draw a ball, a box, a tent or a pair of corners: what a hasty eye takes for a part of an animal."""
    x, y = rng.uniform(0, CANVAS_PX, 2)
    colour = _any_colour(rng) if rng.random() < 0.6 else _pick(rng, FURS, 16)
    edge = _shade(colour, 0.6)
    kind = rng.integers(4)
    if kind == 0:
        draw.polygon(
            _blob(x, y, size * rng.uniform(0.4, 1), size, tilt=rng.uniform(-1, 1)), fill=colour, outline=edge
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
        draw.polygon(_blob(x, y, size, size * 0.4), fill=colour, outline=edge)


def _foreground(rng: np.random.Generator, scene: Image.Image) -> None:
    draw = ImageDraw.Draw(scene)
    kind = rng.integers(9)
    if kind == 0:
        _blades(rng, draw, 0.8 * CANVAS_PX, _pick(rng, GROUNDS, 25))
    elif kind == 1:
        _thing(rng, draw, rng.uniform(10, 20))
    elif kind == 2:
        x = rng.uniform(0, CANVAS_PX)
        draw.rectangle((x, 0, x + rng.uniform(4, 12), CANVAS_PX), fill=_pick(rng, GROUNDS, 25))


def _photograph(rng: np.random.Generator, scene: Image.Image) -> Image.Image:
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


def _blob(x: float, y: float, rx: float, ry: float, *, tilt: float = 0.0) -> list[Point]:
    """The outline of an ellipse, as 24 points."""
    cos, sin = math.cos(tilt), math.sin(tilt)
    turns = [(rx * math.cos(t), ry * math.sin(t)) for t in (math.tau * i / 24 for i in range(24))]
    return [(x + cos * a - sin * b, y + sin * a + cos * b) for a, b in turns]


def _curve(start: Point, bend: Point, end: Point) -> list[Point]:
    """A quadratic Bezier curve, as 9 points."""
    parts = [(i / 8, 1 - i / 8) for i in range(9)]
    return [
        (
            q * q * start[0] + 2 * q * p * bend[0] + p * p * end[0],
            q * q * start[1] + 2 * q * p * bend[1] + p * p * end[1],
        )
        for p, q in parts
    ]


def _polar(angle: float, reach: float) -> Point:
    return reach * math.sin(angle), -reach * math.cos(angle)


def _pick(rng: np.random.Generator, colours: Sequence[Colour], jitter: int = 12) -> Colour:
    chosen = np.array(colours[int(rng.integers(len(colours)))]) + rng.integers(-jitter, jitter + 1, 3)
    r, g, b = (int(c) for c in np.clip(chosen, 0, 255))
    return r, g, b


def _any_colour(rng: np.random.Generator) -> Colour:
    r, g, b = (int(c) for c in rng.integers(50, 230, 3))
    return r, g, b


def _shade(colour: Colour, factor: float) -> Colour:
    r, g, b = (min(255, int(c * factor)) for c in colour)
    return r, g, b
