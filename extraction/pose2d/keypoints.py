"""What a 2D estimator found in frames, in Human3.6M's joints."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.skeleton import NUM_JOINTS


@dataclass(frozen=True)
class Poses2D:
    """The 2D poses of T frames.

    Attributes:
        keypoints: (T, 17, 2) pixels of each frame.
        scores: (T, 17).
        sizes: (T, 2) width and height of each frame, pixels; zeros where it could not be decoded.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    sizes: NDArray[np.float32]

    @classmethod
    def empty(cls, frames: int) -> "Poses2D":
        """Room for so many frames, all unreadable so far."""
        shapes = ((frames, NUM_JOINTS, 2), (frames, NUM_JOINTS), (frames, 2))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, rows: slice) -> "Poses2D":
        """Some of the frames, as views."""
        return Poses2D(self.keypoints[rows], self.scores[rows], self.sizes[rows])

    def followed_by(self, others: "Poses2D") -> "Poses2D":
        """These frames, and then the others."""
        return Poses2D(
            np.concatenate([self.keypoints, others.keypoints]),
            np.concatenate([self.scores, others.scores]),
            np.concatenate([self.sizes, others.sizes]),
        )
