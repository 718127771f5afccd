"""Learning rates: the share of the base rate at each epoch."""

import math
from collections.abc import Callable, Sequence

from training.settings import PretrainSettings, SkeletonOnlySettings


def warmup_cosine(epoch: int, epochs: int, warmup: int, start: float, end: float) -> float:
    """Learning rate of an epoch as a share of the base rate: linear from `start` to 1, then cosine to `end`."""
    if epoch < warmup:
        return start + (1 - start) * epoch / warmup
    done = (epoch - warmup) / max(epochs - warmup, 1)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * done))


def share_of_rate(settings: PretrainSettings | SkeletonOnlySettings) -> Callable[[int], float]:
    """Epoch -> share of the base rate, by the settings of a training with warm-up and cosine."""
    start, end = settings.warmup_lr / settings.lr, settings.final_lr / settings.lr
    return lambda epoch: warmup_cosine(epoch, settings.epochs, settings.warmup_epochs, start, end)


def warmup_steps(epoch: int, warmup: int, start: float, milestones: Sequence[int], gamma: float) -> float:
    """Learning rate of an epoch as a share of the base rate: linear from `start` to 1, then gamma at milestones."""
    if epoch < warmup:
        return start + (1 - start) * epoch / warmup
    return gamma ** sum(epoch >= milestone for milestone in milestones)
