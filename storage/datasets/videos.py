"""The boxes of a video as crops on disk: one folder a track, one PNG a box."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.datasets.crops import NOBODY
from storage.errors import DataError
from storage.frames.images import Frame
from storage.progress import Progress
from storage.tables.tracklets import Tracklet

CORNERS = ("x1", "y1", "x2", "y2")
SIZES = ("x", "y", "w", "h")
COMPRESSION = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # crops live for minutes


@dataclass(frozen=True)
class Boxes:
    """Who is where in a video, sorted by track and frame.

    Attributes:
        track: name of the person's track, (N,).
        frame: number of the frame from 0, (N,).
        corners: x1, y1, x2, y2 in pixels of the video, x2 and y2 beyond the last pixel, (N, 4) int.
    """

    track: NDArray[np.str_]
    frame: NDArray[np.int64]
    corners: NDArray[np.int64]


def read_boxes(path: Path) -> Boxes:
    """Boxes from a CSV or Parquet table with columns track, frame, and x1, y1, x2, y2 or x, y, w, h.

    Raises:
        DataError: the file cannot be read, or lacks a column, or a track has two boxes in one frame.
    """
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else pa.csv.read_csv(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"boxes cannot be read: {error}", where=path, fix="give a CSV or Parquet table") from error
    places = next((names for names in (CORNERS, SIZES) if set(names) <= set(table.column_names)), None)
    if places is None or not {"track", "frame"} <= set(table.column_names):
        raise DataError(
            f"boxes have columns {', '.join(table.column_names)}",
            where=path,
            fix="name them track, frame, and x1, y1, x2, y2 (or x, y, w, h), pixels and frames from 0",
        )
    track = np.array([str(name) for name in table["track"].to_pylist()])
    frame = table["frame"].to_numpy().astype(np.int64)
    corners = np.stack([table[name].to_numpy() for name in places], 1).astype(np.float64)
    if places == SIZES:
        corners[:, 2:] += corners[:, :2]
    order = np.lexsort((frame, track))
    track, frame = track[order], frame[order]
    twice = np.flatnonzero((track[1:] == track[:-1]) & (frame[1:] == frame[:-1]))
    if twice.size:
        raise DataError(
            f"track {track[twice[0]]} has two boxes in frame {frame[twice[0]]}",
            where=path,
            fix="one box a person and frame",
        )
    return Boxes(track, frame, np.rint(corners[order]).astype(np.int64))


def cut(video: Path, boxes: Boxes, folder: Path, progress: Progress) -> list[Tracklet]:
    """Write the crops of all boxes into `folder`; frames that the video does not have are missing there.

    Returns:
        A tracklet a track, in the order of `boxes`; names of frames are relative to `folder`.

    Raises:
        DataError: the video cannot be opened.
    """
    names = [f"{track}/{frame:06d}.png" for track, frame in zip(boxes.track, boxes.frame, strict=True)]
    rows: dict[int, list[int]] = {}
    for row, frame in enumerate(boxes.frame):
        rows.setdefault(int(frame), []).append(row)
    last = max(rows, default=-1)
    for number, picture in enumerate(_pictures(video)):
        for row in rows.get(number, ()):
            x1, y1, x2, y2 = inside(boxes.corners[row], picture)
            if x1 < x2 and y1 < y2:
                target = folder / names[row]
                target.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(target), picture[y1:y2, x1:x2], COMPRESSION)
        progress(number + 1, last + 1, "frames of the video")
        if number >= last:
            break
    grouped: dict[str, list[str]] = {}
    for track, name in zip(boxes.track, names, strict=True):
        grouped.setdefault(str(track), []).append(name)
    return [Tracklet(track, "", NOBODY, NOBODY, tuple(frames)) for track, frames in grouped.items()]


def inside(corners: NDArray[np.int64], picture: Frame) -> tuple[int, int, int, int]:
    """The part of a box that lies in the picture."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = (int(side) for side in corners)
    return max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)


def _pictures(video: Path) -> Iterator[Frame]:
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise DataError("this video cannot be opened", where=video, fix="give a file that OpenCV reads, such as .mp4")
    try:
        while True:
            there, picture = capture.read()
            if not there:
                return
            yield picture
    finally:
        capture.release()
