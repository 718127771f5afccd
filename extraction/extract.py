"""The stage `skeletons`: the frames of one shard of tracklets become their 2D keypoints and 3D skeletons.

A frame that cannot be decoded, or shows nobody, is recorded as such and holds zeros; its neighbours are lifted as if
the body had moved evenly through it, so one broken file spoils one frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from extraction.canonical import LIMBS
from extraction.weights import DEFAULT_CACHE, PoseModelSettings, config_files, find_config, locate
from storage.frames import Frame, read_frames
from storage.progress import Progress
from storage.schema import FRAME_STATUS, SKELETONS
from storage.settings import Settings, neutral
from storage.skeleton import NUM_JOINTS
from storage.tables import ragged_table, write_table
from storage.tracklets import read_index

if TYPE_CHECKING:  # both import torch and mmpose, which takes seconds; a plan of a run needs only the settings
    from extraction.estimator import Estimator
    from extraction.lifter import Lifter

OK, LOW_CONFIDENCE, NO_PERSON, UNREADABLE = range(len(FRAME_STATUS))
FILE_NAME = "skeletons.parquet"
LOADING = Lock()


class EstimatorSettings(PoseModelSettings):
    """The 2D pose estimator."""

    config: str = neutral("project:demo_estimator.py", "mmpose config of a top-down model; see PoseModelSettings.")
    weights: str = neutral("project:demo_estimator.safetensors", "Weights of the model: address, file or project:file.")
    flip_test: bool = Field(False, description="Average with the answer for the mirrored crop: twice the work.")
    channels_last: bool = Field(True, description="Memory layout of convolutions; faster on CPU and GPU.")


class LifterSettings(PoseModelSettings):
    """The lifter from 2D to 3D."""

    config: str = neutral("project:demo_lifter.py", "mmpose config of a lifter; see PoseModelSettings.")
    weights: str = neutral("project:demo_lifter.safetensors", "Weights of the lifter: address, file or project:file.")
    normalise: Literal["auto", "canonical", "box", "image"] = Field(
        "auto",
        description="How a crop meets what the lifter was trained on. canonical: by the body's own size and place. "
        "box: the crop put where the average person stands in Human3.6M's images, as mmpose's norm_pose_2d. image: the "
        "crop taken for the whole image. auto: what the config names as `normalise` (this project's: canonical), "
        "else box.",
    )
    overlap: int = Field(81, ge=0, description="Frames shared by neighbouring windows (MotionBERT).")
    flip_test: bool = Field(
        True, description="Average with the mirrored pose where the config asks for it (MotionBERT)."
    )


class ExtractionSettings(Settings):
    """Frames to skeletons."""

    estimator: EstimatorSettings = Field(default_factory=EstimatorSettings, description="The 2D pose estimator.")
    lifter: LifterSettings = Field(default_factory=LifterSettings, description="The lifter from 2D to 3D.")
    min_score: float = Field(
        0.3, description="A frame whose limb joints score less on average is marked low_confidence (0 to 1)."
    )
    no_person_score: float = Field(
        0.2, description="A frame whose limb joints score less on average shows no person and holds zeros (0 to 1)."
    )
    device: str = neutral("auto", "Where the models run: auto, cpu, cuda, cuda:1, ...")
    batch_size: int = neutral(32, "Frames at once in the 2D estimator.", ge=1)
    lifter_batch_size: int = neutral(4096, "Frames at once in the lifter, counting every frame of a window.", ge=1)
    decode_workers: int = neutral(2, "Threads that decode images ahead of the model.", ge=1)
    weights_cache: Path = neutral(DEFAULT_CACHE, "Folder of fetched weights; put files here by hand without network.")


@dataclass(frozen=True)
class Inputs:
    """What the stage reads.

    Attributes:
        data_root: folder that frame paths start from.
        index: one shard of the index.
    """

    data_root: Path
    index: Path


def weight_files(settings: ExtractionSettings) -> dict[str, Path]:
    """Every file whose bytes decide the skeletons, by what it is for; weights are fetched if need be.

    Raises:
        WeightsError: a config or weights cannot be had; says what to put where.
    """
    files = {}
    for name, model in (("estimator", settings.estimator), ("lifter", settings.lifter)):
        for i, path in enumerate(config_files(find_config(model.config))):
            files[f"{name} config {i}"] = path
        files[f"{name} weights"] = locate(model, settings.weights_cache)
    return files


def run(inputs: Inputs, settings: ExtractionSettings, out_dir: Path, progress: Progress) -> None:
    """Write `skeletons.parquet`: the index's tracklets in its order, a status for each of their frames.

    Raises:
        WeightsError: config or weights are missing, damaged, or do not fit each other.
        SettingsError: the models named cannot do what is asked of them.
        DataError: a frame's name points outside the data root.
    """
    estimator, lifter = load_models(settings)
    tracklets = read_index(inputs.index)
    names = [name for tracklet in tracklets for name in tracklet.frames]
    ends = np.cumsum([len(tracklet.frames) for tracklet in tracklets], dtype=np.int64)
    found = Estimates.empty(len(names))
    frames = read_frames(inputs.data_root, names, settings.decode_workers, ahead=2 * settings.batch_size)
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in SKELETONS.names[2:]}
    for done in estimate(estimator, frames, settings.batch_size, found):
        while len(rows["status"]) < len(tracklets) and ends[len(rows["status"])] <= done:
            end = int(ends[len(rows["status"])])
            one = found.rows(slice(end - len(tracklets[len(rows["status"])].frames), end))
            for name, values in skeletons_of(one, lifter, settings.min_score, settings.no_person_score).items():
                rows[name].append(values)
        progress(done, len(names), "frames")
    table = ragged_table([tracklet.tracklet_id for tracklet in tracklets], rows, SKELETONS)
    write_table(table, out_dir / FILE_NAME)


def load_models(settings: ExtractionSettings) -> tuple["Estimator", "Lifter"]:
    """Both models, once a process for the same settings and files."""
    stamp = tuple((str(path), path.stat().st_mtime_ns) for path in weight_files(settings).values())
    with LOADING:  # several shards start at once in threads of one process
        return _load_models(settings, stamp)


@lru_cache(maxsize=2)
def _load_models(settings: ExtractionSettings, _stamp: tuple[tuple[str, int], ...]) -> tuple["Estimator", "Lifter"]:
    from extraction.estimator import Estimator
    from extraction.lifter import Lifter
    from extraction.pose_model import choose_device, load

    device = choose_device(settings.device)
    pose, lift = settings.estimator, settings.lifter
    estimator = Estimator(load(pose, settings.weights_cache, device), pose.flip_test, pose.channels_last)
    model = load(lift, settings.weights_cache, device)
    normalise = model.cfg.get("normalise", "box") if lift.normalise == "auto" else lift.normalise
    return estimator, Lifter(model, normalise, lift.overlap, lift.flip_test, settings.lifter_batch_size)


@dataclass(frozen=True)
class Estimates:
    """What the 2D estimator found in N frames.

    Attributes:
        keypoints: (N, 17, 2) pixels of each frame.
        scores: (N, 17).
        sizes: (N, 2) width and height of each frame; zeros where it could not be decoded.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    sizes: NDArray[np.float32]

    @classmethod
    def empty(cls, frames: int) -> "Estimates":
        """Room for N frames, all unreadable so far."""
        shapes = ((frames, NUM_JOINTS, 2), (frames, NUM_JOINTS), (frames, 2))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    def rows(self, rows: slice) -> "Estimates":
        """Some of the frames, as views."""
        return Estimates(self.keypoints[rows], self.scores[rows], self.sizes[rows])


