"""Tracklets as windows of frames, windows as batches, and answers for windows as answers for frames. Pure functions."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from storage.skeleton import NUM_JOINTS

Array = NDArray[np.float32]

FRAMES_AT_ONCE = 4096
"""Frames in one batch, counting every frame of a window. Not a setting: on a CPU the bytes may depend on it."""


def batches(shapes: Sequence[tuple[int, ...]], together: bool) -> Iterator[list[tuple[int, int, int]]]:
    """Cut windows into batches of at most `FRAMES_AT_ONCE` frames, and at least one window, all equally long.

    Args:
        shapes: of each tracklet, its windows and the frames of each, (W, L).
        together: let a batch hold windows of several tracklets.

    Returns:
        Batches of (tracklet, first window, end of windows), each tracklet's windows in order.
    """
    batch: list[tuple[int, int, int]] = []
    room, long = 0, 0
    # a stable sort: tracklets of equal windows come one after another
    for i in sorted(range(len(shapes)), key=lambda i: shapes[i][1]):
        windows, length = shapes[i]
        start = 0
        while start < windows:
            if batch and (room < 1 or length != long or (start == 0 and not together)):
                yield batch
                batch = []
            if not batch:
                room, long = max(1, FRAMES_AT_ONCE // length), length
            end = min(windows, start + room)
            batch.append((i, start, end))
            room -= end - start
            start = end
    if batch:
        yield batch


def blended(answers: Array, rows: NDArray[np.int64]) -> Array:
    """One skeleton a frame from overlapping windows, weighted by how deep the frame lies in each.

    Args:
        answers: (W, L, 17, 3).
        rows: frame of each, (W, L).
    """
    frames, length = int(rows.max()) + 1, rows.shape[1]
    depth = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))[:, None, None]
    total, weight = np.zeros((frames, NUM_JOINTS, 3)), np.zeros((frames, 1, 1))
    for window, answer in zip(rows, answers, strict=True):
        total[window] += depth * answer
        weight[window] += depth
    return (total / weight).astype(np.float32)


def window_offsets(frames: int, step: int = 1, causal: bool = False) -> NDArray[np.int64]:
    """Where the frames of a window lie from the frame that it answers for."""
    before = frames - 1 if causal else (frames - 1) // 2
    return (np.arange(frames) - before) * step


def frame_windows(frames: int, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The window of each of a tracklet's frames, (T, L); at the ends the outermost frame repeats."""
    return (np.arange(frames)[:, None] + offsets).clip(0, frames - 1)


def window_starts(frames: int, window: int, overlap: int) -> list[int]:
    """First frames of the windows that cover a tracklet; the last one ends with it, so all are equally long."""
    if frames <= window:
        return [0]
    return [*range(0, frames - window, window - overlap), frames - window]
