"""Cross-validation on training people."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.datasets.folds import fold_of
from storage.errors import DataError
from storage.index import DataSettings, scan, shard_names, splits, summary
from storage.tables.tracklets import Tracklet
from tests.storage.datasets.trees import ilidsvid, write_tree


def tracklet(pid: int, camid: int, number: int = 1, split: str = "train") -> Tracklet:
    return Tracklet(f"{pid:04d}C{camid}T{number:04d}", split, pid, camid, ("a.jpg",))


@st.composite
def training_sets(draw: st.DrawFn) -> list[Tracklet]:
    """Of at least five people, each by two cameras, in any order, with test people beside them."""
    pids = draw(st.lists(st.integers(1, 99), min_size=5, max_size=12, unique=True))
    rows = [tracklet(pid, camid) for pid in pids for camid in range(1, 2 + draw(st.integers(1, 3)))]
    rows += [tracklet(pid, 1, split=split) for pid in (100, 101) for split in ("query", "gallery")]
    return draw(st.permutations(rows))


@given(training_sets(), st.integers(2, 4))
def test_each_training_person_is_held_out_in_one_fold_with_one_query(rows: list[Tracklet], folds: int) -> None:
    people = {row.pid for row in rows if row.split == "train"}
    asked: list[int] = []
    for fold in range(folds):
        found = fold_of(rows, folds, fold)
        split_of = {split: {row.pid for row in found if row.split == split} for split in ("train", "query", "gallery")}
        assert split_of["query"] == split_of["gallery"]
        assert not split_of["train"] & split_of["query"]
        assert split_of["train"] | split_of["query"] == people
        assert len(found) == sum(row.pid in people for row in rows)
        asked += [row.pid for row in found if row.split == "query"]
    assert sorted(asked) == sorted(people)


@given(training_sets(), st.randoms())
def test_the_order_of_the_lists_does_not_matter(rows: list[Tracklet], random: object) -> None:
    found = {row.tracklet_id: row for row in fold_of(rows, 3, 1)}
    assert found == {row.tracklet_id: row for row in fold_of(rows[::-1], 3, 1)}


def test_who_was_seen_by_one_camera_is_not_asked_for() -> None:
    rows = [tracklet(pid, camid) for pid in (1, 2, 3, 4, 5) for camid in (1, 2)] + [tracklet(6, 1, n) for n in (1, 2)]
    found = fold_of(rows, 2, 1)
    assert {row.pid for row in found if row.split == "query"} == {2, 4}
    assert {row.pid for row in found if row.split == "gallery"} == {2, 4, 6}


@pytest.mark.parametrize(
    ("people", "cameras", "says"),
    [((1, 2), (1, 2), "fewer than two identities are left"), ((1, 2, 3, 4), (1,), "was seen by two cameras")],
)
def test_what_cannot_be_validated_is_told(people: tuple[int, ...], cameras: tuple[int, ...], says: str) -> None:
    with pytest.raises(DataError, match=says) as raised:
        fold_of([tracklet(pid, camid) for pid in people for camid in cameras], 2, 0)
    assert "data.folds=2, data.split=0" in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"folds": 1}, "one part is all of them"),
        ({"folds": 2, "layout": "biwi"}, "has no images"),
        ({"folds": 3, "split": 3}, "data.folds=3 makes 3 splits, 0 to 2"),
        ({"folds": -1}, "greater than or equal to 0"),
    ],
)
def test_folds_that_cannot_be_are_refused_with_the_settings(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        DataSettings(**settings)


@pytest.mark.parametrize("layout", ["mars", "ilidsvid"])
def test_a_scan_of_each_fold_holds_the_same_training_people_and_says_what_it_is(
    layout: str, make_mars: Callable[..., Path], tmp_path: Path
) -> None:
    people = (11, 12, 13, 14, 15, 16, 17, 18)
    train = [(f"{pid:04d}", camera, 1, (1, 2)) for pid in people for camera in (1, 2)]
    root = make_mars(train=train) if layout == "mars" else write_tree(ilidsvid(people), tmp_path / "data")
    chosen = DataSettings(root=root, layout=layout, folds=2, split="all")
    assert [each.split for each in splits(chosen)] == [0, 1]
    assert shard_names(chosen)[0] == "all-000", "skeletons are extracted once for all folds"
    whole = scan(DataSettings(root=root, layout=layout), tmp_path / "whole")
    trained = {row.tracklet_id for row in whole.tracklets if row.split == "train"}
    for each in splits(chosen):
        found = scan(each, tmp_path / "cache")
        assert {row.tracklet_id for row in found.tracklets} == trained
        said = summary(found, each)
        assert said["cross_validation"]
        assert said["published"] is None
