"""What is told of a check: rows and sentences, whichever way it turned out."""

from typing import Any

import pytest

from evaluation.page.check_rows import count_rows, finding_rows, length_rows, published, verdict

COUNTS = {"identities": 625, "tracklets": 8298, "frames": 509914, "cameras": 6, "distractors": 0, "shortest": 5}


def compared(claimed: bool, *figures: tuple[str, str, int, int]) -> dict[str, Any]:
    names = ("split", "column", "published", "counted")
    rows = [dict(zip(names, figure, strict=True)) for figure in figures]
    same = sum(row["published"] == row["counted"] for row in rows)
    return {"name": "MARS", "source": "them", "same": same, "claimed": claimed, "figures": rows}


def test_without_published_figures_there_are_counts_alone() -> None:
    check = {"splits": {"train": COUNTS}, "published": None}
    values = ["625", "8,298", "509,914", "6", "0"]
    assert count_rows(check) == [{"name": "train", "values": values, "kind": "", "wrong": []}]
    assert published(check) == ""


def test_published_figures_stand_below_the_counts_of_their_split() -> None:
    figures = [("train", "identities", 625, 625), ("train", "frames", 9, 509914), ("all", "cameras", 6, 6)]
    rows = count_rows({"splits": {"train": COUNTS}, "published": compared(True, *figures)})
    assert [(row["name"], row["kind"], row["wrong"]) for row in rows] == [
        ("train", "", ["frames"]),
        ("published", "faint", ["frames"]),
        ("all", "", []),
        ("published", "faint", []),
    ]
    assert [row["values"] for row in rows[1:]] == [
        ["625", "", "9", "", ""],
        ["", "", "", "6", ""],
        ["", "", "", "6", ""],
    ]


def test_of_another_data_set_no_figure_is_held_against_it() -> None:
    check = {"splits": {"train": COUNTS}, "published": compared(False, ("train", "identities", 1, 625))}
    assert len(count_rows(check)) == 1
    assert published(check) == "Not the published MARS, so its figures are no measure here."


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        (625, "All 1 published figures of MARS are as counted (them)."),
        (624, "0 of 1 published figures of MARS are as counted (them)."),
    ],
)
def test_how_many_figures_agree_is_said(counted: int, said: str) -> None:
    assert published({"published": compared(True, ("train", "identities", 625, counted))}) == said


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        ([], "No problem found"),
        ([False], "No problem found, 1 note"),
        ([True, False, False], "1 problem, 2 notes"),
        ([True, True], "2 problems, 0 notes"),
    ],
)
def test_the_verdict_counts_problems_and_notes(problems: list[bool], said: str) -> None:
    assert verdict({"findings": [{"problem": problem} for problem in problems]}) == said


def test_lengths_are_relative_to_the_most_frequent() -> None:
    lengths = [{"from": 1, "to": 1, "tracklets": 0}, {"from": 1024, "to": 2047, "tracklets": 2000}]
    assert length_rows({"lengths": lengths}) == [
        {"frames": "1", "tracklets": "0", "share": 0.0},
        {"frames": "1,024 to 2,047", "tracklets": "2,000", "share": 1.0},
    ]
    assert length_rows({"lengths": []}) == []


def test_items_are_told_with_what_they_share_and_how_many_are_left() -> None:
    items = [{"names": ["a", "b"], "detail": "same"}, {"names": ["c"], "detail": ""}]
    finding = {"kind": "k", "says": "s", "problem": True, "count": 5, "items": items}
    (row,) = finding_rows({"findings": [finding]})
    assert (row["items"], row["more"]) == (["a = b (same)", "c"], 3)
