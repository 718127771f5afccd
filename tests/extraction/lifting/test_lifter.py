from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from extraction.lifting.canonical import CANVAS, canonical
from extraction.lifting.lifter import Lifter
from extraction.pose2d.keypoints import Poses2D
from extraction.zoo.mmpose_compat import import_mmpose
from extraction.zoo.pose_model import build
from extraction.zoo.weights import find_config
from storage.errors import SettingsError
from storage.skeleton import MIRROR_ORDER

CONFIGS = {
    "SimpleBaseline3D": "image_pose_lift/h36m/image-pose-lift_tcn_8xb64-200e_h36m.py",
    "VideoPose3D": "video_pose_lift/h36m/video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m.py",
    "VideoPose3D, 243 frames": "video_pose_lift/h36m/video-pose-lift_tcn-243frm-supv_8xb128-160e_h36m.py",
    "MotionBERT": "motionbert/h36m/motionbert_dstformer-ft-243frm_8xb32-120e_h36m.py",
}
SMALL = {
    "SimpleBaseline3D": {"model.backbone.stem_channels": 32, "model.head.in_channels": 32},
    "VideoPose3D": {"model.backbone.stem_channels": 32, "model.head.in_channels": 32},
    "VideoPose3D, 243 frames": {"model.backbone.stem_channels": 32, "model.head.in_channels": 32},
    "MotionBERT": {
        "model.backbone.feat_size": 32,
        "model.backbone.depth": 2,
        "model.backbone.seq_len": 9,
        "model.head.in_channels": 32,
        "model.head.embedding_size": 32,
    },
}
SIZE = (64, 128)


def random_model(name: str) -> torch.nn.Module:
    config = Config.fromfile(find_config(f"body_3d_keypoint/{CONFIGS[name]}"))
    config.merge_from_dict(SMALL[name])
    torch.manual_seed(0)
    model = build(config)
    with torch.no_grad():  # fresh lifters answer almost the same for every pose; these must not
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def random_poses(frames: int, seed: int = 0) -> Poses2D:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0, SIZE, (frames, 17, 2)).astype(np.float32)
    return Poses2D(keypoints, np.ones((frames, 17), np.float32), np.tile(np.float32(SIZE), (frames, 1)))


def one_target_a_frame(results: dict) -> dict:
    """A step for MotionBERT's test pipeline: mmpose's API makes one lifting target for all frames of a window, and its
    own codec then refuses the window."""
    for name in ("lifting_target", "lifting_target_visible"):
        results[name] = np.repeat(results[name], len(results["keypoints"]), axis=0)
    return results


def mmpose_answer(model, poses: Poses2D, frame: int, box: bool) -> np.ndarray:
    """What mmpose's own API says of one frame of a tracklet, or for MotionBERT of every frame: (T, 17, 3)."""
    import_mmpose()
    from mmpose.apis import extract_pose_sequence, inference_pose_lifter_model
    from mmpose.structures import PoseDataSample

    results = []
    for keypoints in poses.keypoints:
        sample = PoseDataSample(gt_instances=InstanceData(), track_id=0)
        boxes = np.array([[0, 0, *SIZE]], np.float32)
        sample.pred_instances = InstanceData(keypoints=keypoints[None].copy(), bboxes=boxes)
        results.append([sample])
    dataset = model.cfg.test_dataloader.dataset
    if model.cfg.model.backbone.type == "DSTFormer":
        sequence = results
        if dataset.pipeline[0] is not one_target_a_frame:
            dataset.pipeline.insert(0, one_target_a_frame)
    else:
        length = dataset.get("seq_len", 1)
        sequence = extract_pose_sequence(results, frame, dataset.get("causal", False), length)
    size = (1000, 1000) if box else SIZE
    answer = inference_pose_lifter_model(model, sequence, image_size=size, norm_pose_2d=box)
    return answer[0].pred_instances.keypoints.reshape(-1, 17, 3)


@pytest.mark.parametrize("normalise", ["image", "box"])
@pytest.mark.parametrize("name", ["SimpleBaseline3D", "VideoPose3D", "VideoPose3D, 243 frames"])
def test_every_frame_is_lifted_as_mmpose_lifts_the_frame_that_it_answers_for(name, normalise):
    model = random_model(name)
    lift = Lifter(model, normalise)
    for poses, frames in ((random_poses(31), (0, 5, 15, 30)), (random_poses(2, seed=1), (0, 1))):
        lifted = lift(poses)
        assert np.ptp(lifted[:, 1:], axis=0).max() > 0.01
        for frame in frames:
            (expected,) = mmpose_answer(model, poses, frame, normalise == "box")
            np.testing.assert_allclose(lifted[frame], expected - expected[0], atol=1e-4)


@pytest.mark.parametrize("normalise", ["image", "box"])
@pytest.mark.parametrize("frames", [1, 4, 9])
def test_motionbert_lifts_every_frame_of_a_window_as_mmpose_does(normalise, frames):
    model = random_model("MotionBERT")
    poses = random_poses(frames)
    lifted = Lifter(model, normalise)(poses)
    expected = mmpose_answer(model, poses, 0, normalise == "box")
    assert len(expected) == frames
    np.testing.assert_allclose(lifted, expected, atol=1e-4)


@pytest.mark.slow
def test_motionbert_at_full_size_lifts_a_window_of_243_frames_as_mmpose_does():
    torch.manual_seed(0)
    model = build(Config.fromfile(find_config(f"body_3d_keypoint/{CONFIGS['MotionBERT']}")))
    poses = random_poses(243)
    lifted = Lifter(model, "box")(poses)
    np.testing.assert_allclose(lifted, mmpose_answer(model, poses, 0, box=True), atol=1e-4)