def estimate(
    estimator: "Estimator", frames: Iterator[Frame | None], batch_size: int, found: Estimates
) -> Iterator[int]:
    """Fill `found` batch by batch, across tracklets; yields how many frames are done so far."""
    batch: dict[int, Frame] = {}
    done = 0
    for row, frame in enumerate(frames):
        done = row + 1
        if frame is not None:
            batch[row] = frame
        if len(batch) == batch_size:
            _estimate_batch(estimator, batch, found)
            batch = {}
            yield done
    if batch:
        _estimate_batch(estimator, batch, found)
    yield done


def _estimate_batch(estimator: "Estimator", batch: dict[int, Frame], found: Estimates) -> None:
    rows = list(batch)
    found.keypoints[rows], found.scores[rows] = estimator.h36m(list(batch.values()))
    found.sizes[rows] = [(frame.shape[1], frame.shape[0]) for frame in batch.values()]


def frame_status(found: Estimates, min_score: float, no_person_score: float) -> NDArray[np.uint8]:
    """(N,) positions in `FRAME_STATUS`."""
    mean = found.scores[:, LIMBS].mean(-1)  # in COCO, trunk and head are made from other joints
    status = np.where(mean < no_person_score, NO_PERSON, np.where(mean < min_score, LOW_CONFIDENCE, OK))
    return np.where(found.sizes[:, 0] > 0, status, UNREADABLE).astype(np.uint8)


def skeletons_of(
    found: Estimates, lifter: "Lifter", min_score: float, no_person_score: float
) -> dict[str, NDArray[Any]]:
    """One tracklet's columns of `SKELETONS`, (T, ...) each."""
    from extraction.lifter import Poses2D

    status = frame_status(found, min_score, no_person_score)
    good = status <= LOW_CONFIDENCE
    shown = good[:, None, None]
    skeletons = np.zeros((len(status), NUM_JOINTS, 3), np.float32)
    if good.any():
        poses = Poses2D(*(bridge(values, good) for values in (found.keypoints, found.scores, found.sizes)))
        skeletons = np.where(shown, lifter(poses), 0)
    return {
        "keypoints_3d": skeletons,
        "keypoints_2d": np.where(shown, found.keypoints, 0),
        "scores": found.scores.clip(0, 1),
        "status": status,
        "filled": np.zeros(len(status), np.bool_),
    }


def bridge(values: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill the frames that are not good from their good neighbours: linear in time, constant at the ends.

    Args:
        values: (T, ...).
        good: (T,), at least one.
    """
    if good.all():
        return values
    times = np.flatnonzero(good)
    flat = values.reshape(len(values), -1)
    columns = [np.interp(np.arange(len(values)), times, column[times]) for column in flat.T]
    return np.stack(columns, -1).reshape(values.shape).astype(np.float32)
