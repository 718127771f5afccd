"""Where a ranking is good: pairs of cameras, lengths, oddities."""

from typing import Any

import pytest

from evaluation.page.breakdown_rows import camera_matrices, length_rows, oddities

NONE = {"count": 0, "first": []}
PLAIN: dict[str, Any] = {
    "mAP": 0.5,
    "counted_queries": 20,
    "ties": {"queries": 0, "matches": 0, "mAP_right_first": 0.5},
    "duplicates": NONE,
    "missing_identities": NONE,
    "without_embedding": NONE,
}


def pair(query: int, gallery: int, queries: int, mean: float, first: float) -> dict[str, float]:
    return {"query_camid": query, "gallery_camid": gallery, "queries": queries, "mAP": mean, "rank_1": first}


def test_query_cameras_go_down_and_gallery_cameras_across_whatever_their_order() -> None:
    mean, first = camera_matrices([pair(3, 1, 7, 0.25, 0.5), pair(1, 2, 1200, 1.0, 0.9)])
    assert (mean["name"], first["name"]) == ("mAP", "Rank-1")
    assert mean["cameras"] == [1, 2]
    assert [row["camera"] for row in mean["rows"]] == [1, 3]
    (none, high), (low, other) = (row["cells"] for row in mean["rows"])
    assert none is other is None, "pairs without a counted query"
    assert high == {"text": "100.0", "heat": "1.000", "queries": "1,200"}
    assert low == {"text": "25.0", "heat": "0.250", "queries": "7"}
    assert first["rows"][1]["cells"][0]["text"] == "50.0"


def test_without_pairs_there_is_no_matrix_and_many_cameras_take_the_whole_width() -> None:
    assert camera_matrices([]) == []
    assert not camera_matrices([pair(1, camera, 1, 0.5, 0.5) for camera in range(8)])[0]["wide"]
    assert camera_matrices([pair(1, camera, 1, 0.5, 0.5) for camera in range(9)])[0]["wide"]


def test_lengths_are_told_as_in_the_check_of_the_data_set() -> None:
    lengths = [
        {"from": 1, "to": 1, "queries": 3, "mAP": 0.5, "rank_1": 1.0},
        {"from": 1024, "to": 2047, "queries": 1000, "mAP": 0.125, "rank_1": 0.0},
    ]
    one, long = length_rows(lengths)
    assert (one["frames"], one["queries"], one["mAP"], one["rank_1"]) == ("1", "3", "50.0", "100.0")
    assert (long["frames"], long["queries"], long["share"]) == ("1,024 to 2,047", "1,000", "12.50")


def test_nothing_odd_is_nothing_told() -> None:
    assert oddities(PLAIN) == []


@pytest.mark.parametrize(
    ("found", "name", "says", "items", "more"),
    [
        (
            {"ties": {"queries": 3, "matches": 7, "mAP_right_first": 0.625}},
            "Ties",
            "7 right answers of 3 of the 20 counted queries are exactly as near as a wrong one. Wrong ones are ranked "
            "first: mAP 50.0 %; the other way round it would be 62.5 %.",
            (),
            0,
        ),
        (
            {"duplicates": {"count": 1, "first": [["a", "b"]]}},
            "Equal embeddings",
            "1 tracklet has exactly the embedding of another: the same frames under two names?",
            ("a = b",),
            0,
        ),
        (
            {"missing_identities": {"count": 3, "first": [7, 9]}},
            "Missing identities",
            "3 identities of queries are shown by no gallery tracklet, but for query tracklets.",
            ("person 7", "person 9"),
            1,
        ),
        (
            {"without_embedding": {"count": 1, "first": ["a"]}},
            "No embedding",
            "1 tracklet has zeros for an embedding, as those without a readable frame: ranked as like nobody.",
            ("a",),
            0,
        ),
    ],
)
def test_what_is_odd_is_told_with_names(found, name, says, items, more) -> None:
    (odd,) = oddities(PLAIN | found)
    assert (odd.name, odd.says, odd.items, odd.more) == (name, says, items, more)
