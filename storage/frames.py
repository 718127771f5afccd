"""Frames on disk: resolving a name safely inside the data root, decoding, and decoding ahead in threads."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import DataError

Frame = NDArray[Any]
"""(H, W, 3) uint8, BGR; Any, since OpenCV's own types name no dtype."""


def frame_path(root: Path, relative: str) -> Path:
    """Where a frame lies.

    Raises:
        DataError: the name is absolute or climbs out of the data root.
    """
    name = PurePosixPath(relative)
    if name.is_absolute() or ".." in name.parts or "\\" in relative or "\0" in relative:
        raise DataError(
            "a frame name points outside the data root",
            where=repr(relative),
            fix="frame names must be relative, without '..'",
        )
    return root / name


def read_frame(root: Path, relative: str) -> Frame | None:
    """Decode one frame to (H, W, 3) uint8 BGR; None if it is missing, empty or not an image."""
    return decode_frame(read_bytes(root, relative))


def read_bytes(root: Path, relative: str) -> NDArray[np.uint8]:
    """A frame's file as it is; empty if it is missing."""
    try:
        return np.fromfile(frame_path(root, relative), dtype=np.uint8)
    except OSError:
        return np.zeros(0, np.uint8)


def decode_frame(data: NDArray[np.uint8]) -> Frame | None:
    """A file's bytes as (H, W, 3) uint8 BGR; None if they are not an image."""
    if data.size == 0:
        return None
    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        return None


def read_frames(root: Path, relatives: Sequence[str], workers: int = 2, ahead: int = 128) -> Iterator[Frame | None]:
    """Decode frames in order, up to `ahead` of them before they are asked for.

    Threads, not processes: OpenCV decodes without the interpreter lock.
    """
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[Frame | None]] = deque()
        for relative in relatives:
            pending.append(pool.submit(read_frame, root, relative))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
