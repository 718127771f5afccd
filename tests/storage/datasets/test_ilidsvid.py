import io

import numpy as np
import pytest
import scipy.io

from storage.datasets import ilidsvid
from storage.errors import DataError
from tests.storage.datasets import trees
from tests.storage.datasets.trees import PNG, MemoryFiles, mat

PEOPLE = (1, 2, 9, 14, 119, 319)


def test_the_first_half_of_a_split_is_tested_on_by_place_among_the_people_of_both_cameras() -> None:
    tree = trees.ilidsvid(PEOPLE) | {ilidsvid.SPLITS: mat(ls_set=np.array([[6, 1, 3, 2, 5, 4]] * 10))}
    tracklets = ilidsvid.read(MemoryFiles(tree))
    assert sorted({t.pid for t in tracklets if t.split == "train"}) == [2, 14, 119]
    assert sorted((t.pid, t.camid) for t in tracklets if t.split == "query") == [(1, 1), (9, 1), (319, 1)]
    assert sorted((t.pid, t.camid) for t in tracklets if t.split == "gallery") == [(1, 2), (9, 2), (319, 2)]


def test_each_of_the_ten_splits_is_its_own_row() -> None:
    files = MemoryFiles(trees.ilidsvid(PEOPLE))
    rows = scipy.io.loadmat(io.BytesIO(files.read(ilidsvid.SPLITS)))["ls_set"]
    for split in range(10):
        tested = sorted(PEOPLE[place - 1] for place in rows[split][:3])
        assert sorted(t.pid for t in ilidsvid.read(files, split) if t.split == "query") == tested


def test_frames_with_gaps_are_in_order() -> None:
    tracklets = ilidsvid.read(MemoryFiles(trees.ilidsvid(PEOPLE)))
    numbers = [int(frame[-9:-4]) for frame in next(t for t in tracklets if t.pid == 2).frames]
    assert numbers == [11, 12, 123]


def test_who_was_seen_by_one_camera_only_is_left_out_unless_the_splits_count_them() -> None:
    tree = trees.ilidsvid(PEOPLE)
    assert 200 not in {t.pid for t in ilidsvid.read(MemoryFiles(tree))}
    for name in [name for name in tree if "cam2_person014" in name]:
        del tree[name]
    with pytest.raises(DataError) as caught:
        ilidsvid.read(MemoryFiles(tree))
    assert "divides 6 people, and 5 were seen by both cameras" in caught.value.what
    assert "person014: no frames by cam2" in caught.value.what


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (ilidsvid.SPLITS, mat(ls_set=np.array([[1, 2, 3, 4, 5, 5]])), "person 5 is listed twice"),
        (ilidsvid.SPLITS, mat(ls_set=np.array([[0, 1, 2, 3, 4, 5]])), "person 0 is not among 1 to 6"),
        (ilidsvid.SPLITS, mat(ls_set=np.zeros((0, 6))), "found shape (0, 6)"),
        (f"{ilidsvid.SEQUENCES}/cam1/person001/cam2_person001_00001.png", PNG, "are named like cam1_person001"),
        (f"{ilidsvid.SEQUENCES}/cam1/person001/cam1_person002_00001.png", PNG, "are named like cam1_person001"),
        (f"{ilidsvid.SEQUENCES}/cam3/person001/cam3_person001_00001.png", PNG, "is no person's folder"),
        (f"{ilidsvid.SEQUENCES}/cam1/nobody/cam1_nobody_00001.png", PNG, "are named like person001"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # MATLAB files say when they were written
)
def test_contradictions_are_named(name: str, content: bytes, says: str) -> None:
    with pytest.raises(DataError) as caught:
        ilidsvid.read(MemoryFiles(trees.ilidsvid(PEOPLE) | {name: content}))
    assert says in caught.value.what
