from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.datasets.videos import cut, read_boxes
from storage.errors import DataError
from storage.progress import silent


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Five grey frames of 64 x 48, each brighter than the one before."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for number in range(5):
        writer.write(np.full((48, 64, 3), 40 * number + 20, np.uint8))
    writer.release()
    return path


def boxes_file(folder: Path, text: str) -> Path:
    path = folder / "boxes.csv"
    path.write_text(text)
    return path


def test_boxes_are_read_by_corners_or_by_sizes_from_csv_or_parquet(tmp_path: Path) -> None:
    corners = read_boxes(boxes_file(tmp_path, "track,frame,x1,y1,x2,y2\n7,3,10,20,30,60\n"))
    sizes = read_boxes(boxes_file(tmp_path, "frame,track,x,y,w,h\n3,7,10,20,20,40\n"))
    table = pa.table({"track": [7], "frame": [3], "x": [10.2], "y": [19.8], "w": [20.0], "h": [40.0]})
    pq.write_table(table, tmp_path / "boxes.parquet")
    for boxes in (corners, sizes, read_boxes(tmp_path / "boxes.parquet")):
        assert boxes.track.tolist() == ["7"]
        assert boxes.frame.tolist() == [3]
        assert boxes.corners.tolist() == [[10, 20, 30, 60]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,frame,x,y,w,h\n1,1,1,1,1,1\n", "columns id"),
        ("track,frame,x,y,w\n1,1,1,1,1\n", "columns track"),
        ("track,frame,x,y,w,h\n1,4,1,1,1,1\n1,4,2,2,1,1\n", "two boxes in frame 4"),
    ],
)
def test_boxes_that_make_no_sense_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_boxes(boxes_file(tmp_path, text))


def test_a_track_becomes_a_tracklet_of_crops_in_the_order_of_time(video: Path, tmp_path: Path) -> None:
    text = "track,frame,x1,y1,x2,y2\nb,2,0,0,8,16\na,3,10,4,30,44\na,1,10,4,20,44\n"
    boxes = read_boxes(boxes_file(tmp_path, text))
    tracklets = cut(video, boxes, tmp_path / "crops", silent)
    assert [(t.tracklet_id, t.frames) for t in tracklets] == [
        ("a", ("a/000001.png", "a/000003.png")),
        ("b", ("b/000002.png",)),
    ]
    first, second = (cv2.imread(str(tmp_path / "crops" / name)) for name in tracklets[0].frames)
    assert first.shape == (40, 10, 3)
    assert second.shape == (40, 20, 3)
    assert abs(float(second.mean()) - 140) < 3


def test_boxes_beyond_the_picture_are_cut_and_those_beyond_the_video_have_no_crop(video: Path, tmp_path: Path) -> None:
    text = "track,frame,x1,y1,x2,y2\na,0,-5,-5,10,20\na,1,100,0,120,20\na,99,0,0,8,8\n"
    (tracklet,) = cut(video, read_boxes(boxes_file(tmp_path, text)), tmp_path / "crops", silent)
    assert len(tracklet.frames) == 3
    assert cv2.imread(str(tmp_path / "crops/a/000000.png")).shape == (20, 10, 3)
    assert not (tmp_path / "crops/a/000001.png").exists()
    assert not (tmp_path / "crops/a/000099.png").exists()


def test_what_is_no_video_is_said_to_be_so(tmp_path: Path) -> None:
    boxes = read_boxes(boxes_file(tmp_path, "track,frame,x,y,w,h\n1,0,0,0,8,8\n"))
    with pytest.raises(DataError, match="cannot be opened"):
        cut(tmp_path / "boxes.csv", boxes, tmp_path / "crops", silent)
