"""Intervals and p-values: against loops written from the definitions, and on data of which the truth is known."""

from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.ranking.intervals import Paired, bootstrap, bootstrap_over_seeds, holm, paired

ROWS = st.lists(st.tuples(st.integers(1, 5), st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30)


def correlated(
    rng: np.random.Generator, people: int, each: int, spread: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Queries of people who are hard or easy as a whole; true mean 0.5, (Q,) and (Q, 1)."""
    pids = np.repeat(np.arange(people), each)
    ease = rng.uniform(-spread, spread, people)[pids]
    return pids, np.clip(0.5 + ease + rng.uniform(-0.1, 0.1, len(pids)), 0, 1)[:, None]


def test_an_interval_over_seeds_is_that_of_a_slow_loop_over_drawn_identities_and_drawn_seeds() -> None:
    rng = np.random.default_rng(4)
    pids, values = rng.integers(1, 7, 30), rng.uniform(size=(3, 30, 2))
    found = bootstrap_over_seeds(pids, values, resamples=400, seed=5)
    people, drawing = sorted(set(pids.tolist())), np.random.default_rng(5)
    drawn_people = drawing.integers(len(people), size=(400, len(people)))
    drawn_seeds = drawing.integers(3, size=(400, 3))
    means = []
    for chosen, seeds in zip(drawn_people, drawn_seeds, strict=True):
        queries = [q for number in chosen for q in range(30) if pids[q] == people[number]]
        means.append(np.mean([[values[seed, q] for q in queries] for seed in seeds], axis=(0, 1)))
    expected = np.quantile(means, [0.025, 0.975], axis=0).T
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_an_interval_over_seeds_holds_the_truth_as_often_as_it_says_or_more_where_seeds_and_people_vary() -> None:
    held, turns = 0, 120
    for turn in range(turns):
        rng = np.random.default_rng(turn)
        pids, values = correlated(rng, 30, 3, 0.3)
        seeds = np.stack([values + rng.normal(0, 0.05) for _ in range(4)])
        low, high = bootstrap_over_seeds(pids, seeds, resamples=200, seed=turn)[0]
        held += low <= 0.5 <= high
    assert held / turns >= 0.9


def test_of_one_seed_an_interval_over_seeds_is_that_of_people_alone() -> None:
    rng = np.random.default_rng(0)
    pids, values = correlated(rng, 20, 3, 0.3)
    one, alone = bootstrap_over_seeds(pids, values[None]), bootstrap(pids, values)
    np.testing.assert_allclose(one, alone, atol=1e-12)


def test_an_interval_is_that_of_a_slow_loop_over_drawn_identities() -> None:
    rng = np.random.default_rng(3)
    pids = rng.integers(1, 13, 60)
    values = rng.uniform(size=(60, 2))
    found = bootstrap(pids, values, resamples=500, seed=11)
    people, drawing = sorted(set(pids.tolist())), np.random.default_rng(11)
    means = []
    for _ in range(500):
        chosen = [people[number] for number in drawing.integers(len(people), size=len(people))]
        queries = [query for person in chosen for query in range(60) if pids[query] == person]
        means.append([sum(values[query, metric] for query in queries) / len(queries) for metric in range(2)])
    expected = [[np.percentile([mean[m] for mean in means], end) for end in (2.5, 97.5)] for m in range(2)]
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_persons_with_many_queries_bring_all_of_them() -> None:
    """Of two persons, one drawn twice, both, or the other twice: the means are 0, a ratio of sums, or 1."""
    found = bootstrap([1, 1, 1, 2], [[0.0], [0.0], [0.0], [1.0]], resamples=4000, level=0.4)
    assert found is not None
    np.testing.assert_allclose(found, [[0.25, 0.25]], atol=1e-8)


def test_95_percent_intervals_over_identities_hold_the_truth_that_often_and_those_over_queries_do_not() -> None:
    rng = np.random.default_rng(0)
    held = {"identities": 0, "queries": 0}
    trials = 400
    for trial in range(trials):
        pids, values = correlated(rng, people=60, each=6, spread=0.3)
        for name, groups in (("identities", pids), ("queries", np.arange(len(pids)))):
            found = bootstrap(groups, values, resamples=400, seed=trial)
            assert found is not None
            held[name] += int(found[0, 0] <= 0.5 <= found[0, 1])
    assert 0.915 < held["identities"] / trials < 0.98
    assert held["queries"] / trials < 0.7


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_queries_changes_no_bit(rows: list[tuple[int, float, float]], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    answers = []
    for order in (rows, shuffled):
        pids, before, after = ([row[column] for row in order] for column in range(3))
        values = np.stack([before, after], axis=1)
        answers.append((bootstrap(pids, values, resamples=50), paired(pids, values, values[:, ::-1], 50, 50)))
    for first, second in zip(*answers, strict=True):
        assert str(first) == str(second)


@given(ROWS)
def test_an_interval_lies_between_the_identities_means_and_ends_in_order(rows: list[tuple[int, float, float]]) -> None:
    pids, values = np.array([row[0] for row in rows]), np.array([[row[1]] for row in rows])
    found = bootstrap(pids, values, resamples=50)
    means = [values[pids == pid].mean() for pid in set(pids.tolist())]
    if len(means) == 1:
        assert found is None
    else:
        assert found is not None
        assert min(means) - 1e-8 <= found[0, 0] <= found[0, 1] <= max(means) + 1e-8


def test_one_identity_has_no_interval_and_no_p() -> None:
    assert bootstrap([4, 4, 4], [[0.1], [0.2], [0.3]]) is None
    found = paired([4, 4], [[0.1], [0.2]], [[0.3], [0.3]])
    assert (found.interval, found.p) == (None, None)
    np.testing.assert_allclose(found.difference, [0.15], atol=1e-8)


def test_a_difference_and_its_interval_are_those_of_each_querys_difference() -> None:
    rng = np.random.default_rng(5)
    pids, before, after = rng.integers(8, size=40), rng.uniform(size=(40, 3)), rng.uniform(size=(40, 3))
    found = paired(pids, before, after, seed=2)
    np.testing.assert_allclose(found.difference, (after - before).mean(0), atol=1e-8)
    np.testing.assert_allclose(found.interval, bootstrap(pids, after - before, seed=2), atol=1e-8)  # type: ignore[arg-type]


def test_p_is_the_share_of_all_exchanges_of_whole_persons_with_at_least_that_difference() -> None:
    rng = np.random.default_rng(9)
    pids = rng.integers(9, size=36)
    before = rng.choice([0.0, 0.5, 1.0], 36)
    after = np.clip(before + rng.choice([-0.5, 0.0, 0.5, 0.5], 36), 0, 1)
    changes = [(after - before)[pids == pid].sum() for pid in sorted(set(pids.tolist()))]
    sums = [abs(sum(s * c for s, c in zip(signs, changes, strict=True))) for signs in product((1, -1), repeat=9)]
    exact = np.mean([total >= abs(sum(changes)) for total in sums])
    assert 0.05 < exact < 0.95
    found = paired(pids, before[:, None], after[:, None]).p
    assert found is not None
    assert found[0] == pytest.approx(exact, abs=0.02)


def test_p_is_uniform_where_nothing_differs_and_small_where_it_does() -> None:
    rng = np.random.default_rng(1)
    null, real = [], []
    for trial in range(400):
        pids, before = correlated(rng, people=30, each=4, spread=0.2)
        noise = rng.normal(0, 0.05, 30)[pids][:, None]
        null.append(paired(pids, before, before + noise, 1, 199, seed=trial).p)
        real.append(paired(pids, before, before + noise + 0.05, 1, 199, seed=trial).p)
    under = np.array(null).ravel()
    for level in (0.05, 0.25, 0.5, 0.75):
        assert np.mean(under <= level) == pytest.approx(level, abs=0.075)
    assert np.mean(np.array(real) <= 0.05) > 0.95


def test_p_is_1_where_nothing_changed_and_never_0() -> None:
    pids = np.arange(40)
    same, worse = np.full((40, 1), 0.5), np.zeros((40, 1))
    assert paired(pids, same, same).p == [1.0]
    assert paired(pids, worse, same, flips=99).p == [0.01]


def test_a_difference_the_other_way_round_has_the_same_p_and_the_mirrored_interval() -> None:
    rng = np.random.default_rng(7)
    pids, before, after = rng.integers(20, size=50), rng.uniform(size=(50, 1)), rng.uniform(size=(50, 1))
    there, back = paired(pids, before, after), paired(pids, after, before)
    assert there.interval is not None
    assert back.interval is not None
    np.testing.assert_allclose(there.interval, -back.interval[:, ::-1], atol=1e-8)
    assert there.p == back.p


def test_many_identities_are_drawn_in_parts_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    pids, values = rng.integers(20, size=50), rng.uniform(size=(50, 2))

    def both() -> tuple[NDArray[np.float64] | None, Paired]:
        return bootstrap(pids, values), paired(pids, values, values[:, ::-1])

    whole = str(both())
    monkeypatch.setattr("evaluation.ranking.intervals.AT_ONCE", 64)
    assert str(both()) == whole


def test_holm_raises_p_as_its_definition_says() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_what_the_step_down_rejects(p: list[float], level: float) -> None:
    rejected = set()
    for place, number in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[number] * (len(p) - place) > level:
            break
        rejected.add(number)
    assert {number for number, value in enumerate(holm(p)) if value <= level} == rejected


@pytest.mark.parametrize(
    ("pids", "values"), [([], np.zeros((0, 1))), ([1, 2], [[0.5]]), ([1, 2], [0.5, 0.5]), ([1, 2], [[0.5], [np.nan]])]
)
def test_what_has_no_mean_is_refused(pids: list[int], values: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"finite|pids of"):
        bootstrap(pids, values)
