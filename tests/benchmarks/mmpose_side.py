"""mmpose's own ways, as anyone would write them today: a frame at a time, or through its inferencer.

Run as a process of its own, so that nothing of ours (threads, memory, environment) touches it:
python -m tests.benchmarks.mmpose_side JOB.json, which prints one JSON line.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from extraction.zoo.checkpoint import load_weights
from extraction.zoo.mmpose_compat import import_mmpose
from extraction.zoo.pose_model import build
from extraction.zoo.weights import find_config
from tests.benchmarks.extraction_cases import MOTIONBERT


def seconds_a_frame(work: Callable[[str], Any], frames: Sequence[str]) -> float:
    """Wall seconds for each of the frames after a few to warm up."""
    for frame in frames[:4]:
        work(frame)
    start = time.perf_counter()
    for frame in frames:
        work(frame)
    return (time.perf_counter() - start) / len(frames)


def topdown(config: str, weights: str, frames: Sequence[str]) -> dict[str, float]:
    """`inference_topdown` a frame, without and with its flip test."""
    from mmpose.apis import inference_topdown

    model = build(Config.fromfile(find_config(config)))
    load_weights(model, Path(weights))
    times = {}
    for name, flip in (("loop", False), ("loop, flip", True)):
        model.test_cfg = {**(model.test_cfg or {}), "flip_test": flip}
        times[name] = seconds_a_frame(lambda frame: inference_topdown(model, frame), frames)
    return times


def inferencer(config: str, weights: str, frames: Sequence[str], folder: Path) -> dict[str, float]:
    """`MMPoseInferencer` over whole images in batches, with the config's own flip test."""
    from mmpose.apis import MMPoseInferencer

    changed = Config.fromfile(find_config(config))
    coco = {"type": "CocoDataset", "metainfo": {"from_file": "configs/_base_/datasets/coco.py"}}
    wanted = {
        "visualizer": {"type": "PoseLocalVisualizer", "vis_backends": []},
        "data_mode": "topdown",
        "dataset_type": "CocoDataset",
        "train_dataloader": {"dataset": coco},
    }
    # what the inferencer looks for in a config besides the model
    changed.merge_from_dict({name: value for name, value in wanted.items() if name not in changed})
    changed.dump(folder / "inferencer.py")
    model = build(changed)
    load_weights(model, Path(weights))
    torch.save({"state_dict": model.state_dict()}, folder / "inferencer.pth")
    infer = MMPoseInferencer(
        pose2d=str(folder / "inferencer.py"),
        pose2d_weights=str(folder / "inferencer.pth"),
        det_model="whole_image",
        device="cpu",
    )
    # progress bars belong to nobody here
    infer.inferencer.show_progress = False
    times = []
    for size in (16, 32):
        list(infer(list(frames[:size]), batch_size=size))
        start = time.perf_counter()
        list(infer(list(frames), batch_size=size))
        times.append((time.perf_counter() - start) / len(frames))
    flips = bool((changed.model.get("test_cfg") or {}).get("flip_test"))
    return {"inferencer, flip" if flips else "inferencer": min(times)}


def lifting(config: str, weights: str, window: int, frames: int) -> float:
    """`inference_pose_lifter_model` a frame, each with a window of `window` frames around it: seconds a frame."""
    from mmpose.apis import inference_pose_lifter_model
    from mmpose.structures import PoseDataSample

    model = build(Config.fromfile(find_config(config)))
    load_weights(model, Path(weights))
    if config == MOTIONBERT:
        # the API gives the codec one target for all frames of a window, which it refuses: one each
        model.cfg.test_dataloader.dataset.pipeline.insert(0, one_target_a_frame)
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(window):
        sample = PoseDataSample(gt_instances=InstanceData(), track_id=0)
        keypoints = rng.uniform(0, (128, 256), (1, 17, 2)).astype(np.float32)
        sample.pred_instances = InstanceData(keypoints=keypoints, bboxes=np.array([[0, 0, 128, 256]], np.float32))
        samples.append([sample])

    def work(_: str) -> None:
        inference_pose_lifter_model(model, samples, image_size=(1000, 1000), norm_pose_2d=True)

    work("")
    start = time.perf_counter()
    for _ in range(frames):
        work("")
    return (time.perf_counter() - start) / frames


def one_target_a_frame(results: dict[str, Any]) -> dict[str, Any]:
    """A step for MotionBERT's test pipeline: as many lifting targets as there are frames."""
    frames = len(results["keypoints"])
    for name in ("lifting_target", "lifting_target_visible"):
        results[name] = np.repeat(results[name], frames, axis=0)
    return results


def main() -> None:
    """Do the job in the file named."""
    warnings.simplefilter("ignore")
    import_mmpose()
    job = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(job["folder"])
    answer: dict[str, Any] = {}
    if "frames" in job:
        answer = topdown(job["config"], job["weights"], job["frames"])
        answer |= inferencer(job["config"], job["weights"], job["frames"], folder)
    else:
        answer["lift"] = lifting(job["config"], job["weights"], job["window"], job["count"])
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
