import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import reference
from training.model.losses import batch_hard_triplet, smoothed_cross_entropy, supcon

PIDS = st.lists(st.integers(0, 3), min_size=2, max_size=8)
SEEDS = st.integers(0, 10_000)


def unit_rows(seed: int, count: int, width: int = 5) -> torch.Tensor:
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(rows, dim=1)


@settings(deadline=None, max_examples=40)
@given(PIDS, SEEDS, st.sampled_from([0.07, 1.0]))
def test_supcon_is_its_formula_both_ways_whatever_identities_a_batch_holds(
    pids: list[int], seed: int, tau: float
) -> None:
    a, b = unit_rows(seed, len(pids)), unit_rows(seed + 1, len(pids))
    slow_a, slow_b, labels = reference.array(a), reference.array(b), torch.tensor(pids)
    assert float(supcon(a, b, labels, tau)) == pytest.approx(reference.supcon(slow_a, slow_b, pids, tau))
    assert float(supcon(b, a, labels, tau)) == pytest.approx(reference.supcon(slow_b, slow_a, pids, tau))


def test_supcon_counts_the_anchors_own_item_among_its_positives_and_averages_over_several() -> None:
    a = torch.eye(3, dtype=torch.float64)
    loss = supcon(a, a, torch.tensor([0, 0, 1]), 1.0)
    near, far = math.log(math.e / (math.e + 2)), math.log(1 / (math.e + 2))
    assert float(loss) == pytest.approx(-((near + far) / 2 + (near + far) / 2 + near) / 3)


@settings(deadline=None, max_examples=40)
@given(PIDS, SEEDS, st.data())
def test_items_without_a_skeleton_are_neither_anchors_nor_candidates(
    pids: list[int], seed: int, data: st.DataObject
) -> None:
    seen = data.draw(st.lists(st.booleans(), min_size=len(pids), max_size=len(pids)).filter(any))
    a, b = unit_rows(seed, len(pids)), unit_rows(seed + 1, len(pids))
    mask = torch.tensor(seen)
    left = [pid for pid, there in zip(pids, seen, strict=True) if there]
    expected = reference.supcon(reference.array(a[mask]), reference.array(b[mask]), left, 0.07)
    assert float(supcon(a, b, torch.tensor(pids), 0.07, mask)) == pytest.approx(expected, abs=1e-12)
    a[~mask], b[~mask] = 1e3, -1e3
    assert float(supcon(a, b, torch.tensor(pids), 0.07, mask)) == pytest.approx(expected, abs=1e-12)


def test_a_batch_without_any_skeleton_has_no_contrast_and_still_a_gradient() -> None:
    a = unit_rows(0, 3).requires_grad_()
    loss = supcon(a, unit_rows(1, 3), torch.tensor([0, 1, 1]), 0.07, torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert a.grad is not None
    assert not a.grad.any()


@settings(deadline=None, max_examples=40)
@given(PIDS.filter(lambda pids: len(set(pids)) > 1), SEEDS, st.sampled_from([0.0, 0.3, 1.0]))
def test_the_triplet_takes_the_farthest_positive_and_the_nearest_negative(
    pids: list[int], seed: int, margin: float
) -> None:
    x = 2 * unit_rows(seed, len(pids))
    expected = reference.batch_hard_triplet(reference.array(x), pids, margin)
    assert float(batch_hard_triplet(x, torch.tensor(pids), margin)) == pytest.approx(expected, abs=1e-5)


def test_the_triplets_distance_is_not_squared() -> None:
    x = torch.tensor([[0.0], [3.0], [5.0], [9.0]], dtype=torch.float64)
    # anchors: 3 - 5, 3 - 2, 4 - 2, 4 - 6, each + 0.3 where that is above 0
    loss = batch_hard_triplet(x, torch.tensor([0, 0, 1, 1]), 0.3)
    assert float(loss) == pytest.approx((0 + 1.3 + 2.3 + 0) / 4)


def test_a_batch_of_one_identity_has_no_triplet() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    loss = batch_hard_triplet(x, torch.zeros(3, dtype=torch.long), 0.3)
    loss.backward()
    assert loss.item() == 0


def test_identical_features_give_a_finite_gradient() -> None:
    x = torch.ones(4, 3, requires_grad=True)
    batch_hard_triplet(x, torch.tensor([0, 0, 1, 1]), 0.3).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), SEEDS, st.sampled_from([0.0, 0.1, 0.5]))
def test_label_smoothing_spreads_over_all_classes(labels: list[int], seed: int, smoothing: float) -> None:
    logits = 3 * unit_rows(seed, len(labels))
    expected = reference.smoothed_cross_entropy(reference.array(logits), labels, smoothing)
    assert float(smoothed_cross_entropy(logits, torch.tensor(labels), smoothing)) == pytest.approx(expected)


def test_label_smoothing_by_hand() -> None:
    log_p = np.log([0.5, 0.3, 0.2])
    expected = -((0.9 + 0.1 / 3) * log_p[1] + 0.1 / 3 * (log_p[0] + log_p[2]))
    assert float(smoothed_cross_entropy(torch.from_numpy(log_p)[None], torch.tensor([1]), 0.1)) == pytest.approx(
        expected
    )
