"""Which files of a listing are frames, and in which order."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.datasets.names import frames_by_folder, natural, number_in, unnumbered

stems = st.text(st.sampled_from("019ab_"), min_size=1, max_size=6)


@given(st.sets(stems, min_size=1, max_size=8))
@example({"9", "10"})
@example({"1", "01", "001"})
@example({"a9b1", "a1b9"})
def test_frames_are_in_natural_order_whatever_their_names(names: set[str]) -> None:
    frames = [f"f/{name}.jpg" for name in names]
    assert frames_by_folder(frames) == {"f": sorted(frames, key=natural)}


def test_what_other_programs_leave_is_no_frame_and_hides_no_empty_folder() -> None:
    names = ["a/1.JPG", "a/._1.jpg", "a/.DS_Store", "a/note.txt", "b/Thumbs.db", ".hidden/1.jpg", "x/@eaDir/1.jpg"]
    assert frames_by_folder([*names, "__MACOSX/a/1.jpg", "2.webp"]) == {"": ["2.webp"], "a": ["a/1.JPG"], "b": []}


def test_a_number_of_any_length_has_a_place() -> None:
    assert sorted(["9" * 5000, "8" * 5000, "7"], key=natural) == ["7", "8" * 5000, "9" * 5000]


@pytest.mark.parametrize(
    ("name", "number"),
    [("7", 7), ("007", 7), ("cam3", 3), ("person_0012", 12), ("3cam", None), ("c1s2", None), ("", None), ("x", None)],
)
def test_a_number_may_follow_other_characters(name: str, number: int | None) -> None:
    assert number_in(name) == number


@pytest.mark.parametrize("name", ["a/1x.jpg", "a/x1.jpg", "a/1", "a/1.2.jpg", "a/1 .jpg", "a/１.jpg", "a/-1.jpg"])
def test_a_name_that_is_no_number_is_told(name: str) -> None:
    assert unnumbered(["a/1.jpg", "0002.png", name]) == [f"{name!r} is not a frame name like 0001.jpg"]
