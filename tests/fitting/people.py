"""What the estimator is fed: rendered people, in batches, disturbed as real crops are."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.demo.crops import Crop
from storage.skeleton import MIRROR_ORDER, NUM_JOINTS
from tests.fitting.crops import rendered_crops

Array = NDArray[np.float32]

HIDDEN_WEIGHT = 0.5
"""How much a hidden joint counts: to be guessed, but not at the price of those that can be seen."""


@dataclass(frozen=True)
class People:
    """Crops with their joints.

    Attributes:
        images: (N, H, W, 3) uint8 BGR.
        keypoints: (N, 17, 2) pixels.
        weights: (N, 17): 1 visible, `HIDDEN_WEIGHT` hidden, 0 outside the crop.
    """

    images: NDArray[np.uint8]
    keypoints: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.images)


def render(seed: int, count: int, size: tuple[int, int]) -> People:
    """`count` rendered people of (width, height) pixels, none of whom lives in the demo data set."""
    width, height = size
    people = People(
        np.empty((count, height, width, 3), np.uint8),
        np.empty((count, NUM_JOINTS, 2), np.float32),
        np.empty((count, NUM_JOINTS), np.float32),
    )
    for i, crop in enumerate(rendered_crops(seed, count, size)):
        people.images[i] = crop.image
        people.keypoints[i] = crop.keypoints
        people.weights[i] = _weights(crop)
    return people


def _weights(crop: Crop) -> Array:
    return np.where(crop.visible, 1, HIDDEN_WEIGHT).astype(np.float32) * _inside(crop.keypoints, crop.image.shape)


def _inside(keypoints: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return ((keypoints >= 0) & (keypoints < (shape[1], shape[0]))).all(-1)


def disturbed(rng: np.random.Generator, people: People, rows: NDArray[np.integer]) -> People:
    """A batch of these rows: moved, turned, scaled, mirrored, in other light, blurred; `rng` decides everything."""
    batch = People(people.images[rows], people.keypoints[rows], people.weights[rows])
    height, width = batch.images.shape[1:3]
    for i in range(len(rows)):
        image, points = batch.images[i], batch.keypoints[i]
        if rng.random() < 0.5:
            image = image[:, ::-1]
            points = points[list(MIRROR_ORDER)] * (-1, 1) + (width - 1, 0)
            batch.weights[i] = batch.weights[i, list(MIRROR_ORDER)]
        matrix = _affine(rng, width, height)
        border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_CONSTANT
        image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        batch.images[i] = _relit(rng, image)
        batch.keypoints[i] = points @ matrix[:, :2].T + matrix[:, 2]
        batch.weights[i] *= _inside(batch.keypoints[i], image.shape)
    return batch


def _affine(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    """A (2, 3) map of pixels about the middle of the crop."""
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 7), rng.uniform(0.78, 1.2))
    matrix[0, :2] *= np.exp(rng.normal(0, 0.06))  # crops are resized without regard to their shape
    middle = np.array([width, height]) / 2
    matrix[:, 2] = middle - matrix[:, :2] @ middle + rng.normal(0, 0.05, 2) * (width, height)
    return matrix


def _relit(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if rng.random() < 0.1:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.4, 1.2))
    gain = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.08, 3))
    shift = rng.normal(0, 12)
    levels = np.clip(np.arange(256)[:, None] * gain + shift, 0, 255).astype(np.uint8)  # (256, 3)
    return cv2.LUT(image, levels[None])


def heatmaps(people: People, codec: dict) -> Array:
    """Targets of a whole batch, (N, 17, H, W), as mmpose's unbiased `MSRAHeatmap` makes them joint by joint.

    A joint of weight 0 has an empty map.
    """
    width, height = codec["heatmap_size"]
    place = people.keypoints / (np.array(codec["input_size"]) / (width, height))
    across, down = (
        np.exp(-((np.arange(side) - place[..., axis, None]) ** 2) / (2 * codec["sigma"] ** 2))
        for axis, side in enumerate((width, height))
    )
    return (down[..., :, None] * across[..., None, :] * (people.weights > 0)[..., None, None]).astype(np.float32)
