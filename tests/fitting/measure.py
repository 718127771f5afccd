"""How good the two models are: on the demo's test identities, whom neither has seen, and on real 3D poses where given.

python -m tests.fitting.measure --pose3d ../shared/data/pose3d
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from torch import nn

from extraction.lifting.lifter import Lifter
from extraction.pose2d.estimator import Estimator
from extraction.pose2d.joints import joint_map
from extraction.pose2d.keypoints import Poses2D
from extraction.quality.pose_metrics import joint_errors, pck, procrustes_align
from extraction.zoo.checkpoint import load_weights
from extraction.zoo.pose_model import build
from storage.demo.dataset import DemoSettings, make_views, plan_walks, walk_crops
from storage.skeleton import JOINTS, centre_on_pelvis
from tests.fitting.weights import MODELS

Array = NDArray[np.float32]

ESTIMATOR, LIFTER = "demo_estimator", "demo_lifter"
BATCH = 32
PCK_MILLIMETRES = 150


@dataclass(frozen=True)
class Walker:
    """One tracklet of the demo with its truth.

    Attributes:
        frames: crops after JPEG, (H, W, 3) uint8 BGR.
        keypoints: (T, 17, 2) pixels.
        visible: (T, 17).
        skeletons: (T, 17, 3) metres, pelvis-centred, camera axes.
    """

    frames: list[NDArray[np.uint8]]
    keypoints: Array
    visible: NDArray[np.bool_]
    skeletons: Array


def held_out(settings: DemoSettings, tracklets: int | None = None) -> Iterator[Walker]:
    """Tracklets of the demo's test identities, all or evenly chosen, as its data set holds them."""
    views = make_views(settings)
    walks = [walk for walk in plan_walks(settings) if walk.part == "test" and walk.pid > 0]
    chosen = range(len(walks)) if tracklets is None else np.linspace(0, len(walks) - 1, tracklets).astype(int)
    for i in chosen:
        view = views[walks[i].camid - 1]
        crops, joints = walk_crops(settings, walks[i], view)
        quality = [cv2.IMWRITE_JPEG_QUALITY, view.light.quality]
        yield Walker(
            [cv2.imdecode(cv2.imencode(".jpg", crop.image, quality)[1], cv2.IMREAD_COLOR) for crop in crops],
            np.stack([crop.keypoints for crop in crops]).astype(np.float32),
            np.stack([crop.visible for crop in crops]),
            centre_on_pelvis(joints).astype(np.float32),
        )


def trained(name: str, weights: Path | None = None) -> nn.Module:
    """One of this project's models with its committed weights, or with others.

    Raises:
        WeightsError: the weights are missing, damaged, or of another model.
    """
    model = build(Config.fromfile(MODELS / f"{name}.py"))
    load_weights(model, weights or MODELS / f"{name}.safetensors")
    return model


def estimate(estimator: Estimator, walker: Walker) -> tuple[Array, Array]:
    """Keypoints (T, 17, 2) and scores (T, 17) of one tracklet."""
    parts = [estimator.h36m(walker.frames[i : i + BATCH]) for i in range(0, len(walker.frames), BATCH)]
    keypoints, scores = zip(*parts, strict=True)
    return np.concatenate(keypoints), np.concatenate(scores)


def lift(lifter: Lifter, keypoints: Array, scores: Array | None = None) -> Array:
    """Skeletons (T, 17, 3) from keypoints (T, 17, 2); believed everywhere without scores."""
    if scores is None:
        scores = np.ones(keypoints.shape[:2], np.float32)
    return lifter(Poses2D(keypoints, scores, np.ones((len(keypoints), 2), np.float32)))


def lift_each(lifter: Lifter, keypoints: Array) -> Array:
    """Skeletons of frames that have nothing to do with each other."""
    return np.concatenate([lift(lifter, frame[None]) for frame in keypoints])


