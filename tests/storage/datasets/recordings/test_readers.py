"""Readers of skeletons without images: BIWI, IAS-Lab, UTD-MHAD, Parquet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from storage.datasets.recordings.kinect_text import parse
from storage.datasets.recordings.readers import SEQUENCE_READERS, SequenceSettings, skeleton_type
from storage.errors import DataError, SettingsError
from storage.frames.files import DataFiles
from storage.skeleton import KINECT20
from storage.tables.tracklets import Tracklet
from tests.storage.datasets.recordings.skeleton_trees import (
    kinect_recording,
    skeleton_text,
    write_biwi,
    write_ias,
    write_recording,
)

COORDINATES = st.floats(-9, 9, allow_nan=False).map(lambda value: round(value, 4))


def read(layout: str, root: Path, **settings: Any) -> list[Tracklet]:
    return SEQUENCE_READERS[layout].read(DataFiles(root), SequenceSettings(**settings))


def frames_of(layout: str, root: Path, recordings: list[Tracklet], **settings: Any) -> list[tuple[Any, Any]]:
    files = DataFiles(root)
    kind = skeleton_type(files, layout, SequenceSettings(**settings))
    return list(SEQUENCE_READERS[layout].frames(files, recordings, kind))


def by_split(recordings: list[Tracklet]) -> dict[str, list[str]]:
    return {s: [r.tracklet_id for r in recordings if r.split == s] for s in ("train", "query", "gallery")}


# -- text files of the Kinect -------------------------------------------------


@given(st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES), min_size=20, max_size=20))
def test_a_written_frame_is_read_in_camera_axes(joints: list[tuple[float, float, float]]) -> None:
    found = parse(skeleton_text(np.array(joints), 3))
    assert found is not None
    assert found.dtype == np.float32
    assert np.allclose(found, np.array(joints) * [-1, -1, 1], atol=1e-5)


@given(st.text(alphabet="0123456789,.-+enaifx \n\r\t\x00", max_size=400) | st.text())
def test_what_is_no_frame_is_a_value_error_and_nothing_else(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert found is None or found.shape == (20, 3)


def test_a_frame_with_a_joint_that_was_not_tracked_is_none_and_an_inferred_joint_counts() -> None:
    joints = np.zeros((20, 3))
    lines = skeleton_text(joints, 1).splitlines()
    lost = skeleton_text(joints, 1, tracked=0).splitlines()
    guessed = skeleton_text(joints, 1, tracked=1)
    assert parse("\n".join([*lines[:19], lost[19]])) is None
    assert parse(guessed) is not None
    assert parse("\n \n") is None


def test_of_several_people_in_a_frame_the_first_is_taken() -> None:
    one, other = np.full((20, 3), 0.25), np.full((20, 3), 0.75)
    found = parse(skeleton_text(one, 1) + skeleton_text(other, 2))
    assert found is not None
    assert np.allclose(np.abs(found), 0.25)


def test_biwi_trains_on_training_and_asks_with_the_probe_either_way(tmp_path: Path) -> None:
    write_biwi(tmp_path, train=3, test=2, frames=4)
    walking = read("biwi", tmp_path)
    assert by_split(walking) == {
        "train": ["Training/000", "Training/001", "Training/002"],
        "query": ["Testing/Walking/000", "Testing/Walking/001"],
        "gallery": ["Testing/Still/000", "Testing/Still/001"],
    }
    assert [r.pid for r in walking] == [1, 2, 3, 1, 2, 1, 2]
    still = read("biwi", tmp_path, probe="still")
    assert by_split(still)["query"] == by_split(walking)["gallery"]
    assert by_split(still)["gallery"] == by_split(walking)["query"]
    # query and gallery are never of one camera, or answers would be left out
    assert {r.camid for r in walking if r.split == "query"}.isdisjoint(r.camid for r in walking if r.split == "gallery")


def test_ias_asks_with_a_or_b(tmp_path: Path) -> None:
    write_ias(tmp_path, people=2, frames=3)
    assert by_split(read("ias", tmp_path))["query"] == ["TestingA/000", "TestingA/001"]
    assert by_split(read("ias", tmp_path, probe="B"))["query"] == ["TestingB/000", "TestingB/001"]
    with pytest.raises(SettingsError, match="no probe walking"):
        read("ias", tmp_path, probe="walking")


def test_frames_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_biwi(tmp_path, train=2, test=1, frames=2)
    recording = kinect_recording(np.random.default_rng(0), 7, 12)
    folder = tmp_path / "Training/007"
    write_recording(folder, recording, 7)
    for number in range(12):  # without the zeros that keep names in order
        next(folder.glob(f"007_{number:05d}-*")).rename(folder / f"7_{number}-a_skel.txt")
    found = next(r for r in read("biwi", tmp_path) if r.tracklet_id == "Training/007")
    ((joints, tracked),) = frames_of("biwi", tmp_path, [found])
    assert tracked.all()
    assert np.allclose(joints * [-1, -1, 1], recording, atol=1e-5)


def test_everything_that_is_wrong_with_a_recording_is_said_at_once(tmp_path: Path) -> None:
    write_biwi(tmp_path, train=2, test=1, frames=4)
    first, second, third, _ = sorted((tmp_path / "Training/001").iterdir())
    first.write_text("no skeleton")
    second.write_text(skeleton_text(np.full((20, 3), np.nan), 1))
    third.unlink()
    recording = next(r for r in read("biwi", tmp_path) if r.tracklet_id == "Training/001")
    with pytest.raises(DataError, match=r"(?s)2 files are no skeletons.*has 1 rows.*no number"):
        frames_of("biwi", tmp_path, [recording])


def test_a_listed_file_that_is_gone_was_not_tracked(tmp_path: Path) -> None:
    write_biwi(tmp_path, train=2, test=1, frames=4)
    recording = next(r for r in read("biwi", tmp_path) if r.tracklet_id == "Training/001")
    (tmp_path / recording.frames[2]).unlink()
    ((_, tracked),) = frames_of("biwi", tmp_path, [recording])
    assert tracked.tolist() == [True, True, False, True]


def test_missing_folders_and_folders_without_a_number_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Training, TestingA, TestingB missing"):
        read("ias", tmp_path)
    write_ias(tmp_path, people=2, frames=2)
    (tmp_path / "TestingA/001").rename(tmp_path / "TestingA/somebody")
    with pytest.raises(DataError, match="TestingA/somebody: its skeletons are in no folder with a person's number"):
        read("ias", tmp_path)


# -- UTD-MHAD -----------------------------------------------------------------


@pytest.fixture
def mhad(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for action in (1, 2, 3):
        for person in (1, 2):
            for trial in (1, 2, 3, 4):
                path = tmp_path / f"Skeleton/a{action}_s{person}_t{trial}_skeleton.mat"
                path.parent.mkdir(exist_ok=True)
                scipy.io.savemat(path, {"d_skel": rng.normal(size=(20, 3, 7))})
    return tmp_path


def test_trials_decide_what_trains_asks_and_answers(mhad: Path) -> None:
    splits = by_split(read("utd_mhad", mhad, train_trials=[1], probe_trials=[4], gallery_trials=[2, 3]))
    assert {name.split("_")[2] for name in splits["train"]} == {"t1"}
    assert {name.split("_")[2] for name in splits["query"]} == {"t4"}
    assert {name.split("_")[2] for name in splits["gallery"]} == {"t2", "t3"}
    with pytest.raises(SettingsError, match="trial 3 would both ask and answer"):
        read("utd_mhad", mhad, gallery_trials=[3, 4])


def test_actions_can_be_kept_apart(mhad: Path) -> None:
    splits = by_split(read("utd_mhad", mhad, actions="different"))
    actions = {split: {name.split("_")[0] for name in names} for split, names in splits.items()}
    assert actions == {"train": {"a3"}, "query": {"a1"}, "gallery": {"a2"}}


def test_joints_of_utd_mhad_come_in_the_order_of_the_sdk(mhad: Path) -> None:
    recording = read("utd_mhad", mhad)[0]
    ((joints, tracked),) = frames_of("utd_mhad", mhad, [recording])
    raw = scipy.io.loadmat(mhad / recording.frames[0])["d_skel"]
    assert tracked.all()
    assert np.allclose(joints[:, KINECT20.joints.index("head")], raw[0].T * [-1, -1, 1])
    assert np.allclose(joints[:, KINECT20.joints.index("hip_center")], raw[3].T * [-1, -1, 1])
    assert np.allclose(joints[:, 19], raw[19].T * [-1, -1, 1])


def test_real_people_stand_upright_in_camera_axes(shared_data: Path) -> None:
    root = shared_data / "utd-mhad"
    recordings = read("utd_mhad", root)
    assert len(recordings) == 861
    assert {r.pid for r in recordings} == set(range(1, 9))
    joints = np.stack([joints[0] for joints, _ in frames_of("utd_mhad", root, recordings[::60])])
    place = {name: joints[:, row] for row, name in enumerate(KINECT20.joints)}
    assert (place["head"][:, 1] < place["shoulder_center"][:, 1]).all()
    assert (place["shoulder_center"][:, 1] < place["hip_center"][:, 1]).all()
    assert (place["hip_center"][:, 1] < place["left_foot"][:, 1]).all()
    # who faces the camera has the left side on the right of the picture
    assert (place["left_shoulder"][:, 0] > place["right_shoulder"][:, 0]).all()


def test_a_recording_of_another_shape_is_named(mhad: Path) -> None:
    scipy.io.savemat(mhad / "Skeleton/a1_s1_t1_skeleton.mat", {"d_skel": np.zeros((17, 3, 7))})
    recording = next(r for r in read("utd_mhad", mhad) if r.tracklet_id == "a1_s1_t1")
    with pytest.raises(DataError, match=r"shape \(17, 3, 7\)"):
        frames_of("utd_mhad", mhad, [recording])


# -- Parquet ------------------------------------------------------------------


@pytest.fixture
def make_parquet(tmp_path: Path) -> Callable[..., Path]:
    def make(**changed: Any) -> Path:
        rows = {
            "tracklet_id": ["a", "b", "c"],
            "split": ["train", "query", "gallery"],
            "pid": [1, 2, 2],
            "camid": [1, 1, 2],
            "keypoints": [np.arange(2 * 17 * 3, dtype=np.float32), np.ones(51, np.float32), np.zeros(0, np.float32)],
            "skeleton": ["h36m17"] * 3,
        }
        columns = {name: values for name, values in (rows | changed).items() if values is not None}
        pq.write_table(pa.table(columns), tmp_path / "mine.parquet")
        return tmp_path

    return make


def test_any_parquet_of_skeletons_is_read(make_parquet: Callable[..., Path]) -> None:
    broken = np.ones(51, np.float32)
    broken[7] = np.nan
    whole = np.arange(102, dtype=np.float32)
    root = make_parquet(keypoints=[whole, broken, np.zeros(0, np.float32)])
    recordings = read("skeletons", root)
    assert [(r.tracklet_id, r.split, r.pid, r.camid, r.frames) for r in recordings] == [
        ("a", "train", 1, 1, ("mine.parquet",)),
        ("b", "query", 2, 1, ("mine.parquet",)),
        ("c", "gallery", 2, 2, ("mine.parquet",)),
    ]
    found = frames_of("skeletons", root, recordings[::-1])[::-1]
    assert np.array_equal(found[0][0], whole.reshape(2, 17, 3))
    assert [tracked.tolist() for _, tracked in found] == [[True, True], [False], []]


def test_the_kind_of_skeleton_is_a_column_or_a_setting(make_parquet: Callable[..., Path]) -> None:
    root = make_parquet(skeleton=None, keypoints=[np.ones(60, np.float32)] * 3)
    recordings = read("skeletons", root)
    assert frames_of("skeletons", root, recordings, skeleton="kinect20")[0][0].shape == (1, 20, 3)
    with pytest.raises(DataError, match=r"(?s)60 values are not whole frames of 17 joints.*data.sequences.skeleton"):
        frames_of("skeletons", root, recordings, skeleton="h36m17")
    root = make_parquet(skeleton=["h36m17", "kinect20", "h36m17"])
    with pytest.raises(DataError, match=r"(?s)column skeleton: h36m17.*column skeleton: kinect20"):
        frames_of("skeletons", root, recordings)


def test_wrong_columns_and_splits_are_all_named(make_parquet: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="has no column keypoints"):
        read("skeletons", make_parquet(keypoints=None))
    with pytest.raises(DataError, match="wrong type, or with empty rows: pid, camid, keypoints"):
        read("skeletons", make_parquet(pid=["x", "y", "z"], camid=[1, None, 2], keypoints=[1.0, 2.0, 3.0]))
    with pytest.raises(DataError, match=r"(?s)in 2 places.*a: split 'test'.*c: split 'val'"):
        read("skeletons", make_parquet(split=["test", "query", "val"]))


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \*.parquet"):
        read("skeletons", tmp_path)
