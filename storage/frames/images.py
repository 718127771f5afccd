"""Frames by name: their bytes, and decoded."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.frames.files import DataFiles

Frame = NDArray[Any]
"""(H, W, 3) uint8, BGR; Any, since OpenCV's own types name no dtype."""


def read_frame(files: DataFiles, name: str) -> Frame | None:
    """Decode one frame to (H, W, 3) uint8 BGR; None if it is missing, empty or not an image.

    Raises:
        DataError: the name is absolute or climbs out of the data root.
    """
    return decode_frame(read_bytes(files, name))


def read_bytes(files: DataFiles, name: str) -> NDArray[np.uint8]:
    """A frame's file as it is; empty if it is missing or cannot be read.

    Raises:
        DataError: the name is absolute or climbs out of the data root.
    """
    try:
        return np.frombuffer(files.read(name), np.uint8)
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
