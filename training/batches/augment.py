"""Augmentation of batches of clips: a flip that mirrors the skeleton too, shifts, colour, erasing; seeded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from storage.skeleton import H36M17, SkeletonType
from training.settings import AugmentSettings

ERASED = (0.02, 0.2)  # share of a frame's area
ASPECT = 1 / 0.3  # of what is erased: at most, and at least its inverse


@dataclass(frozen=True)
class Draws:
    """Everything that chance decides of a batch of clips: drawn on the CPU, applied on any device.

    Attributes:
        flipped: which clips are mirrored, (B,) bool.
        moves: shift of each clip down and right, pixels, (B, 2) int64.
        colours: gain, brightness and one tint a channel of each clip, each in -1..1, (B, 5).
        boxes: of each frame: whether to erase, area, aspect, top, left, and the colour, each in 0..1, (B, T, 8).
    """

    flipped: Tensor
    moves: Tensor
    colours: Tensor
    boxes: Tensor

    def of(self, clips: Sequence[int]) -> "Draws":
        """Those of some of the clips."""
        rows = torch.tensor(list(clips), dtype=torch.int64)
        return Draws(self.flipped[rows], self.moves[rows], self.colours[rows], self.boxes[rows])


def draw(clips: int, frames: int, settings: AugmentSettings, rng: np.random.Generator) -> Draws:
    """Draw the augmentation of `clips` clips of `frames` frames."""
    return Draws(
        torch.from_numpy(rng.random(clips) < settings.flip),
        torch.from_numpy(rng.integers(-settings.shift, settings.shift, (clips, 2), endpoint=True)),
        torch.from_numpy(rng.uniform(-1, 1, (clips, 5)).astype(np.float32)),
        torch.from_numpy(rng.random((clips, frames, 8), np.float32)),
    )


def augmented(images: Tensor, draws: Draws, settings: AugmentSettings) -> Tensor:
    """Float clips as drawn, every frame of a clip alike, but for erasing; of images (B, T, 3, H, W), 0 to 255."""
    moves = draws.moves.tolist()  # of the CPU: asking a GPU would make it wait
    flipped, colours, boxes = (
        part.to(images.device, non_blocking=True) for part in (draws.flipped, draws.colours, draws.boxes)
    )
    images = images.float()
    images = torch.where(flipped.view(-1, 1, 1, 1, 1), images.flip(-1), images)
    if settings.shift:
        images = _shifted(images, settings.shift, moves)
    if settings.colour:
        images = _recoloured(images, settings.colour, colours)
    return _erased(images, settings.erase, boxes) if settings.erase else images


def mirrored(skeletons: Tensor, flipped: Tensor, kind: SkeletonType = H36M17) -> Tensor:
    """The skeletons (B, T, J, 3) of clips of which some are `flipped`, (B,)."""
    return torch.where(flipped.view(-1, 1, 1, 1), mirror_skeletons(skeletons, kind), skeletons)


def draw_signs(count: int, rng: np.random.Generator) -> Tensor:
    """Random signs of `count` eigenvectors, (E,) float32, -1 or 1."""
    return torch.from_numpy(rng.choice(np.array([-1, 1], np.float32), count))


def mirror_skeletons(skeletons: Tensor, kind: SkeletonType = H36M17) -> Tensor:
    """The skeletons of mirrored images: x negated, left and right swapped; (..., J, 3)."""
    return skeletons[..., kind.mirror_order, :] * skeletons.new_tensor([-1.0, 1.0, 1.0])


def _shifted(images: Tensor, reach: int, moves: Sequence[Sequence[int]]) -> Tensor:
    h, w = images.shape[-2:]
    padded = torch.nn.functional.pad(images.flatten(0, 1), (reach,) * 4).unflatten(0, images.shape[:2])
    rows = [
        clip[..., reach + dy : reach + dy + h, reach + dx : reach + dx + w]
        for clip, (dy, dx) in zip(padded, moves, strict=True)
    ]
    return torch.stack(rows)


def _recoloured(images: Tensor, strength: float, colours: Tensor) -> Tensor:
    colours = (strength * colours).view(-1, 1, 5, 1, 1)
    gain, lift, tint = 1 + colours[:, :, :1], 64 * colours[:, :, 1:2], 1 + 0.5 * colours[:, :, 2:]
    return (images * gain * tint + lift).clamp(0, 255)


def _erased(images: Tensor, probability: float, boxes: Tensor) -> Tensor:
    """One rectangle a frame, anywhere in it, of one random colour. Source: Zhong et al. 2020."""
    h, w = images.shape[-2:]
    chance, size, aspect, down, right = boxes[..., :5].unbind(-1)  # (B, T) each
    area = (ERASED[0] + (ERASED[1] - ERASED[0]) * size) * h * w
    ratio = torch.exp((aspect * 2 - 1) * math.log(ASPECT))
    high = (area * ratio).sqrt().clamp(1, h - 1)
    wide = (area / ratio).sqrt().clamp(1, w - 1)
    top, left = down * (h - high), right * (w - wide)
    y = torch.arange(h, device=images.device).view(h, 1)
    x = torch.arange(w, device=images.device).view(1, w)

    def inside(place: Tensor, start: Tensor, extent: Tensor) -> Tensor:
        start, extent = start[..., None, None], extent[..., None, None]
        return (place >= start) & (place < start + extent)

    mask = inside(y, top, high) & inside(x, left, wide) & (chance < probability)[..., None, None]
    return torch.where(mask[:, :, None], 255 * boxes[..., 5:, None, None], images)
