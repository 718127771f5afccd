"""The 2D pose estimator: crops in, keypoints in pixels of each crop and their scores out, a batch at a time.

A ReID crop is the box, so there is no detector. mmpose's own crop transforms, network and decoder see whole batches,
where its `inference_topdown` takes one frame; only normalising is ours, in place on the device: mmpose's preprocessor
computes the same bytes in six times the time.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extraction.pose2d.fusion import fused
from extraction.pose2d.joints import joint_map
from extraction.zoo.mmpose_compat import mmpose_scope
from extraction.zoo.pose_model import PoseModel
from storage.errors import SettingsError
from storage.frames.images import Frame

Precision = Literal["fp32", "bf16"]

LEAST = 16
"""Smaller batches are padded: torch convolves fewer images by another algorithm, slower and rounding otherwise, and the
bytes of a frame's keypoints would depend on the batch that it travels in."""


@dataclass(frozen=True)
class Crops:
    """Frames as the network takes them.

    Attributes:
        pixels: (N, H, W, 3) uint8, channels in the order of the model.
        centres: (N, 1, 2) of the box in each frame, pixels.
        scales: (N, 1, 2) of the box in each frame: what became the network's whole input, pixels.
    """

    pixels: Tensor
    centres: NDArray[np.float32]
    scales: NDArray[np.float32]


class Estimator:
    """A top-down pose estimator over whole crops. May be called from several threads at once.

    Args:
        model: as `pose_model.load` gives it, on its device.
        flip_test, precision: see `extract.EstimatorSettings`.
    """

    def __init__(self, model: PoseModel, flip_test: bool = False, precision: Precision = "fp32") -> None:
        self.transforms = _crop_transforms(model)
        self.model = fused(model)
        self.test_cfg = {**(model.test_cfg or {}), "flip_test": flip_test, "output_heatmaps": False}
        self.precision = precision
        meta = model.dataset_meta
        self.joints = joint_map(meta["dataset_name"], meta["num_keypoints"])
        self.device = next(model.parameters()).device
        preprocessor = model.data_preprocessor
        self.swaps_channels = bool(preprocessor._channel_conversion)
        normalises = preprocessor._enable_normalize
        self.mean = preprocessor.mean.flatten() if normalises else torch.zeros(3, device=self.device)
        self.std = preprocessor.std.flatten() if normalises else torch.ones(3, device=self.device)

    def __call__(self, frames: Sequence[Frame]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of N crops of any sizes: (N, K, 2) pixels of each and (N, K) scores, in the model's joints, see `joints`."""
        return self.answer(self.crops(frames))

    def h36m(self, frames: Sequence[Frame]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As calling it, in Human3.6M's joints: (N, 17, 2) and (N, 17)."""
        keypoints, scores = self(frames)
        return self.joints.keypoints(keypoints), self.joints.scores(scores)

    def crops(self, frames: Sequence[Frame]) -> Crops:
        """Cut and warp frames to the network's input by mmpose's transforms; knows nothing of the device."""
        cut = [self._crop(frame) for frame in frames]
        images = [cv2.cvtColor(c["img"], cv2.COLOR_BGR2RGB) if self.swaps_channels else c["img"] for c in cut]
        pixels = torch.from_numpy(np.stack(images))
        return Crops(
            pixels.pin_memory() if self.device.type == "cuda" else pixels,
            np.array([c["input_center"] for c in cut], np.float32)[:, None],
            np.array([c["input_scale"] for c in cut], np.float32)[:, None],
        )

    @torch.inference_mode()
    def answer(self, crops: Crops) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The network's answer for cut crops, decoded: see calling."""
        from mmpose.structures import PoseDataSample

        inputs = self.normalised(_padded(crops.pixels))
        features = self._features(inputs)
        if self.test_cfg["flip_test"]:
            features = [features, self._features(inputs.flip(-1))]
        sample = PoseDataSample(metainfo={"flip_indices": self.model.dataset_meta["flip_indices"]})
        answers = self.model.head.predict(features, [sample], test_cfg=self.test_cfg)[: len(crops.pixels)]
        keypoints = np.concatenate([answer.keypoints for answer in answers])  # (N, K, 2) pixels of the model's input
        scores = np.concatenate([answer.keypoint_scores for answer in answers])
        size = np.array((inputs.shape[3], inputs.shape[2]), np.float32)
        keypoints = keypoints / size * crops.scales + crops.centres - crops.scales / 2
        return keypoints.astype(np.float32), scores.astype(np.float32)

    def normalised(self, pixels: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 to (N, 3, H, W) float32 on the device, channels last in memory."""
        width = pixels.shape[2]
        rows = pixels.to(self.device, non_blocking=True).flatten(2).float()  # (N, H, W * 3)
        rows.sub_(self.mean.repeat(width)).div_(self.std.repeat(width))
        return rows.view(pixels.shape).permute(0, 3, 1, 2)

    def _features(self, inputs: Tensor) -> Any:
        low = self.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if low else nullcontext():
            features = self.model.extract_feat(inputs)
        return tuple(feature.float() for feature in features) if low else features

    def _crop(self, frame: Frame) -> dict[str, Any]:
        height, width = frame.shape[:2]
        results = {"img": frame, "bbox": np.array([[0, 0, width, height]], np.float32)}
        for transform in self.transforms:
            results = transform(results)
        return results


def _padded(pixels: Tensor) -> Tensor:
    """At least `LEAST` images, black ones behind those given."""
    missing = LEAST - len(pixels)
    return torch.cat([pixels, pixels.new_zeros(missing, *pixels.shape[1:])]) if missing > 0 else pixels


READING, PACKING = "LoadImage", "PackPoseInputs"
CROPPING = ("GetBBoxCenterScale", "TopdownAffine")


def _crop_transforms(model: PoseModel) -> list[Any]:
    """The transforms between reading and packing in the config's test pipeline."""
    pipeline = model.cfg.test_dataloader.dataset.pipeline
    steps = [step for step in pipeline if step["type"] not in (READING, PACKING)]
    if tuple(step["type"] for step in steps) != CROPPING:
        raise SettingsError(
            f"the test pipeline of this config is not the top-down one of {READING}, {', '.join(CROPPING)}, {PACKING}",
            where="extraction.estimator.config",
            fix="choose the config of a top-down pose estimator",
        )
    with mmpose_scope():
        from mmpose.registry import TRANSFORMS

        return [TRANSFORMS.build(step) for step in steps]
