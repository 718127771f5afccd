import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from extraction.extract import (
    LOW_CONFIDENCE,
    NO_PERSON,
    OK,
    UNREADABLE,
    Estimates,
    ExtractionSettings,
    Inputs,
    bridge,
    frame_status,
    load_models,
    run,
    skeletons_of,
    weight_files,
)
from extraction.lifter import Poses2D
from extraction.pose_model import build
from extraction.weights import find_config
from storage.errors import WeightsError
from storage.progress import silent
from storage.schema import SKELETON_SHAPES, SKELETONS
from storage.tables import read_ragged, write_table
from storage.tracklets import Tracklet, index_table

MODELS = {
    "estimator": (
        "body_2d_keypoint/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py",
        {"model.backbone.widen_factor": 0.125, "model.head.in_channels": 128},
    ),
    "lifter": (
        "body_3d_keypoint/video_pose_lift/h36m/video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m.py",
        {"model.backbone.stem_channels": 16, "model.head.in_channels": 16},
    ),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> ExtractionSettings:
    """Tiny models with random weights that take every frame for a person."""
    folder = tmp_path_factory.mktemp("models")
    named = {}
    for role, (name, changes) in MODELS.items():
        config = Config.fromfile(find_config(name))
        config.merge_from_dict(changes)
        config.dump(folder / f"{role}.py")
        torch.manual_seed(0)
        save_file(build(config).state_dict(), folder / f"{role}.safetensors")
        named[role] = {"config": str(folder / f"{role}.py"), "weights": str(folder / f"{role}.safetensors")}
    return ExtractionSettings(**named, min_score=-1, no_person_score=-1, device="cpu", batch_size=4)


@pytest.fixture
def shard(tmp_path) -> Inputs:
    """Three tracklets of 5, 1 and 3 frames of smooth noise."""
    rng = np.random.default_rng(0)
    tracklets = []
    for name, frames in (("0001C1T0001", 5), ("0002C1T0001", 1), ("0003C2T0001", 3)):
        files = tuple(f"{name}F{i:03}.jpg" for i in range(frames))
        for file in files:
            image = cv2.resize(rng.integers(0, 255, (8, 4, 3), dtype=np.uint8), (32, 64))
            cv2.imwrite(str(tmp_path / file), image)
        tracklets.append(Tracklet(name, "train", int(name[:4]), int(name[5]), files))
    write_table(index_table(tracklets), tmp_path / "train-000.parquet")
    return Inputs(tmp_path, tmp_path / "train-000.parquet")


def extract(shard: Inputs, settings: ExtractionSettings, out: Path):
    out.mkdir()
    run(shard, settings, out, silent)
    return read_ragged([out / "skeletons.parquet"], SKELETONS, SKELETON_SHAPES)


def test_a_shard_has_a_skeleton_and_a_status_for_every_frame_of_its_index(shard, settings, tmp_path):
    result = extract(shard, settings, tmp_path / "out")
    assert result.ids == ("0001C1T0001", "0002C1T0001", "0003C2T0001")
    assert result.offsets.tolist() == [0, 5, 6, 9]
    assert (result.values["status"] == OK).all()
    assert not result.values["keypoints_3d"][:, 0].any()
    assert result.values["keypoints_3d"][:, 1:].any((1, 2)).all()


def test_the_stage_gives_what_its_models_give_frame_by_frame(shard, settings, tmp_path):
    result = extract(shard, settings, tmp_path / "out")
    estimator, lifter = load_models(settings)
    frames = [cv2.imread(str(shard.data_root / f"0003C2T0001F{i:03}.jpg")) for i in range(3)]
    keypoints, scores = (np.concatenate(parts) for parts in zip(*(estimator.h36m([f]) for f in frames), strict=True))
    np.testing.assert_array_equal(result.of(2, "keypoints_2d"), keypoints)
    np.testing.assert_allclose(result.of(2, "scores"), scores.clip(0, 1), atol=1e-6)
    sizes = np.tile(np.float32([32, 64]), (3, 1))
    np.testing.assert_allclose(result.of(2, "keypoints_3d"), lifter(Poses2D(keypoints, scores, sizes)), atol=1e-5)


def test_neither_batches_nor_workers_change_a_byte(shard, settings, tmp_path):
    extract(shard, settings, tmp_path / "a")
    extract(shard, settings.model_copy(update={"batch_size": 3, "decode_workers": 1}), tmp_path / "b")
    a, b = ((tmp_path / name / "skeletons.parquet").read_bytes() for name in "ab")
    assert a == b


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_a_broken_frame_is_recorded_and_spoils_no_other(shard, settings, tmp_path, damage):
    before = extract(shard, settings, tmp_path / "before")
    broken = shard.data_root / "0001C1T0001F002.jpg"
    if damage == "missing":
        broken.unlink()
    else:
        broken.write_bytes({"empty": b"", "cut": broken.read_bytes()[:40], "text": b"not an image"}[damage])
    after = extract(shard, settings, tmp_path / "after")
    assert after.of(0, "status").tolist() == [OK, OK, UNREADABLE, OK, OK]
    for column in ("keypoints_2d", "keypoints_3d", "scores"):
        assert not after.of(0, column)[2].any()
    others = [0, 1, 3, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(after.values["keypoints_2d"][others], before.values["keypoints_2d"][others])
    np.testing.assert_array_equal(after.values["keypoints_3d"][5:], before.values["keypoints_3d"][5:])
    assert after.values["keypoints_3d"][others].any((1, 2)).all()


def test_a_tracklet_with_no_readable_frame_is_kept_as_zeros(shard, settings, tmp_path):
    (shard.data_root / "0002C1T0001F000.jpg").write_bytes(b"")
    result = extract(shard, settings, tmp_path / "out")
    assert result.of(1, "status").tolist() == [UNREADABLE]
    assert not result.of(1, "keypoints_3d").any()


def test_a_shard_without_a_readable_frame_or_without_tracklets_is_no_error(shard, settings, tmp_path):
    for file in shard.data_root.glob("*.jpg"):
        file.unlink()
    assert (extract(shard, settings, tmp_path / "out").values["status"] == UNREADABLE).all()
    write_table(index_table([]), tmp_path / "empty.parquet")
    assert len(extract(replace(shard, index=tmp_path / "empty.parquet"), settings, tmp_path / "none")) == 0


def test_progress_counts_frames_to_the_last(shard, settings, tmp_path):
    calls = []
    run(shard, settings, tmp_path, lambda done, total, message="": calls.append((done, total)))
    assert calls == [(4, 9), (8, 9), (9, 9)]


def estimates(scores: list[float], readable: list[bool]) -> Estimates:
    found = Estimates.empty(len(scores))
    found.scores[:] = np.array(scores)[:, None]
    found.keypoints[:] = np.arange(len(scores), dtype=np.float32)[:, None, None]
    found.sizes[readable] = (64, 128)
    return found


def test_a_frames_status_says_how_sure_its_limbs_are():
    found = estimates([0.9, 0.25, 0.05, 0.0], [True, True, True, False])
    assert frame_status(found, 0.3, 0.1).tolist() == [OK, LOW_CONFIDENCE, NO_PERSON, UNREADABLE]
    found.scores[0, [0, 7, 8, 9, 10]] = 0  # pelvis, spine, thorax, neck and head are not limbs
    assert frame_status(found, 0.3, 0.1)[0] == OK


def test_the_lifter_sees_bad_frames_as_even_motion_between_good_ones():
    seen = []

    def lifter(poses):
        seen.append(poses)
        return np.ones((len(poses.keypoints), 17, 3), np.float32)

    found = estimates([0.9, 0.05, 0.0, 0.2, 0.05], [True, True, False, True, True])
    found.keypoints[3] = 9
    columns = skeletons_of(found, lifter, 0.3, 0.1)
    assert seen[0].keypoints[:, 0, 0].tolist() == [0, 3, 6, 9, 9]
    assert (seen[0].sizes == [64, 128]).all()
    assert columns["keypoints_3d"][:, 1, 0].tolist() == [1, 0, 0, 1, 0]
    assert columns["keypoints_2d"][:, 1, 0].tolist() == [0, 0, 0, 9, 0]
    np.testing.assert_allclose(columns["scores"][:, 0], [0.9, 0.05, 0.0, 0.2, 0.05])


def test_bridging_leaves_good_frames_alone():
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    good = np.array([0, 1, 1, 0, 1, 0], bool)
    filled = bridge(values, good)
    np.testing.assert_array_equal(filled[good], values[good])
    np.testing.assert_allclose(filled[3], (values[2] + values[4]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(filled[[0, 5]], values[[1, 4]])


def test_keys_hold_the_bytes_of_models_and_not_their_places(settings):
    assert settings.key_fields() == ExtractionSettings(min_score=-1, no_person_score=-1).key_fields()
    files = weight_files(settings)
    assert set(files) == {"estimator config 0", "estimator weights", "lifter config 0", "lifter weights"}
    assert all(path.is_file() for path in files.values())


def test_absent_weights_stop_before_anything_runs(shard, settings, tmp_path):
    absent = settings.lifter.model_copy(update={"weights": str(tmp_path / "absent.pth")})
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        run(shard, settings.model_copy(update={"lifter": absent}), tmp_path, silent)


def test_the_projects_own_models_are_the_default_and_are_lifted_from_the_canonical_view():
    estimator, lifter = load_models(ExtractionSettings(device="cpu"))
    assert lifter.normalise == "canonical"
    frame = np.full((128, 64, 3), 128, np.uint8)
    keypoints, scores = estimator.h36m([frame])
    assert keypoints.shape == (1, 17, 2)
    assert scores.max() < 0.5  # there is nobody in a grey picture


def test_planning_a_run_imports_neither_torch_nor_mmpose():
    code = "import sys, extraction.extract, extraction.scoring as s; s.QualitySettings(); print(*sys.modules)"
    code += "; extraction.extract.weight_files(extraction.extract.ExtractionSettings())"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "mmpose", "mmcv", "mmengine"} & set(loaded)
