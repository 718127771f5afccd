"""Learning rates: the share of the base rate at each epoch."""

import math
from collections.abc import Sequence


def warmup_cosine(epoch: int, epochs: int, warmup: int, start: float, end: float) -> float:
    """Learning rate of an epoch as a share of the base rate: linear from `start` to 1, then cosine to `end`."""
    if epoch < warmup:
        return start + (1 - start) * epoch / warmup
    done = (epoch - warmup) / max(epochs - warmup, 1)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * done))


def warmup_steps(epoch: int, warmup: int, start: float, milestones: Sequence[int], gamma: float) -> float:
    """Learning rate of an epoch as a share of the base rate: linear from `start` to 1, then gamma at milestones."""
    if epoch < warmup:
        return start + (1 - start) * epoch / warmup
    return gamma ** sum(epoch >= milestone for milestone in milestones)
