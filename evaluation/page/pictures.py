"""Skeletons as pictures: drawn on the frames they were found in, and in 3D from the front and the side.

The left side of the body is orange, the right side blue, the trunk white. A joint's dot grows with its score; limbs
between joints that the estimator doubts are faint; a pose that was not seen but interpolated is dashed, without dots.
Pictures are (H, W, 3) uint8 BGR, as OpenCV has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.frames.images import Frame
from storage.skeleton import EDGES, JOINTS
from storage.tables.schema import FRAME_STATUS

Colour = tuple[int, int, int]
LEFT, RIGHT, TRUNK = (40, 140, 250), (250, 170, 60), (240, 240, 240)
OUTLINE, PANEL = (30, 24, 20), (44, 36, 31)
FLOOR = ABSENT = (92, 80, 72)

DOUBTED = 0.3  # joints scored below are drawn faint
FAINT = 0.4  # opacity of what is faint
SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
GAP = 4  # pixels between cells of a sheet
NO_SKELETON = (FRAME_STATUS.index("no_person"), FRAME_STATUS.index("unreadable"))
REACH = 1.9  # metres that the height of a 3D view shows
FILLED_TAG = "filled"
FINER = 3  # 3D views are drawn this much larger and then reduced: small round dots need it
FARTHEST = 4096  # pixels; what lies beyond is not drawn: OpenCV's fixed-point numbers would overflow


@dataclass(frozen=True)
class PosedFrames:
    """Frames of one tracklet with what was extracted from them."""

    frames: Sequence[Frame | None]  # T pictures, None where a frame cannot be read
    keypoints_2d: NDArray[np.float32]  # pixels of the frames, (T, 17, 2)
    scores: NDArray[np.float32]  # 0 to 1, (T, 17)
    keypoints_3d: NDArray[np.float32]  # metres, pelvis-centred, camera axes, (T, 17, 3)
    status: NDArray[np.uint8]  # positions in `FRAME_STATUS`, (T,)
    filled: NDArray[np.bool_]  # whether the pose was interpolated between its neighbours in time, (T,)


def side_colour(joint: int) -> Colour:
    """The colour of a joint, and of the limb that ends in it."""
    name = JOINTS[joint]
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else TRUNK


def draw_skeleton(
    frame: Frame,
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    height: int = 256,
    *,
    filled: bool = False,
) -> Frame:
    """A frame enlarged to `height` pixels with its skeleton drawn on it.

    Args:
        frame: (H, W, 3) BGR.
        keypoints: joints in pixels of the frame, (17, 2).
        scores: 0 to 1, (17,).
        height: of the picture; the width follows the frame's shape.
        filled: the pose is interpolated: dashed and tagged, and the scores, which are not of this pose, left aside.
    """
    picture, width = resized(frame, height), max(2, round(height / 100))
    # pixel centres lie at .5, so that a joint stays on its pixel at any scale
    points = (np.asarray(keypoints, np.float64) + 0.5) * (height / frame.shape[0]) - 0.5
    if filled:
        for edge in EDGES:
            _limb(picture, points, edge, width, dashed=True)
        return tagged(picture)
    doubted = np.asarray(scores) < DOUBTED
    overlay, faint = picture.copy(), [edge for edge in EDGES if doubted[list(edge)].any()]
    for edge in faint:
        _limb(overlay, points, edge, width)
    picture = cv2.addWeighted(overlay, FAINT, picture, 1 - FAINT, 0)
    for edge in EDGES:
        if edge not in faint:
            _limb(picture, points, edge, width)
    for joint in np.flatnonzero(~doubted):
        _dot(picture, points[joint], width * (0.6 + 0.7 * float(min(scores[joint], 1.0))), side_colour(int(joint)))
    return picture


def resized(frame: Frame, height: int) -> Frame:
    """A frame resized to `height` pixels, its shape kept."""
    width = max(1, round(frame.shape[1] * height / frame.shape[0]))
    method = cv2.INTER_CUBIC if height >= frame.shape[0] else cv2.INTER_AREA
    return cv2.resize(frame, (width, height), interpolation=method)


def tagged(picture: Frame, text: str = FILLED_TAG) -> Frame:
    """The picture with a word in its upper left corner."""
    scale = picture.shape[0] / 600
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    picture = picture.copy()
    cv2.rectangle(picture, (0, 0), (width + 2 * below, height + 2 * below), PANEL, -1)
    where = (below, height + below)
    cv2.putText(picture, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, TRUNK, 1, cv2.LINE_AA)
    return picture


def draw_skeleton_3d(
    skeleton: NDArray[np.floating], side: bool, width: int, height: int, *, filled: bool = False
) -> Frame:
    """A skeleton seen from the camera, or with `side` from the camera's right, without perspective.

    Args:
        skeleton: pelvis-centred metres, x right, y down, z away, (17, 3).
        side: from the right instead of from the front; what is far from the camera is then on the right.
        width: of the picture, pixels.
        height: of the picture, pixels; it shows `REACH` metres.
        filled: the pose is interpolated: dashed.
    """
    size = (width, height)
    width, height = FINER * width, FINER * height
    picture = panel(width, height)
    x, y, z = np.asarray(skeleton, np.float64).T
    across, depth = (z, -x) if side else (x, z)
    scale = height / REACH
    middle = (y.min() + y.max()) / 2  # the body stays in the picture however it stands or sits
    points = np.stack([width / 2 + across * scale, height / 2 + (y - middle) * scale], axis=1)
    floor = round(height / 2 + (y.max() - middle) * scale + height / 40)
    cv2.line(picture, (width // 6, floor), (width - width // 6, floor), FLOOR, FINER, cv2.LINE_AA)
    thickness = max(2, round(height / 60))
    # from far to near, so that near limbs cover far ones
    for edge in sorted(EDGES, key=lambda e: -(depth[e[0]] + depth[e[1]])):
        _limb(picture, points, edge, thickness, dashed=filled)
    for joint in () if filled else np.argsort(-depth, kind="stable"):
        _dot(picture, points[joint], thickness * 0.8, side_colour(int(joint)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def pose_sheet(posed: PosedFrames, frame_height: int = 256, view_height: int = 132) -> Frame:
    """One column a frame: the frame with its skeleton, then the skeleton in 3D from the front and from the side.

    A frame without a skeleton leaves its 3D views empty; one that cannot be read is a crossed-out cell. Poses that were
    interpolated are dashed, and their frames tagged.
    """
    readable = [frame for frame in posed.frames if frame is not None]
    shape = readable[0].shape if readable else (2, 1)
    width = max(1, round(frame_height * shape[1] / shape[0]))
    columns = []
    for t, frame in enumerate(posed.frames):
        filled = bool(posed.filled[t])
        has_skeleton = filled or posed.status[t] not in NO_SKELETON
        if frame is None:
            top = absent(width, frame_height)
            top = tagged(top) if filled else top
        elif has_skeleton:
            top = draw_skeleton(frame, posed.keypoints_2d[t], posed.scores[t], frame_height, filled=filled)
        else:
            top = resized(frame, frame_height)
        top = cv2.resize(top, (width, frame_height)) if top.shape[1] != width else top
        views = [
            draw_skeleton_3d(posed.keypoints_3d[t], side, width, view_height, filled=filled)
            if has_skeleton
            else panel(width, view_height)
            for side in (False, True)
        ]
        columns.append(joined([top, *views], axis=0))
    return joined(columns, axis=1)


def absent(width: int, height: int) -> Frame:
    """The picture of a frame that cannot be read: a crossed-out cell."""
    picture, reach = panel(width, height), width // 4
    left, right, top, bottom = reach, width - reach, height // 2 - reach, height // 2 + reach
    cv2.line(picture, (left, top), (right, bottom), ABSENT, 2, cv2.LINE_AA)
    cv2.line(picture, (left, bottom), (right, top), ABSENT, 2, cv2.LINE_AA)
    return picture


def panel(width: int, height: int) -> Frame:
    """An empty cell."""
    return np.full((height, width, 3), PANEL, np.uint8)


def joined(cells: Sequence[Frame], axis: int) -> Frame:
    """Cells below each other (axis 0) or side by side (axis 1), with a gap between them."""
    height, width = cells[0].shape[:2]
    gap = panel(width, GAP) if axis == 0 else panel(GAP, height)
    return np.concatenate([part for cell in cells for part in (gap, cell)][1:], axis=axis)


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    x, y = np.clip(point, -FARTHEST, FARTHEST) * (1 << SHIFT)
    return round(x), round(y)


def _limb(
    picture: Frame, points: NDArray[np.float64], edge: tuple[int, int], width: int, *, dashed: bool = False
) -> None:
    a, b = points[edge[0]], points[edge[1]]
    strokes = _dashes(a, b, width) if dashed else [(a, b)]
    for colour, breadth in ((OUTLINE, width + 2), (side_colour(edge[1]), width)):
        for start, end in strokes:
            cv2.line(picture, _fixed(start), _fixed(end), colour, breadth, cv2.LINE_AA, SHIFT)


def _dashes(
    start: NDArray[np.float64], end: NDArray[np.float64], width: int
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Dashes from one point to another, both ends drawn; a line's round ends make a dash longer than its stroke."""
    start, end = np.clip(start, -FARTHEST, FARTHEST), np.clip(end, -FARTHEST, FARTHEST)  # or they would be endless
    count = 2 * int(np.linalg.norm(end - start) / (5 * width)) + 1  # dashes and gaps in turn
    ticks = [start + (end - start) * i / count for i in range(count + 1)]
    return list(zip(ticks[::2], ticks[1::2], strict=True))


def _dot(picture: Frame, point: NDArray[np.float64], radius: float, colour: Colour) -> None:
    centre = _fixed(point)
    cv2.circle(picture, centre, round((radius + 1) * (1 << SHIFT)), OUTLINE, -1, cv2.LINE_AA, SHIFT)
    cv2.circle(picture, centre, round(radius * (1 << SHIFT)), colour, -1, cv2.LINE_AA, SHIFT)
