"""What is measured: models, and the frames to measure them on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from safetensors.torch import save_file

from extraction.extract import EstimatorSettings, LifterSettings
from extraction.zoo.pose_model import build
from extraction.zoo.weights import find_config
from storage.datasets.readers import READERS
from storage.demo.dataset import DemoSettings, make
from storage.frames.files import DataFiles
from storage.tables.tracklets import Tracklet

RTMPOSE = "body_2d_keypoint/rtmpose/coco/rtmpose-{}_8xb256-420e_coco-256x192.py"
MOTIONBERT = "body_3d_keypoint/motionbert/h36m/motionbert_dstformer-ft-243frm_8xb32-120e_h36m.py"
TINYPOSE = "td-hm_litehrnet-widernaive_pptinypose_coco-{}.py", "tinypose_{}_litehrnet_widernaive_mmpose.pth"


@dataclass(frozen=True)
class Case:
    """A pose estimator.

    Attributes:
        name: as the tables call it.
        real: whether its weights are trained; random ones cost the same time.
        settings: its config and weights.
    """

    name: str
    real: bool
    settings: EstimatorSettings


def estimators(weights: Path, folder: Path) -> list[Case]:
    """Every estimator that can be had: the demo's, RTMPose-s with random weights, and real ones from `weights`."""
    found = []
    for size in ("128x96", "256x192"):
        own, file = (weights / "tinypose" / name.format(size) for name in TINYPOSE)
        if file.is_file():
            found.append(Case(f"tinypose {size}", True, EstimatorSettings(config=str(own), weights=str(file))))
    config = RTMPOSE.format("s")
    random = EstimatorSettings(config=config, weights=str(random_weights(config, folder)))
    return [Case("demo estimator", True, EstimatorSettings()), *found, Case("RTMPose-s", False, random)]


def motionbert(folder: Path) -> LifterSettings:
    """MotionBERT with random weights, which cost the same time as trained ones."""
    return LifterSettings(config=MOTIONBERT, weights=str(random_weights(MOTIONBERT, folder)))


def random_weights(config: str, folder: Path) -> Path:
    """A file of random weights that fits the config."""
    path = folder / f"{Path(config).stem}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        save_file(build(Config.fromfile(find_config(config))).state_dict(), path)
    return path


def frames(data: Path | None, folder: Path) -> tuple[Path, list[Tracklet]]:
    """A data root in the MARS layout and its tracklets: `data`, or else a rendered demo data set in `folder`."""
    if data is None:
        data = folder / "demo"
        make(DemoSettings(), data)
    return data, READERS["mars"].read(DataFiles(data), 0)
