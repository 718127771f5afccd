"""Frames with the same bytes, from their digests; columns throughout, so that a million frames take a second."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.frames.fingerprints import Digests, digest_of

EMPTY = np.frombuffer(digest_of(b""), np.uint8)


@dataclass(frozen=True)
class Groups:
    """Groups of frames of the same bytes, in the order of their first frames; G groups of M frames in all.

    Attributes:
        members: positions of the frames, group by group, ascending in each, (M,).
        bounds: group i holds members[bounds[i]:bounds[i + 1]], (G + 1,).
    """

    members: NDArray[np.int64]
    bounds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def of(self, group: int) -> NDArray[np.int64]:
        """Positions of the frames of a group."""
        return self.members[self.bounds[group] : self.bounds[group + 1]]

    def agree(self, values: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether all frames of each group have the same value.

        Args:
            values: one a frame, (N,).

        Returns:
            (G,).
        """
        if not len(self):
            return np.zeros(0, np.bool_)
        of_members, starts = values[self.members], self.bounds[:-1]
        return np.equal(np.minimum.reduceat(of_members, starts), np.maximum.reduceat(of_members, starts))


def same_bytes(digests: Digests) -> Groups:
    """Groups of two or more frames with one digest; missing frames (zeros) and empty ones are in none.

    Args:
        digests: of all frames, (N, DIGEST_BYTES).
    """
    keys = np.ascontiguousarray(digests).view(np.uint64).reshape(-1, 2)
    there = np.flatnonzero(keys.any(axis=1) & (keys != EMPTY.view(np.uint64)).any(axis=1))
    order = there[np.lexsort((keys[there, 1], keys[there, 0]))]
    starts = np.flatnonzero(np.r_[True, (keys[order[1:]] != keys[order[:-1]]).any(axis=1)]) if len(order) else order
    sizes = np.diff(np.r_[starts, len(order)])
    grouped = order[np.repeat(sizes > 1, sizes)]
    firsts, sizes = order[starts[sizes > 1]], sizes[sizes > 1]
    # the groups in the order of their first frames; a stable sort leaves each as it is
    members = grouped[np.argsort(np.repeat(firsts, sizes), kind="stable")]
    return Groups(members, np.concatenate([[0], np.cumsum(sizes[np.argsort(firsts)])]))


def empty(digests: Digests) -> NDArray[np.int64]:
    """Positions of the frames whose files are empty."""
    return np.flatnonzero((digests == EMPTY).all(axis=1))
