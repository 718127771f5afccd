"""The lifter: a tracklet's 2D keypoints in, its 3D skeletons out, for the lifters of mmpose, many tracklets at once.

Two kinds. Those with a `TemporalRegressionHead` (VideoPose3D, SimpleBaseline3D) answer for one frame of a window: every
frame gets its own window, windows of all tracklets share batches. Those with a `MotionRegressionHead` (MotionBERT)
answer for every frame of a window: a tracklet is cut into overlapping windows whose answers are blended. Encoding and
decoding are the codec's of the model's config.

Axes and units: Human3.6M's camera axes (x right, y down, z away) are ours, and codecs decode to metres, so nothing is
turned here; the pelvis is subtracted. (mmpose's `Pose3DInferencer` turns its answer to z-up and puts the lowest joint
on the floor, for drawing only.)
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from extraction.mmpose_compat import import_mmpose
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
        batch_size: windows at once, for models that answer for one frame.

    Raises:
        SettingsError: the model is not a lifter of one of the two kinds.
    """

    def __init__(
        self, model: nn.Module, normalise: Normalise, overlap: int = 81, flip_test: bool = True, batch_size: int = 256
    ) -> None:
        import_mmpose()
        from mmpose.registry import KEYPOINT_CODECS

        kind = type(getattr(model, "head", None)).__name__
        if kind not in ("TemporalRegressionHead", "MotionRegressionHead"):
            raise SettingsError(
                f"this config does not make a lifter from 2D to 3D (its head is {kind})",
                where="extraction.lifter.config",
                fix="choose SimpleBaseline3D, VideoPose3D or MotionBERT",
            )
        dataset = model.cfg.test_dataloader.dataset
        target = next(step for step in dataset.pipeline if step["type"] == "GenerateTarget")
        self.codec = KEYPOINT_CODECS.build(target["encoder"])
        self.model = model
        self.normalise = normalise
        self.batch_size = batch_size
        self.device = next(model.parameters()).device
        self.whole_windows = kind == "MotionRegressionHead"
        self.flip_test = flip_test and (model.test_cfg or {}).get("flip_test", False)
        if self.whole_windows:
            self.window = int(model.backbone.temp_embed.shape[1])
            self.overlap = min(overlap, self.window - 1)
        else:
            self.offsets = window_offsets(
                dataset.get("seq_len", 1), dataset.get("seq_step", 1), dataset.get("causal", False)
            )

    @torch.inference_mode()
    def __call__(self, tracklets: Sequence[Poses2D]) -> list[Array]:
        """(T, 17, 3) of each tracklet: metres, pelvis-centred, camera axes."""
        if not tracklets:
            return []
        lifted = self._windows(tracklets) if self.whole_windows else self._frames(tracklets)
        return [centre_on_pelvis(skeleton).astype(np.float32) for skeleton in lifted]

    def _place(self, poses: Poses2D) -> tuple[NDArray[np.float64], tuple[float, float]]:
        """Keypoints as they would lie in an image that the lifter knows, and that image's (width, height)."""
        width, height = (float(side) for side in poses.sizes[0])
        if self.normalise == "image":
            return place(poses, (width / 2, height / 2), max(width, height)), (width, height)
        stats = self.model.dataset_meta["stats_info"]
        return place(poses, tuple(stats["bbox_center"]), float(stats["bbox_scale"])), H36M_IMAGE

    def _encode(self, poses: Poses2D, targets: int) -> dict[str, Any]:
        keypoints, (width, height) = self._place(poses)
        given = {
            "lifting_target": np.zeros((targets, NUM_JOINTS, 3), np.float32),
            "lifting_target_visible": np.ones((targets, NUM_JOINTS, 1), np.float32),
            "camera_param": {"w": width, "h": height},
            "factor": np.zeros(targets, np.float32),
        }
        return self.codec.encode(
            keypoints=keypoints.astype(np.float32),
            keypoints_visible=np.ones(keypoints.shape[:2], np.float32),  # as mmpose does; scores are not passed on
            **{name: value for name, value in given.items() if name in self.codec.auxiliary_encode_keys},
        )

    def _frames(self, tracklets: Sequence[Poses2D]) -> list[Array]:
        encoded = [self._encode(poses, 1) for poses in tracklets]
        labels = torch.from_numpy(np.concatenate([e["keypoint_labels"] for e in encoded], axis=1)).float()  # (34, N)
        lengths = [len(poses.keypoints) for poses in tracklets]
        rows = frame_windows(lengths, self.offsets)  # (N, window)
        root = torch.from_numpy(np.asarray(encoded[0]["target_root"], np.float32))  # zeros (1, 3)
        skeletons = []
        for start in range(0, len(rows), self.batch_size):
            batch = labels[:, rows[start : start + self.batch_size]].permute(1, 0, 2).to(self.device)  # (B, 34, window)
            coordinates = self.model.head.forward(self.model.extract_feat(batch))
            answers = self.model.head.decode((coordinates, root.expand(len(coordinates), *root.shape)))
            skeletons += [answer.keypoints for answer in answers]
        return np.split(np.concatenate(skeletons), np.cumsum(lengths)[:-1])

    def _windows(self, tracklets: Sequence[Poses2D]) -> list[Array]:
        by_length: dict[int, list[tuple[int, int]]] = defaultdict(list)  # window length -> (tracklet, start)
        encoded, sums, weights = [], [], []
        for position, poses in enumerate(tracklets):
            frames = len(poses.keypoints)
            encoded.append(self._encode(poses, frames))
            sums.append(np.zeros((frames, NUM_JOINTS, 3)))
            weights.append(np.zeros((frames, 1, 1)))
            for start in window_starts(frames, self.window, self.overlap):
                by_length[min(frames, self.window)].append((position, start))
        for length, places in by_length.items():
            at_once = max(1, self.window // length)
            blend = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))[:, None, None]
            for first in range(0, len(places), at_once):
                chosen = places[first : first + at_once]
                inputs = np.stack([encoded[p]["keypoint_labels"][s : s + length] for p, s in chosen])  # (B, T, 17, 3)
                answers = self._whole_windows(torch.from_numpy(inputs).float().to(self.device))
                for (position, start), answer in zip(chosen, answers, strict=True):
                    rows = slice(start, start + length)
                    sums[position][rows] += blend * self._decode(answer, tracklets[position], encoded[position], rows)
                    weights[position][rows] += blend
        return [total / weight for total, weight in zip(sums, weights, strict=True)]

    def _whole_windows(self, inputs: torch.Tensor) -> Array:
        """The network's answer, (B, T, 17, 3) in its own units; flipped and averaged as mmpose's predict does."""
        answer = self.model.head.forward(self.model.extract_feat(inputs))
        if self.flip_test:
            mirrored = self.model.head.forward(self.model.extract_feat(self._flip(inputs)))
            answer = (answer + self._flip(mirrored)) * 0.5
        return answer.cpu().numpy()

    def _flip(self, coordinates: torch.Tensor) -> torch.Tensor:
        from mmpose.models.utils.tta import flip_coordinates

        flat = coordinates.flatten(0, 1).clone()  # flip_coordinates writes into what it is given
        indices = self.model.dataset_meta["flip_indices"]
        shift = self.model.test_cfg.get("shift_coords", True)
        return flip_coordinates(flat, indices, shift, input_size=(1, 1)).view_as(coordinates)

    def _decode(self, answer: Array, poses: Poses2D, encoded: dict[str, Any], rows: slice) -> Array:
        _, (width, height) = self._place(poses)
        frames = len(answer)
        skeletons, _ = self.codec.decode(
            answer, w=np.full(frames, width), h=np.full(frames, height), factor=encoded["factor"][rows]
        )
        return skeletons


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


def frame_windows(lengths: Sequence[int], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of each frame's window when tracklets lie one after another; at the ends the outermost frame repeats.

    Args:
        lengths: frames of each tracklet.
        offsets: as `window_offsets` gives them.

    Returns:
        (sum of lengths, len(offsets)).
    """
    windows, first = [np.zeros((0, len(offsets)), np.int64)], 0
    for length in lengths:
        windows.append(first + np.clip(np.arange(length)[:, None] + offsets, 0, length - 1))
        first += length
    return np.concatenate(windows)


def window_starts(frames: int, window: int, overlap: int) -> list[int]:
    """First frames of the windows that cover a tracklet; the last one ends with it, so all are equally long."""
    if frames <= window:
        return [0]
    return [*range(0, frames - window, window - overlap), frames - window]
