import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.datasets import manifest
from storage.errors import DataError
from tests.storage.datasets import trees
from tests.storage.datasets.trees import MemoryFiles, Tree

HEAD = "tracklet_id,split,pid,camid,frame\n"
BODY = "a,train,1,1,a.jpg\nq,query,2,1,q.jpg\ng,gallery,2,2,g.jpg\n"


def table(text: str) -> Tree:
    return {"manifest.csv": text.encode()}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_make_tracklets_in_the_order_of_frame_number(kind: str) -> None:
    tracklets = manifest.read(MemoryFiles(trees.manifest(kind)))
    assert [(t.tracklet_id, t.split, t.pid, t.camid, t.clothes, t.frames) for t in tracklets] == [
        ("a", "train", 1, 1, 1, ("x/1.jpg", "x/2.jpg")),
        ("b", "train", 2, 1, 1, ("x/3.jpg",)),
        ("q", "query", 3, 1, 1, ("y/q/1.jpg",)),
        ("g", "gallery", 3, 2, 2, ("y/g/9.jpg", "y/g/10.jpg")),
        ("d", "gallery", 0, 2, 0, ("y/d/1.jpg",)),
    ]


def test_without_frame_number_frames_are_in_the_order_of_the_rows_and_clothes_are_not_known() -> None:
    tracklets = manifest.read(MemoryFiles(trees.manifest(columns=trees.COLUMNS[:5])))
    assert tracklets[0].frames == ("x/2.jpg", "x/1.jpg")
    assert {t.clothes for t in tracklets} == {0}


def test_other_columns_and_names_that_look_like_numbers_are_taken_as_they_are() -> None:
    text = "note,tracklet_id,split,pid,camid,frame\n,007,train,1,1,a.jpg\nx,8,query,2,1,1\ny,9,gallery,2,2,2\n"
    tracklets = manifest.read(MemoryFiles(table(text)))
    assert [(t.tracklet_id, t.frames) for t in tracklets] == [("007", ("a.jpg",)), ("8", ("1",)), ("9", ("2",))]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD.replace("camid", "camera") + BODY, "manifest.csv: no column 'camid'"),
        (HEAD.replace("\n", ",pid\n") + BODY.replace(".jpg", ".jpg,1"), "two columns 'pid'"),
        (HEAD.replace("\n", ",frame_nr\n") + BODY.replace(".jpg", ".jpg,1"), "did you mean 'frame_number'?"),
        (HEAD.replace("\n", ",cloth\n") + BODY.replace(".jpg", ".jpg,1"), "did you mean 'clothes'?"),
        (HEAD + BODY.replace("a,train,1", "a,train,one"), "column pid"),
        (HEAD + BODY.replace("a,train,1", "a,train,1.5"), "column pid"),
        (HEAD + BODY.replace("a,train,1", "a,train,"), "column pid"),
        (HEAD + BODY.replace("a,train", ",train"), "column tracklet_id: row 1 is empty"),
        (HEAD + BODY + "a,train,1,2,b.jpg\n", "a: its rows say camid 1, 2"),
        (HEAD + BODY + "a,gallery,1,1,b.jpg\n", "a: its rows say split gallery, train"),
        (HEAD + BODY.replace("a,train", "a,val"), "a: split 'val' is none of train, query, gallery"),
        (HEAD + BODY + "a,train,1,1,a.jpg\n", "a.jpg: belongs to tracklets twice"),
        (HEAD + BODY + "b,train,1,1,../b.jpg\n", "'../b.jpg': frames are relative paths without '.' and '..'"),
        (HEAD + BODY + "b,train,1,1,/b.jpg\n", "'/b.jpg': frames are relative paths"),
        (HEAD + BODY + "b,train,-1,1,b.jpg\n", "identity -1, camera 1: out of range"),
        (HEAD + BODY + "b,train,1\n", "cannot be read as a table"),
        (HEAD, "there is no train tracklet"),
        ("", "cannot be read as a table"),
    ],
)
def test_contradictions_are_named(text: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        manifest.read(MemoryFiles(table(text)))
    assert says in caught.value.what


def test_two_frames_of_one_number_have_no_order() -> None:
    text = (HEAD + BODY).replace("frame\n", "frame,frame_number\n").replace(".jpg\n", ".jpg,4\n")
    with pytest.raises(DataError, match="a: has two frames of the same frame_number"):
        manifest.read(MemoryFiles(table(text + "a,train,1,1,b.jpg,4\n")))


def test_clothes_are_of_a_tracklet_and_no_negative_number() -> None:
    text = (HEAD + BODY).replace("frame\n", "frame,clothes\n").replace(".jpg\n", ".jpg,4\n")
    with pytest.raises(DataError, match="a: its rows say clothes 4, 5"):
        manifest.read(MemoryFiles(table(text + "a,train,1,1,b.jpg,5\n")))
    with pytest.raises(DataError, match="out of range"):
        manifest.read(MemoryFiles(table(text + "b,train,1,1,b.jpg,-5\n")))


def test_one_table_and_no_other() -> None:
    with pytest.raises(DataError, match="neither is there"):
        manifest.read(MemoryFiles({}))
    with pytest.raises(DataError, match="both are there"):
        manifest.read(MemoryFiles(trees.manifest("csv") | trees.manifest("parquet")))


def test_a_parquet_file_of_other_types_is_refused() -> None:
    sink = io.BytesIO()
    columns = {"tracklet_id": ["a"], "split": ["train"], "pid": [[1]], "camid": [1.5], "frame": ["a.jpg"]}
    pq.write_table(pa.table(columns), sink)
    with pytest.raises(DataError, match="in 2 places"):
        manifest.read(MemoryFiles({"manifest.parquet": sink.getvalue()}))
