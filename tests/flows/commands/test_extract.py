from pathlib import Path

import cv2
import numpy as np
import pytest

from storage.tables.parquet import read_ragged
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import read_index
from tests.flows.commands.command_line import csip_line


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Two tracklets of smooth noise; one frame is broken."""
    rng = np.random.default_rng(0)
    for name in ("b/10.jpg", "b/9.jpg", "a/1.jpg"):
        path = tmp_path / "crops" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(rng.integers(0, 255, (8, 4, 3), dtype=np.uint8), (40, 96)))
    (tmp_path / "crops/b/11.jpg").write_bytes(b"broken")
    return tmp_path / "crops"


def test_a_folder_of_crops_becomes_a_file_of_skeletons_and_the_names_of_their_frames(crops, tmp_path):
    out = tmp_path / "deep" / "skeletons.parquet"
    said = csip_line("extract", crops, "--out", out, "--pictures", tmp_path / "looks")
    found = read_ragged([out], SKELETONS, SKELETON_SHAPES)
    assert found.ids == ("a", "b")
    assert [t.frames for t in read_index(tmp_path / "deep/skeletons.frames.parquet")] == [
        ("a/1.jpg",),
        ("b/9.jpg", "b/10.jpg", "b/11.jpg"),
    ]
    assert found.of(1, "status")[2] == 3
    assert "frames 4 in" in said
    assert "has seen rendered people only" in said
    assert "unreadable 1 (25.0 %)" in said
    assert sorted(path.name for path in (tmp_path / "looks").iterdir()) == ["a.png", "b.png"]
    assert not list(out.parent.glob("*.part"))


def test_a_tracklet_of_the_file_can_be_looked_at(crops, tmp_path):
    out = tmp_path / "skeletons.parquet"
    csip_line("extract", crops, "--out", out)
    csip_line("show", "skeletons", "b", "--file", out, "--frames", crops, "--out", tmp_path / "b.png")
    assert cv2.imread(str(tmp_path / "b.png")).shape[1] > 3 * 40
    said = csip_line("show", "skeletons", "c", "--file", out, "--frames", crops, status=1)
    assert "no tracklet c" in said
    assert "a, b" in said


def test_keypoints_of_a_videos_boxes_are_pixels_of_the_video(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (320, 240))
    picture = np.full((240, 320, 3), 128, np.uint8)
    for _ in range(3):
        writer.write(picture)
    writer.release()
    (tmp_path / "boxes.csv").write_text("track,frame,x,y,w,h\n" + "".join(f"1,{i},200,100,40,96\n" for i in range(3)))
    anyone = ("--set", "extraction.min_score=-1", "--set", "extraction.no_person_score=-1")
    out, crops = tmp_path / "s.parquet", tmp_path / "crops"
    csip_line("extract", tmp_path / "v.avi", "--boxes", tmp_path / "boxes.csv", "--out", out, "--crops", crops, *anyone)
    video = read_ragged([out], SKELETONS, SKELETON_SHAPES).values["keypoints_2d"]
    csip_line("extract", crops / "1", "--out", tmp_path / "c.parquet", *anyone)
    crop = read_ragged([tmp_path / "c.parquet"], SKELETONS, SKELETON_SHAPES).values["keypoints_2d"]
    np.testing.assert_allclose(video, crop + np.array([200, 100]), atol=1e-3)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("absent",), "no such folder or video"),
        ((__file__,), "needs the boxes"),
        ((".", "--out", "x.json"), "written as Parquet"),
        ((".", "--out", "/proc/x.parquet"), "nothing can be written here"),
        ((".", "--set", "extraction.flip=1"), "flip is not a setting"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(words, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert problem in csip_line("extract", *words, status=1)
