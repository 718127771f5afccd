"""Skeleton-guided temporal modelling (SGTM): frames exchange messages; skeletons guide them in training."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.model.prototypes import CrossAttention, QuickGELU


class Guided(NamedTuple):
    """What SGTM gives: frame features (B, T, D) and their mean, the clip feature (B, D)."""

    frames: Tensor
    clip: Tensor


class MessageAttention(nn.Module):
    """Pre-norm residual attention over the messages of a clip's frames."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)

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
    """

    def __init__(self, width: int, joint_width: int, heads: int = 8) -> None:
        super().__init__()
        self.from_joints = nn.Linear(joint_width, width)
        self.visual_message, self.skeleton_message = nn.Linear(width, width), nn.Linear(width, width)
        self.visual_talk, self.skeleton_talk = MessageAttention(width, heads), MessageAttention(width, heads)
        self.guide_norm = nn.LayerNorm(width)
        self.guide = CrossAttention(width, heads)
        self.token_types = nn.Parameter(torch.randn(4, width) * 0.02)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width))
        self.weight = nn.Linear(width, 1, bias=False)

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
            skeleton = self.skeleton_talk(self.skeleton_message(limbs.mean(dim=2)), heard)
            visual = visual + self.guide(self.guide_norm(visual), skeleton, heard) * anything[..., None]
            parts = [tokens + e[0], visual[:, :, None] + e[1], limbs + e[2], skeleton[:, :, None] + e[3]]
            always = seen.new_ones(*seen.shape, tokens.shape[2] + 1)
            limbs_seen = seen[..., None].expand(-1, -1, joints.shape[2] + 1)
            present = torch.cat([always, limbs_seen], dim=2).flatten(0, 1)  # (B T, N')
        z = torch.cat(parts, dim=2).flatten(0, 1)  # (B T, N', D)
        normed = self.norm1(z)
        z = z + self.attention(normed, normed, present)
        z = z + self.mlp(self.norm2(z))
        # sigmoids over their sum, from their logarithms: tokens that all weigh next to nothing are no 0 / 0
        weights = F.logsigmoid(self.weight(z))
        if present is not None:
            weights = weights.masked_fill(~present[..., None], -math.inf)
        frames = (z * weights.softmax(dim=1)).sum(dim=1)
        frames = frames.unflatten(0, (tokens.shape[0], tokens.shape[1]))  # one by one: a traced graph follows them
        return Guided(frames, frames.mean(dim=1))
