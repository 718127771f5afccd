"""From people in front of a camera to the crops a detector would cut, with the joints' true places in them."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.demo.appearance import Light, Look, sample_light, sample_look, scene
from storage.demo.body import pose, sample_bodies
from storage.demo.camera import Camera, project, seen, turned
from storage.demo.motion import gait, random_poses, sample_styles
from storage.demo.render import Pen, draw_person, expose

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

ABOVE_HEAD, BELOW_FEET = 0.13, 0.11  # metres that a person reaches beyond the outermost joints
OVERSAMPLING = 2


@dataclass(frozen=True)
class Window:
    """The part of the picture that a crop shows: centre and height, in units of the image's height; (T, ...)."""

    centre: Floats
    height: Floats


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


def windows(joints: Floats, camera: Camera, rng: np.random.Generator, jitter: float) -> Window:
    """Detector-like boxes around people in camera axes (T, 17, 3): not quite centred, not quite tight, drifting."""
    reach = joints.copy()
    reach[:, 10, 1] -= ABOVE_HEAD
    reach[:, [3, 6], 1] += BELOW_FEET
    points = project(reach, camera.focal)
    low, high = points.min(axis=1), points.max(axis=1)
    size = high - low
    height = np.maximum(size[:, 1], 1.65 * size[:, 0])
    drift = _smooth(rng.normal(size=(len(joints), 3)))
    margin = 1.04 + rng.uniform(0, 0.12)
    return Window(
        (low + high) / 2 + drift[:, :2] * jitter * height[:, None], height * margin * (1 + jitter * drift[:, 2])
    )


def _smooth(noise: Floats) -> Floats:
    """Noise over time (T, C) that mostly drifts and shakes a little."""
    drift = np.repeat(noise[:1], len(noise), axis=0)
    return 0.8 * drift + 0.35 * noise


def _backdrop(picture: Image, place: float, size: tuple[int, int]) -> Image:
    """A piece of a scene as background of a crop of (width, height); `place` in [0, 1] moves along the scene."""
    high = picture.shape[0]
    wide = int(high * size[0] / size[1])
    x = int(place * (picture.shape[1] - wide - 1))
    return cv2.resize(picture[:, x : x + wide], size, interpolation=cv2.INTER_AREA)


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
    other: tuple[Floats, Look, float, bool] | None = None,
    bar: tuple[float, float, float, float, tuple[float, float, float]] | None = None,
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
        other: another person: joints, look, shift to the side in crop widths, whether in front.
        bar: something in front: x, y, width, height as shares of the crop, and colour.
    """
    width, height = size
    big = (width * OVERSAMPLING, height * OVERSAMPLING)
    centre, tall = window
    canvas = _backdrop(picture, place, big)

    def pixels(points: Floats) -> Floats:
        return (project(points, camera.focal) - centre) * (big[1] / tall) + np.array(big) / 2

    scale = camera.focal / joints[0, 2] * big[1] / tall
    pen = Pen(canvas, scale, light.direction)
    points = pixels(joints)
    feet = points[[3, 6]].mean(axis=0) + np.array([0, 0.06 * scale])
    shadow = canvas.copy()
    aside = -light.direction[0] * 0.25 * scale
    cv2.ellipse(
        shadow,
        (int(feet[0] + aside), int(feet[1])),
        (int(0.42 * scale), int(0.09 * scale)),
        0,
        0,
        360,
        (30, 30, 30),
        -1,
    )
    cv2.addWeighted(shadow, 0.45, canvas, 0.55, 0, dst=canvas)
    hidden = np.zeros(big[::-1], np.uint8)
    if other is not None:
        them, their_look, shift, in_front = other
        their_points = pixels(them) + np.array([shift * big[0], 0.03 * big[1]])
        if in_front:
            draw_person(pen, points, joints, look)
            before = canvas.copy()
            draw_person(pen, their_points, them, their_look)
            hidden |= (np.abs(canvas.astype(np.int16) - before).sum(axis=2) > 0).astype(np.uint8)
        else:
            draw_person(pen, their_points, them, their_look)
            draw_person(pen, points, joints, look)
    else:
        draw_person(pen, points, joints, look)
    if bar is not None:
        x, y, w, h, colour = bar
        corner = int(x * big[0]), int(y * big[1])
        opposite = int((x + w) * big[0]), int((y + h) * big[1])
        cv2.rectangle(canvas, corner, opposite, colour, -1)
        cv2.rectangle(hidden, corner, opposite, 1, -1)
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    keypoints = points / OVERSAMPLING
    smear = rng.uniform(0, 3) if rng.random() < 0.2 else 0.0
    return Crop(expose(small, light, rng, smear), keypoints, _visible(points, hidden))


def _visible(points: Floats, hidden: NDArray[np.uint8]) -> NDArray[np.bool_]:
    inside = ((points >= 0) & (points < np.array(hidden.shape[::-1]))).all(axis=1)
    at = np.clip(points.astype(int), 0, np.array(hidden.shape[::-1]) - 1)
    return inside & (hidden[at[:, 1], at[:, 0]] == 0)


def sample_bar(rng: np.random.Generator) -> tuple[float, float, float, float, tuple[float, float, float]]:
    """Something that stands in front of a person: a pole, a bench, a car's roof."""
    b, g, r = (float(c) for c in rng.uniform(25, 215, 3))
    if rng.random() < 0.4:
        return float(rng.uniform(0, 0.9)), 0.0, float(rng.uniform(0.06, 0.16)), 1.0, (b, g, r)
    top = float(rng.uniform(0.62, 0.92))
    return -0.05, top, 1.1, 1.1 - top, (b, g, r)


