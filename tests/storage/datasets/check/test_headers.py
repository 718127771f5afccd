"""Frames seen from outside: digests and sizes against what was written, and each way to be unreadable."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from storage.datasets.check.headers import Looked, look
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.frames.fingerprints import DIGEST_BYTES

rng = np.random.default_rng(0)


def picture(path: Path, width: int = 64, height: int = 128) -> Path:
    cv2.imwrite(str(path), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return path


def looked(root: Path, *names: str, decode: bool = False) -> Looked:
    return look(DataFiles(root), pa.array(names, pa.string()), workers=2, decode=decode)


@pytest.mark.parametrize("decode", [False, True])
def test_sizes_and_digests_are_those_of_the_files(tmp_path: Path, decode: bool) -> None:
    sizes = {"a.jpg": (64, 128), "b.png": (5, 9), "c.webp": (40, 30), "d.bmp": (7, 3)}
    for name, size in sizes.items():
        picture(tmp_path / name, *size)
    (tmp_path / "e.jpg").write_bytes((tmp_path / "b.png").read_bytes())  # what a file is called does not matter
    names = [*sizes, "e.jpg"]
    seen = looked(tmp_path, *names, decode=decode)
    assert seen.sizes.tolist() == [list(size) for size in [*sizes.values(), (5, 9)]]
    digests = [hashlib.blake2b((tmp_path / name).read_bytes(), digest_size=DIGEST_BYTES).digest() for name in names]
    assert [row.tobytes() for row in seen.digests] == digests
    assert seen.faults == {}


def test_files_that_are_no_images_are_told_with_why(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "short.jpg").write_bytes(picture(tmp_path / "whole.jpg").read_bytes()[:60])
    (tmp_path / "folder.jpg").mkdir()
    seen = looked(tmp_path, "empty.jpg", "text.jpg", "short.jpg", "folder.jpg", "whole.jpg")
    assert seen.faults[0] == "empty"
    assert seen.faults[1] == "not an image"
    assert seen.faults.keys() == {0, 1, 2, 3}
    assert seen.faults[3].startswith("cannot be read")
    assert seen.sizes.tolist() == [[0, 0]] * 4 + [[64, 128]]
    assert not seen.digests[3].any()


def test_a_frame_that_is_cut_off_is_found_by_decoding_only(tmp_path: Path) -> None:
    whole = picture(tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    assert looked(tmp_path, "a.jpg").faults == {}
    assert looked(tmp_path, "a.jpg").sizes.tolist() == [[64, 128]]
    assert "damaged" in looked(tmp_path, "a.jpg", decode=True).faults[0]


def test_a_name_that_climbs_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="outside the data root"):
        looked(tmp_path, "../a.jpg")
