"""What a check says of lists and sizes; small data sets worked by hand."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.datasets.check.counts import compare, data_check, lengths
from storage.datasets.check.findings import Finding, odd_sizes, of_lists, of_sizes
from storage.datasets.published import PUBLISHED, Published
from storage.tables.tracklets import Tracklet

TEN = tuple(f"{i}.jpg" for i in range(10))
FIGURES = Published("Four", "nobody", {"train": {"identities": 2, "frames": 20}, "all": {"tracklets": 4, "cameras": 2}})


def tracklet(name: str, split: str, pid: int, camid: int, frames: tuple[str, ...] = TEN) -> Tracklet:
    return Tracklet(name, split, pid, camid, frames)


@pytest.fixture
def four() -> list[Tracklet]:
    """As many of each as `FIGURES` says, and nothing to be found."""
    return [
        tracklet("a", "train", 1, 1, TEN[:8]),
        tracklet("b", "train", 1, 2, TEN[:8]),
        tracklet("c", "query", 3, 1),
        tracklet("d", "gallery", 3, 2),
    ]


def found(tracklets: list[Tracklet], limit: int | None = None) -> dict[str, Finding]:
    return {one.kind: one for one in of_lists(tracklets, limit) if one}


def names(one: Finding) -> list[str]:
    return [" ".join(item.names) for item in one.items]


def test_nothing_is_found_where_there_is_nothing(four) -> None:
    assert found(four) == {}
    assert data_check("mars", four, of_lists(four), None).findings == ()


def test_an_identity_of_one_camera_is_told_apart_in_training_and_test(four) -> None:
    more = [*four, tracklet("e", "train", 7, 5), tracklet("f", "gallery", 8, 6), tracklet("g", "gallery", 0, 1)]
    alone = found(more)["one camera"]
    assert [str(item) for item in alone.items] == ["identity 7 (train, camera 5)", "identity 8 (test, camera 6)"]
    assert alone.says == "identities seen by one camera only: 2 of 4", "a distractor is no identity"
    assert not alone.problem


def test_a_query_that_another_query_alone_answers_has_a_match_in_one_gallery_only(four) -> None:
    more = [*four, tracklet("e", "query", 4, 1), tracklet("f", "query", 4, 2), tracklet("g", "query", 5, 1)]
    told = found(more)
    assert names(told["no match without queries"]) == ["e", "f", "g"]
    assert names(told["no match with queries"]) == ["g"]
    assert "if no query is in the gallery" in told["no match without queries"].says


def test_where_the_galleries_do_not_differ_a_query_without_a_match_is_told_once(four) -> None:
    told = found([*four, tracklet("e", "query", 4, 1), tracklet("f", "gallery", 4, 1), tracklet("g", "query", 0, 1)])
    assert names(told["no match"]) == ["e", "g"], "nobody answers a distractor"
    assert told["no match"].says == "2 of 3 query tracklets have no match in another camera"
    assert not {kind for kind in told if kind.startswith("no match ")}


def test_tracklets_shorter_than_a_clip_are_named_with_their_lengths(four) -> None:
    more = [*four, tracklet("e", "gallery", 3, 2, TEN[:7]), tracklet("f", "gallery", 3, 2, TEN[:1])]
    assert [str(item) for item in found(more)["short"].items] == ["e (7 frames)", "f (1 frame)"]
    assert [str(item) for item in found(more, limit=1)["short"].items] == ["e (7 frames)"]
    assert found(more, limit=1)["short"].count == 2


@given(st.lists(st.integers(1, 3000), max_size=40))
def test_lengths_are_counted_in_powers_of_two_up_to_the_longest(frames: list[int]) -> None:
    rows = lengths([tracklet(str(i), "train", 1, 1, ("x",) * n) for i, n in enumerate(frames)])
    slow = Counter(n.bit_length() for n in frames)
    assert rows == tuple(
        (2 ** (bits - 1), 2**bits - 1, slow[bits]) for bits in range(1, max(frames, default=0).bit_length() + 1)
    )


def test_published_figures_stand_beside_those_counted(four) -> None:
    check = data_check("mars", four, [], FIGURES)
    assert check.published is not None
    assert check.published.figures == (
        ("train", "identities", 2, 1),
        ("train", "frames", 20, 16),
        ("all", "tracklets", 4, 4),
        ("all", "cameras", 2, 2),
    )
    assert check.published.claimed, "half of them are the same"
    (unlike,) = check.problems
    assert [str(item) for item in unlike.items] == [
        "train identities (published 2, here 1)",
        "train frames (published 20, here 16)",
    ]


def test_a_data_set_that_is_another_one_is_no_worse_for_it(four) -> None:
    check = data_check("mars", four[:3], [], FIGURES)
    assert check.published is not None
    assert not check.published.claimed
    assert not check.findings


@pytest.mark.parametrize("layout", PUBLISHED)
def test_published_figures_are_of_what_is_counted(layout: str, four) -> None:
    splits = {"train", "query", "gallery", "all"}
    assert set(PUBLISHED[layout].figures) <= splits
    check = data_check(layout, four, [], None)
    counts = dict.fromkeys(splits, check.splits["train"])
    assert compare(counts, PUBLISHED[layout]).figures


@pytest.mark.parametrize(
    ("size", "odd"),
    [
        ((64, 128), False),
        ((15, 128), True),  # too narrow to see anybody, and too slim
        ((20, 31), True),
        ((64, 64), False),  # half as high for its width: within 2.5 times
        ((128, 100), True),  # a wide one
        ((257, 514), True),  # more than 16 times the area
        ((255, 510), False),
        ((0, 0), False),  # not known
    ],
)
def test_a_frame_is_odd_if_it_is_tiny_or_far_from_the_median(size: tuple[int, int], odd: bool) -> None:
    sizes = np.array([(64, 128)] * 9 + [size], np.int32)
    assert odd_sizes(sizes).tolist() == [False] * 9 + [odd]


def test_odd_frames_are_named_with_their_sizes() -> None:
    sizes = np.array([(64, 128)] * 9 + [(300, 90)], np.int32)
    one = of_sizes(pa.array([f"{i}.jpg" for i in range(10)]), sizes)
    assert one is not None
    assert [str(item) for item in one.items] == ["9.jpg (300 x 90)"]
    assert one.says == "1 frame has an odd size (most are about 64 x 128)"


def test_without_any_known_size_nothing_is_odd() -> None:
    assert of_sizes(pa.array(["a", "b"]), np.zeros((2, 2), np.int32)) is None
    assert of_sizes(pa.array([], pa.string()), np.zeros((0, 2), np.int32)) is None
