"""Arms of an experiment: means by hand, tests against their definitions, and what is and is not told apart."""

import numpy as np
import pytest

from evaluation.page.experiment_page import arm_rows, markdown, render, sentences
from evaluation.ranking.intervals import bootstrap_over_seeds, holm, paired
from evaluation.results.arms import compare_arms, is_measure
from evaluation.results.files import Result
from storage.errors import DataError
from tests.evaluation.results.test_comparison import result

PEOPLE = [number // 2 for number in range(60)]
MEASURES = ("mAP", "Rank-1", "Rank-5")


def arm(better: float, seed: int) -> Result:
    """First matches at rank 1 with some probability, else at one of ranks 2 to 9."""
    rng = np.random.default_rng(seed)
    first = np.where(rng.uniform(size=60) < better, 1, rng.integers(2, 10, 60))
    return result("any", PEOPLE, first.tolist())


def experiment(*shares: float, seeds: int = 3) -> dict[str, dict[int, list[Result]]]:
    names = ("plain", "other", "third")
    return {
        name: {seed: [arm(share, 10 * number + seed)] for seed in range(seeds)}
        for number, (name, share) in enumerate(zip(names, shares, strict=False))
    }


def test_means_deviations_and_differences_are_those_of_loops() -> None:
    arms = experiment(0.3, 0.6)
    found = compare_arms(arms, MEASURES, "plain")
    assert (found["queries"], found["identities"]) == (60, 30)
    for name, seeds in arms.items():
        each = {
            "mAP": [np.mean(1 / one[0].queries["first_match"]) for one in seeds.values()],
            "Rank-1": [np.mean(one[0].queries["first_match"] == 1) for one in seeds.values()],
            "Rank-5": [np.mean(one[0].queries["first_match"] <= 5) for one in seeds.values()],
        }
        described = next(row for row in found["arms"] if row["name"] == name)["measures"]
        for measure, values in each.items():
            assert list(described[measure]["seeds"].values()) == pytest.approx(values)
            assert described[measure]["mean"] == pytest.approx(np.mean(values))
            assert described[measure]["deviation"] == pytest.approx(np.std(values, ddof=1))
    values = {
        name: np.stack([1 / one[0].queries["first_match"] for one in seeds.values()])[:, :, None]
        for name, seeds in arms.items()
    }
    test = paired(PEOPLE, values["plain"].mean(0), values["other"].mean(0))
    difference = found["arms"][1]["measures"]["mAP"]["difference"]
    assert difference["value"] == pytest.approx(test.difference[0])
    assert difference["p"] == pytest.approx(test.p[0])
    assert difference["interval"] == pytest.approx(
        bootstrap_over_seeds(PEOPLE, values["other"] - values["plain"])[0].tolist()
    )
    assert "difference" not in found["arms"][0]["measures"]["mAP"]


def test_p_values_are_corrected_for_the_number_of_arms() -> None:
    found = compare_arms(experiment(0.3, 0.4, 0.45), MEASURES, "plain")
    for measure in MEASURES:
        differences = [row["measures"][measure]["difference"] for row in found["arms"][1:]]
        assert [one["p_corrected"] for one in differences] == pytest.approx(holm([one["p"] for one in differences]))


@pytest.mark.parametrize(
    ("other", "verdict"), [(0.9, "better"), (0.02, "worse"), (0.32, "not told apart")], ids=lambda value: str(value)
)
def test_arms_are_told_apart_where_they_are_apart(other: float, verdict: str) -> None:
    found = compare_arms(experiment(0.35, other), MEASURES, "plain")
    assert found["arms"][1]["measures"]["mAP"]["difference"]["verdict"] == verdict


def test_a_difference_that_one_seed_alone_makes_is_not_told_apart() -> None:
    same = [1, 3] * 30
    arms = {
        "plain": {seed: [result("any", PEOPLE, same)] for seed in range(3)},
        "lucky": {seed: [result("any", PEOPLE, [1] * 60 if seed == 0 else same)] for seed in range(3)},
    }
    difference = compare_arms(arms, MEASURES, "plain")["arms"][1]["measures"]["mAP"]["difference"]
    assert difference["p"] < 0.001, "people alone would say so"
    assert difference["verdict"] == "not told apart", "and seeds do not"


def test_only_queries_that_all_arms_counted_are_compared_and_splits_are_taken_together() -> None:
    first = result("any", [1, 1, 2], [1, 2, 0])
    second = result("any", [3, 4], [1, 4])
    other = {"query_id": np.array(["r0", "r1"], dtype=object)}
    second = Result("any", second.metrics, {**second.queries, **other}, second.chance)
    found = compare_arms({"a": {0: [first, second]}, "b": {0: [first, second]}}, ("mAP",), "a")
    assert (found["queries"], found["identities"]) == (4, 3)
    assert found["arms"][0]["measures"]["mAP"]["mean"] == pytest.approx((1 + 1 / 2 + 1 + 1 / 4) / 4)
    assert found["arms"][0]["measures"]["mAP"]["deviation"] is None


def test_an_arm_of_which_a_seed_failed_is_compared_by_the_seeds_that_both_have() -> None:
    arms = experiment(0.3, 0.6)
    del arms["other"][1]
    difference = compare_arms(arms, ("mAP",), "plain")["arms"][1]["measures"]["mAP"]["difference"]
    assert list(difference["seeds"]) == ["0", "2"]


def test_arms_without_a_common_query_are_refused() -> None:
    other = result("any", [7, 8], [1, 1])
    renamed = Result("any", other.metrics, {**other.queries, "query_id": np.array(["x", "y"])}, other.chance)
    with pytest.raises(DataError, match="no query in common"):
        compare_arms({"a": {0: [other]}, "b": {0: [renamed]}}, ("mAP",), "a")


@pytest.mark.parametrize(("name", "known"), [("mAP", True), ("Rank-20", True), ("Rank-0", False), ("rank", False)])
def test_measures_are_known_by_name(name: str, known: bool) -> None:
    assert is_measure(name) is known


def test_rows_sentences_and_markdown_say_the_same_numbers() -> None:
    found = compare_arms(experiment(0.3, 0.9), MEASURES, "plain")
    rows = arm_rows(found)
    assert [row["reference"] for row in rows] == [True, False]
    first = rows[1]["cells"][0]
    mean = found["arms"][1]["measures"]["mAP"]
    assert first["mean"] == f"{100 * mean['mean']:.1f} ± {100 * mean['deviation']:.1f}"
    (sentence,) = sentences(found)
    assert sentence.startswith(f"other is better than plain in mAP: {first['difference']} points")
    lines = markdown(found).splitlines()
    assert lines[0] == "|  | mAP | Rank-1 | Rank-5 | mAP, points more than plain | p, corrected |"
    assert lines[3].startswith(f"| other | {first['mean']} |")
    assert first["difference"] in lines[3]
    assert len({line.count("|") for line in lines}) == 1


def test_the_page_holds_every_number_and_nothing_in_it_becomes_markup() -> None:
    found = compare_arms(experiment(0.3, 0.9), MEASURES, "plain")
    settings, failures = {"plain": [], "other": ["x: 1"]}, {"third, seed 0": "why"}
    page = render("<b>name</b>", "asks", {"with_queries": found}, settings, failures, [], {})
    assert "<b>name</b>" not in page
    assert "&lt;b&gt;name" in page
    for row in arm_rows(found):
        assert all(cell["mean"] in page for cell in row["cells"])
    assert "third, seed 0 failed: why" in page
    assert "Query tracklets kept in the gallery" in page
