"""What people wear and how a camera sees: looks of persons, scenes and light of cameras, all drawn from a seed."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""Blue, green, red, 0 to 255."""

SKINS: tuple[Colour, ...] = ((140, 175, 225), (110, 150, 205), (80, 115, 170), (55, 80, 125), (40, 55, 90))
HAIRS: tuple[Colour, ...] = ((25, 25, 30), (35, 50, 75), (60, 90, 130), (110, 160, 200), (150, 150, 150))
CLOTHES: tuple[Colour, ...] = (
    (35, 35, 35),
    (230, 230, 230),
    (140, 140, 140),
    (130, 70, 35),
    (200, 140, 60),
    (45, 45, 190),
    (60, 120, 60),
    (90, 200, 230),
    (70, 90, 130),
    (150, 80, 150),
    (180, 190, 110),
    (120, 130, 215),
)
PATTERNS = ("plain", "stripes", "halves", "logo")
BAGS = ("none", "none", "backpack", "shoulder bag")


@dataclass(frozen=True)
class Look:
    """Clothes and build of one person; lengths are shares of the limb, `width` scales every limb's thickness."""

    shirt: Colour
    trousers: Colour
    skin: Colour
    hair: Colour
    shoes: Colour
    second: Colour
    pattern: str
    sleeve: float
    trouser_length: float
    bag: str
    bag_colour: Colour
    hat: bool
    width: float


def sample_look(rng: np.random.Generator) -> Look:
    """One person's look. Colours come from a small palette with some variation: there are look-alikes."""

    def cloth() -> Colour:
        base = np.array(CLOTHES[rng.integers(len(CLOTHES))])
        return _colour(base + rng.normal(0, 10, 3))

    return Look(
        shirt=cloth(),
        trousers=cloth(),
        skin=SKINS[rng.integers(len(SKINS))],
        hair=HAIRS[rng.integers(len(HAIRS))],
        shoes=cloth(),
        second=cloth(),
        pattern=PATTERNS[rng.integers(len(PATTERNS))],
        sleeve=float(rng.choice([0.5, 2.0, 2.0])),
        trouser_length=float(rng.choice([1.0, 2.0, 2.0, 2.0])),
        bag=BAGS[rng.integers(len(BAGS))],
        bag_colour=cloth(),
        hat=bool(rng.random() < 0.2),
        width=float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.35)),
    )


def _colour(values: NDArray[np.floating]) -> Colour:
    b, g, r = (float(v) for v in np.clip(values, 8, 248))
    return b, g, r


@dataclass(frozen=True)
class Light:
    """What a camera does to colours: gains of blue, green and red, contrast, brightness, noise (standard deviation),
    blur (pixels), JPEG quality, and where light comes from in the image.
    """

    gains: tuple[float, float, float]
    contrast: float
    brightness: float
    noise: float
    blur: float
    quality: int
    direction: tuple[float, float]


def sample_light(rng: np.random.Generator) -> Light:
    """The light and sensor of one camera."""
    angle = rng.uniform(-1.2, 1.2)
    blue, green, red = (float(g) for g in rng.uniform(0.85, 1.15, 3))
    return Light(
        gains=(blue, green, red),
        contrast=float(rng.uniform(0.75, 1.15)),
        brightness=float(rng.uniform(-22, 22)),
        noise=float(rng.uniform(2, 7)),
        blur=float(rng.uniform(0.2, 0.8)),
        quality=int(rng.integers(82, 94)),
        direction=(float(np.sin(angle)), float(-np.cos(angle))),
    )


def scene(rng: np.random.Generator, height: int = 384, width: int = 768) -> NDArray[np.uint8]:
    """A background: ground, a wall or greenery, windows, poles, plants; (height, width, 3) BGR."""
    ground = rng.uniform(70, 190) + rng.normal(0, 8, 3)
    wall = rng.uniform(50, 210) + rng.normal(0, 18, 3)
    horizon = int(height * rng.uniform(0.25, 0.6))
    image = np.empty((height, width, 3), np.float32)
    image[:horizon] = wall
    image[horizon:] = ground
    image[horizon:] *= np.linspace(0.85, 1.1, height - horizon, dtype=np.float32)[:, None, None]
    for _ in range(rng.integers(4, 14)):  # windows, doors, signs
        x, y = int(rng.integers(0, width)), int(rng.integers(-20, max(horizon - 20, 1)))
        size = int(rng.integers(12, 90)), int(rng.integers(12, 80))
        cv2.rectangle(image, (x, y), (x + size[0], min(y + size[1], horizon)), _colour(wall + rng.normal(0, 45, 3)), -1)
    for _ in range(rng.integers(3, 10)):  # shadows, paving, lines
        y = int(rng.integers(horizon, height))
        cv2.line(
            image,
            (0, y),
            (width, y + int(rng.normal(0, 25))),
            _colour(ground + rng.normal(0, 22, 3)),
            int(rng.integers(1, 8)),
        )
    for _ in range(rng.integers(2, 9)):  # plants
        centre = int(rng.integers(0, width)), int(horizon + rng.normal(0, 30))
        green = np.array([50, 95, 60]) + rng.normal(0, 20, 3)
        for _ in range(12):
            at = int(centre[0] + rng.normal(0, 16)), int(centre[1] + rng.normal(0, 16))
            cv2.circle(image, at, int(rng.integers(3, 14)), _colour(green + rng.normal(0, 18, 3)), -1)
    for _ in range(rng.integers(1, 5)):  # poles
        x, wide = int(rng.integers(0, width)), int(rng.integers(3, 10))
        cv2.rectangle(
            image, (x, 0), (x + wide, int(rng.integers(horizon, height))), _colour(rng.uniform(30, 200, 3)), -1
        )
    rough = cv2.resize(rng.normal(0, 9, (height // 6, width // 6, 3)).astype(np.float32), (width, height))
    return np.clip(cv2.GaussianBlur(image + rough, (0, 0), 1.0), 0, 255).astype(np.uint8)
