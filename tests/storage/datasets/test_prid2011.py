import json

import pytest

from storage.datasets import prid2011
from storage.errors import DataError
from tests.storage.datasets import trees
from tests.storage.datasets.trees import PNG, MemoryFiles

LONG = tuple(range(2, 200, 11))


@pytest.fixture(scope="module")
def files() -> MemoryFiles:
    return MemoryFiles(trees.prid2011(LONG))


def queries_of(files: MemoryFiles, split: int) -> list[int]:
    return [t.pid for t in prid2011.read(files, split) if t.split == "query"]


def test_people_with_27_frames_by_both_cameras_are_halved(files: MemoryFiles) -> None:
    tracklets = prid2011.read(files)
    train = {t.pid for t in tracklets if t.split == "train"}
    test = {t.pid for t in tracklets if t.split == "query"}
    assert train | test == set(LONG)
    assert (len(train), len(test)) == (9, 9)
    assert test == {t.pid for t in tracklets if t.split == "gallery"}
    assert {t.camid for t in tracklets if t.split == "query"} == {1}
    assert {t.camid for t in tracklets if t.split == "gallery"} == {2}
    assert all(sum(t.pid == pid for t in tracklets) == 2 for pid in LONG)


def test_the_drawn_splits_are_these_for_all_time(files: MemoryFiles) -> None:
    assert queries_of(files, 0) == [13, 24, 46, 68, 90, 112, 156, 178, 189]
    assert queries_of(files, 9) == [24, 35, 46, 68, 79, 101, 134, 145, 167]
    assert len({tuple(queries_of(files, split)) for split in range(10)}) == 10


def test_from_person_201_on_numbers_mean_different_people(files: MemoryFiles) -> None:
    assert max(t.pid for t in prid2011.read(files)) <= 200


def test_a_file_of_splits_is_used_and_needs_no_number_of_frames() -> None:
    files = MemoryFiles(trees.prid2011_with_splits())
    first, second = prid2011.read(files, 0), prid2011.read(files, 1)
    assert sorted((t.split, t.pid) for t in first if t.camid == 1) == [("query", 199), ("train", 1), ("train", 3)]
    assert sorted((t.split, t.pid) for t in second if t.camid == 2) == [("gallery", 8), ("gallery", 40), ("train", 2)]
    with pytest.raises(DataError, match="holds 2 splits, counted from 0, and not the one asked for, 2"):
        prid2011.read(files, 2)


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ([{"train": ["person_0001"], "test": ["person_0001"]}], "person_0001 is named more than once"),
        ([{"train": ["person_0001"], "test": ["person_0201"]}], "'person_0201' is none of person_0001 to person_0200"),
        ([{"train": ["person_0001"]}], "expected a list of"),
        ({"train": [], "test": []}, "expected a list of"),
        ([{"train": ["person_0001"], "test": []}], "there is no query tracklet"),
    ],
)
def test_splits_that_cannot_be_are_named(splits: object, says: str) -> None:
    tree = trees.prid2011_with_splits() | {prid2011.SPLITS: json.dumps(splits).encode()}
    with pytest.raises(DataError) as caught:
        prid2011.read(MemoryFiles(tree))
    assert says in caught.value.what


def test_a_person_of_the_first_200_that_is_missing_is_named() -> None:
    tree = trees.prid2011()
    del tree["multi_shot/cam_b/person_0077/0001.png"]
    with pytest.raises(DataError, match="cam_b/person_0077: no frames"):
        prid2011.read(MemoryFiles(tree))


def test_frames_that_are_no_frames_are_named() -> None:
    tree = trees.prid2011() | {"multi_shot/cam_a/person_0001/copy of 0001.png": PNG}
    with pytest.raises(DataError, match=r"'multi_shot/cam_a/person_0001/copy of 0001.png' is not a frame name"):
        prid2011.read(MemoryFiles(tree))