def mpjpe(pred: NDArray[np.floating], true: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean per-joint position error of each frame in mm, (..., J, 3) -> (...), as the two stand: centre both first."""
    return joint_errors(pred, true).mean(-1)


def pa_mpjpe(pred: NDArray[np.floating], true: NDArray[np.floating]) -> NDArray[np.float64]:
    """MPJPE of each frame after `procrustes_align`, mm, (..., J, 3) -> (...): the shape of the pose alone."""
    return mpjpe(procrustes_align(pred, true), true)


def on_demo(estimator: Estimator, lifter: Lifter, walkers: list[Walker]) -> dict[str, float]:
    """PCK (0 to 1) and errors in mm over all frames of the tracklets."""
    found = [estimate(estimator, walker) for walker in walkers]
    keypoints = np.concatenate([found_keypoints for found_keypoints, _ in found])
    scores = np.concatenate([found_scores for _, found_scores in found])
    true_keypoints = np.concatenate([walker.keypoints for walker in walkers])
    visible = np.concatenate([walker.visible for walker in walkers])
    skeletons = np.concatenate([walker.skeletons for walker in walkers])
    lifted = np.concatenate([lift(lifter, *estimates) for estimates in found])
    from_truth = np.concatenate([lift(lifter, walker.keypoints) for walker in walkers])
    return {
        "frames": len(keypoints),
        "PCK@0.1 visible joints": float(np.nanmean(pck(keypoints, true_keypoints, visible))),
        "PCK@0.1 all joints": float(np.nanmean(pck(keypoints, true_keypoints))),
        "PCK@0.05 visible joints": float(np.nanmean(pck(keypoints, true_keypoints, visible, 0.05))),
        "mean score of visible joints": float(scores[visible].mean()),
        "mean score of hidden joints": float(scores[~visible].mean()),
        "MPJPE mm, estimated 2D": float(mpjpe(lifted, skeletons).mean()),
        "PA-MPJPE mm, estimated 2D": float(pa_mpjpe(lifted, skeletons).mean()),
        "MPJPE mm, true 2D": float(mpjpe(from_truth, skeletons).mean()),
        "PA-MPJPE mm, true 2D": float(pa_mpjpe(from_truth, skeletons).mean()),
    }


def on_pose3d(lifter: Lifter, folder: Path) -> dict[str, float]:
    """Errors in mm on real poses.

    Args:
        lifter: the lifter.
        folder: with `h36m/test_h36m_body3d.npz` (single Human3.6M frames with the truth) and `videopose3d/*.npz`
            (videos of COCO keypoints, with another lifter's opinion in world axes: only the shape can be compared).
    """
    with np.load(folder / "h36m/test_h36m_body3d.npz") as h36m:
        true = centre_on_pelvis(h36m["S"][..., :3])
        lifted = lift_each(lifter, h36m["part"][..., :2])
    results = {
        "h36m MPJPE mm, true 2D": float(mpjpe(lifted, true).mean()),
        "h36m PA-MPJPE mm, true 2D": float(pa_mpjpe(lifted, true).mean()),
    }
    results |= {f"h36m PA-MPJPE mm, frame {i}": float(e) for i, e in enumerate(pa_mpjpe(lifted, true))}
    errors = []
    for path in sorted((folder / "videopose3d").glob("*.npz")):
        with np.load(path) as video:
            keypoints = joint_map("coco", 17).keypoints(video["keypoints_2d"][..., :2])
            errors.append(pa_mpjpe(lift(lifter, keypoints), video["keypoints_3d"]))
        results[f"videopose3d PA-MPJPE mm, {path.stem}"] = float(errors[-1].mean())
    results["videopose3d PA-MPJPE mm"] = float(np.concatenate(errors).mean())
    return results


def by_joint(lifter: Lifter, folder: Path) -> dict[str, NDArray[np.float64]]:
    """Errors of each joint on real poses, (17, 3): MPJPE and PA-MPJPE in mm, and PCK in 3D.

    PCK counts joints within 150 mm after alignment, as 3DPW and MPI-INF-3DHP are read. VideoPose3D's answer has other
    axes, so it has no MPJPE.
    """
    with np.load(folder / "h36m/test_h36m_body3d.npz") as h36m:
        pairs = {"h36m": (lift_each(lifter, h36m["part"][..., :2]), centre_on_pelvis(h36m["S"][..., :3]))}
    videos = []
    for path in sorted((folder / "videopose3d").glob("*.npz")):
        with np.load(path) as video:
            keypoints = joint_map("coco", 17).keypoints(video["keypoints_2d"][..., :2])
            videos.append((lift(lifter, keypoints), video["keypoints_3d"]))
    lifted, answers = zip(*videos, strict=True)
    pairs["videopose3d"] = (np.concatenate(lifted), np.concatenate(answers))
    found = {}
    for name, (ours, true) in pairs.items():
        aligned = joint_errors(procrustes_align(ours, true), true)
        plain = joint_errors(ours, true).mean(0) if name == "h36m" else np.full(len(JOINTS), np.nan)
        found[name] = np.stack([plain, aligned.mean(0), (aligned <= PCK_MILLIMETRES).mean(0)], -1)
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", type=Path, help="weights of the estimator, if not the committed ones")
    parser.add_argument("--lifter", type=Path, help="weights of the lifter, if not the committed ones")
    parser.add_argument("--tracklets", type=int, help="how many of the demo's test tracklets; all unless given")
    parser.add_argument("--pose3d", type=Path, help="folder of real poses: h36m and videopose3d")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    lifter = Lifter(trained(LIFTER, given.lifter), normalise="canonical")
    estimator = Estimator(trained(ESTIMATOR, given.estimator))
    results = on_demo(estimator, lifter, list(held_out(DemoSettings(), given.tracklets)))
    if given.pose3d:
        results |= on_pose3d(lifter, given.pose3d)
    for name, value in results.items():
        print(f"{name:36} {value:9.3f}")
    for name, rows in (by_joint(lifter, given.pose3d) if given.pose3d else {}).items():
        print(f"\n{name:16} {'MPJPE mm':>10} {'PA-MPJPE mm':>12} {f'PCK@{PCK_MILLIMETRES} mm':>12}")
        for joint, (plain, aligned, near) in zip(JOINTS, rows, strict=True):
            print(f"{joint:16} {plain:10.1f} {aligned:12.1f} {near:12.3f}")


if __name__ == "__main__":
    main()
