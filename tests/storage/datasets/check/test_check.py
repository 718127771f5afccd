"""A whole check of small MARS folders: each kind of problem is made, and found with its file's name."""

import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from storage.datasets.check.check import check
from storage.datasets.check.counts import DataCheck
from storage.datasets.check.findings import CLIP_LENGTH
from storage.datasets.readers import READERS, Reader
from storage.frames.files import DataFiles
from storage.tables.tracklets import SPLITS, Tracklet

Make = Callable[..., Path]
CLIP = tuple(range(1, CLIP_LENGTH + 1))
TRAIN = [("0001", camera, 1, CLIP) for camera in (1, 2)]
TEST = [("00-1", 1, 1, (1, 2)), ("0000", 1, 1, CLIP), ("0003", 1, 1, CLIP), ("0003", 2, 1, CLIP)]
JUNK = "unused"


@pytest.fixture
def root(make_mars: Make) -> Path:
    """A folder with nothing wrong, and two junk frames."""
    return make_mars(train=TRAIN, test=TEST, queries=[3])


def found(check: DataCheck) -> dict[str, list[str]]:
    return {one.kind: [str(item) for item in one.items] for one in check.findings}


def problems(check: DataCheck) -> set[str]:
    return {one.kind for one in check.problems}


def test_a_clean_data_set_has_no_problem(root: Path) -> None:
    clean = check(root, "mars", decode=True)
    assert found(clean) == {JUNK: [f"bbox_test/00-1/00-1C1T0001F00{i}.jpg" for i in (1, 2)]}
    assert not clean.problems
    assert clean.splits["train"]["frames"] == 16
    assert clean.sizes == dict.fromkeys(("smallest", "median", "largest"), (16, 32))
    assert clean.lengths[-1] == (8, 15, 5)


def test_every_kind_of_problem_is_found_with_its_file(root: Path) -> None:
    frame = "bbox_train/0001/0001C1T0001F00{}.jpg".format
    other = "bbox_test/0003/0003C1T0001F00{}.jpg".format
    (root / frame(1)).unlink()
    (root / frame(2)).write_bytes(b"")
    (root / frame(3)).write_text("no picture")
    (root / frame(4)).write_bytes((root / other(1)).read_bytes())
    (root / other(3)).write_bytes((root / other(2)).read_bytes())
    (root / "bbox_train/0001/0001C2T0001F001.jpg").write_bytes((root / frame(5)).read_bytes())
    cv2.imwrite(str(root / frame(6)), np.zeros((20, 40, 3), np.uint8))
    (root / "bbox_train/0001/thumb.PNG").write_bytes(b"x")
    (root / "bbox_train/0001/readme.txt").write_text("not an image")
    (root / "elsewhere.jpg").write_bytes(b"beside the folders of frames")

    bad = check(root, "mars")

    assert found(bad) == {
        "missing": [frame(1)],
        "unreadable": [f"{frame(2)} (empty)", f"{frame(3)} (not an image)"],
        "same in identities": [f"{frame(4)} = {other(1)}"],
        "same in tracklets": [f"{frame(5)} = bbox_train/0001/0001C2T0001F001.jpg"],
        "same in a tracklet": [f"{other(2)} = {other(3)}"],
        "odd size": [f"{frame(6)} (40 x 20)"],
        "extra": ["bbox_train/0001/thumb.PNG"],
        JUNK: found(bad)[JUNK],
    }
    assert problems(bad) == {"missing", "unreadable", "same in identities"}


def test_what_a_split_of_one_camera_or_without_a_match_is_told(make_mars: Make) -> None:
    told = found(check(make_mars(), "mars"))
    assert told["no match"] == ["0004C2T0001 (identity 4, camera 2)"]
    assert told["one camera"] == ["identity 2 (train, camera 1)", "identity 4 (test, camera 2)"]
    assert len(told["short"]) == 7


def test_an_archive_is_checked_as_the_folder_that_it_holds(root: Path, tmp_path: Path) -> None:
    frame = root / "bbox_train/0001/0001C1T0001F001.jpg"
    frame.unlink()
    (root / "bbox_train/0001/extra.jpg").write_bytes(b"x")
    loose = check(root, "mars")
    path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root))
    assert check(path, "mars") == loose
    # frames in an archive, lists beside it
    half = tmp_path / "half"
    shutil.copytree(root / "info", half / "info")
    for folder in ("bbox_train", "bbox_test"):
        with zipfile.ZipFile(half / f"{folder}.zip", "w") as archive:
            for file in sorted((root / folder).rglob("*.jpg")):
                archive.write(file, file.relative_to(root))
    assert check(half, "mars") == loose


