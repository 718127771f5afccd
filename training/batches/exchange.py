"""A control for experiments: skeletons that say nothing of who somebody is, but are skeletons all the same."""

import numpy as np

from training.batches.clips import PerFrame


def exchanged(skeletons: PerFrame, seen: PerFrame, seed: int) -> tuple[PerFrame, PerFrame]:
    """Skeletons that say nothing of who somebody is: each tracklet gets those of one drawn at random, each once.

    Args:
        skeletons: of tracklets, (T, 17, 3).
        seen: which of their frames have one, (T,).
        seed: of the draw.

    Returns:
        The same, of as many frames as before: the other's, stretched or thinned evenly in time.
    """
    drawn = np.random.default_rng(seed).permutation(len(skeletons))
    rows = [
        skeletons.starts[other] + np.arange(length) * skeletons.lengths[other] // length
        for other, length in zip(drawn, skeletons.lengths, strict=True)
    ]
    given = np.concatenate(rows)
    starts = np.cumsum(skeletons.lengths) - skeletons.lengths
    return PerFrame(skeletons.values[given], starts, skeletons.lengths), PerFrame(
        seen.values[given], starts, seen.lengths
    )
