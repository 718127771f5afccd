import numpy as np
import pytest

from storage.datasets import lsvid
from storage.errors import DataError
from tests.storage.datasets import trees
from tests.storage.datasets.trees import JPEG, MemoryFiles, mat, mat73, text


def test_lists_make_tracklets_and_queries_are_lines_of_the_test_list_from_1() -> None:
    """The lists count identities from 0, which would be a distractor: all are one more."""
    tracklets = lsvid.read(MemoryFiles(trees.lsvid()))
    assert [(t.tracklet_id, t.split, t.pid, t.camid, len(t.frames)) for t in tracklets] == [
        ("tracklet_train/0000/0000_1", "train", 1, 1, 3),
        ("tracklet_train/0000/0000_10", "train", 1, 2, 2),
        ("tracklet_train/0001/0001_1", "train", 2, 15, 1),
        ("tracklet_test/0002/0002_1", "query", 3, 3, 3),
        ("tracklet_test/0003/0003_4", "query", 4, 5, 1),
        ("tracklet_test/0002/0002_2", "gallery", 3, 4, 2),
        ("tracklet_test/0003/0003_3", "gallery", 4, 3, 2),
    ]


def test_frames_are_in_the_order_of_their_numbers_and_short_tracklets_stay() -> None:
    tracklets = {t.tracklet_id: t for t in lsvid.read(MemoryFiles(trees.lsvid()))}
    first = tracklets["tracklet_train/0000/0000_1"]
    assert [name.rpartition("_")[2] for name in first.frames] == ["9.jpg", "10.jpg", "101.jpg"]
    assert len(tracklets["tracklet_train/0001/0001_1"].frames) == 1


def test_identities_that_begin_at_1_keep_their_numbers() -> None:
    tree = trees.lsvid()
    name = "list_sequence/list_seq_train.txt"
    tree[name] = tree[name].replace(b" 0\n", b" 7\n")
    assert sorted({t.pid for t in lsvid.read(MemoryFiles(tree))}) == [1, 2, 3, 7]


@pytest.mark.parametrize("end", ["_", ""])
def test_a_path_may_be_a_folder_or_the_beginning_of_names(end: str) -> None:
    tree = trees.lsvid()
    tree["list_sequence/list_seq_train.txt"] = text(
        [f"tracklet_train/0000/0000_1{end} 0", f"tracklet_train/0000/0000_10{end} 0", "tracklet_train/0001/ 1"]
    )
    assert [len(t.frames) for t in lsvid.read(MemoryFiles(tree))[:3]] == [3, 2, 1]


def test_the_query_matrix_may_lie_either_way_and_be_of_an_older_matlab() -> None:
    expected = lsvid.read(MemoryFiles(trees.lsvid()))
    for write in (mat, mat73):
        for query in (np.array([[1.0, 4.0]]), np.array([[1], [4]], np.uint16)):
            tree = trees.lsvid() | {"test/data/info_test.mat": write(query=query)}
            assert lsvid.read(MemoryFiles(tree)) == expected


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("test/data/info_test.mat", mat73(query=np.array([[1, 8]])), "line 8 is not among 1 to 4"),
        ("test/data/info_test.mat", mat73(query=np.array([[0, 1]])), "line 0 is not among 1 to 4"),
        ("test/data/info_test.mat", mat73(query=np.array([[1, 4, 4]])), "line 4 is listed twice"),
        ("list_sequence/list_seq_train.txt", text(["tracklet_train/0000/0000_1"]), "is not a path and an identity"),
        ("list_sequence/list_seq_train.txt", text(["tracklet_train/0009/0009_1 9"]), "has no frame"),
        ("tracklet_train/0000/0000_1_07_3.jpg", JPEG, "its frames are of cameras [1, 7]"),
        ("tracklet_train/0000/0000_1_7.jpg", JPEG, "is not a frame name"),
    ],
)
def test_contradictions_are_named(name: str, content: bytes, says: str) -> None:
    with pytest.raises(DataError) as caught:
        lsvid.read(MemoryFiles(trees.lsvid() | {name: content}))
    assert says in caught.value.what


def test_missing_lists_are_named_together() -> None:
    tree = trees.lsvid()
    for name in lsvid.LISTS[1:]:
        del tree[name]
    with pytest.raises(DataError, match=r"list_seq_test.txt, test/data/info_test.mat missing"):
        lsvid.read(MemoryFiles(tree))


def test_folders_that_the_lists_name_must_be_there() -> None:
    tree = {name: content for name, content in trees.lsvid().items() if not name.startswith("tracklet_test/")}
    with pytest.raises(DataError, match="not a complete LS-VID folder: tracklet_test missing"):
        lsvid.read(MemoryFiles(tree))
