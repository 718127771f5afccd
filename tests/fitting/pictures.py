"""Pictures of the frames that a lifter gets most wrong."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from extraction.quality.pose_metrics import procrustes_align
from storage.skeleton import EDGES, JOINTS
from tests.fitting.lifted import Lifted, pa_mpjpe

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COUNT = 4
APART = 15  # frames: the neighbours of a bad frame are as bad, and show nothing new

SIDE = {"left": "tab:red", "right": "tab:blue"}


def worst(lifted: Lifted, count: int = COUNT) -> list[int]:
    """The frames of the largest PA-MPJPE, no two of them close together; fewer where there are no more."""
    order = np.argsort(-pa_mpjpe(lifted.skeletons, lifted.true))
    chosen: list[int] = []
    for frame in order.tolist():
        if len(chosen) < count and all(abs(frame - other) >= APART for other in chosen if len(order) > count):
            chosen.append(frame)
    return chosen


def draw(lifted: Lifted, path: Path, count: int = COUNT) -> None:
    """One row a frame: what was given, and truth (solid) and answer (dashed, aligned) from the camera and the side."""
    frames = worst(lifted, count)
    errors = pa_mpjpe(lifted.skeletons, lifted.true)
    aligned = procrustes_align(lifted.skeletons, lifted.true)
    figure, rows = plt.subplots(len(frames), 3, figsize=(9, 3.2 * len(frames)), squeeze=False)
    # of world axes (z up), x and z are what a camera would see
    across, down, away, sign = (0, 1, 2, 1) if lifted.same_axes else (0, 2, 1, -1)
    for frame, (given, front, side) in zip(frames, rows, strict=True):
        _body(given, lifted.keypoints[frame], "-")
        given.set_title(f"frame {frame}: {errors[frame]:.0f} mm", fontsize=9)
        for axes, horizontal, title in ((front, across, "from the front"), (side, away, "from the side")):
            for joints, line in ((lifted.true[frame], "-"), (aligned[frame], "--")):
                _body(axes, joints[:, [horizontal, down]] * [1, sign], line)
            axes.set_title(title, fontsize=9)
        for axes in (given, front, side):
            axes.set_aspect("equal")
            axes.invert_yaxis()
            axes.tick_params(labelsize=6)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _body(axes: Any, joints: NDArray[np.floating], line: str) -> None:
    for parent, joint in EDGES:
        colour = SIDE.get(JOINTS[joint].partition("_")[0], "black")
        axes.plot(*joints[[parent, joint]].T, line, color=colour, linewidth=1.2)
