"""The lifter: a tracklet's 2D keypoints in, its 3D skeletons out, for the lifters of mmpose.

Two kinds. Those with a `TemporalRegressionHead` (VideoPose3D, SimpleBaseline3D) answer for one frame of a window: every
frame gets its own window, and windows go through the network in batches. Those with a `MotionRegressionHead`
(MotionBERT) answer for every frame of a window: a tracklet is cut into overlapping windows whose answers are blended.
Encoding and decoding are the codec's of the model's config.

Axes and units: Human3.6M's camera axes (x right, y down, z away) are ours, and codecs decode to metres, so nothing is
turned here; the pelvis is subtracted. (mmpose's `Pose3DInferencer` turns its answer to z-up and puts the lowest joint
on the floor, for drawing only.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extraction.lifting.canonical import CANVAS, canonical
from extraction.lifting.windows import batches, blended, frame_windows, window_offsets, window_starts
from extraction.pose2d.keypoints import Poses2D
from extraction.zoo.mmpose_compat import mmpose_scope
from extraction.zoo.pose_model import PoseModel
from storage.errors import SettingsError
from storage.skeleton import NUM_JOINTS, centre_on_pelvis

Array = NDArray[np.float32]
Normalise = Literal["canonical", "box", "image"]

H36M_IMAGE = (1000, 1000)
"""Width and height of Human3.6M's images, in pixels: what published lifters saw."""


@dataclass(frozen=True)
class Encoded:
    """Some windows as the codec gives them.

    Attributes:
        labels: the codec's answer, frames of all windows one after another.
        shape: windows and frames of each, (B, L).
        size: width and height of the image that the windows lie in, pixels.
    """

    labels: dict[str, Any]
    shape: tuple[int, ...]
    size: tuple[float, float]


