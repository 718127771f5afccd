"""The stage `skeletons` where a user already has them: one JSON a frame becomes what extraction would have written.

`{"keypoints": [[x, y, z] x 17]}`, Human3.6M joints, from HMR2.0 or any other source. A file that is missing or makes no
sense spoils its own frame: short gaps are filled from the neighbours, and marked so.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from extraction.gaps import fillable, interpolate
from extraction.skeletons import FILE_NAME, NO_PERSON, OK, UNREADABLE, Columns, skeleton_writer
from storage.addresses import DataRoot
from storage.datasets.skeleton_files import read_files
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.progress import Progress
from storage.settings import Settings, neutral
from storage.skeleton import JOINTS, NUM_JOINTS, centre_on_pelvis
from storage.tables.tracklets import stream_index

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
HEAD, FEET = JOINTS.index("head"), [JOINTS.index("right_foot"), JOINTS.index("left_foot")]
TALL = (0.8, 2.5)
"""Metres from feet to head that a shard's median may have: from children who crouch to giants."""


class ExistingSettings(Settings):
    """How skeletons that a user already has are written down."""

    unit: Literal["m", "cm", "mm"] = Field("m", description="Unit of their coordinates.")
    axes: Literal["camera", "z_up"] = Field(
        "camera", description="camera: x right, y down, z away. z_up: x right, y away, z up."
    )
    max_gap: int = Field(
        5, ge=0, description="Longest run of frames without a skeleton which is filled by interpolation in time."
    )
    read_workers: int = neutral(8, "Threads that read files.", ge=1)


@dataclass(frozen=True)
class Inputs:
    """The data root, a shard of the index, and the table of the skeleton files of its tracklets."""

    data_root: DataRoot
    index: Path
    files: Path


def run(inputs: Inputs, settings: ExistingSettings, out_dir: Path, progress: Progress) -> None:
    """Write `skeletons.parquet`: the index's tracklets in its order, a status for each of their frames.

    Raises:
        DataError: the skeletons are no people in the unit given; says which unit would fit.
    """
    files, data_files = read_files(inputs.files), DataFiles(inputs.data_root)
    total, done = sum(len(names) for names in files.values()), 0
    heights = [np.zeros(0)]
    with ThreadPoolExecutor(settings.read_workers) as pool, skeleton_writer(out_dir / FILE_NAME) as write:
        for tracklet in data_files.ahead(stream_index(inputs.index), lambda tracklet: files[tracklet.tracklet_id]):
            names = files[tracklet.tracklet_id]
            read = list(pool.map(partial(read_skeleton, data_files), names))
            heights.append(height(read))
            write(tracklet.tracklet_id, columns(read, settings))
            done += len(names)
            progress(done, total, "frames")
    _check_unit(np.concatenate(heights), settings.unit, inputs.data_root)


def read_skeleton(files: DataFiles, name: str) -> NDArray[np.float64] | None:
    """(17, 3) as the file has it; all zeros where it says that nobody was found; None where it says nothing of use."""
    if not name:
        return None
    try:
        skeleton = np.asarray(json.loads(files.read(name))["keypoints"], np.float64)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if skeleton.size == 0:
        return np.zeros((NUM_JOINTS, 3))
    return skeleton if skeleton.shape == (NUM_JOINTS, 3) and np.isfinite(skeleton).all() else None


def columns(read: Sequence[NDArray[np.float64] | None], settings: ExistingSettings) -> Columns:
    """A tracklet's columns of `SKELETONS` from what its files hold."""
    status = np.array([UNREADABLE if s is None else OK if s.any() else NO_PERSON for s in read], np.uint8)
    given = np.array([np.zeros((NUM_JOINTS, 3)) if s is None else s for s in read]).reshape(-1, NUM_JOINTS, 3)
    if settings.axes == "z_up":
        given = np.stack([given[..., 0], -given[..., 2], given[..., 1]], -1)
    good = status == OK
    filled = fillable(good, settings.max_gap)
    skeletons = centre_on_pelvis(given * METRES[settings.unit])
    skeletons = np.where((good | filled)[:, None, None], interpolate(skeletons, good), 0)
    return {
        "keypoints_3d": skeletons.astype(np.float32),
        "keypoints_2d": np.zeros((len(read), NUM_JOINTS, 2), np.float32),
        "scores": np.repeat(good[:, None], NUM_JOINTS, 1).astype(np.float32),
        "status": status,
        "filled": filled,
    }


def height(read: Iterable[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """From the feet to the head of each skeleton that there is, in its own unit."""
    there = np.array([s for s in read if s is not None and s.any()]).reshape(-1, NUM_JOINTS, 3)
    heights: NDArray[np.float64] = np.linalg.norm(there[:, HEAD] - there[:, FEET].mean(1), axis=-1)
    return heights


def _check_unit(heights: NDArray[np.float64], unit: str, root: DataRoot) -> None:
    if not heights.size:
        return
    middle = float(np.median(heights))
    fitting = [other for other, metres in METRES.items() if TALL[0] <= middle * metres <= TALL[1]]
    if unit not in fitting:
        fix = f"set existing.unit={fitting[0]}" if fitting else "give skeletons of 17 Human3.6M joints in m, cm or mm"
        what = f"half of the skeletons are less than {middle:.3g} {unit} from their feet to their head"
        raise DataError(what, where=root, fix=fix)
