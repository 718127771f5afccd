"""Crops of people of any look in any pose, each in another place and light: what an estimator is fed."""

from collections.abc import Iterator

import numpy as np

from storage.demo.appearance import Look, sample_light, sample_look, scene
from storage.demo.body import Floats, pose, sample_bodies
from storage.demo.camera import Camera, seen, turned
from storage.demo.crops import Companion, Crop, sample_bar, shoot, windows
from storage.demo.motion import gait, sample_styles
from tests.fitting.random_poses import random_poses


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
        centres, heights = windows(placed, camera, rng, jitter=0.04)
        other = None
        if previous is not None and rng.random() < 0.3:
            moved = previous[0] - previous[0][:1] + placed[0, :1]
            other = Companion(
                moved, previous[1], float(rng.choice([-1, 1]) * rng.uniform(0.35, 0.8)), bool(rng.random() < 0.4)
            )
        bar = sample_bar(rng) if rng.random() < 0.15 else None
        picture = pictures[rng.integers(len(pictures))]
        yield shoot(
            placed[0], look, (centres[0], float(heights[0])), camera, sample_light(rng), picture,
            float(rng.random()), size, rng, other, bar,
        )  # fmt: skip
        previous = (placed[0], look)
