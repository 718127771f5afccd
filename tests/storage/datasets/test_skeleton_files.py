import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.datasets.skeleton_files import files_table, find, match, read_files
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.tables.parquet import write_table
from storage.tables.tracklets import Tracklet

FRAMES = ("bbox_train/0001/a.jpg", "bbox_train/0001/b.jpg", "bbox_train/0002/c.jpg")


@pytest.mark.parametrize(
    "file",
    ["skeleton_3d/bbox_train/0001/a.json", "bbox_train/skeleton_3d/0001/a.json", "bbox_train/0001/skeleton_3d/a.json"],
)
def test_the_folder_may_lie_anywhere_above_the_file(file):
    assert match(FRAMES, [file], "skeleton_3d") == ({"bbox_train/0001/a.jpg": file}, [])


def test_files_right_in_the_folder_belong_to_the_frame_of_their_name():
    assert match(FRAMES, ["skeleton_3d/c.json"], "skeleton_3d")[0] == {"bbox_train/0002/c.jpg": "skeleton_3d/c.json"}


def test_a_file_of_another_folder_belongs_to_nobody_even_if_its_name_fits():
    file = "skeleton_3d/bbox_train/0002/a.json"
    assert match(FRAMES, [file], "skeleton_3d") == ({}, [file])


def test_two_files_of_a_frame_and_a_file_of_two_frames_are_listed_together():
    frames = [*FRAMES, "bbox_test/0009/c.jpg"]
    files = [
        "skeleton_3d/bbox_train/0001/a.json",
        "bbox_train/0001/skeleton_3d/a.json",
        "skeleton_3d/c.json",
    ]
    with pytest.raises(DataError) as caught:
        match(frames, files, "skeleton_3d")
    assert "2 skeletons cannot be told" in str(caught.value)
    assert "a.jpg has two skeletons" in str(caught.value)
    assert "c.json could belong to bbox_train/0002/c.jpg or to bbox_test/0009/c.jpg" in str(caught.value)


@given(st.permutations([f"p{i}/{j}" for i in range(3) for j in range(3)]), st.sets(st.integers(0, 8)))
def test_the_order_of_a_listing_never_matters(names, absent):
    frames = [f"{name}.jpg" for name in sorted(names)]
    kept = [f"skeleton_3d/{name}.json" for i, name in enumerate(names) if i not in absent]
    found, extra = match(frames, [*kept, "skeleton_3d/p9/0.json"], "skeleton_3d")
    assert found == {file.removeprefix("skeleton_3d/").replace(".json", ".jpg"): file for file in kept}
    assert extra == ["skeleton_3d/p9/0.json"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("0001/a", "0001/b", "0003/z"):
        path = tmp_path / "bbox_train" / "skeleton_3d" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"keypoints": []}))
    return tmp_path


TRACKLETS = [Tracklet("one", "train", 1, 1, FRAMES[:2]), Tracklet("two", "train", 2, 1, FRAMES[2:])]


def test_a_data_set_is_told_what_belongs_to_whom_what_is_missing_and_what_is_too_much(root, tmp_path):
    found = find(DataFiles(root), "skeleton_3d", TRACKLETS, tmp_path / "cache.parquet")
    place = "bbox_train/skeleton_3d"
    assert [t.frames for t in found.tracklets] == [(f"{place}/0001/a.json", f"{place}/0001/b.json"), ("",)]
    assert found.missing == (FRAMES[2],)
    assert found.extra == (f"{place}/0003/z.json",)
    write_table(files_table(found.tracklets), tmp_path / "files.parquet")
    assert read_files(tmp_path / "files.parquet") == {t.tracklet_id: list(t.frames) for t in found.tracklets}


def test_a_changed_byte_changes_the_fingerprint_of_its_tracklet_alone(root, tmp_path):
    before = find(DataFiles(root), "skeleton_3d", TRACKLETS, tmp_path / "cache.parquet")
    (root / "bbox_train/skeleton_3d/0001/b.json").write_text("{}")
    after = find(DataFiles(root), "skeleton_3d", TRACKLETS, tmp_path / "cache.parquet")
    changed = [a.fingerprint != b.fingerprint for a, b in zip(before.tracklets, after.tracklets, strict=True)]
    assert changed == [True, False]


def test_no_skeleton_for_any_frame_says_how_they_should_be_named(root, tmp_path):
    strangers = [Tracklet("x", "train", 1, 1, ("bbox_train/0007/q.jpg",))]
    with pytest.raises(DataError) as caught:
        find(DataFiles(root), "skeleton_3d", strangers, tmp_path / "cache.parquet")
    assert "skeleton_3d/bbox_train/0007/q.json" in str(caught.value)
    assert "there is bbox_train/skeleton_3d/0001" in str(caught.value)