def test_a_listed_frame_may_have_any_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(files: DataFiles, split: int) -> list[Tracklet]:
        return [Tracklet(name, name, i, 1, (f"bbox/{i}.tif",)) for i, name in enumerate(SPLITS, start=1)]

    monkeypatch.setitem(READERS, "own", Reader(read))
    (tmp_path / "raw/bbox").mkdir(parents=True)
    for i in (1, 2):
        cv2.imwrite(str(tmp_path / f"raw/bbox/{i}.tif"), np.full((32, 16, 3), i, np.uint8))
    (tmp_path / "raw/notes.md").write_text("beside the folder, so that an archive has more than that one")
    assert found(check(tmp_path / "raw", "own"))["missing"] == ["bbox/3.tif"]
    packed = Path(shutil.make_archive(str(tmp_path / "raw"), "zip", tmp_path / "raw"))
    assert found(check(packed, "own"))["missing"] == ["bbox/3.tif"]


def test_frames_behind_links_to_folders_are_there(root: Path, tmp_path: Path) -> None:
    (root / "bbox_train/0001").rename(tmp_path / "away")
    (root / "bbox_train/0001").symlink_to(tmp_path / "away")
    assert not check(root, "mars").problems


def test_lists_that_contradict_themselves_are_told_in_full_and_the_images_checked_all_the_same(make_mars: Make) -> None:
    rows = [(f"{pid:04d}", 1, 1, (1,)) for pid in range(1, 31)]
    root = make_mars(train=rows, test=[(pid, 2, *rest) for pid, _, *rest in rows], queries=[1])
    (root / "bbox_train/0001/0001C1T0001F001.jpg").write_bytes(b"")

    bad = check(root, "mars", limit=3)

    refused = next(one for one in bad.findings if one.kind == "refused")
    assert [str(item) for item in refused.items] == [
        f"identity {pid} is in both train and test" for pid in range(1, 31)
    ], "all, and not the first few"
    assert found(bad)["unreadable"] == ["bbox_train/0001/0001C1T0001F001.jpg (empty)"]
    assert bad.splits == {}


def test_a_folder_of_frames_that_is_missing_is_told_and_the_lists_are_counted(root: Path) -> None:
    shutil.rmtree(root / "bbox_test")
    bad = check(root, "mars")
    assert found(bad)["refused"] == ["bbox_test: missing"]
    assert len(found(bad)["missing"]) == 24
    assert bad.splits["query"]["tracklets"] == 1


def test_lists_alone_need_no_frame(root: Path) -> None:
    shutil.rmtree(root / "bbox_test")
    shutil.rmtree(root / "bbox_train")
    assert found(check(root, "mars", frames=False)) == {}
    (root / "info/query_IDX.mat").unlink()
    assert found(check(root, "mars", frames=False)) == {"refused": ["info/query_IDX.mat: missing"]}


def test_nothing_is_written_into_the_data_set(root: Path) -> None:
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in root.rglob("*")}

    before = stamps()
    check(root, "mars", decode=True)
    assert stamps() == before


def test_the_real_lists_have_the_published_counts_in_seconds(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "info").symlink_to(shared_data / "mars-protocol")
    start = time.process_time()
    real = check(tmp_path, "mars", frames=False, limit=10)
    assert time.process_time() - start < 30, "seconds, also on a busy machine"
    assert real.published is not None
    assert real.published.same == len(real.published.figures) == 7
    assert not real.problems
    counts = {one.kind: one.count for one in real.notes}
    assert counts == {"no match without queries": 140, "one camera": 14, "short": 259}


def test_real_frames_have_no_problem(shared_data: Path) -> None:
    real = check(shared_data / "mars-tiles", "mars", decode=True)
    assert not real.problems
    assert real.published is not None
    assert not real.published.claimed, "a part of MARS is not MARS"
    assert real.sizes["median"] == (64, 128)
