from pathlib import Path

import cv2
import numpy as np

from storage.frames.files import DataFiles
from storage.frames.images import read_frame


def test_broken_frames_are_none_and_keep_their_place(tmp_path: Path) -> None:
    image = np.full((8, 4, 3), 200, np.uint8)
    cv2.imwrite(str(tmp_path / "good.png"), image)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image")

    names = ["good.png", "empty.jpg", "text.jpg", "missing.jpg", "good.png"]
    frames = [read_frame(DataFiles(tmp_path), name) for name in names]

    assert [f is None for f in frames] == [False, True, True, True, False]
    np.testing.assert_array_equal(frames[0], image)


def test_colour_frames_are_blue_green_red(tmp_path: Path) -> None:
    image = np.zeros((8, 4, 3), np.uint8)
    image[..., 0] = 255
    cv2.imwrite(str(tmp_path / "blue.png"), image)
    frame = read_frame(DataFiles(tmp_path), "blue.png")
    assert frame is not None
    assert tuple(frame[0, 0]) == (255, 0, 0)
