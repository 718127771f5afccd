"""The network as matrix products is the network that mmpose builds."""

import pytest
import torch

from tests.fitting.tcn import lifted
from tests.fitting.weights import untrained


@pytest.fixture
def model():
    return untrained("demo_lifter.py", seed=0)


@pytest.fixture
def inputs(model):
    return torch.randn(8, 34, model.cfg.seq_len, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [False, True])
def test_it_answers_as_mmposes_convolutions_do(model, inputs, training):
    model.train(training)
    expected = model.head.forward(model.extract_feat(inputs))
    torch.testing.assert_close(lifted(model, inputs), expected, atol=1e-4, rtol=1e-4)


def test_it_learns_the_same(model, inputs):
    model.train()
    gradients = []
    for answer in (lifted, lambda m, x: m.head.forward(m.extract_feat(x))):
        model.zero_grad()
        answer(model, inputs).square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_half_precision_is_near(model, inputs):
    answer, half = lifted(model, inputs), lifted(model, inputs, half=True)
    assert half.dtype == torch.float32
    assert 0 < (answer - half).abs().max() < 0.05 * answer.abs().max()
