"""From people in front of a camera to the crops a detector would cut, with the joints' true places in them."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.demo.appearance import Colour, Light, Look
from storage.demo.body import Floats
from storage.demo.camera import Camera, project
from storage.demo.render import Image, Pen, draw_person, expose

ABOVE_HEAD, BELOW_FEET = 0.13, 0.11  # metres that a person reaches beyond the outermost joints
OVERSAMPLING = 2

Bar = tuple[float, float, float, float, Colour]
"""Something in front: x, y, width, height as shares of the crop, and colour."""


class Companion(NamedTuple):
    """Another person in a crop, moved to the side by `shift` crop widths."""

    joints: Floats
    look: Look
    shift: float
    in_front: bool


@dataclass(frozen=True)
class Crop:
    """One crop.

    Attributes:
        image: (H, W, 3) BGR.
        keypoints: true joints in pixels, (17, 2).
        visible: False where an occluder or the crop's edge hides a joint, (17,).
    """

    image: Image
    keypoints: Floats
    visible: NDArray[np.bool_]


def windows(joints: Floats, camera: Camera, rng: np.random.Generator, jitter: float) -> tuple[Floats, Floats]:
    """Detector-like boxes around people in camera axes (T, 17, 3): not quite centred, not quite tight, drifting.

    Returns:
        Centres (T, 2) and heights (T,) of what crops show, in units of the image's height.
    """
    reach = joints.copy()
    reach[:, 10, 1] -= ABOVE_HEAD
    reach[:, [3, 6], 1] += BELOW_FEET
    points = project(reach, camera.focal)
    low, high = points.min(axis=1), points.max(axis=1)
    size = high - low
    height = np.maximum(size[:, 1], 1.65 * size[:, 0])
    noise = rng.normal(size=(len(joints), 3))
    drift = 0.8 * noise[:1] + 0.35 * noise  # mostly the same all the time, and shaking a little
    margin = 1.04 + rng.uniform(0, 0.12)
    centre = (low + high) / 2 + drift[:, :2] * jitter * height[:, None]
    return centre, height * margin * (1 + jitter * drift[:, 2])


def _backdrop(picture: Image, place: float, size: tuple[int, int]) -> Image:
    """A piece of a scene as background of a crop of (width, height); `place` in [0, 1] moves along the scene."""
    high = picture.shape[0]
    wide = int(high * size[0] / size[1])
    x = int(place * (picture.shape[1] - wide - 1))
    return _resized(picture[:, x : x + wide], size)


def _resized(picture: Image, size: tuple[int, int]) -> Image:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def shoot(
    joints: Floats,
    look: Look,
    window: tuple[Floats, float],
    camera: Camera,
    light: Light,
    picture: Image,
    place: float,
    size: tuple[int, int],
    rng: np.random.Generator,
    other: Companion | None = None,
    bar: Bar | None = None,
) -> Crop:
    """One crop of one person.

    Args:
        joints: (17, 3), camera axes, metres.
        look: clothes.
        window: centre (2,) and height of the crop, in units of the image's height.
        camera: the camera.
        light: its light and sensor.
        picture: its background scene.
        place: where along the scene, 0 to 1.
        size: width and height of the crop, pixels.
        rng: for the sensor's noise.
        other: another person.
        bar: something in front.
    """
    big = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
    centre, tall = window
    canvas = _backdrop(picture, place, big)

    def pixels(points: Floats) -> Floats:
        return (project(points, camera.focal) - centre) * (big[1] / tall) + np.array(big) / 2

    scale = camera.focal / joints[0, 2] * big[1] / tall
    pen = Pen(canvas, scale, light.direction)
    points = pixels(joints)
    _shadow(canvas, points[[3, 6]].mean(axis=0), scale, light)
    hidden = np.zeros(big[::-1], np.uint8)

    def draw(them: Companion) -> None:
        place = pixels(them.joints) + np.array([them.shift * big[0], 0.03 * big[1]])
        draw_person(pen, place, them.joints, them.look)

    if other and not other.in_front:
        draw(other)
    draw_person(pen, points, joints, look)
    if other and other.in_front:
        before = canvas.copy()
        draw(other)
        hidden |= (np.abs(canvas.astype(np.int16) - before).sum(axis=2) > 0).astype(np.uint8)
    if bar is not None:
        x, y, w, h, colour = bar
        corner = int(x * big[0]), int(y * big[1])
        opposite = int((x + w) * big[0]), int((y + h) * big[1])
        cv2.rectangle(canvas, corner, opposite, colour, -1)
        cv2.rectangle(hidden, corner, opposite, 1, -1)
    smear = rng.uniform(0, 3) if rng.random() < 0.2 else 0.0
    return Crop(expose(_resized(canvas, size), light, rng, smear), points / OVERSAMPLING, _visible(points, hidden))


def _shadow(canvas: Image, feet: Floats, scale: float, light: Light) -> None:
    place = int(feet[0] - light.direction[0] * 0.25 * scale), int(feet[1] + 0.06 * scale)
    shadow = cv2.ellipse(
        canvas.copy(), place, (int(0.42 * scale), int(0.09 * scale)), 0, 0, 360, (30, 30, 30), cv2.FILLED
    )
    cv2.addWeighted(shadow, 0.45, canvas, 0.55, 0, dst=canvas)


def _visible(points: Floats, hidden: NDArray[np.uint8]) -> NDArray[np.bool_]:
    size = np.array(hidden.shape[::-1])
    across, down = np.clip(points.astype(int), 0, size - 1).T
    visible: NDArray[np.bool_] = ((points >= 0) & (points < size)).all(axis=1) & (hidden[down, across] == 0)
    return visible


def sample_bar(rng: np.random.Generator) -> Bar:
    """Something that stands in front of a person: a pole, a bench, a car's roof."""
    b, g, r = (float(c) for c in rng.uniform(25, 215, 3))
    if rng.random() < 0.4:
        return float(rng.uniform(0, 0.9)), 0.0, float(rng.uniform(0.06, 0.16)), 1.0, (b, g, r)
    top = float(rng.uniform(0.62, 0.92))
    return -0.05, top, 1.1, 1.1 - top, (b, g, r)
