"""Augmentation of batches of clips: a flip that mirrors the skeleton too, shifts, colour, erasing; seeded."""

import torch
from pydantic import Field
from torch import Tensor

from storage.settings import Settings
from storage.skeleton import MIRROR_ORDER


class AugmentSettings(Settings):
    """What is done to training clips."""

    flip: float = Field(0.5, ge=0, le=1, description="Probability that a clip is mirrored, its skeleton with it.")
    shift: int = Field(10, ge=0, description="Largest shift of a clip's frames, pixels of the resized frame.")
    colour: float = Field(0.0, ge=0, le=1, description="Strength of random gain and brightness of each channel.")
    erase: float = Field(0.5, ge=0, le=1, description="Probability that a rectangle of a frame is erased.")


def augment(
    images: Tensor, skeletons: Tensor | None, settings: AugmentSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Augment clips; every frame of a clip alike, but for erasing.

    Args:
        images: (B, T, 3, H, W), 0 to 255.
        skeletons: (B, T, J, 3) or None.
        settings: what to do.
        generator: the source of randomness.

    Returns:
        Float images of the same shape, and skeletons.
    """
    images = images.float()
    flipped = torch.rand(len(images), generator=generator) < settings.flip
    images = torch.where(flipped.view(-1, 1, 1, 1, 1), images.flip(-1), images)
    if skeletons is not None:
        skeletons = torch.where(flipped.view(-1, 1, 1, 1), mirror_skeletons(skeletons), skeletons)
    if settings.shift:
        images = _shifted(images, settings.shift, generator)
    if settings.colour:
        images = _recoloured(images, settings.colour, generator)
    return _erased(images, settings.erase, generator), skeletons


def mirror_skeletons(skeletons: Tensor) -> Tensor:
    """The skeletons of mirrored images: x negated, left and right swapped; (..., 17, 3)."""
    return skeletons[..., MIRROR_ORDER, :] * skeletons.new_tensor([-1.0, 1.0, 1.0])


def _shifted(images: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    moves = torch.randint(-reach, reach + 1, (len(images), 2), generator=generator)
    padded = torch.nn.functional.pad(images.flatten(0, 1), (reach,) * 4).unflatten(0, images.shape[:2])
    h, w = images.shape[-2:]
    rows = [
        clip[..., reach + dy : reach + dy + h, reach + dx : reach + dx + w]
        for clip, (dy, dx) in zip(padded, moves.tolist(), strict=True)
    ]
    return torch.stack(rows)


def _recoloured(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    b = len(images)
    gain = 1 + strength * (torch.rand(b, 1, 1, 1, 1, generator=generator) * 2 - 1)
    tint = 1 + 0.5 * strength * (torch.rand(b, 1, 3, 1, 1, generator=generator) * 2 - 1)
    lift = 128 * 0.5 * strength * (torch.rand(b, 1, 1, 1, 1, generator=generator) * 2 - 1)
    return (images * gain * tint + lift).clamp(0, 255)


def _erased(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """One rectangle a frame, anywhere in it, of 2 % to 30 % of its area. Source: Zhong et al. 2020."""
    b, t, _, h, w = images.shape
    draws = torch.rand(b * t, 5, generator=generator)
    area = (0.02 + 0.28 * draws[:, 1]) * h * w
    ratio = torch.exp((draws[:, 2] * 2 - 1) * 1.2)
    high = (area * ratio).sqrt().clamp(1, h - 1)
    wide = (area / ratio).sqrt().clamp(1, w - 1)
    top, left = draws[:, 3] * (h - high), draws[:, 4] * (w - wide)
    y, x = torch.arange(h).view(1, h, 1), torch.arange(w).view(1, 1, w)

    def inside(place: Tensor, start: Tensor, size: Tensor) -> Tensor:
        return (place >= start.view(-1, 1, 1)) & (place < (start + size).view(-1, 1, 1))

    mask = inside(y, top, high) & inside(x, left, wide) & (draws[:, 0] < probability).view(-1, 1, 1)
    return images.masked_fill(mask.view(b, t, 1, h, w), 0)
