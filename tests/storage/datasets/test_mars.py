import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from storage.datasets import mars
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.index import DataSettings, Scan, summary

Make = Callable[..., Path]


def test_splits_follow_the_info_files_and_junk_is_dropped(make_mars: Make) -> None:
    tracklets = mars.read(DataFiles(make_mars()))

    assert [(t.tracklet_id, t.split, t.pid, t.camid) for t in tracklets] == [
        ("0001C1T0001", "train", 1, 1),
        ("0001C2T0001", "train", 1, 2),
        ("0002C1T0001", "train", 2, 1),
        ("0003C1T0001", "query", 3, 1),
        ("0004C2T0001", "query", 4, 2),
        ("0000C1T0001", "gallery", 0, 1),
        ("0003C2T0001", "gallery", 3, 2),
    ]
    assert tracklets[0].frames[0] == "bbox_train/0001/0001C1T0001F001.jpg"


def test_every_missing_file_is_named_at_once(make_mars: Make) -> None:
    root = make_mars()
    (root / "info/query_IDX.mat").unlink()
    (root / "info/train_name.txt").unlink()

    with pytest.raises(DataError, match=r"info/train_name.txt, info/query_IDX.mat missing"):
        mars.read(DataFiles(root))


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ("0002C1T0001F002.jpg", "identity 1, its frames are of [1, 2]"),
        ("0001C3T0001F002.jpg", "camera 1, its frames are of [1, 3]"),
        ("0001C1T0009F002.jpg", "mixes tracklets"),
        ("../0001C1T0001F002.jpg", "is not a frame name"),
        ("/etc/passwd", "is not a frame name"),
    ],
)
def test_a_tracklet_that_contradicts_its_row_is_named(make_mars: Make, frame: str, says: str) -> None:
    root = make_mars()
    names = root / "info/train_name.txt"
    names.write_text(names.read_text().replace("0001C1T0001F002.jpg", frame, 1))

    with pytest.raises(DataError, match="row 1") as caught:
        mars.read(DataFiles(root))
    assert says in caught.value.what


def test_contradictions_are_listed_together(make_mars: Make) -> None:
    root = make_mars()
    scipy.io.savemat(root / "info/query_IDX.mat", {"query_IDX": np.array([[3, 99]])})
    rows = scipy.io.loadmat(root / "info/tracks_train_info.mat")["track_train_info"]
    rows[0, 2] = 7
    rows[2, 1] = 1000
    scipy.io.savemat(root / "info/tracks_train_info.mat", {"track_train_info": rows})

    with pytest.raises(DataError, match="in 3 places"):
        mars.read(DataFiles(root))


def test_the_message_shows_the_first_contradictions_and_the_error_has_all(make_mars: Make) -> None:
    rows = [(f"{pid:04d}", 1, 1, (1,)) for pid in range(1, 31)]
    with pytest.raises(DataError, match="in 30 places") as caught:
        mars.read(DataFiles(make_mars(train=rows, test=[(pid, 2, *rest) for pid, _, *rest in rows], queries=[1])))
    assert [p for p in caught.value.problems if p in caught.value.what] == list(caught.value.problems[:20])
    assert len(caught.value.problems) == 30
    assert "... and 10 more" in caught.value.what


def test_an_identity_in_both_train_and_test_is_refused(make_mars: Make) -> None:
    root = make_mars(train=[("0003", 1, 5, (1, 2))])
    with pytest.raises(DataError, match="identity 3 is in both train and test"):
        mars.read(DataFiles(root))


def test_a_damaged_mat_file_is_named(make_mars: Make) -> None:
    root = make_mars()
    (root / "info/tracks_test_info.mat").write_bytes(b"not a matrix")
    with pytest.raises(DataError, match="cannot be read as a MATLAB file") as caught:
        mars.read(DataFiles(root))
    assert "tracks_test_info.mat" in str(caught.value)


def test_the_real_protocol_has_the_published_counts(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "info").symlink_to(shared_data / "mars-protocol")
    (tmp_path / "bbox_train").mkdir()
    (tmp_path / "bbox_test").mkdir()

    tracklets = mars.read(DataFiles(tmp_path))

    assert Counter(t.split for t in tracklets) == {"train": 8298, "query": 1980, "gallery": 9330}
    assert len({t.pid for t in tracklets if t.split == "train"}) == 625
    assert len({t.pid for t in tracklets if t.split == "query"}) == 626
    assert sum(t.pid == 0 for t in tracklets) == 3248
    assert sum(len(t.frames) for t in tracklets if t.split == "train") == 509_914

    rows = scipy.io.loadmat(tmp_path / "info/tracks_test_info.mat")["track_test_info"]
    assert len(rows) == 12_180
    assert np.count_nonzero(rows[:, 2] == -1) == 870
    assert sum(t.split != "train" for t in tracklets) == 12_180 - 870 == 11_310
    for tracklet in tracklets:
        assert {frame.split("/")[1] for frame in tracklet.frames} == {f"{tracklet.pid:04d}"}
        assert {frame.split("/")[2].split("T")[0] for frame in tracklet.frames} == {
            f"{tracklet.pid:04d}C{tracklet.camid}"
        }

    nothing = np.zeros((0, 16), np.uint8)
    said = summary(Scan(tuple(tracklets), (), nothing, ""), DataSettings(root=tmp_path))
    assert said["notes"][0].startswith("140 of 1,980 query tracklets have no match in another camera")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows[:-1], "train_name.txt: lines 6 to 9 are of no row of tracks_train_info.mat"),
        (lambda rows: np.vstack([rows[:1], rows[2:]]), "train_name.txt: lines 4 to 5 are of no row"),
        (lambda rows: rows + np.array([0, -1, 0, 0]), "train_name.txt: lines 3 to 3 are of no row"),
        (lambda rows: rows + 0.5, "does not hold whole numbers"),
        (lambda rows: rows * np.nan, "does not hold whole numbers"),
        (lambda rows: np.where(rows == 2, -1, rows), "says identity -1, its frames are of [2]"),
    ],
)
def test_no_line_of_a_name_list_is_lost(make_mars: Make, change: Callable, says: str) -> None:
    root = make_mars()
    file = root / "info/tracks_train_info.mat"
    rows = scipy.io.loadmat(file)["track_train_info"].astype(float)
    scipy.io.savemat(file, {"track_train_info": change(rows)})
    with pytest.raises(DataError) as caught:
        mars.read(DataFiles(root))
    assert says in caught.value.what


def test_a_query_is_listed_once_and_is_no_junk_and_no_distractor(make_mars: Make) -> None:
    """Rows of the test list: 1 is junk, 2 a distractor, 3 and 5 are people."""
    root = make_mars()
    for rows, says in (([3, 3], "row 3 is listed twice"), ([1, 3], "identity -1"), ([2, 3], "a distractor")):
        scipy.io.savemat(root / "info/query_IDX.mat", {"query_IDX": np.array([rows])})
        with pytest.raises(DataError) as caught:
            mars.read(DataFiles(root))
        assert says in caught.value.what


def test_the_lists_are_all_that_is_read_besides_the_frames(make_mars: Make) -> None:
    root = make_mars()
    opened: set[str] = set()
    sys.addaudithook(lambda event, args: opened.add(str(args[0])) if event == "open" else None)
    mars.read(DataFiles(root))
    assert {name for name in opened if name.startswith(str(root))} == {str(root / name) for name in mars.LISTS}
