"""The lifter: a tracklet's 2D keypoints in, its 3D skeletons out, for the lifters of mmpose.

Two kinds. Those with a `TemporalRegressionHead` (VideoPose3D, SimpleBaseline3D) answer for one frame of a window: every
frame gets its own window, and windows go through the network in batches. Those with a `MotionRegressionHead`
(MotionBERT) answer for every frame of a window: a tracklet is cut into overlapping windows whose answers are blended.
Encoding and decoding are the codec's of the model's config.

Axes and units: Human3.6M's camera axes (x right, y down, z away) are ours, and codecs decode to metres, so nothing is
turned here; the pelvis is subtracted. (mmpose's `Pose3DInferencer` turns its answer to z-up and puts the lowest joint
on the floor, for drawing only.)
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from extraction.canonical import CANVAS, canonical
from extraction.mmpose_compat import mmpose_scope
from extraction.pose_model import PoseModel
from storage.errors import SettingsError
from storage.skeleton import NUM_JOINTS, centre_on_pelvis

Array = NDArray[np.float32]
Normalise = Literal["canonical", "box", "image"]

H36M_IMAGE = (1000, 1000)
"""Width and height of Human3.6M's images, in pixels: what published lifters saw."""


@dataclass(frozen=True)
class Poses2D:
    """A tracklet's estimated joints, with no gaps.

    Attributes:
        keypoints: (T, 17, 2) Human3.6M joints, pixels of each frame.
        scores: (T, 17).
        sizes: (T, 2) width and height of each frame, pixels.
    """

    keypoints: Array
    scores: Array
    sizes: Array


