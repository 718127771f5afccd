import pytest

from storage.datasets import ccvid
from storage.errors import DataError
from tests.storage.datasets import trees
from tests.storage.datasets.trees import JPEG, MemoryFiles, text


def test_cameras_are_walks_and_others_in_session_3_and_clothes_are_counted_within_an_identity() -> None:
    tracklets = ccvid.read(MemoryFiles(trees.ccvid()))
    assert [(t.tracklet_id, t.split, t.pid, t.camid, t.clothes) for t in tracklets] == [
        ("session1/001_01", "train", 1, 1, 1),
        ("session1/001_02", "train", 1, 2, 2),
        ("session3/002_01", "train", 2, 13, 1),
        ("session1/003_01", "query", 3, 1, 1),
        ("session2/010_12", "query", 10, 12, 1),
        ("session2/003_02", "gallery", 3, 2, 1),
        ("session3/003_01", "gallery", 3, 13, 2),
        ("session1/010_03", "gallery", 10, 3, 2),
    ]
    assert tracklets[0].frames == tuple(f"session1/001_01/{number:05d}.jpg" for number in (2, 3, 11))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("query.txt", text(["session1/003_01 004 u0"]), "says identity 004, the folder is session1/003_01"),
        ("query.txt", text(["session1/003_01 003"]), "is not like 'session1/001_01 001 u0_l0_s0_c0_a0'"),
        ("query.txt", text(["session1/003_01 003 u0", "session2/003_02 003 u0"]), "session2/003_02: listed twice"),
        ("query.txt", text(["session1/003_01 003 u0", "session1/003_09 003 u0"]), "session1/003_09: has no frame"),
        ("query.txt", text(["session1/003_01 003 u0"]), "session2/010_12: is in none of the lists"),
        ("session2/009_01/00001.jpg", JPEG, "session2/009_01: is in none of the lists"),
        ("session1/001_01/x.jpg", JPEG, "is not a frame name"),
    ],
)
def test_contradictions_are_named(name: str, content: bytes, says: str) -> None:
    with pytest.raises(DataError) as caught:
        ccvid.read(MemoryFiles(trees.ccvid() | {name: content}))
    assert says in caught.value.what


def test_sessions_that_the_lists_name_must_be_there() -> None:
    tree = {name: content for name, content in trees.ccvid().items() if not name.startswith("session3/")}
    with pytest.raises(DataError, match="not a complete CCVID folder: session3 missing"):
        ccvid.read(MemoryFiles(tree))
