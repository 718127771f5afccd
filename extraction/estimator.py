"""The 2D pose estimator: crops in, keypoints in pixels of each crop and their scores out, a batch at a time.

A ReID crop is the box, so there is no detector. mmpose's own crop transforms, preprocessor, network and decoder do the
work; what is ours is that they see whole batches, where mmpose's `inference_topdown` takes one frame.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from extraction.joints import joint_map
from extraction.mmpose_compat import mmpose_scope
from extraction.pose_model import PoseModel
from storage.errors import SettingsError
from storage.frames import Frame


class Estimator:
    """A top-down pose estimator over whole crops.

    Args:
        model: as `pose_model.load` gives it, on its device.
        flip_test: average with the answer for the mirrored crop (twice the work).
        channels_last: how convolutions see memory; on a CPU 1.3 to 1.5 times as fast for RTMPose and LiteHRNet.
    """

    def __init__(self, model: PoseModel, flip_test: bool = False, channels_last: bool = True) -> None:
        self.model = model
        self.transforms = _crop_transforms(model)
        self.test_cfg = {**(model.test_cfg or {}), "flip_test": flip_test, "output_heatmaps": False}
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        model.to(memory_format=self.memory_format)
        meta = model.dataset_meta
        self.joints = joint_map(meta["dataset_name"], meta["num_keypoints"])
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def __call__(self, frames: Sequence[Frame]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Keypoints of one batch.

        Args:
            frames: N crops, (H, W, 3) uint8 BGR, of any sizes.

        Returns:
            (N, K, 2) pixels of each crop, and (N, K) scores, in the model's own joints; `joints` maps both.
        """
        crops = [self._crop(frame) for frame in frames]
        batch = torch.from_numpy(np.stack([crop["img"] for crop in crops])).to(self.device)  # (N, H, W, 3)
        data = {"inputs": batch.permute(0, 3, 1, 2), "data_samples": []}
        inputs = self.model.data_preprocessor(data)["inputs"].contiguous(memory_format=self.memory_format)
        features = self.model.extract_feat(inputs)
        if self.test_cfg["flip_test"]:
            features = [features, self.model.extract_feat(inputs.flip(-1))]
        answers = self.model.head.predict(features, [self._sample()], test_cfg=self.test_cfg)
        keypoints = np.concatenate([answer.keypoints for answer in answers])  # (N, K, 2) pixels of the model's input
        scores = np.concatenate([answer.keypoint_scores for answer in answers])
        size = np.array([crop["input_size"] for crop in crops], np.float32)[:, None]
        centre = np.array([crop["input_center"] for crop in crops], np.float32)[:, None]
        scale = np.array([crop["input_scale"] for crop in crops], np.float32)[:, None]
        keypoints = keypoints / size * scale + centre - scale / 2
        return keypoints.astype(np.float32), scores.astype(np.float32)

    def h36m(self, frames: Sequence[Frame]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As calling it, in Human3.6M's joints: (N, 17, 2) and (N, 17)."""
        keypoints, scores = self(frames)
        return self.joints.keypoints(keypoints), self.joints.scores(scores)

    def _crop(self, frame: Frame) -> dict[str, Any]:
        height, width = frame.shape[:2]
        results = {"img": frame, "bbox": np.array([[0, 0, width, height]], np.float32)}
        for transform in self.transforms:
            results = transform(results)
        return results

    def _sample(self) -> Any:
        from mmpose.structures import PoseDataSample

        return PoseDataSample(metainfo={"flip_indices": self.model.dataset_meta["flip_indices"]})


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
