"""Which frames make a clip and which clips a batch: pure functions of (seed, epoch)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def segment_frames(length: int, clip: int, rng: np.random.Generator | None = None) -> Indices:
    """Restricted random sampling: one frame of each of `clip` equal segments of a tracklet.

    Args:
        length: frames of the tracklet, at least 1; one shorter than T repeats its frames evenly.
        clip: T, frames of the clip.
        rng: picks a random frame of each segment (training); None picks the first (`rrs` evaluation).

    Returns:
        (T,) frame numbers, ascending.

    Source: Li et al. 2018 (restricted random sampling).
    """
    starts = np.arange(clip) * length // clip
    if rng is None or length < clip:
        return starts
    ends = np.arange(1, clip + 1) * length // clip
    return rng.integers(starts, ends)


def dense_clips(length: int, clip: int) -> Indices:
    """All frames of a tracklet as consecutive clips, (C, T); the last one is completed evenly from its own frames."""
    whole, rest = whole_clips(length, clip), length % clip
    return np.concatenate([whole, (length - rest + segment_frames(rest, clip))[None]]) if rest else whole


def whole_clips(length: int, clip: int) -> Indices:
    """Consecutive clips from the first frame on, (C, T); frames that fill no clip are left out."""
    return np.arange(length // clip * clip).reshape(-1, clip)


def covering_clips(length: int, clip: int) -> Indices:
    """The fewest clips that together hold every frame, (C, T), evenly apart; none of fewer frames than a clip has."""
    if length < clip:
        return np.zeros((0, clip), np.int64)
    starts = np.linspace(0, length - clip, -(-length // clip)).round().astype(np.int64)
    return starts[:, None] + np.arange(clip)


def identity_batches(labels: Sequence[int], identities: int, instances: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of `identities` x `instances` tracklets (PK sampling); each tracklet once an epoch, or some twice.

    Args:
        labels: identity of each tracklet.
        identities: of a batch; all there are, if fewer.
        instances: tracklets of each identity; an identity with fewer repeats some.
        seed: of the whole training.
        epoch: its number.

    Returns:
        Positions of tracklets, instances of an identity side by side.
    """
    rng = np.random.default_rng([seed, epoch])
    groups: dict[int, list[list[int]]] = {}
    for label, members in _members(labels).items():
        own = rng.permutation(members)
        groups[label] = np.resize(own, (-(-len(own) // instances), instances)).tolist()
    wanted = min(identities, len(groups))
    batches = []
    while groups and len(groups) >= wanted:
        # identities with the most groups left first, chance among equals: little is left over
        left = list(groups)
        order = np.lexsort((rng.random(len(left)), np.array([-len(groups[label]) for label in left])))
        batch: list[int] = []
        for label in (left[i] for i in order[:wanted]):
            batch += groups[label].pop()
            if not groups[label]:
                del groups[label]
        batches.append(batch)
    return [batches[i] for i in rng.permutation(len(batches))]


def random_identity_batches(
    labels: Sequence[int], identities: int, instances: int, seed: int, epoch: int
) -> list[list[int]]:
    """Batches of `identities` x `instances` tracklets, as published.

    Each identity's tracklets are shuffled and cut into groups, a rest under `instances` left out; one with fewer is a
    group drawn with repetition. Identities are drawn uniformly among those with groups left, until too few have any.

    Args and result as those of `identity_batches`.
    """
    rng = np.random.default_rng([seed, epoch])
    groups: dict[int, list[list[int]]] = {}
    for label, own in _members(labels).items():
        if len(own) < instances:
            groups[label] = [rng.choice(own, instances).tolist()]
        else:
            whole = len(own) // instances * instances
            groups[label] = rng.permutation(own)[:whole].reshape(-1, instances).tolist()
    wanted = min(identities, len(groups))
    batches = []
    while groups and len(groups) >= wanted:
        drawn = rng.choice(list(groups), wanted, replace=False).tolist()
        batches.append([tracklet for label in drawn for tracklet in groups[label].pop(0)])
        groups = {label: left for label, left in groups.items() if left}
    return batches


def _members(labels: Sequence[int]) -> dict[int, list[int]]:
    """Identity -> positions of its tracklets, identities in ascending order."""
    members: dict[int, list[int]] = {label: [] for label in sorted(set(labels))}
    for position, label in enumerate(labels):
        members[label].append(position)
    return members


def uniform_batches(count: int, size: int, seed: int, epoch: int) -> list[list[int]]:
    """Shuffled batches of `size` of `count` tracklets; the last may be smaller, but never a single one."""
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    batches = [order[i : i + size] for i in range(0, count, size)]
    if len(batches) > 1 and len(batches[-1]) < 2:
        batches[-2:] = [batches[-2] + batches[-1]]
    return batches
