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

from extraction.extract import ExtractionSettings, Inputs, load_models, make_stream, run, weight_files
from extraction.pose2d.keypoints import Poses2D
from extraction.skeletons import OK, UNREADABLE
from extraction.zoo.pose_model import build
from extraction.zoo.weights import find_config
from storage.errors import WeightsError
from storage.frames.files import DataFiles
from storage.progress import silent
from storage.tables.parquet import read_ragged, write_table
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, index_table

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
    return ExtractionSettings(**named, min_score=-1, no_person_score=-1, max_gap=0, device="cpu", batch_size=4)


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
    models = load_models(settings)
    estimator, lifter = models.estimator, models.lifter
    frames = [cv2.imread(str(shard.data_root / f"0003C2T0001F{i:03}.jpg")) for i in range(3)]
    keypoints, scores = (np.concatenate(parts) for parts in zip(*(estimator.h36m([f]) for f in frames), strict=True))
    np.testing.assert_allclose(result.of(2, "keypoints_2d"), keypoints, atol=1e-4)
    np.testing.assert_allclose(result.of(2, "scores"), scores.clip(0, 1), atol=1e-6)
    sizes = np.tile(np.float32([32, 64]), (3, 1))
    np.testing.assert_allclose(result.of(2, "keypoints_3d"), lifter(Poses2D(keypoints, scores, sizes)), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 1}, {"batch_size": 3, "decode_workers": 1}, {"batch_size": 64, "workers": 1}, {"workers": 3}],
)
def test_neither_batches_nor_workers_change_a_byte(shard, settings, tmp_path, change):
    extract(shard, settings, tmp_path / "a")
    extract(shard, settings.model_copy(update=change), tmp_path / "b")
    a, b = ((tmp_path / name / "skeletons.parquet").read_bytes() for name in "ab")
    assert a == b


def test_the_number_of_torchs_threads_changes_no_byte_and_is_left_alone(shard, settings, tmp_path):
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            extract(shard, settings.model_copy(update={"workers": threads}), tmp_path / str(threads))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    one, two = ((tmp_path / name / "skeletons.parquet").read_bytes() for name in "12")
    assert one == two


def test_a_short_gap_is_filled_and_marked_and_its_status_stays(shard, settings, tmp_path):
    (shard.data_root / "0001C1T0001F002.jpg").write_bytes(b"")
    result = extract(shard, settings.model_copy(update={"max_gap": 1}), tmp_path / "out")
    assert result.of(0, "filled").tolist() == [False, False, True, False, False]
    assert result.of(0, "status")[2] == UNREADABLE
    keypoints = result.of(0, "keypoints_2d")
    np.testing.assert_allclose(keypoints[2], (keypoints[1] + keypoints[3]) / 2, rtol=1e-5)
    assert result.of(0, "keypoints_3d")[2].any()
    assert not result.of(0, "scores")[2].any()


def test_memory_holds_what_is_under_way_and_not_the_whole_shard(shard, settings, tmp_path):
    """However many tracklets there are, only so many are begun before the first of them is given back."""
    asked = []

    def endless():
        for number in range(100_000):
            asked.append(number)
            yield Tracklet(f"{number:06}", "train", 1, 1, ("0002C1T0001F000.jpg",) * 3)

    stream = make_stream(settings.model_copy(update={"workers": 2}), DataFiles(shard.data_root))
    rows = stream.skeletons(endless())
    for _ in range(20):
        next(rows)
    assert len(asked) < 20 + 20
    rows.close()


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


def test_a_line_about_unreadable_frames_names_their_tracklet(shard, settings, tmp_path, caplog):
    (shard.data_root / "0001C1T0001F002.jpg").write_bytes(b"")
    extract(shard, settings, tmp_path / "out")
    (record,) = (record for record in caplog.records if hasattr(record, "tracklet"))
    assert record.tracklet == "0001C1T0001"
    assert record.getMessage().startswith("1 of ")


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
    assert calls == [(5, 9), (6, 9), (9, 9)]


def test_keys_hold_the_bytes_of_models_and_not_their_places(settings):
    assert settings.key_fields() == ExtractionSettings(min_score=-1, no_person_score=-1, max_gap=0).key_fields()
    files = weight_files(settings)
    assert set(files) == {"estimator config 0", "estimator weights", "lifter config 0", "lifter weights"}
    assert all(path.is_file() for path in files.values())


def test_absent_weights_stop_before_anything_runs(shard, settings, tmp_path):
    absent = settings.lifter.model_copy(update={"weights": str(tmp_path / "absent.pth")})
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        run(shard, settings.model_copy(update={"lifter": absent}), tmp_path, silent)


def test_the_projects_own_models_are_the_default_and_are_lifted_from_the_canonical_view():
    models = load_models(ExtractionSettings(device="cpu"))
    estimator, lifter = models.estimator, models.lifter
    assert lifter.normalise == "canonical"
    frame = np.full((128, 64, 3), 128, np.uint8)
    keypoints, scores = estimator.h36m([frame])
    assert keypoints.shape == (1, 17, 2)
    assert scores.max() < 0.5  # there is nobody in a grey picture


def test_planning_a_run_imports_neither_torch_nor_mmpose():
    code = "import sys, extraction.extract, extraction.score as s; s.QualitySettings(); print(*sys.modules)"
    code += "; extraction.extract.weight_files(extraction.extract.ExtractionSettings())"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "mmpose", "mmcv", "mmengine"} & set(loaded)
