"""Identity prototypes: how they are made of tracklets, and the prototype fusion updater (PFU)."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from training.batches.clips import PerFrame
from training.looping.distributed import gather, own_share
from training.model.skeleton_encoder import SkeletonEncoder


def mean_prototypes(features: Tensor, labels: Tensor, identities: int) -> Tensor:
    """Mean of the features (N, P) of each identity's tracklets, (K, P); zeros for one without tracklets.

    `labels` are the identities of the tracklets, 0 to K - 1, (N,).
    """
    sums = torch.zeros(identities, features.shape[1], dtype=features.dtype).index_add_(0, labels, features)
    counts = torch.bincount(labels, minlength=identities).clamp(min=1)
    return sums / counts[:, None]


def shared_prototypes(
    feature: Callable[[int], Tensor | None], labels: NDArray[np.int64], identities: int, none: Tensor
) -> Tensor:
    """`mean_prototypes` on the CPU; each process works out the features of its share of the tracklets, and has all.

    Args:
        feature: position of a tracklet -> its feature (P,); None if it has none.
        labels: identity of each tracklet, (N,).
        identities: K.
        none: no features, (0, P), on their device.
    """
    good, rows = [], [none]
    for i in own_share(range(len(labels))):
        row = feature(i)
        if row is not None:
            good.append(i)
            rows.append(row[None])
    whose = gather(torch.tensor(labels[good], device=none.device))
    return mean_prototypes(gather(torch.cat(rows)).cpu(), whose.cpu(), identities)


def visual_prototypes(features: PerFrame, labels: NDArray[np.int64], identities: int) -> Tensor:
    """`P_V`: mean over an identity's tracklets of the mean over all readable frames (T, P), (K, P)."""
    means = {i: mean_visual(rows, rows) for i, rows in enumerate(features) if np.isfinite(rows[:, 0]).any()}
    whose = torch.from_numpy(labels[list(means)])
    return mean_prototypes(torch.from_numpy(np.stack(list(means.values()))), whose, identities)


@torch.no_grad()
def skeleton_prototypes(
    encoder: SkeletonEncoder, skeletons: PerFrame, seen: PerFrame, labels: NDArray[np.int64], identities: int
) -> Tensor:
    """`P_S`: mean over an identity's tracklets of the sequence feature of all frames, in eval mode, (K, P)."""
    was_training, device = encoder.training, encoder.positions.device
    encoder.eval()

    def feature(i: int) -> Tensor | None:
        if not seen[i].any():
            return None
        clip, mask = (torch.from_numpy(part[i].copy())[None].to(device) for part in (skeletons, seen))
        pooled: Tensor = encoder(clip, mask, pool=True)[0]
        return pooled

    none = torch.zeros(0, encoder.project.out_features, device=device)
    prototypes = shared_prototypes(feature, labels, identities, none)
    encoder.train(was_training)
    return prototypes


def mean_visual(frames: NDArray[np.floating], tracklet: NDArray[np.floating]) -> NDArray[np.float32]:
    """`v`: mean of the readable frames' features (T, P); of the whole tracklet's where none of these can be read."""
    readable = frames[np.isfinite(frames[:, 0])]
    if not len(readable):
        readable = tracklet[np.isfinite(tracklet[:, 0])]
    mean: NDArray[np.float32] = readable.astype(np.float32).mean(axis=0)
    return mean


class QuickGELU(nn.Module):
    """CLIP's activation, x sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return x * torch.sigmoid(1.702 * x)


class CrossAttention(nn.Module):
    """Multi-head attention of queries to a memory, through scaled_dot_product_attention.

    `bias` is that of queries, keys and values, `dropout` that of attention weights.
    """

    def __init__(self, width: int, heads: int, *, bias: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (nn.Linear(width, width, bias=bias) for _ in range(3))
        self.out = nn.Linear(width, width)

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
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class DecoderLayer(nn.Module):
    """Pre-norm: self-attention among prototypes, cross-attention to the memory, MLP."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.among, self.across = (CrossAttention(width, heads, bias=False) for _ in range(2))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), QuickGELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor | None) -> Tensor:
        """Prototypes (1 or B, K, C) and memories (B, M, C) -> (B, K, C); before the memory all clips have the same."""
        normed = self.norm1(x)
        x = x + self.drop(self.among(normed, normed))
        x = x + self.drop(self.across(self.norm2(x), memory, seen))
        x = x + self.drop(self.mlp(self.norm3(x)))
        return x


class PrototypeFusionUpdater(nn.Module):
    """PFU: fused identity prototypes, brought up to date by each clip's tokens.

    `width` is P, that of prototypes and tokens; heads, layers and dropout are the decoder's. What comes after the gate
    starts from a truncated normal distribution of standard deviation .02, without biases, as published.
    """

    def __init__(self, width: int, heads: int = 8, layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))
        self.to_query = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.to_memory = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.LayerNorm(width))
        self.layers = nn.ModuleList(DecoderLayer(width, heads, dropout) for _ in range(layers))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        for part in (self.to_query, self.to_memory, self.layers, self.out):
            for layer in part.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.trunc_normal_(layer.weight, std=0.02)
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)

    def fuse(self, visual: Tensor, skeleton: Tensor) -> Tensor:
        """`P_F = a P_S + (1 - a) P_V`, a = sigmoid(MLP[P_S ; P_V]); all (K, P)."""
        a = torch.sigmoid(self.gate(torch.cat([skeleton, visual], dim=-1)))
        return a * skeleton + (1 - a) * visual

    def forward(self, fused: Tensor, memory: Tensor, seen: Tensor | None = None) -> Tensor:
        """Prototypes of each clip, `P' = P_F + updater(P_F, memory)`, (B, K, P).

        Args:
            fused: P_F, (K, P).
            memory: time-averaged visual and joint tokens of each clip, (B, M, P).
            seen: False where the memory holds nothing (a clip without a skeleton), (B, M).
        """
        memory = self.to_memory(memory)
        x = self.to_query(fused)[None]  # the same for every clip until it meets the memory
        for layer in self.layers:
            x = layer(x, memory, seen)
        updated: Tensor = fused + self.out(x)
        return updated
