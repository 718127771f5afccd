"""Skeleton-guided temporal modelling (SGTM): frames exchange messages; skeletons guide them in training."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.model.prototypes import CrossAttention


class Guided(NamedTuple):
    """What SGTM gives: frame features (B, T, D) and their mean, the clip feature (B, D)."""

    frames: Tensor
    clip: Tensor


class MessageAttention(nn.Module):
    """Pre-norm residual attention over the messages of a clip's frames."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = _attention(width, heads, dropout)

    def forward(self, messages: Tensor, seen: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D); `seen` (B, T) is False for messages that say nothing."""
        normed = self.norm(messages)
        heard: Tensor = messages + self.attention(normed, normed, seen)
        return heard


class TemporalModelling(nn.Module):
    """SGTM over detached tokens.

    Args:
        width: D, of visual tokens before projection.
        joint_width: P, of joint tokens; mapped to D.
        heads: attention heads.
        dropout: of the weights of the four attentions, and twice in the MLP.
    """

    def __init__(self, width: int, joint_width: int, heads: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        self.visual_message, self.from_joints = nn.Linear(width, width), nn.Linear(joint_width, width)
        self.visual_talk, self.skeleton_talk = (MessageAttention(width, heads, dropout) for _ in range(2))
        self.guided_norm, self.guide_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.guide = _attention(width, heads, dropout)
        self.token_types = nn.Parameter(torch.randn(4, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = _attention(width, heads, dropout)
        self.mlp = nn.Sequential(
            *(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout)),
            *(nn.Linear(4 * width, width), nn.Dropout(dropout)),
        )
        self.weight = nn.Linear(width, 1)

    def forward(self, tokens: Tensor, joints: Tensor | None = None, seen: Tensor | None = None) -> Guided:
        """Frame and clip features.

        Args:
            tokens: visual tokens before projection, (B, T, N, D); no gradient flows back through them.
            joints: joint tokens of the same clips and frames, (B, T, J, P); training only.
            seen: False where a frame has no skeleton, (B, T): nothing looks at its joint tokens and message, and they
                have no weight; a clip without any skeleton is treated as at inference.

        Source: CSIP-ReID, SGTM; METHOD section 4.
        """
        tokens = tokens.detach()
        visual = self.visual_talk(self.visual_message(tokens.mean(dim=2)))  # (B, T, D)
        e = self.token_types
        present = None
        if joints is None:
            parts = [tokens + e[0], visual[:, :, None] + e[1]]
        else:
            seen = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if seen is None else seen
            anything = seen.any(dim=1, keepdim=True)
            heard = seen | ~anything  # attention over nothing is not a number; what it gives here is dropped below
            limbs = self.from_joints(joints)  # (B, T, J, D)
            skeleton = self.skeleton_talk(limbs.mean(dim=2), heard)
            told = self.guide(self.guided_norm(visual), self.guide_norm(skeleton), heard)
            visual = visual + told * anything[..., None]
            parts = [tokens + e[0], visual[:, :, None] + e[1], limbs + e[2], skeleton[:, :, None] + e[3]]
            always = seen.new_ones(*seen.shape, tokens.shape[2] + 1)
            limbs_seen = seen[..., None].expand(-1, -1, joints.shape[2] + 1)
            present = torch.cat([always, limbs_seen], dim=2).flatten(0, 1)  # (B T, N')
        z = torch.cat(parts, dim=2).flatten(0, 1)  # (B T, N', D)
        normed = self.norm1(z)
        z = z + self.attention(normed, normed, present)
        z = z + self.mlp(self.norm2(z))
        weights = self.weight(z).sigmoid()
        if present is not None:
            weights = weights * present[..., None]
        weights = weights / (weights.sum(dim=1, keepdim=True) + 1e-6)
        frames = (z * weights).sum(dim=1)
        frames = frames.unflatten(0, (tokens.shape[0], tokens.shape[1]))  # one by one: a traced graph follows them
        return Guided(frames, frames.mean(dim=1))


def _attention(width: int, heads: int, dropout: float) -> CrossAttention:
    """Attention that starts as torch's MultiheadAttention does: one Xavier-uniform matrix for q, k and v, no biases."""
    attention = CrossAttention(width, heads, dropout=dropout)
    for part in (attention.query, attention.key, attention.value):
        nn.init.uniform_(part.weight, -((6 / (4 * width)) ** 0.5), (6 / (4 * width)) ** 0.5)
        nn.init.zeros_(part.bias)
    nn.init.zeros_(attention.out.bias)
    return attention
