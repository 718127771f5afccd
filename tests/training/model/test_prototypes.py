import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.reference import Array, array, attention, each, layer_norm, linear, quick_gelu, relu, sigmoid
from training.model.prototypes import CrossAttention, PrototypeFusionUpdater, QuickGELU, mean_prototypes

P, K = 8, 3


def updater() -> PrototypeFusionUpdater:
    """In evaluation, its norms not the identity."""
    torch.manual_seed(0)
    made = PrototypeFusionUpdater(P, heads=2).double().eval()
    with torch.no_grad():
        for part in made.modules():
            if isinstance(part, torch.nn.LayerNorm):
                part.weight.add_(torch.randn(P) * 0.3)
                part.bias.add_(torch.randn(P) * 0.3)
    return made


def rows(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(5, 6))
def test_a_prototype_is_the_mean_over_its_tracklets(labels: list[int], identities: int) -> None:
    features = rows(len(labels), 3)
    prototypes = array(mean_prototypes(features, torch.tensor(labels), identities))
    assert prototypes.shape == (identities, 3)
    for k in range(identities):
        own = [array(features[i]) for i in range(len(labels)) if labels[i] == k]
        np.testing.assert_allclose(prototypes[k], sum(own) / len(own) if own else np.zeros(3), atol=1e-12)


def test_the_gate_blends_both_modalities() -> None:
    pfu, v, s = updater(), rows(K, P), rows(K, P, seed=2)
    fused = array(pfu.fuse(v, s))
    for k in range(K):
        both = np.concatenate([array(s[k]), array(v[k])])[None]
        a = sigmoid(float(linear(pfu.gate[2], each(relu, linear(pfu.gate[0], both)))[0, 0]))
        np.testing.assert_allclose(fused[k], a * array(s[k]) + (1 - a) * array(v[k]), atol=1e-12)


def test_the_gates_ends_are_the_two_modalities() -> None:
    pfu, v, s = updater(), rows(K, P), rows(K, P, seed=2)
    with torch.no_grad():
        pfu.gate[2].bias.fill_(100)
        torch.testing.assert_close(pfu.fuse(v, s), s)
        pfu.gate[2].bias.fill_(-100)
        torch.testing.assert_close(pfu.fuse(v, s), v)


def slow_update(pfu: PrototypeFusionUpdater, fused: Array, memory: Array) -> Array:
    """`P' = P_F + updater(P_F, memory)` of one clip."""
    x = linear(pfu.to_query[1], layer_norm(pfu.to_query[0], fused))
    m = layer_norm(pfu.to_memory[2], linear(pfu.to_memory[1], layer_norm(pfu.to_memory[0], memory)))
    for layer in pfu.layers:
        normed = layer_norm(layer.norm1, x)
        x = x + attention(layer.among, normed, normed, 2)
        x = x + attention(layer.across, layer_norm(layer.norm2, x), m, 2)
        x = x + linear(layer.mlp[3], each(quick_gelu, linear(layer.mlp[0], layer_norm(layer.norm3, x))))
    return fused + linear(pfu.out[1], layer_norm(pfu.out[0], x))


def test_the_updater_is_the_slow_decoder_for_each_clip() -> None:
    pfu, fused, memory = updater(), rows(K, P), rows(3, 5, P, seed=2)
    updated = pfu(fused, memory)
    assert updated.shape == (3, K, P)
    for b in range(3):
        np.testing.assert_allclose(array(updated[b]), slow_update(pfu, array(fused), array(memory[b])), atol=1e-10)


@settings(deadline=None, max_examples=8)
@given(st.lists(st.booleans(), min_size=4, max_size=4).filter(any))
def test_a_memory_that_holds_nothing_is_not_looked_at(seen: list[bool]) -> None:
    pfu, fused, memory, mask = updater(), rows(K, P), rows(2, 4, P, seed=2), torch.tensor(seen)
    updated = pfu(fused, memory, torch.stack([torch.ones(4, dtype=torch.bool), mask]))
    np.testing.assert_allclose(array(updated[0]), slow_update(pfu, array(fused), array(memory[0])), atol=1e-10)
    np.testing.assert_allclose(array(updated[1]), slow_update(pfu, array(fused), array(memory[1, mask])), atol=1e-10)


def test_cross_attention_is_the_loop() -> None:
    torch.manual_seed(0)
    part, queries, memory = CrossAttention(8, 4).double(), rows(1, 3, 8), rows(1, 5, 8, seed=2)
    expected = attention(part, array(queries[0]), array(memory[0]), 4)
    np.testing.assert_allclose(array(part(queries, memory)[0]), expected, atol=1e-12)


def test_what_does_not_depend_on_the_clip_is_done_once_a_batch() -> None:
    pfu, done = updater(), []
    for part in (pfu.to_query, pfu.layers[0].among):
        part.register_forward_hook(lambda part, given, out: done.append(given[0].numel() // (K * P)))
    pfu(rows(K, P), rows(16, 5, P, seed=2))
    assert done == [1, 1]


def test_what_comes_after_the_gate_starts_from_a_truncated_normal_distribution_without_biases() -> None:
    pfu = PrototypeFusionUpdater(128)
    layers = [m for n, m in pfu.named_modules() if isinstance(m, torch.nn.Linear) and not n.startswith("gate")]
    assert len(layers) == 3 + 2 * (2 * 4 + 2)
    for layer in layers:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert layer.bias is None or not layer.bias.any()


def test_permuting_the_identities_permutes_the_updated_prototypes() -> None:
    pfu, fused, memory, order = updater(), rows(K, P), rows(2, 5, P, seed=2), torch.tensor([2, 0, 1])
    torch.testing.assert_close(pfu(fused, memory)[:, order], pfu(fused[order], memory))


def test_quick_gelu_is_its_formula() -> None:
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    assert QuickGELU()(x).tolist() == pytest.approx([v / (1 + math.exp(-1.702 * v)) for v in x.tolist()])


def test_the_published_updater_has_8_heads_2_layers_and_dropout_in_training_alone() -> None:
    with torch.device("meta"):
        pfu = PrototypeFusionUpdater(512)
    assert [(part.in_features, part.out_features) for part in (pfu.gate[0], pfu.gate[2])] == [(1024, 512), (512, 1)]
    assert len(pfu.layers) == 2
    for layer in pfu.layers:
        assert (layer.among.heads, layer.across.heads, layer.mlp[0].out_features) == (8, 8, 4 * 512)
        assert (layer.among.dropout, layer.across.dropout, layer.mlp[2].p, layer.drop.p) == (0, 0, 0.1, 0.1)
        for part in (layer.among, layer.across):
            assert [own.bias is None for own in (part.query, part.key, part.value, part.out)] == [True] * 3 + [False]
    small, fused, memory = updater(), rows(K, P), rows(2, 5, P, seed=2)
    assert torch.equal(small(fused, memory), small(fused, memory))
    small.train()
    assert not torch.equal(small(fused, memory), small(fused, memory))
