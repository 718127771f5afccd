import math

import pytest
import torch
from torch.nn import functional

from training.losses import batch_hard_triplet, smoothed_cross_entropy, supcon

PIDS = torch.tensor([0, 0, 1, 2, 1])


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    return functional.normalize(a, dim=1), functional.normalize(b, dim=1)


def slow_supcon(a: torch.Tensor, b: torch.Tensor, pids: torch.Tensor, tau: float) -> float:
    total = 0.0
    for i in range(len(a)):
        weights = [math.exp(float(a[i] @ b[j]) / tau) for j in range(len(b))]
        positives = [j for j in range(len(b)) if pids[j] == pids[i]]
        total += sum(math.log(weights[p] / sum(weights)) for p in positives) / len(positives)
    return -total / len(a)


@pytest.mark.parametrize("tau", [0.07, 1.0])
def test_supcon_is_its_formula_both_ways(pair: tuple[torch.Tensor, torch.Tensor], tau: float) -> None:
    a, b = pair
    assert float(supcon(a, b, PIDS, tau)) == pytest.approx(slow_supcon(a, b, PIDS, tau))
    assert float(supcon(b, a, PIDS, tau)) == pytest.approx(slow_supcon(b, a, PIDS, tau))


def test_clips_without_a_skeleton_are_left_out_of_the_contrast(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    a, b = pair
    seen = torch.tensor([True, False, True, True, True])
    left = supcon(a, b, PIDS, 0.07, seen)
    assert float(left) == pytest.approx(slow_supcon(a[seen], b[seen], PIDS[seen], 0.07))
    assert float(supcon(a, b, PIDS, 0.07, torch.zeros(5, dtype=torch.bool))) == 0


def test_the_triplet_takes_the_farthest_positive_and_the_nearest_negative(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    x = pair[0]
    expected = 0.0
    for i in range(5):
        distance = [float((x[i] - x[j]).norm()) for j in range(5)]
        positive = max(distance[j] for j in range(5) if PIDS[j] == PIDS[i])
        negative = min(distance[j] for j in range(5) if PIDS[j] != PIDS[i])
        expected += max(0.0, positive - negative + 0.3)
    assert float(batch_hard_triplet(x, PIDS, 0.3)) == pytest.approx(expected / 5, abs=1e-5)


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


def test_label_smoothing_spreads_over_all_classes() -> None:
    logits = torch.randn(3, 4, dtype=torch.float64)
    labels = torch.tensor([1, 0, 3])
    log_p = logits.log_softmax(1)
    expected = -sum(sum((0.9 * (k == labels[i]) + 0.1 / 4) * log_p[i, k] for k in range(4)) for i in range(3)) / 3
    assert float(smoothed_cross_entropy(logits, labels, 0.1)) == pytest.approx(float(expected))
