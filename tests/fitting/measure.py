"""How good the two models are: on the demo's test identities, whom neither has seen, and on real 3D poses where given.

python -m tests.fitting.measure --pose3d ../shared/data/pose3d --mocap ../shared/data/mocap --pictures pictures
"""

import argparse
from collections.abc import Iterator, Mapping
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
from extraction.quality.pose_metrics import pck
from extraction.zoo.checkpoint import load_weights
from extraction.zoo.pose_model import build
from storage.demo.dataset import DemoSettings, make_views, plan_walks, walk_crops
from storage.skeleton import JOINTS, centre_on_pelvis
from tests.fitting.clips import read_clips
from tests.fitting.lifted import (
    PCK_MILLIMETRES,
    Lifted,
    clips,
    h36m,
    joined,
    lift,
    mpjpe,
    pa_mpjpe,
    videopose3d,
)
from tests.fitting.pictures import draw
from tests.fitting.weights import MODELS

Array = NDArray[np.float32]

ESTIMATOR, LIFTER = "demo_estimator", "demo_lifter"
BATCH = 32


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


def demo(lifter: Lifter, walkers: list[Walker]) -> Lifted:
    """The tracklets, lifted from their true keypoints."""
    return Lifted(
        np.concatenate([walker.keypoints for walker in walkers]),
        np.concatenate([lift(lifter, walker.keypoints) for walker in walkers]),
        np.concatenate([walker.skeletons for walker in walkers]),
    )


def on_demo(estimator: Estimator, lifter: Lifter, walkers: list[Walker]) -> dict[str, float]:
    """PCK (0 to 1) and errors in mm over all frames of the tracklets."""
    found = [estimate(estimator, walker) for walker in walkers]
    keypoints = np.concatenate([found_keypoints for found_keypoints, _ in found])
    scores = np.concatenate([found_scores for _, found_scores in found])
    true_keypoints = np.concatenate([walker.keypoints for walker in walkers])
    visible = np.concatenate([walker.visible for walker in walkers])
    skeletons = np.concatenate([walker.skeletons for walker in walkers])
    lifted = np.concatenate([lift(lifter, *estimates) for estimates in found])
    from_truth = demo(lifter, walkers).skeletons
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
    """Errors in mm on `h36m` and `videopose3d` of a folder; of the second only the shape can be compared."""
    frames, videos = h36m(lifter, folder), videopose3d(lifter, folder)
    aligned = pa_mpjpe(frames.skeletons, frames.true)
    results = {
        "h36m MPJPE mm, true 2D": float(mpjpe(frames.skeletons, frames.true).mean()),
        "h36m PA-MPJPE mm, true 2D": float(aligned.mean()),
    }
    results |= {f"h36m PA-MPJPE mm, frame {i}": float(error) for i, error in enumerate(aligned)}
    for name, video in [*videos.items(), ("", joined(videos))]:
        of = f", {name}" if name else ""
        results[f"videopose3d PA-MPJPE mm{of}"] = float(pa_mpjpe(video.skeletons, video.true).mean())
    return results


def on_mocap(lifted: Mapping[str, Lifted]) -> dict[str, float]:
    """Errors in mm on recorded motion, as `clips` gives it."""
    results = {}
    for name, part in lifted.items():
        results[f"mocap MPJPE mm, {name}"] = float(mpjpe(part.skeletons, part.true).mean())
        results[f"mocap PA-MPJPE mm, {name}"] = float(pa_mpjpe(part.skeletons, part.true).mean())
    return results


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimator", type=Path, help="weights of the estimator, if not the committed ones")
    parser.add_argument("--lifter", type=Path, help="weights of the lifter, if not the committed ones")
    parser.add_argument("--tracklets", type=int, help="how many of the demo's test tracklets; all unless given")
    parser.add_argument("--pose3d", type=Path, help="folder of real poses: h36m and videopose3d")
    parser.add_argument("--mocap", type=Path, help="folder with test_views.npz: recorded motion before cameras")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the worst frames of each set")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    lifter = Lifter(trained(LIFTER, given.lifter), normalise="canonical")
    walkers = list(held_out(DemoSettings(), given.tracklets))
    results = on_demo(Estimator(trained(ESTIMATOR, given.estimator)), lifter, walkers)
    sets = {"demo, true 2D": demo(lifter, walkers)}
    if given.pose3d:
        results |= on_pose3d(lifter, given.pose3d)
        sets |= {"h36m": h36m(lifter, given.pose3d), "videopose3d": joined(videopose3d(lifter, given.pose3d))}
    if given.mocap:
        found = clips(lifter, read_clips(given.mocap / "test_views.npz"))
        results |= on_mocap(found)
        sets |= {f"mocap, {name}": part for name, part in found.items()}
    for name, value in results.items():
        print(f"{name:42} {value:9.3f}")
    for name, lifted in sets.items():
        print(f"\n{name:24} {'MPJPE mm':>10} {'PA-MPJPE mm':>12} {f'PCK@{PCK_MILLIMETRES} mm':>12}")
        for joint, (plain, aligned, near) in zip(JOINTS, lifted.by_joint(), strict=True):
            print(f"{joint:24} {plain:10.1f} {aligned:12.1f} {near:12.3f}")
        if given.pictures:
            draw(lifted, given.pictures / f"{name.replace(', ', '-').replace(' ', '-')}.png")


if __name__ == "__main__":
    main()
