"""What the report says of a ranking: plainly, whichever way it turned out."""

from typing import Any

import pytest

from evaluation.page.ranking_rows import (
    headline,
    interval_text,
    intervals_told,
    model_name,
    protocol,
    score_table,
    verdict,
)


def metrics(mean: float, rank1: float, width: float = 0.01) -> dict[str, Any]:
    return {
        "mAP": mean,
        "mINP": mean - 0.1,
        "cmc": {"1": rank1, "5": 0.9},
        "chance": {"mAP": 0.05, "mINP": 0.03, "cmc": {"1": 0.02, "5": 0.1}},
        "intervals": {
            "level": 0.95,
            "resamples": 1000,
            "identities": 30,
            "mAP": [mean - width, mean + width],
            "mINP": [mean - 0.1 - width, mean - 0.1 + width],
            "cmc": {"1": [rank1 - width, rank1 + width], "5": [0.9 - width, 0.9 + width]},
        },
        "queries": 4,
        "counted_queries": 3,
        "queries_without_match": 1,
        "gallery": 10,
        "distractors": 2,
        "protocol": {
            "gallery": "with_queries",
            "sampling": "dense",
            "name": "standard",
            "left_out": "own camera",
            "distance": "Euclidean",
            "ties": "wrong answers first",
            "reranking": None,
            "expansion": None,
        },
    }


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((0.4, 0.5), (0.5, 0.6), "is better than with the visual encoder alone: mAP +10.0, Rank-1 +10.0 points"),
        ((0.5, 0.6), (0.4, 0.6), "is not better than with the visual encoder alone: mAP −10.0, Rank-1 0.0 points"),
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


def test_the_score_table_has_intervals_and_ends_with_chance() -> None:
    table = score_table({"alone": metrics(0.4, 0.5), "after": metrics(0.5, 0.6)})
    assert table["columns"] == ["mAP", "mINP", "Rank-1", "Rank-5"]
    assert [(row["name"], [value for value, _ in row["cells"]]) for row in table["rows"]] == [
        ("alone", ["40.0", "30.0", "50.0", "90.0"]),
        ("after", ["50.0", "40.0", "60.0", "90.0"]),
        ("Chance", ["5.0", "3.0", "2.0", "10.0"]),
    ]
    assert [limits for _, limits in table["rows"][0]["cells"]] == [
        "39.0 to 41.0",
        "29.0 to 31.0",
        "49.0 to 51.0",
        "89.0 to 91.0",
    ]
    assert {limits for _, limits in table["rows"][-1]["cells"]} == {""}


def test_intervals_say_what_they_are_and_one_identity_has_none() -> None:
    some = metrics(0.4, 0.5)
    assert intervals_told(some) == "95 % intervals: bootstrap over 30 identities, 1,000 times"
    none = some | {"intervals": None}
    assert intervals_told(none).startswith("no intervals: one identity")
    assert interval_text(none, "mAP") == ""
    assert headline({"alone": none})[0]["interval"] == ""
    assert headline({"alone": none})[0]["bars"][0]["left"] == ""


def test_a_bar_is_as_long_as_its_value_and_its_whisker_as_wide_as_its_interval() -> None:
    (bar, before, chance) = headline({"alone": metrics(0.4, 0.5), "after": metrics(0.5, 0.6, 0.05)})[0]["bars"]
    assert (bar["name"], bar["share"], bar["left"], bar["width"]) == ("after", "50.00", "45.00", "10.00")
    assert (before["name"], before["left"], before["width"]) == ("alone", "39.00", "2.00")
    assert (chance["name"], chance["share"], chance["left"]) == ("Chance", "5.00", "")


@pytest.mark.parametrize(("width", "said"), [(0.2, True), (0.01, False)])
def test_the_verdict_says_when_intervals_overlap(width, said) -> None:
    tiles = headline({"alone": metrics(0.4, 0.5, width), "after": metrics(0.5, 0.6, width)})
    assert ("Their intervals overlap" in verdict(tiles)) == said


def test_what_was_done_to_a_ranking_is_in_its_name_and_its_protocol() -> None:
    done = metrics(0.5, 0.6)
    done["protocol"] |= {"reranking": {"k1": 20, "k2": 6, "weight": 0.3}, "expansion": {"neighbours": 5, "alpha": 3.0}}
    plain = metrics(0.5, 0.6)
    assert model_name("After finetuning", plain) == "After finetuning"
    name = model_name("After finetuning", done)
    assert name == "After finetuning, expanded and re-ranked"
    said = dict(protocol(done))
    assert (said["Re-ranking"], said["Expansion"]) == ("k1 20, k2 6, weight 0.3", "neighbours 5, alpha 3")
    assert not {"Re-ranking", "Expansion"} & dict(protocol(plain)).keys()
    both = headline({model_name("Alone", done): done, name: done})
    assert "after finetuning (expanded and re-ranked) is not better than with the alone:" in verdict(both)


def test_the_protocol_names_gallery_sampling_ties_and_queries_that_were_not_counted() -> None:
    said = dict(protocol(metrics(0.4, 0.5)))
    assert said["Queries"] == "3 counted of 4; 1 has no match that counts"
    assert "query tracklets kept in the gallery" in said["Gallery"]
    assert said["Frames"].startswith("dense")
    assert "wrong answers first" in said["Distance"]
    assert said["Protocol"] == "standard"


def test_an_unknown_sampling_is_not_made_up() -> None:
    unknown = metrics(0.4, 0.5)
    unknown["protocol"]["sampling"] = None
    assert "Frames" not in dict(protocol(unknown))
