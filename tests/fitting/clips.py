"""Clips of recorded motion before cameras with the truth: what a lifter is judged by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.demo.body import chained
from storage.skeleton import centre_on_pelvis
from tests.fitting.kinematics import about
from tests.fitting.mocap import Motion, action_of
from tests.fitting.views import pedestrian_cameras

Array = NDArray[np.float32]

FRAMES = 60
NOISE = 0.02  # of the person's height in the picture


@dataclass(frozen=True)
class Clips:
    """Clips, one after another.

    Attributes:
        keypoints, noisy: (F, 17, 2), exact and with independent noise of 2 % of the person's height.
        joints: (F, 17, 3) metres, pelvis-centred, camera axes.
        start: first frame of each clip and the end, (K + 1,).
        walking: which clips are walks, (K,).
    """

    keypoints: Array
    noisy: Array
    joints: Array
    start: NDArray[np.int64]
    walking: NDArray[np.bool_]

    @property
    def walks(self) -> NDArray[np.bool_]:
        """Which frames are of walks, (F,)."""
        return np.repeat(self.walking, np.diff(self.start))


def read_clips(file: Path) -> Clips:
    """`test_views.npz` of `../shared/data/mocap`."""
    with np.load(file) as given:
        return Clips(
            given["keypoints"],
            given["noisy"],
            centre_on_pelvis(given["joints"]),  # stored where the camera sees them
            np.append(given["start"], len(given["joints"])),
            np.array([action_of(str(name)) == "walking" for name in given["sequence"]]),
        )


def make_clips(rng: np.random.Generator, motion: Motion) -> Clips:
    """Recordings as they are, in clips of up to 60 frames, each before a random camera as pedestrians are seen."""
    start, walking, parts = [0], [], []
    for first, end, walks in zip(motion.start[:-1], motion.start[1:], motion.walking, strict=True):
        for begin in range(first, end - 1, FRAMES):
            rows = slice(begin, min(begin + FRAMES, end))
            axes, place = (part[0, 0] for part in pedestrian_cameras(rng, 1))
            turn = (axes @ about(1, rng.uniform(-np.pi, np.pi, 1).astype(np.float32))[0]).T
            root = motion.root[rows] @ turn
            root += place - root[len(root) // 2]
            root[:, 2] += max(0, 1.5 - root[:, 2].min())
            joints = chained(motion.bones[rows]) @ turn
            placed = joints + root[:, None]
            keypoints = placed[..., :2] / np.maximum(placed[..., 2:], 0.4)
            height = np.ptp(keypoints[..., 1], -1)[:, None, None]
            noisy = keypoints + NOISE * height * rng.standard_normal(keypoints.shape)
            parts.append((keypoints, noisy.astype(np.float32), joints))
            start.append(start[-1] + len(joints))
            walking.append(walks)
    keypoints, noisy, joints = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Clips(keypoints, noisy, joints, np.array(start), np.array(walking))
