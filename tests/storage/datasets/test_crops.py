from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.datasets.crops import folder_tracklets
from storage.datasets.names import natural
from storage.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_every_folder_of_images_is_a_tracklet_named_by_its_path(tmp_path: Path) -> None:
    touch(tmp_path, "a/one/1.jpg", "a/one/2.PNG", "b/1.jpeg", "b/notes.txt", "empty/readme.md")
    found = {t.tracklet_id: t.frames for t in folder_tracklets(tmp_path)}
    assert found == {"a/one": ("a/one/1.jpg", "a/one/2.PNG"), "b": ("b/1.jpeg",)}


def test_frames_go_by_their_numbers_and_not_by_their_letters(tmp_path: Path) -> None:
    touch(tmp_path, "p/frame10.jpg", "p/frame9.jpg", "p/frame100.jpg")
    assert folder_tracklets(tmp_path)[0].frames == ("p/frame9.jpg", "p/frame10.jpg", "p/frame100.jpg")


def test_images_right_in_the_folder_are_one_tracklet_of_its_name(tmp_path: Path) -> None:
    (tracklet,) = folder_tracklets(touch(tmp_path / "walk", "1.jpg", "2.jpg"))
    assert tracklet.tracklet_id == "walk"
    assert tracklet.frames == ("1.jpg", "2.jpg")


def test_mars_names_tell_the_tracklets_of_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "0001C1T0001F002.jpg", "0001C1T0001F001.jpg", "0001C2T0001F001.jpg")
    found = {t.tracklet_id: t.frames for t in folder_tracklets(tmp_path)}
    assert found == {
        "0001C1T0001": ("0001C1T0001F001.jpg", "0001C1T0001F002.jpg"),
        "0001C2T0001": ("0001C2T0001F001.jpg",),
    }


def test_a_folder_without_images_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image"):
        folder_tracklets(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        folder_tracklets(tmp_path / "absent")


@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_names_sort_as_their_numbers_do(numbers: list[int]) -> None:
    names = sorted((f"frame{number}.jpg" for number in numbers), key=natural)
    assert names == [f"frame{number}.jpg" for number in sorted(numbers)]


@given(st.text(), st.text())
@example("", "²")
@example("frame٣", "frame3")
def test_any_two_names_can_be_sorted(one: str, other: str) -> None:
    assert isinstance(natural(one) < natural(other), bool)


def test_names_of_equal_numbers_have_one_order() -> None:
    assert sorted(["frame1", "frame01", "frame001"], key=natural) == ["frame001", "frame01", "frame1"]
    assert sorted(["frame001", "frame1", "frame01"], key=natural) == ["frame001", "frame01", "frame1"]