class Lifter:
    """A lifter of mmpose.

    Args:
        model: as `pose_model.load` gives it, on its device.
        normalise: how crops meet the images that the lifter was trained on, see `extract.LifterSettings`.
        overlap: frames that neighbouring windows share, where a model answers for whole windows.
        flip_test: average with the answer for the mirrored pose, where the model's config asks for it.
        batch_size: frames at once (whole windows, and at least one).

    Raises:
        SettingsError: the model is not a lifter of one of the two kinds.
    """

    def __init__(
        self, model: PoseModel, normalise: Normalise, overlap: int = 81, flip_test: bool = True, batch_size: int = 4096
    ) -> None:
        kind = type(getattr(model, "head", None)).__name__
        if kind not in ("TemporalRegressionHead", "MotionRegressionHead"):
            raise SettingsError(
                f"this config does not make a lifter from 2D to 3D (its head is {kind})",
                where="extraction.lifter.config",
                fix="choose SimpleBaseline3D, VideoPose3D or MotionBERT",
            )
        dataset = model.cfg.test_dataloader.dataset
        target = next(step for step in dataset.pipeline if step["type"] == "GenerateTarget")
        with mmpose_scope():
            from mmpose.registry import KEYPOINT_CODECS

            self.codec = KEYPOINT_CODECS.build(target["encoder"])
        self.model = model
        self.normalise = normalise
        self.batch_size = batch_size
        self.device = next(model.parameters()).device
        self.answers_windows = kind == "MotionRegressionHead"
        self.flip_test = flip_test and (model.test_cfg or {}).get("flip_test", False)
        if self.answers_windows:
            self.window = int(model.backbone.temp_embed.shape[1])
            self.overlap = min(overlap, self.window - 1)
        else:
            self.offsets = window_offsets(
                dataset.get("seq_len", 1), dataset.get("seq_step", 1), dataset.get("causal", False)
            )

    @torch.inference_mode()
    def __call__(self, poses: Poses2D) -> Array:
        """(T, 17, 3): metres, pelvis-centred, camera axes. Depends on nothing but this tracklet."""
        lift = self._lift_windows if self.answers_windows else self._lift_frames
        return centre_on_pelvis(lift(poses)).astype(np.float32)

    def _lift_frames(self, poses: Poses2D) -> Array:
        rows = frame_windows(len(poses.keypoints), self.offsets)  # (T, L)
        skeletons = []
        for chosen in self._batches(rows):
            encoded, _ = self._encode(poses, chosen)
            labels = torch.from_numpy(encoded["keypoint_labels"]).float()  # (34, B * L)
            inputs = labels.unflatten(1, chosen.shape).permute(1, 0, 2).to(self.device)  # (B, 34, L)
            coordinates = self.model.head.forward(self.model.extract_feat(inputs))
            root = torch.from_numpy(np.asarray(encoded["target_root"], np.float32))  # zeros (1, 3)
            answers = self.model.head.decode((coordinates, root.expand(len(coordinates), *root.shape)))
            skeletons += [answer.keypoints for answer in answers]
        return np.concatenate(skeletons)

    def _lift_windows(self, poses: Poses2D) -> Array:
        frames = len(poses.keypoints)
        length = min(frames, self.window)
        starts = np.array(window_starts(frames, self.window, self.overlap))
        rows = starts[:, None] + np.arange(length)  # (W, L)
        depth = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))[:, None, None]
        total, weight = np.zeros((frames, NUM_JOINTS, 3)), np.zeros((frames, 1, 1))
        for chosen in self._batches(rows):
            encoded, (width, height) = self._encode(poses, chosen)
            inputs = torch.from_numpy(encoded["keypoint_labels"]).float().unflatten(0, chosen.shape)  # (B, L, 17, 3)
            answer = self._answer_windows(inputs.to(self.device)).flatten(0, 1).cpu().numpy()  # (B * L, 17, 3)
            sides = {"w": np.full(len(answer), width), "h": np.full(len(answer), height)}
            skeletons, _ = self.codec.decode(answer, **sides, factor=encoded["factor"])
            for window, skeleton in zip(chosen, skeletons.reshape(*chosen.shape, NUM_JOINTS, 3), strict=True):
                total[window] += depth * skeleton
                weight[window] += depth
        return (total / weight).astype(np.float32)

    def _batches(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        at_once = max(1, self.batch_size // rows.shape[1])
        return [rows[start : start + at_once] for start in range(0, len(rows), at_once)]

    def _encode(self, poses: Poses2D, rows: NDArray[np.int64]) -> tuple[dict[str, Any], tuple[float, float]]:
        """What the codec makes of the windows' frames, one after another, and the (width, height) they lie in."""
        placed, (width, height) = self._place(poses, rows)
        keypoints = placed.reshape(-1, NUM_JOINTS, 2).astype(np.float32)
        targets = len(keypoints) if self.answers_windows else 1
        given = {
            "lifting_target": np.zeros((targets, NUM_JOINTS, 3), np.float32),
            "lifting_target_visible": np.ones((targets, NUM_JOINTS, 1), np.float32),
            "camera_param": {"w": width, "h": height},
            "factor": np.zeros(targets, np.float32),
        }
        encoded = self.codec.encode(
            keypoints=keypoints,
            keypoints_visible=np.ones(keypoints.shape[:2], np.float32),  # as mmpose does; scores are not passed on
            **{name: value for name, value in given.items() if name in self.codec.auxiliary_encode_keys},
        )
        return encoded, (width, height)

    def _place(self, poses: Poses2D, rows: NDArray[np.int64]) -> tuple[NDArray[Any], tuple[float, float]]:
        """Windows of keypoints as they would lie in an image that the lifter knows, (W, L, 17, 2), and its size."""
        if self.normalise == "canonical":
            return canonical(poses.keypoints[rows], poses.scores[rows]), (CANVAS, CANVAS)
        width, height = (float(side) for side in poses.sizes[0])
        if self.normalise == "image":
            return place(poses, (width / 2, height / 2), max(width, height))[rows], (width, height)
        stats = self.model.dataset_meta["stats_info"]
        return place(poses, tuple(stats["bbox_center"]), float(stats["bbox_scale"]))[rows], H36M_IMAGE

    def _answer_windows(self, inputs: torch.Tensor) -> torch.Tensor:
        """The network's answer, (B, L, 17, 3) in its own units; flipped and averaged as mmpose's predict does."""
        answer = self.model.head.forward(self.model.extract_feat(inputs))
        if self.flip_test:
            mirrored = self.model.head.forward(self.model.extract_feat(self._flip(inputs)))
            answer = (answer + self._flip(mirrored)) * 0.5
        return answer

    def _flip(self, coordinates: torch.Tensor) -> torch.Tensor:
        from mmpose.models.utils.tta import flip_coordinates

        flat = coordinates.flatten(0, 1).clone()  # flip_coordinates writes into what it is given
        indices = self.model.dataset_meta["flip_indices"]
        shift = self.model.test_cfg.get("shift_coords", True)
        return flip_coordinates(flat, indices, shift, input_size=(1, 1)).view_as(coordinates)


def place(poses: Poses2D, centre: tuple[float, float], side: float) -> NDArray[np.float64]:
    """Move and scale every crop so that its centre lies at `centre` and its larger side is `side` pixels long.

    The crop is the person's box: this is mmpose's `norm_pose_2d`. With a crop's own centre and side nothing moves.
    """
    sizes = poses.sizes.astype(np.float64)[:, None]  # (T, 1, 2)
    return (poses.keypoints - sizes / 2) / sizes.max(-1, keepdims=True) * side + np.asarray(centre, np.float64)


def window_offsets(frames: int, step: int = 1, causal: bool = False) -> NDArray[np.int64]:
    """Where the frames of a window lie from the frame that it answers for."""
    before = frames - 1 if causal else (frames - 1) // 2
    return (np.arange(frames) - before) * step


def frame_windows(frames: int, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The window of each of a tracklet's frames, (T, L); at the ends the outermost frame repeats."""
    return np.clip(np.arange(frames)[:, None] + offsets, 0, frames - 1)


def window_starts(frames: int, window: int, overlap: int) -> list[int]:
    """First frames of the windows that cover a tracklet; the last one ends with it, so all are equally long."""
    if frames <= window:
        return [0]
    return [*range(0, frames - window, window - overlap), frames - window]
