"""Learning rates: the share of the base rate at each epoch.

Epochs are given from 0, and count from 1 in the formulas: the first one already is a step up from the start.
"""

import math
from collections.abc import Callable, Sequence

from training.settings import PretrainSettings, SkeletonOnlySettings


def warmup_cosine(epoch: int, epochs: int, warmup: int, start: float, end: float) -> float:
    """Linear from `start` towards 1 in the epochs before `warmup`, then on the cosine of all epochs from 1 to `end`."""
    number = epoch + 1
    if number < warmup:
        return start + (1 - start) * number / warmup
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * number / epochs))


def share_of_rate(settings: PretrainSettings | SkeletonOnlySettings) -> Callable[[int], float]:
    """Epoch -> share of the base rate, by the settings of a training with warm-up and cosine."""
    start, end = settings.warmup_lr / settings.lr, settings.final_lr / settings.lr
    return lambda epoch: warmup_cosine(epoch, settings.epochs, settings.warmup_epochs, start, end)


def warmup_steps(epoch: int, warmup: int, start: float, milestones: Sequence[int], gamma: float) -> float:
    """Linear from `start` towards 1 in the epochs before `warmup`, then times `gamma` from each milestone on."""
    number = epoch + 1
    if number < warmup:
        return start + (1 - start) * number / warmup
    return gamma ** sum(number >= milestone for milestone in milestones)