def test_where_a_temporal_lifters_config_asks_for_it_the_mirrored_pose_counts_as_much(monkeypatch):
    model = random_model("VideoPose3D")
    poses = random_poses(12)
    order = list(MIRROR_ORDER)
    mirrored = replace(poses, keypoints=(poses.keypoints[:, order] - (SIZE[0], 0)) * np.float32([-1, 1]))
    alone, other = (Lifter(model, "image")(given) for given in (poses, mirrored))
    assert np.abs(alone - other[:, order] * [-1, 1, 1]).max() > 0.01
    monkeypatch.setattr(model, "test_cfg", {"flip_test": True})
    np.testing.assert_allclose(Lifter(model, "image")(poses), (alone + other[:, order] * [-1, 1, 1]) / 2, atol=1e-5)
    np.testing.assert_array_equal(Lifter(model, "image", flip_test=False)(poses), alone)


def test_a_tracklet_may_be_one_frame_or_920_long():
    for name in ("VideoPose3D", "MotionBERT"):
        lift = Lifter(random_model(name), "box", overlap=4)
        poses = random_poses(920)
        assert lift(poses).shape == (920, 17, 3)
        assert lift(random_poses(1)).shape == (1, 17, 3)


@pytest.mark.parametrize("name", CONFIGS)
def test_tracklets_lifted_together_come_out_as_they_do_alone(name):
    model = random_model(name)
    tracklets = [random_poses(frames, seed=frames) for frames in (3, 12, 1, 9, 30)]
    together = Lifter(model, "box", overlap=3, together=True).lift(tracklets)
    for poses, skeletons in zip(tracklets, together, strict=True):
        np.testing.assert_allclose(skeletons, Lifter(model, "box", overlap=3)(poses), atol=1e-5)


def slow_motionbert(model, keypoints: np.ndarray) -> np.ndarray:
    """One window by MotionBERT's published formulas: no codec, no batch, no flip test."""
    width, height = SIZE
    inputs = np.concatenate([keypoints / width * 2 - [1, height / width], np.ones((*keypoints.shape[:2], 1))], -1)
    with torch.no_grad():
        answer = model.head(model.backbone(torch.from_numpy(inputs).float()[None]))[0].numpy()
    answer[:, 0] = 0  # rootrel
    answer = answer * width / 2 * 4 / 1000  # 4 mm a pixel
    return answer - answer[:, :1]


def test_motionbert_answers_for_every_frame_of_a_window_at_once():
    model = random_model("MotionBERT")
    poses = random_poses(9)
    lifted = Lifter(model, "image", flip_test=False)(poses)
    np.testing.assert_allclose(lifted, slow_motionbert(model, poses.keypoints), atol=1e-4)


def test_overlapping_windows_are_blended_by_how_deep_a_frame_lies_in_each():
    model = random_model("MotionBERT")
    poses = random_poses(14)
    lifted = Lifter(model, "image", overlap=4, flip_test=False)(poses)
    first, last = slow_motionbert(model, poses.keypoints[:9]), slow_motionbert(model, poses.keypoints[5:])
    np.testing.assert_allclose(lifted[:5], first[:5], atol=1e-4)
    np.testing.assert_allclose(lifted[5], (first[5] * 4 + last[0] * 1) / 5, atol=1e-4)
    np.testing.assert_allclose(lifted[8], (first[8] * 1 + last[3] * 4) / 5, atol=1e-4)
    np.testing.assert_allclose(lifted[9:], last[4:], atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("normalise", ["canonical", "box", "image"])
def test_skeletons_are_pelvis_centred_whatever_the_batch(name, normalise):
    model = random_model(name)
    for frames in (1, 3, 12):
        poses = random_poses(frames, seed=frames)
        skeletons = Lifter(model, normalise, overlap=3)(poses)
        assert skeletons.shape == (frames, 17, 3)
        assert skeletons.dtype == np.float32
        assert np.isfinite(skeletons).all()
        assert not skeletons[:, 0].any()
        np.testing.assert_allclose(skeletons, Lifter(model, normalise, overlap=3)(poses))


def test_a_canonical_lifter_sees_each_window_by_itself_and_is_told_what_is_missing():
    model = random_model("VideoPose3D")
    poses = random_poses(9)
    poses.scores[3, 5] = 0
    lifted = Lifter(model, "canonical")(poses)
    window = np.clip(np.arange(-13, 14) + 4, 0, 8)
    placed = canonical(poses.keypoints[window], poses.scores[window])
    inputs = (placed - CANVAS / 2) / (CANVAS / 2)
    with torch.no_grad():
        answer = model.head(model.backbone(torch.from_numpy(inputs.reshape(1, 27, 34)).transpose(1, 2)))[0].numpy()
    np.testing.assert_allclose(lifted[4], answer - answer[0], atol=1e-5)


def test_the_size_of_the_crop_does_not_change_what_a_box_normalised_lifter_sees():
    model = random_model("SimpleBaseline3D")
    poses = random_poses(4)
    twice = Poses2D(poses.keypoints * 2, poses.scores, poses.sizes * 2)
    lifter = Lifter(model, "box")
    np.testing.assert_allclose(lifter(poses), lifter(twice), atol=1e-5)


def test_a_2d_model_is_not_taken_for_a_lifter():
    model = build(Config.fromfile(find_config("body_2d_keypoint/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py")))
    with pytest.raises(SettingsError, match="does not make a lifter"):
        Lifter(model, "image")
