"""What the report says of numbers: plainly, whichever way they turn out."""

from typing import Any

import pytest

from evaluation.findings import (
    accuracy_rows,
    blocks,
    duration,
    headline,
    histogram,
    joint_table,
    lineage_rows,
    points,
    protocol,
    score_table,
    status_rows,
    verdict,
)


def metrics(mean: float, rank1: float) -> dict[str, Any]:
    return {
        "mAP": mean,
        "cmc": {"1": rank1, "5": 0.9},
        "chance": {"mAP": 0.05, "cmc": {"1": 0.02, "5": 0.1}},
        "queries": 4,
        "counted_queries": 3,
        "gallery": 10,
        "distractors": 2,
        "protocol": {
            "gallery": "with_queries",
            "sampling": "dense",
            "name": "standard",
            "left_out": "own camera",
            "distance": "Euclidean",
            "ties": "wrong answers first",
        },
    }


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((0.4, 0.5), (0.5, 0.6), "is better than with the visual encoder alone: mAP +10.0, Rank-1 +10.0 points"),
        ((0.5, 0.6), (0.4, 0.6), "is not better than with the visual encoder alone: mAP −10.0, Rank-1 +0.0 points"),
        ((0.5, 0.5), (0.6, 0.4), "better in one measure and not in the other"),
    ],
)
def test_the_verdict_says_plainly_whether_finetuning_helped(before, after, said) -> None:
    tiles = headline({"Visual encoder alone": metrics(*before), "After finetuning": metrics(*after)})
    assert said in verdict(tiles)


def test_one_model_alone_is_compared_with_nothing() -> None:
    tiles = headline({"CLIP": metrics(0.4, 0.5)})
    assert tiles[0]["before"] is None
    assert "nothing to compare" in verdict(tiles)


def test_headline_numbers_stand_beside_the_first_model_and_chance() -> None:
    mean, first = headline({"alone": metrics(0.4, 0.5), "after": metrics(0.512, 0.6)})
    assert (mean["name"], mean["value"], mean["before"], mean["chance"]) == ("mAP", "51.2", "40.0", "5.0")
    assert (first["name"], first["value"], first["before"], first["chance"]) == ("Rank-1", "60.0", "50.0", "2.0")


def test_the_score_table_ends_with_chance() -> None:
    table = score_table({"alone": metrics(0.4, 0.5), "after": metrics(0.5, 0.6)})
    assert table["columns"] == ["mAP", "Rank-1", "Rank-5"]
    assert [(row["name"], row["values"]) for row in table["rows"]] == [
        ("alone", ["40.0", "50.0", "90.0"]),
        ("after", ["50.0", "60.0", "90.0"]),
        ("Chance", ["5.0", "2.0", "10.0"]),
    ]


def test_the_protocol_names_gallery_sampling_ties_and_queries_that_were_not_counted() -> None:
    said = dict(protocol(metrics(0.4, 0.5)))
    assert said["Queries"] == "3 counted of 4; 1 have no match that counts"
    assert "query tracklets kept in the gallery" in said["Gallery"]
    assert said["Frames"].startswith("dense")
    assert "wrong answers first" in said["Distance"]
    assert said["Protocol"] == "standard"


def test_tracklets_without_an_embedding_are_named() -> None:
    some = metrics(0.4, 0.5) | {"without_embedding": {"count": 2, "first": ["a", "b"]}}
    assert dict(protocol(some))["No embedding"] == "2 tracklets without a readable frame, ranked as like nobody: a, b"
    assert "No embedding" not in dict(protocol(metrics(0.4, 0.5)))


def test_an_unknown_sampling_is_not_made_up() -> None:
    unknown = metrics(0.4, 0.5)
    unknown["protocol"]["sampling"] = None
    assert "Frames" not in dict(protocol(unknown))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.4 s"), (38.4, "38 s"), (252, "4 min 12 s"), (7500, "2 h 5 min"), (59.7, "1 min 0 s")],
)
def test_durations_read_as_people_say_them(seconds, said) -> None:
    assert duration(seconds) == said


def test_differences_carry_their_sign() -> None:
    assert [points(d) for d in (0.051, -0.051)] == ["+5.1", "−5.1"]


