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

from search.data.sample_scene import (
    CANVAS_PX,
    DARK,
    EYES,
    FURS,
    PINK,
    Colour,
    Point,
    blob,
    curve,
    draw_coat,
    draw_foreground,
    draw_scene,
    photograph,
    pick,
    polar,
    shade,
)
from search.seeds import seed_for

Pose = Literal["portrait", "sitting", "standing", "lying"]


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
    scene = draw_scene(rng)
    animal = _cat(rng) if kind == "cat" else _dog(rng)
    pose = _POSES[int(rng.choice(len(_POSES), p=_POSE_SHARES))]
    _animal(Pen.held(rng, scene, pose), animal, pose)
    draw_foreground(rng, scene)
    return photograph(rng, scene)


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
        eye=pick(rng, EYES),
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
        eye=pick(rng, EYES),
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
        base = pick(rng, FURS, 16)
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
        return cls(canvas, draw_coat(rng, base), shade(base, 0.6), frame)

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
    pen.limb(curve((0.7, 2.9), (1.7, 2.9), (1.5, 2.9 - animal.tail_length)), animal.tail_width)
    pen.fur(blob(0, 2.1, 1.0, 1.35))
    pen.fur(blob(0.7, 2.9, 0.5, 0.6))
    pen.fur(blob(-0.7, 2.9, 0.5, 0.6))
    for x in (-0.33, 0.33):
        pen.limb([(x, 2.0), (x, 3.35)], 0.42)


def _standing(pen: Pen, animal: Animal) -> None:
    foot = 1.9 + animal.leg_length
    pen.limb(curve((-3.4, 0.9), (-4.4, 0.6), (-4.1, 0.7 - animal.tail_length)), animal.tail_width)
    for x in (-3.1, -0.6):
        pen.limb([(x + 0.3, 1.5), (x + 0.45, foot - 0.1)], 0.4)
    pen.limb([(-0.9, 1.2), (-0.1, 0.3)], 1.1)
    pen.fur(blob(-1.9, 1.3, 1.75, 0.85))
    for x in (-3.1, -0.8):
        pen.limb([(x, 1.5), (x, foot)], 0.42)


def _lying(pen: Pen, animal: Animal) -> None:
    pen.limb(curve((-2.8, 1.5), (-4.2, 1.7), (-3.4, 1.6 - 0.6 * animal.tail_length)), animal.tail_width)
    pen.fur(blob(-1.4, 1.05, 1.8, 0.9))
    pen.fur(blob(-2.4, 1.4, 0.7, 0.6))
    for y in (1.35, 1.6):
        pen.limb([(-0.7, y), (0.4 + animal.leg_length * 0.6, y + 0.12)], 0.4)


def _head(pen: Pen, animal: Animal) -> None:
    if animal.ear != "floppy":
        _ears(pen, animal)
    pen.fur(blob(0, 0, 1.0, 0.88))
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
    return [polar(side * (a - h), 0.85), polar(side * a, reach), polar(side * (a + h), 0.85)]


def _pricked(animal: Animal, side: float) -> list[Point]:
    a, h, reach = animal.ear_angle, animal.ear_width, 0.95 + animal.ear_length
    tip = [polar(side * (a + d), reach - 0.08 * (d != 0)) for d in (-0.09, 0.0, 0.09)]
    return [polar(side * (a - h), 0.85), *tip, polar(side * (a + h), 0.85)]


def _folded(animal: Animal, side: float) -> list[Point]:
    a, h = animal.ear_angle, animal.ear_width
    tip = [polar(side * (a + 0.15), 1.15), polar(side * (a + 0.3), 0.75)]
    return [polar(side * (a - h), 0.85), *tip, polar(side * (a + h), 0.85)]


def _floppy(animal: Animal, side: float) -> list[Point]:
    length = 0.35 + 0.5 * animal.ear_length
    return blob(side * 0.95, -0.45 + length, animal.ear_width, length, tilt=-0.25 * side)


def _eyes(pen: Pen, animal: Animal) -> None:
    for side in (-1.0, 1.0):
        x = 0.4 * side + 0.3 * animal.turn
        pen.fill(blob(x, -0.15, 0.28, 0.22), animal.eye)
        pen.fill(blob(x, -0.15, 0.2 * animal.pupil, 0.2), DARK)


def _muzzle(pen: Pen, animal: Animal) -> None:
    x = animal.turn * (0.35 + 0.75 * animal.muzzle_length)
    y = 0.36 + 0.2 * animal.muzzle_length
    width = animal.muzzle_width + 0.5 * abs(animal.turn) * animal.muzzle_length
    height = 0.28 + 0.28 * animal.muzzle_length * (1 - abs(animal.turn))
    if animal.tongue:
        pen.fill(blob(x, y + height, 0.14, 0.3), PINK)
    pen.fur(blob(x, y, width, height), coat=1.2)
    nose_x = x + animal.turn * width * 0.8
    nose_y = y - height * 0.5
    pen.fill(blob(nose_x, nose_y, animal.nose, 0.75 * animal.nose), DARK)
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