def sample_camera(rng: np.random.Generator) -> tuple[Camera, float]:
    """A camera on a wall, a post or a tripod, and how far away people are from it, metres."""
    height = float(rng.uniform(1.2, 6.5))
    distance = float(rng.uniform(4.0, 16.0))
    pitch = float(np.arctan2(height - 1.0, distance) * rng.uniform(0.6, 1.1))
    return Camera(height, pitch, float(rng.normal(0, 0.03)), float(rng.uniform(1.0, 2.5))), distance


def rendered_crops(seed: int, count: int, size: tuple[int, int] = (64, 128)) -> Iterator[Crop]:
    """People of any look in any pose, each in another place and light: for training pose models.

    Args:
        seed: another seed, other people.
        count: how many.
        size: width and height, pixels.
    """
    rng = np.random.default_rng([seed, 0xC509])
    bodies = sample_bodies(rng, count, spread=1.2)
    walking = pose(bodies, gait(sample_styles(rng, count), rng.uniform(0, 2 * np.pi, count)))
    joints = np.where(rng.random((count, 1, 1)) < 0.7, walking, pose(bodies, random_poses(rng, count)))
    joints = turned(joints, rng.uniform(-np.pi, np.pi, count))
    pictures = [scene(rng) for _ in range(min(48, 1 + count // 8))]
    previous: tuple[Floats, Look] | None = None
    for number in range(count):
        camera, distance = sample_camera(rng)
        look = sample_look(rng)
        ground = np.array([[rng.uniform(-0.25, 0.25) * distance, distance]])
        placed = seen(joints[number : number + 1], ground, camera)
        window = windows(placed, camera, rng, jitter=0.04)
        other = None
        if previous is not None and rng.random() < 0.3:
            moved = previous[0] - previous[0][:1] + placed[0, :1]
            other = (moved, previous[1], float(rng.choice([-1, 1]) * rng.uniform(0.35, 0.8)), bool(rng.random() < 0.4))
        bar = sample_bar(rng) if rng.random() < 0.15 else None
        picture = pictures[rng.integers(len(pictures))]
        yield shoot(
            placed[0], look, (window.centre[0], float(window.height[0])), camera, sample_light(rng), picture,
            float(rng.random()), size, rng, other, bar,
        )  # fmt: skip
        previous = (placed[0], look)
