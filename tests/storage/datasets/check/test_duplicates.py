"""Groups of frames with the same bytes, against the definition: compare every frame with every other."""

import hashlib
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.datasets.check.duplicates import empty, same_bytes
from storage.datasets.check.findings import of_digests
from storage.frames.fingerprints import DIGEST_BYTES, Digests
from storage.tables.tracklets import Tracklet

Content = bytes | None
"""Of a frame; None if it is missing."""

contents = st.lists(st.sampled_from([None, b"", b"a", b"b", b"c", b"d"]), max_size=12)
data_sets = st.lists(st.tuples(st.integers(0, 3), contents), max_size=6)
"""Tracklets: identity and the contents of its frames."""


def digests_of(frames: Sequence[Content]) -> Digests:
    zeros = bytes(DIGEST_BYTES)
    rows = [zeros if c is None else hashlib.blake2b(c, digest_size=DIGEST_BYTES).digest() for c in frames]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, DIGEST_BYTES)


def slow_groups(frames: Sequence[Content]) -> list[list[int]]:
    groups = []
    for i, content in enumerate(frames):
        same = [j for j, other in enumerate(frames) if content and other == content]
        if len(same) > 1 and same[0] == i:
            groups.append(same)
    return groups


@given(contents)
def test_groups_are_the_frames_that_are_the_same_in_the_order_of_the_first(frames: list[Content]) -> None:
    groups = same_bytes(digests_of(frames))
    assert [groups.of(i).tolist() for i in range(len(groups))] == slow_groups(frames)


@given(contents)
def test_empty_files_are_told_apart_from_missing_ones(frames: list[Content]) -> None:
    assert empty(digests_of(frames)).tolist() == [i for i, content in enumerate(frames) if content == b""]


@given(data_sets)
def test_a_group_is_a_problem_if_it_is_of_several_identities(rows: list[tuple[int, list[Content]]]) -> None:
    tracklets = [
        Tracklet(f"t{i}", "gallery", pid, 1, tuple(f"t{i}/{j}" for j in range(len(frames))))
        for i, (pid, frames) in enumerate(rows)
    ]
    names = [name for t in tracklets for name in t.frames]
    owners = [(t.pid, t.tracklet_id) for t in tracklets for _ in t.frames]
    flat = [content for _, frames in rows for content in frames]
    expected: dict[str, list[tuple[str, ...]]] = {}
    for group in slow_groups(flat):
        several = len({owners[i][0] for i in group}) > 1, len({owners[i][1] for i in group}) > 1
        kind = {(True, True): "same in identities", (False, True): "same in tracklets"}.get(
            several, "same in a tracklet"
        )
        expected.setdefault(kind, []).append(tuple(names[i] for i in group))

    found = [one for one in of_digests(tracklets, digests_of(flat)) if one]

    assert {one.kind: [item.names for item in one.items] for one in found} == expected
    assert all(one.problem == (one.kind == "same in identities") for one in found)
    assert all(one.count == len(one.items) for one in found)


def test_of_a_large_group_only_the_first_frames_are_named_unless_all_are_wanted() -> None:
    tracklets = [Tracklet("t", "train", 1, 1, tuple(f"{i}.jpg" for i in range(9)))]
    (short,) = [one for one in of_digests(tracklets, digests_of([b"grey"] * 9), limit=1) if one]
    (whole,) = [one for one in of_digests(tracklets, digests_of([b"grey"] * 9)) if one]
    assert str(short.items[0]) == "0.jpg = 1.jpg = 2.jpg = 3.jpg (and 5 more)"
    assert len(whole.items[0].names) == 9
