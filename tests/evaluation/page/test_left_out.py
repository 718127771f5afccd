"""What was left out: a line for each thing that applies, and none for what does not."""

from typing import Any

import numpy as np

from evaluation.page.embedding_map import Map
from evaluation.page.left_out import left_out

CHECK: dict[str, Any] = {"findings": [], "missing_frames": {"count": 0}}
METRICS: dict[str, Any] = {
    "gallery": 10,
    "queries": 2,
    "queries_without_match": 0,
    "without_embedding": {"count": 0, "first": []},
    "protocol": {"left_out": "own camera", "gallery": "with_queries"},
    "intervals": {"identities": 30},
}
QUERIES = [{"pid": 1, "candidates": 8}, {"pid": 2, "candidates": 5}]
MAP = Map(None, np.zeros((0, 2)), 3, 3, 0)


def lines(check=CHECK, quality=None, metrics=METRICS, not_run=(), settings=(), shown=MAP) -> list[str]:
    return left_out(check, quality or {}, metrics, QUERIES, not_run, settings, shown)


def test_a_run_that_left_nothing_out_says_what_never_counts_and_what_intervals_are() -> None:
    answers, intervals = lines()
    # of 10 in the gallery one is the query; 1 and 4 are not ranked
    assert answers == "Answers that do not count: own camera (2.5 for each query)."
    assert "like the 30 of the test" in intervals


def test_where_queries_are_not_in_the_gallery_none_meets_itself() -> None:
    protocol = {"left_out": "own camera", "gallery": "without_queries"}
    assert "(3.5 for each query)" in lines(metrics=METRICS | {"protocol": protocol})[0]


def test_nothing_of_a_distractor_is_left_out_of_its_own_answers() -> None:
    queries = [{"pid": 0, "candidates": 10}]
    said = left_out(CHECK, {}, METRICS, queries, (), (), MAP)
    assert "(0.0 for each query)" in said[0]


def test_each_thing_that_was_left_out_is_a_line() -> None:
    check = {"findings": [{"problem": True}, {"problem": False}], "missing_frames": {"count": 1}, "split_count": 10}
    quality = {"frames": 2000, "unreadable": {"count": 2}, "no_person": {"count": 1}}
    metrics = METRICS | {"queries_without_match": 1, "without_embedding": {"count": 4}, "intervals": None}
    settings = [{"name": "pretrain.seed", "value": 3}, {"name": "finetune.seed", "value": 3}]
    said = lines(check, quality, metrics, ("visual",), settings, None)
    for words in (
        "1 problem of the data set has not been mended",
        "1 listed frame is not on disk.",
        "2 frames of 2,000: cannot be read.",
        "1 frame of 2,000: show",
        "4 tracklets of the test have no embedding.",
        "1 query of 2 has no match that counts",
        "Stages that were not run: visual.",
        "too few embedded tracklets for a map",
        "one split of 10",
        "with seed 3:",
        "There are no intervals",
    ):
        assert sum(words in line for line in said) == 1, words


def test_a_fold_of_training_people_is_told_as_what_it_is() -> None:
    said = lines(CHECK | {"split_count": 4, "cross_validation": True})
    assert "Training people, one part of 4, stood in for the test people, who were not looked at." in said
    assert not any("one split of" in line for line in said)


def test_tracklets_that_the_map_has_no_room_for_are_counted() -> None:
    assert "The map leaves out 7 tracklets of the identities that it shows." in lines(
        shown=Map(None, np.zeros((0, 2)), 3, 3, 7)
    )
