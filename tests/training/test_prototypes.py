import pytest
import torch

from training.prototypes import CrossAttention, PrototypeFusionUpdater, QuickGELU, mean_prototypes


@pytest.fixture
def updater() -> PrototypeFusionUpdater:
    torch.manual_seed(0)
    return PrototypeFusionUpdater(8, heads=2).double().eval()


def test_a_prototype_is_the_mean_over_its_tracklets() -> None:
    features = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    prototypes = mean_prototypes(features, torch.tensor([1, 1, 0]), 3)
    assert prototypes.tolist() == [[5.0, 5.0], [2.0, 1.0], [0.0, 0.0]]


def test_the_gate_blends_both_modalities(updater: PrototypeFusionUpdater) -> None:
    v, s = torch.randn(3, 8, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    fused = updater.fuse(v, s)
    for k in range(3):
        hidden = updater.gate[0](torch.cat([s[k], v[k]])).clamp(min=0)
        a = 1 / (1 + torch.exp(-updater.gate[2](hidden)))
        torch.testing.assert_close(fused[k], a * s[k] + (1 - a) * v[k])


def test_each_clip_updates_the_prototypes_by_its_own_memory_alone(updater: PrototypeFusionUpdater) -> None:
    fused, memory = torch.randn(3, 8, dtype=torch.float64), torch.randn(4, 6, 8, dtype=torch.float64)
    together = updater(fused, memory)
    for b in range(4):
        torch.testing.assert_close(together[b], updater(fused, memory[b : b + 1])[0])


def test_the_updater_is_the_slow_decoder(updater: PrototypeFusionUpdater) -> None:
    fused, memory = torch.randn(3, 8, dtype=torch.float64), torch.randn(1, 5, 8, dtype=torch.float64)

    def attend(attention: CrossAttention, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        q, k, v = attention.query(queries), attention.key(keys), attention.value(keys)
        mixed = torch.zeros_like(q)
        for head in (slice(0, 4), slice(4, 8)):
            for i in range(len(q)):
                weights = torch.stack([torch.exp(q[i, head] @ row / 2) for row in k[:, head]])
                mixed[i, head] = (weights / weights.sum()) @ v[:, head]
        return attention.out(mixed)

    x, m = updater.to_query(fused), updater.to_memory(memory[0])
    for layer in updater.layers:
        normed = layer.norm1(x)
        x = x + attend(layer.among, normed, normed)
        x = x + attend(layer.across, layer.norm2(x), m)
        x = x + layer.mlp(layer.norm3(x))
    torch.testing.assert_close(updater(fused, memory)[0], fused + updater.out(x))


def test_quick_gelu_is_its_formula() -> None:
    x = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(QuickGELU()(x), x / (1 + torch.exp(-1.702 * x)))


def test_a_memory_that_holds_nothing_is_not_looked_at(updater: PrototypeFusionUpdater) -> None:
    fused, memory = torch.randn(3, 8, dtype=torch.float64), torch.randn(2, 6, 8, dtype=torch.float64)
    seen = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    updated = updater(fused, memory, seen)
    torch.testing.assert_close(updated[0], updater(fused, memory[:1])[0])
    torch.testing.assert_close(updated[1], updater(fused, memory[1:, :4])[0])
