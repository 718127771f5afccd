"""The stage `skeletons`: the frames of one shard of tracklets become their 2D keypoints and 3D skeletons."""

import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from extraction.skeletons import FILE_NAME, UNREADABLE, skeleton_writer
from extraction.zoo.weights import DEFAULT_CACHE, PoseModelSettings, config_files, find_config, locate
from storage.addresses import DataRoot
from storage.devices import chosen_device
from storage.frames.files import DataFiles
from storage.progress import Progress
from storage.settings import Settings, neutral
from storage.tables.tracklets import Tracklet, stream_index

if TYPE_CHECKING:  # imports torch and mmpose, which takes seconds; a plan of a run needs only the settings
    from extraction.stream import Models, Stream

log = logging.getLogger("csip.extraction")

LOADING = Lock()
BATCH_ON_CPU, BATCH_ON_GPU = 16, 256
"""On a CPU the features of 16 frames still fit its caches: RTMPose-s and LiteHRNet are slower with 8 and with 32."""


class EstimatorSettings(PoseModelSettings):
    """The 2D pose estimator."""

    config: str = neutral("project:demo_estimator.py", "mmpose config of a top-down model; see PoseModelSettings.")
    weights: str = neutral("project:demo_estimator.safetensors", "Weights of the model: address, file or project:file.")
    flip_test: bool = Field(False, description="Average with the answer for the mirrored crop: twice the work.")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="Arithmetic of the backbone. fp32: keypoints as mmpose's. bf16: about twice as fast where the "
        "processor has it, and keypoints move a little (make bench-extraction says how much).",
    )


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
        True,
        description="Average with the mirrored pose where the config asks for it (MotionBERT, this project's).",
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
    max_gap: int = Field(
        5,
        ge=0,
        description="Longest run of frames that are not ok which is filled by interpolation in time (and marked so).",
    )
    device: str = neutral("auto", "Where the models run: auto, cpu, cuda, cuda:1, ...")
    batch_size: int = neutral(
        0, f"Frames at once in the 2D estimator; 0: {BATCH_ON_CPU} on a CPU, {BATCH_ON_GPU} on a GPU.", ge=0
    )
    workers: int = neutral(0, "Threads in which the models compute; 0: one a core on a CPU, two on a GPU.", ge=0)
    decode_workers: int = neutral(2, "Threads that read and decode images ahead of the models.", ge=1)
    weights_cache: Path = neutral(DEFAULT_CACHE, "Folder of fetched weights; put files here by hand without network.")


@dataclass(frozen=True)
class Inputs:
    """The data root, from which the paths of frames start, and a shard of the index."""

    data_root: DataRoot
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
    files = DataFiles(inputs.data_root)
    stream = make_stream(settings, files)
    total = sum(len(tracklet.frames) for tracklet in stream_index(inputs.index))
    tracklets = files.ahead(stream_index(inputs.index), lambda tracklet: tracklet.frames)
    write_skeletons(stream, tracklets, total, out_dir / FILE_NAME, progress)


def make_stream(settings: ExtractionSettings, files: DataFiles) -> "Stream":
    """The loaded models, ready for the frames of a data set."""
    from extraction.poses import Thresholds
    from extraction.stream import Stream
    from storage.frames.images import read_bytes

    models = load_models(settings)
    on_cpu = models.estimator.device.type == "cpu"
    return Stream(
        models,
        partial(read_bytes, files),
        Thresholds(settings.min_score, settings.no_person_score, settings.max_gap),
        settings.batch_size or (BATCH_ON_CPU if on_cpu else BATCH_ON_GPU),
        settings.decode_workers,
    )


def write_skeletons(
    stream: "Stream", tracklets: Iterable[Tracklet], total: int, path: Path, progress: Progress
) -> None:
    """Write a `SKELETONS` file of tracklets, which have `total` frames in all, in order and as their skeletons come."""
    start, done = time.monotonic(), 0
    with skeleton_writer(path) as write:
        for tracklet, columns in stream.skeletons(tracklets):
            write(tracklet.tracklet_id, columns)
            name, frames = tracklet.tracklet_id, len(tracklet.frames)
            if unreadable := int((columns["status"] == UNREADABLE).sum()):
                log.warning("%d of %d frames of %s cannot be read", unreadable, frames, name, extra={"tracklet": name})
            done += frames
            progress(done, total, f"frames, {done / max(time.monotonic() - start, 1e-9):.0f} a second")


def load_models(settings: ExtractionSettings) -> "Models":
    """Both models and their threads, once a process for the same settings and files."""
    stamp = tuple((str(path), path.stat().st_mtime_ns) for path in weight_files(settings).values())
    with LOADING:  # several shards start at once in threads of one process
        return _load_models(settings, stamp)


@lru_cache(maxsize=2)
def _load_models(settings: ExtractionSettings, _stamp: tuple[tuple[str, int], ...]) -> "Models":
    from extraction.lifting.lifter import Lifter
    from extraction.pose2d.estimator import Estimator
    from extraction.stream import Models
    from extraction.threads import compute_pool
    from extraction.zoo.pose_model import load

    device = chosen_device(settings.device, "extraction.device")
    pose, lift = settings.estimator, settings.lifter
    estimator = Estimator(load(pose, settings.weights_cache, device), pose.flip_test, pose.precision)
    model = load(lift, settings.weights_cache, device)
    normalise = model.cfg.get("normalise", "box") if lift.normalise == "auto" else lift.normalise
    workers = settings.workers or (len(os.sched_getaffinity(0)) if device == "cpu" else 2)
    return Models(estimator, Lifter(model, normalise, lift.overlap, lift.flip_test), compute_pool(workers), workers)