def test_status_shares_of_a_group_add_up_to_its_bar() -> None:
    status = {"ok": 0.9, "low_confidence": 0.05, "no_person": 0.04, "unreadable": None}
    group = {"split": "train", "camid": 2, "frames": 1000, "status": status, "mean_score": 0.8123, "jitter_mm": None}
    (row,) = status_rows({"groups": [group]})
    assert row["name"] == "train, camera 2"
    assert [share["text"] for share in row["shares"]] == ["90.0", "5.0", "4.0", "0.0"]
    assert (row["score"], row["jitter"]) == ("0.81", "–")


def test_what_could_not_be_measured_is_a_dash_and_what_was_is_rounded() -> None:
    status = dict.fromkeys(("ok", "low_confidence", "no_person", "unreadable"), 0.25)
    group = {"split": None, "camid": None, "frames": 4, "status": status}
    (row,) = status_rows({"groups": [group]})
    measures = ("filled", "score", "limbs", "jitter", "swaps")
    assert [row[name] for name in measures] == ["–"] * 5
    assert row["histogram"]["heights"] == []
    measured = {"filled": 0.031, "mean_score": 0.777, "limb_variation_mm": 6.7, "jitter_mm": 16.2, "swaps": 0.449}
    (row,) = status_rows({"groups": [group | measured]})
    assert [row[name] for name in measures] == ["3.1", "0.78", "7", "16", "0.4"]


def test_a_small_histogram_is_as_tall_as_its_tallest_bar_and_says_its_shares() -> None:
    drawn = histogram([0, 1, 0, 0, 0, 0, 0, 0, 5, 4])
    assert drawn["heights"] == [0, 0.2, 0, 0, 0, 0, 0, 0, 1, 0.8]
    assert drawn["text"] == "0.1 to 0.2: 10 %, 0.8 to 0.9: 50 %, 0.9 to 1.0: 40 %"
    assert histogram([0] * 10) == {"heights": [0] * 10, "text": ""}
    assert blocks([0, 0.2, 1, 0.8]) == "▁▂█▇"


def test_without_truth_there_are_no_accuracy_rows() -> None:
    assert accuracy_rows({"accuracy": None}) == []
    assert joint_table({"accuracy": None}) is None


MEASURED = {
    "frames": 1200,
    "mpjpe_mm": 61.234,
    "pa_mpjpe_mm": 40.0,
    "pck": 0.93,
    "pck_threshold": 0.1,
    "mpjpe_filled_mm": 70.01,
    "by_joint": {"right_hip": {"mpjpe_mm": 20.04, "pa_mpjpe_mm": 25.0, "pck": None}},
}


def test_accuracy_has_a_row_for_whoever_was_measured_and_filled_frames_by_themselves() -> None:
    rows = accuracy_rows({"accuracy": {"all": MEASURED, "test": None}})
    assert [(r["name"], r["values"]) for r in rows] == [("everybody", ["1,200", "61.2", "40.0", "93.0", "70.0"])]


def test_accuracy_by_joint_is_of_the_test_identities_where_there_are_any() -> None:
    table = joint_table({"accuracy": {"all": MEASURED, "test": None}})
    assert table == {"name": "everybody", "rows": [{"name": "right hip", "values": ["20.0", "25.0", "–"]}]}
    other = MEASURED | {"by_joint": {}}
    assert joint_table({"accuracy": {"all": MEASURED, "test": other}}) == {"name": "test identities", "rows": []}


def test_lineage_has_one_row_a_stage_with_the_time_of_all_its_parts() -> None:
    made = {"device": "cpu", "made": "2026-01-01T00:00:00Z"}
    shards = [
        {"stage": "skeletons", "artifact": f"skeletons {i}", "key": f"k{i}", "seconds": 20, **made} for i in (0, 1)
    ]
    index, skeletons = lineage_rows(
        [{"stage": "index", "artifact": "index", "key": "k", "seconds": 0.2, **made}, *shards]
    )
    assert (index["count"], index["time"]) == (1, "0.2 s")
    assert (skeletons["count"], skeletons["time"]) == (2, "40 s")
    assert skeletons["parts"] == [("skeletons 0", "k0"), ("skeletons 1", "k1")]
