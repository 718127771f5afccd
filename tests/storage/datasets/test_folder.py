import pytest

from storage.datasets import folder
from storage.errors import DataError
from tests.storage.datasets import trees
from tests.storage.datasets.trees import JPEG, MemoryFiles


def test_folders_say_split_identity_camera_and_tracklet() -> None:
    tracklets = folder.read(MemoryFiles(trees.folder()))
    assert [(t.tracklet_id, t.split, t.pid, t.camid) for t in tracklets] == [
        ("train/p1/cam1/a", "train", 1, 1),
        ("train/p1/cam2/b", "train", 1, 2),
        ("train/p2/cam1/a", "train", 2, 1),
        ("query/p3/cam1/walk", "query", 3, 1),
        ("gallery/p0/cam2/someone", "gallery", 0, 2),
        ("gallery/p3/cam2/walk", "gallery", 3, 2),
    ]
    assert [name.rpartition("/")[2] for name in tracklets[0].frames] == ["9.jpg", "10.jpg", "101.JPG"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("train/anna/cam1/a/1.jpg", "identity 'anna': expected digits, after nothing but other characters"),
        ("train/p1b/cam1/a/1.jpg", "identity 'p1b': expected digits"),
        ("train/1_2/cam1/a/1.jpg", "identity '1_2': expected digits"),
        ("train/p1/c1s2/a/1.jpg", "camera 'c1s2': expected digits"),
        ("train/p01/cam1/c/1.jpg", "identity 1 is called 'p1' and 'p01': give it one name"),
        ("gallery/p3/c2/c/1.jpg", "camera 2 is called 'cam2' and 'c2': give it one name"),
        ("train/p1/cam1/1.jpg", "train/p1/cam1: holds frames, and is not split/identity/camera/tracklet"),
        ("train/p1/cam1/a/b/1.jpg", "train/p1/cam1/a/b: holds frames, and is not split/identity/camera/tracklet"),
        ("val/p1/cam1/a/1.jpg", "val/p1/cam1/a: holds frames, and is in none of train, query, gallery"),
        ("1.jpg", "the data root: holds frames"),
        ("train/p3/cam1/a/1.jpg", "identity 3 is in both train and test"),
        ("train/p0/cam1/a/1.jpg", "a distractor (identity 0) is among the train tracklets"),
        ("query/p0/cam1/a/1.jpg", "a distractor (identity 0) is among the query tracklets"),
        ("train/p1/cam1/new/Thumbs.db", "train/p1/cam1/new: has no frame"),
        ("train/p1/cam1/a/é.jpg", "have names of ASCII characters"),
        ("train/p99999999999/cam1/a/1.jpg", "expected digits"),
        ("train/p9999999999/cam1/a/1.jpg", "out of range"),
    ],
)
def test_what_cannot_be_told_for_sure_is_refused(name: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        folder.read(MemoryFiles(trees.folder() | {name: JPEG}))
    assert says in caught.value.what


@pytest.mark.parametrize("name", ["train/p1/cam1/a/._1.jpg", "__MACOSX/train/p1/x.jpg", ".thumbnails/1.jpg", "a.txt"])
def test_what_other_programs_leave_is_ignored(name: str) -> None:
    expected = folder.read(MemoryFiles(trees.folder()))
    assert folder.read(MemoryFiles(trees.folder() | {name: JPEG})) == expected


def test_skeletons_beside_the_frames_are_no_tracklets() -> None:
    expected = folder.read(MemoryFiles(trees.folder()))
    tree = trees.folder() | {"train/p1/cam1/a/skeleton_3d/9.json": b"{}", "skeleton_3d/train/p1/cam1/a/9.json": b"{}"}
    assert folder.read(MemoryFiles(tree)) == expected
