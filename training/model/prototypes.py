"""Identity prototypes, and the prototype fusion updater (PFU)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mean_prototypes(features: Tensor, labels: Tensor, identities: int) -> Tensor:
    """Mean feature of each identity over its tracklets.

    Args:
        features: one row a tracklet, (N, P).
        labels: identity of each tracklet, 0 to K - 1, (N,).
        identities: K.

    Returns:
        (K, P); zeros for an identity without tracklets.
    """
    sums = torch.zeros(identities, features.shape[1], dtype=features.dtype).index_add_(0, labels, features)
    counts = torch.bincount(labels, minlength=identities).clamp(min=1)
    return sums / counts[:, None]


class QuickGELU(nn.Module):
    """CLIP's activation, x sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return x * torch.sigmoid(1.702 * x)


class CrossAttention(nn.Module):
    """Multi-head attention of queries to a memory, through scaled_dot_product_attention."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor | None = None) -> Tensor:
        """(B, N, C) and (B, M, C) -> (B, N, C); a batch of 1 of queries stands for all.

        `seen` (B, M) is False where the memory must not be looked at; each row needs one True at least.
        """
        q = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = self.key(memory).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        v = self.value(memory).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        q = q.expand(k.shape[0], -1, -1, -1)  # not len(k): a traced graph must follow the batch
        mask = None if seen is None else seen[:, None, None]
        mixed = F.scaled_dot_product_attention(q, k, v, mask, dropout_p=self.dropout if self.training else 0.0)
        return self.out(mixed.transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Pre-norm: self-attention among prototypes, cross-attention to the memory, MLP."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.among = CrossAttention(width, heads, dropout)
        self.across = CrossAttention(width, heads, dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), QuickGELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def attend_among(self, x: Tensor) -> Tensor:
        """Self-attention among prototypes."""
        normed = self.norm1(x)
        return x + self.drop(self.among(normed, normed))

    def attend_memory(self, x: Tensor, memory: Tensor, seen: Tensor | None) -> Tensor:
        """Cross-attention to a clip's memory, then the MLP."""
        x = x + self.drop(self.across(self.norm2(x), memory, seen))
        return x + self.drop(self.mlp(self.norm3(x)))


class PrototypeFusionUpdater(nn.Module):
    """PFU: fused identity prototypes, brought up to date by each clip's tokens.

    Args:
        width: P, the width of prototypes and tokens.
        heads: attention heads.
        layers: decoder layers.
        dropout: dropout in the decoder.
    """

    def __init__(self, width: int, heads: int = 8, layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))
        self.to_query = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.to_memory = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.LayerNorm(width))
        self.layers = nn.ModuleList(DecoderLayer(width, heads, dropout) for _ in range(layers))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def fuse(self, visual: Tensor, skeleton: Tensor) -> Tensor:
        """`P_F = a P_S + (1 - a) P_V`, a = sigmoid(MLP[P_S ; P_V]); all (K, P)."""
        a = torch.sigmoid(self.gate(torch.cat([skeleton, visual], dim=-1)))
        return a * skeleton + (1 - a) * visual

    def forward(self, fused: Tensor, memory: Tensor, seen: Tensor | None = None) -> Tensor:
        """Prototypes of each clip, `P' = P_F + updater(P_F, memory)`.

        Args:
            fused: P_F, (K, P).
            memory: time-averaged visual and joint tokens of each clip, (B, M, P).
            seen: False where the memory holds nothing (a clip without a skeleton), (B, M).

        Returns:
            (B, K, P).
        """
        memory = self.to_memory(memory)
        x = self.to_query(fused)[None]  # the same for every clip until it meets the memory
        for layer in self.layers:
            x = layer.attend_memory(layer.attend_among(x), memory, seen)
        return fused + self.out(x)