class Lifter:
    """A lifter of mmpose.

    Args:
        model: as `pose_model.load` gives it, on its device.
        normalise, overlap, flip_test: see `extract.LifterSettings`.
        together: lift windows of several tracklets at once, which a GPU wants. On a CPU it gains nothing, and
            without it a tracklet's skeletons depend on no other tracklet. None: as the device wants it.

    Raises:
        SettingsError: the model is not a lifter of one of the two kinds.
    """

    def __init__(
        self,
        model: PoseModel,
        normalise: Normalise,
        overlap: int = 81,
        flip_test: bool = True,
        together: bool | None = None,
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
        self.device = next(model.parameters()).device
        self.together = self.device.type != "cpu" if together is None else together
        self.answers_windows = kind == "MotionRegressionHead"
        # of codecs that standardise by a data set's means, a mirrored pose is not the negative one
        mirrors = self.answers_windows or type(self.codec).__name__ == "VideoPoseLifting"
        self.flip_test = flip_test and mirrors and (model.test_cfg or {}).get("flip_test", False)
        if self.answers_windows:
            self.window = int(model.backbone.temp_embed.shape[1])
            self.overlap = min(overlap, self.window - 1)
        else:
            frames, step = dataset.get("seq_len", 1), dataset.get("seq_step", 1)
            self.offsets = window_offsets(frames, step, dataset.get("causal", False))

    def __call__(self, poses: Poses2D) -> Array:
        """(T, 17, 3) of one tracklet: metres, pelvis-centred, camera axes."""
        return self.lift([poses])[0]

    @torch.inference_mode()
    def lift(self, tracklets: Sequence[Poses2D]) -> list[Array]:
        """(T, 17, 3) of each tracklet: metres, pelvis-centred, camera axes."""
        windows = [self._windows(len(poses)) for poses in tracklets]
        answers: list[list[Array]] = [[] for _ in tracklets]
        for batch in batches([rows.shape for rows in windows], self.together):
            encoded = [self._encode(tracklets[i], windows[i][start:end]) for i, start, end in batch]
            found = self._window_answers(encoded) if self.answers_windows else self._frame_answers(encoded)
            parts = np.split(found, np.cumsum([end - start for _, start, end in batch])[:-1])
            for (i, _, _), part in zip(batch, parts, strict=True):
                answers[i].append(part)
        skeletons = [np.concatenate(parts) for parts in answers]
        if self.answers_windows:
            skeletons = [blended(found, rows) for found, rows in zip(skeletons, windows, strict=True)]
        return [centre_on_pelvis(skeleton).astype(np.float32) for skeleton in skeletons]

    def _windows(self, frames: int) -> NDArray[np.int64]:
        """The frames of each window of a tracklet, (W, L)."""
        if not self.answers_windows:
            return frame_windows(frames, self.offsets)
        starts = np.array(window_starts(frames, self.window, self.overlap))
        return starts[:, None] + np.arange(min(frames, self.window))

    def _frame_answers(self, encoded: Sequence[Encoded]) -> Array:
        """(B, 17, 3), one a window."""
        inputs = np.concatenate(
            [part.labels["keypoint_labels"].reshape(-1, *part.shape).transpose(1, 0, 2) for part in encoded]
        )  # (B, 34, L)
        coordinates = self._answer_frames(torch.from_numpy(inputs).float().to(self.device))
        root = torch.from_numpy(np.asarray(encoded[0].labels["target_root"], np.float32))  # zeros (1, 3)
        answers = self.model.head.decode((coordinates, root.expand(len(coordinates), *root.shape)))
        return np.concatenate([answer.keypoints for answer in answers])

    def _answer_frames(self, inputs: Tensor) -> Tensor:
        """The network's answer for windows (B, 34, L): (B, 17, 3) in its own units, averaged with the mirrored one.

        mmpose's temporal head knows no flip test, so that its own configs do not ask for one.
        """
        answer: Tensor = self.model.head.forward(self.model.extract_feat(inputs))
        if self.flip_test:
            order = list(self.model.dataset_meta["flip_indices"])
            mirror = torch.tensor([-1.0, 1.0], device=self.device)[:, None]
            mirrored = (inputs.unflatten(1, (NUM_JOINTS, 2))[:, order] * mirror).flatten(1, 2)
            other = self.model.head.forward(self.model.extract_feat(mirrored))
            answer = (answer + other[:, order] * torch.tensor([-1.0, 1.0, 1.0], device=self.device)) * 0.5
        return answer

    def _window_answers(self, encoded: Sequence[Encoded]) -> Array:
        """(B, L, 17, 3), all frames of each window."""
        windows = [part.labels["keypoint_labels"].reshape(*part.shape, NUM_JOINTS, 3) for part in encoded]
        inputs = torch.from_numpy(np.concatenate(windows)).float().to(self.device)  # (B, L, 17, 3)
        answer = self._answer_windows(inputs).cpu().numpy()
        sides = {
            side: np.concatenate([np.full(part.shape[0] * part.shape[1], part.size[i]) for part in encoded])
            for i, side in enumerate("wh")
        }
        factor = np.concatenate([part.labels["factor"] for part in encoded])
        skeletons: Array = self.codec.decode(answer.reshape(-1, NUM_JOINTS, 3), **sides, factor=factor)[0]
        return skeletons.reshape(answer.shape)

    def _encode(self, poses: Poses2D, rows: NDArray[np.int64]) -> Encoded:
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
        return Encoded(encoded, rows.shape, (width, height))

    def _place(self, poses: Poses2D, rows: NDArray[np.int64]) -> tuple[NDArray[Any], tuple[float, float]]:
        """Windows of keypoints as they would lie in an image that the lifter knows, (W, L, 17, 2), and its size."""
        if self.normalise == "canonical":
            return canonical(poses.keypoints[rows], poses.scores[rows]), (CANVAS, CANVAS)
        if self.normalise == "image":  # a crop is the whole image, all of them as large as the first
            width, height = (float(side) for side in poses.sizes[0])
            image, centre, side = (width, height), (width / 2, height / 2), max(width, height)
        else:  # a crop is the person's box, as for mmpose's `norm_pose_2d`
            stats = self.model.dataset_meta["stats_info"]
            image, centre, side = H36M_IMAGE, tuple(stats["bbox_center"]), float(stats["bbox_scale"])
        sizes = poses.sizes.astype(np.float64)[:, None]  # (T, 1, 2)
        within = (poses.keypoints - sizes / 2) / sizes.max(-1, keepdims=True)
        return (within * side + np.asarray(centre, np.float64))[rows], image

    def _answer_windows(self, inputs: Tensor) -> Tensor:
        """The network's answer, (B, L, 17, 3) in its own units; flipped and averaged as mmpose's predict does."""
        answer: Tensor = self.model.head.forward(self.model.extract_feat(inputs))
        if self.flip_test:
            mirrored = self.model.head.forward(self.model.extract_feat(self._flip(inputs)))
            answer = (answer + self._flip(mirrored)) * 0.5
        return answer

    def _flip(self, coordinates: Tensor) -> Tensor:
        from mmpose.models.utils.tta import flip_coordinates

        flat = coordinates.flatten(0, 1).clone()  # flip_coordinates writes into what it is given
        indices = self.model.dataset_meta["flip_indices"]
        shift = self.model.test_cfg.get("shift_coords", True)
        flipped: Tensor = flip_coordinates(flat, indices, shift, input_size=(1, 1))
        return flipped.view_as(coordinates)
