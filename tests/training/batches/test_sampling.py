import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from training.batches.sampling import (
    covering_clips,
    dense_clips,
    identity_batches,
    random_identity_batches,
    segment_frames,
    uniform_batches,
)

Sampler = Callable[[list[int], int, int, int, int], list[list[int]]]


@given(st.integers(1, 200), st.integers(1, 16), st.integers(0, 5))
def test_training_takes_one_frame_of_each_equal_segment(length: int, clip: int, seed: int) -> None:
    frames = segment_frames(length, clip, np.random.default_rng(seed))
    assert len(frames) == clip
    for i, frame in enumerate(frames):
        low, high = i * length / clip, (i + 1) * length / clip
        if length >= clip:
            assert int(low) <= frame < np.ceil(high)
    assert (np.diff(frames) >= (1 if length >= clip else 0)).all()


@given(st.integers(1, 200), st.integers(1, 16))
def test_rrs_evaluation_takes_the_first_frame_of_each_segment(length: int, clip: int) -> None:
    assert segment_frames(length, clip).tolist() == [i * length // clip for i in range(clip)]


def test_a_short_tracklet_repeats_its_frames_evenly_and_not_only_the_last() -> None:
    assert segment_frames(3, 8).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert segment_frames(1, 4).tolist() == [0, 0, 0, 0]


@given(st.integers(1, 300), st.integers(1, 16))
def test_dense_clips_hold_every_frame(length: int, clip: int) -> None:
    clips = dense_clips(length, clip)
    assert clips.shape == (-(-length // clip), clip)
    assert set(clips.ravel()) == set(range(length))
    assert (np.diff(clips.ravel()) >= 0).all()


@pytest.mark.parametrize("sampler", [identity_batches, random_identity_batches])
@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=60), st.integers(2, 5), st.integers(2, 4), st.integers(0, 3))
def test_identity_batches_hold_instances_of_each_of_some_identities(
    sampler: Sampler, labels: list[int], identities: int, instances: int, epoch: int
) -> None:
    batches = sampler(labels, identities, instances, 0, epoch)
    for batch in batches:
        counts = Counter(labels[i] for i in batch)
        assert len(counts) == min(identities, len(set(labels)))
        assert set(counts.values()) == {instances}


def test_every_tracklet_is_seen_in_an_epoch_where_identities_are_balanced() -> None:
    labels = [i // 8 for i in range(64)]
    seen = Counter(i for batch in identity_batches(labels, 4, 4, 0, 0) for i in batch)
    assert set(seen) == set(range(64))
    assert set(seen.values()) == {1}


@given(st.lists(st.integers(0, 9), min_size=2, max_size=80), st.integers(2, 4), st.integers(0, 3))
def test_the_published_batches_take_whole_groups_of_an_identity_and_drop_the_rest(
    labels: list[int], instances: int, epoch: int
) -> None:
    batches = random_identity_batches(labels, 2, instances, 0, epoch)
    used = Counter(i for batch in batches for i in batch)
    members, groups = (
        Counter(labels),
        Counter(labels[batch[k]] for batch in batches for k in range(0, len(batch), instances)),
    )
    for label, count in members.items():
        own = {i: n for i, n in used.items() if labels[i] == label}
        assert groups[label] <= max(count // instances, 1)
        if count >= instances:
            assert set(own.values()) <= {1}, "no tracklet twice"
    left = [max(members[label] // instances, 1) - groups[label] for label in members]
    assert sum(n > 0 for n in left) < min(2, len(members)), "it ends when too few identities have any group left"


def test_the_published_batches_draw_identities_uniformly_however_many_groups_they_have() -> None:
    labels = [0] * 40 + [label for label in range(1, 11) for _ in range(4)]  # one identity of 10 groups, ten of one
    first = Counter(
        labels[random_identity_batches(labels, 2, 4, 0, epoch)[0][k]] for epoch in range(400) for k in (0, 4)
    )
    assert all(400 * 2 / 11 * 0.6 < n < 400 * 2 / 11 * 1.4 for n in first.values())
    assert len(first) == 11


def test_the_published_batches_are_451_an_epoch_on_the_lists_of_mars(shared_data: Path) -> None:
    rows = scipy.io.loadmat(shared_data / "mars-protocol/tracks_train_info.mat")["track_train_info"]
    counts = [len(random_identity_batches(rows[:, 2].tolist(), 4, 4, 0, epoch)) for epoch in range(20)]
    assert np.mean(counts) == pytest.approx(451, abs=1.5)


@pytest.mark.parametrize("sampler", [identity_batches, random_identity_batches])
def test_batches_are_a_function_of_seed_and_epoch(sampler: Sampler) -> None:
    labels = [i // 6 for i in range(48)]
    assert sampler(labels, 4, 2, 1, 3) == sampler(labels, 4, 2, 1, 3)
    assert sampler(labels, 4, 2, 1, 3) != sampler(labels, 4, 2, 1, 4)
    assert sampler(labels, 4, 2, 1, 3) != sampler(labels, 4, 2, 2, 3)


@given(st.integers(2, 100), st.integers(2, 20))
def test_uniform_batches_hold_every_tracklet_once_and_never_one_alone(count: int, size: int) -> None:
    batches = uniform_batches(count, size, 0, 0)
    assert sorted(i for batch in batches for i in batch) == list(range(count))
    assert min(len(batch) for batch in batches) >= 2


@given(st.integers(0, 200), st.integers(1, 60))
def test_covering_clips_hold_every_frame_in_the_fewest_clips(length: int, clip: int) -> None:
    found = covering_clips(length, clip)
    if length < clip:
        assert found.shape == (0, clip)
        return
    assert len(found) == math.ceil(length / clip)
    assert set(found.ravel()) == set(range(length))
    assert all((np.diff(row) == 1).all() for row in found)
