"""What every family of visual encoders gives: tokens before and after projection, a global one first."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.settings import Part, Scale

PERSON = (256, 128)  # (H, W) of frames, pixels, where neither the model nor a setting says another size
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PROJECTED_NORM = 3.0
"""Length of projected tokens of families that have none of their own: similarities to prototypes, the raw logits of
stage 2, then span about -9 to 9."""


class Composition(NamedTuple):
    """What an embedding is made of: clip features side by side, and how each is scaled before."""

    parts: tuple[Part, ...] = ("cls", "projected", "temporal")
    scale: Scale = "raw"


class Trunk(nn.Module, ABC):
    """A visual encoder without normalisation of pixels and without what is learnt on top of it.

    Attributes:
        size: (H, W) that frames are resized to, pixels.
        mean, std: of R, G and B from 0 to 1, with which frames are normalised.
        token_width: D, of tokens before projection.
        projected_width: P, of tokens after projection.
        ranked_by: what the encoder alone was made to be ranked by: both global tokens side by side, as CLIP-ReID does,
            unless a family knows better.
        finetuned: the embedding after stage 2 where no setting says another; as published, unless another one was
            better on held-out people (docs/encoders.md).
        checkpointing: whether activations are worked out again in the backward pass, where the family can.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    token_width: int
    projected_width: int
    ranked_by = Composition(("cls", "projected"))
    finetuned = Composition()
    checkpointing = False

    @abstractmethod
    def forward(self, x: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        """Tokens (B, N, D) and projected tokens (B, N, P), the global one first: CLS, or a CNN's pooled map.

        Args:
            x: normalised frames, (B, 3, H, W).
            shift: what a camera adds to the global token, (B, D); None adds nothing.
        """


def through(blocks: nn.Sequential, tokens: Tensor, checkpointing: bool) -> Tensor:
    """Tokens after all blocks; with checkpointing, only what enters a block is kept for the backward pass."""
    saving = checkpointing and torch.is_grad_enabled()
    for block in blocks:
        tokens = checkpoint(block, tokens, use_reentrant=False) if saving else block(tokens)
    return tokens


def shifted(tokens: Tensor, shift: Tensor | None) -> Tensor:
    """Tokens (B, N, D) of which the first has something added, (B, D)."""
    if shift is None:
        return tokens
    return torch.cat([tokens[:, :1] + shift[:, None], tokens[:, 1:]], dim=1)
