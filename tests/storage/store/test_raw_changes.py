from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.index import DataSettings, scan, write_index
from storage.store.artifacts import Artifact, Store
from storage.store.raw_changes import ALL, RawChanges, Rows, compare, index_changes
from storage.tables.tracklets import Tracklet

Make = Callable[..., Path]
TRAIN = [("0001", 1, 1, (1, 2, 3)), ("0001", 2, 1, (1, 2)), ("0002", 1, 1, (1, 2, 3, 4))]


def rows(frames: Mapping[str, Mapping[str, int]], pid: int = 1) -> Rows:
    """Tracklets of frames, each with a digest of one repeated byte."""
    tracklets = {
        name: Tracklet(name, "train", pid, 1, tuple(own), str(list(own.values()))) for name, own in frames.items()
    }
    return Rows(tracklets, {name: b"".join(bytes([d]) * 16 for d in own.values()) for name, own in frames.items()})


def test_changed_added_and_removed_frames_are_named_in_time_order() -> None:
    before = rows({"a": {"1": 1, "2": 2, "3": 3, "4": 4}})
    now = rows({"a": {"1": 1, "2": 9, "4": 4, "5": 5}})
    assert compare(before, now).frames == (("2", "changed"), ("5", "added"), ("3", "removed"))


def test_a_frame_whose_file_is_gone_or_back_is_removed_or_added() -> None:
    there, gone = rows({"a": {"1": 1, "2": 2}}), rows({"a": {"1": 1, "2": 0}})
    assert compare(there, gone).frames == (("2", "removed"),)
    assert compare(gone, there).frames == (("2", "added"),)


def test_tracklets_are_added_removed_and_relabelled() -> None:
    found = compare(rows({"a": {"1": 1}, "b": {"2": 2}}), rows({"b": {"2": 2}, "c": {"3": 3}}, pid=7))
    assert found == RawChanges(("c",), ("a",), ("b",), ())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (RawChanges(), ""),
        (RawChanges(frames=(("x.jpg", "changed"),)), "x.jpg changed"),
        (RawChanges(frames=(("x.jpg", "changed"), ("y.jpg", "removed"))), "x.jpg changed, and 1 more frame"),
        (RawChanges(added=("a",), removed=tuple("bcde")), "1 tracklet added (a); 4 tracklets removed (b, c, d, ...)"),
    ],
)
def test_changes_are_told_with_the_first_names(changes: RawChanges, text: str) -> None:
    assert str(changes) == text


Frames = st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("123"), st.integers(1, 2)))


@given(Frames, Frames)
def test_changes_are_told_exactly_where_there_are_any_and_both_ways_alike(before, now) -> None:
    there, back = compare(rows(before), rows(now)), compare(rows(now), rows(before))
    shared = before.keys() & now.keys()
    assert set(there.added) == set(back.removed) == now.keys() - before.keys()
    assert set(there.removed) == set(back.added) == before.keys() - now.keys()
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    assert {(f, opposite[verb]) for f, verb in there.frames} == set(back.frames)
    differing = {f for name in shared for f in "123" if before[name].get(f) != now[name].get(f)}
    assert {f for f, _ in there.frames} == differing


@pytest.fixture
def index(tmp_path: Path) -> Callable[..., Artifact]:
    """Publishes the index of a data root."""
    store = Store(tmp_path / "store")

    def make(root: Path, key: str, **settings: int) -> Artifact:
        chosen = DataSettings(root=root, **{"train_shards": 2, "test_shards": 1, **settings})
        with store.staging("index", key, resume=False) as folder:
            write_index(scan(chosen, tmp_path / "cache"), chosen, folder)
            return store.publish(folder, "index", key, {}, 0.0)

    return make


def test_only_shards_that_differ_are_told_of(make_mars: Make, index: Callable[..., Artifact]) -> None:
    root = make_mars()
    before = index(root, "one")
    assert index_changes(before, before) == {}
    frame = root / "bbox_test/0003/0003C1T0001F002.jpg"
    frame.write_bytes(b"other")
    found = index_changes(before, index(root, "two"))
    assert {name: str(told) for name, told in found.items()} == {
        "test-000": "bbox_test/0003/0003C1T0001F002.jpg changed"
    }


def test_indexes_of_other_shards_are_compared_as_a_whole(make_mars: Make, index: Callable[..., Artifact]) -> None:
    root = make_mars()
    before = index(root, "one")
    (root / "bbox_train/0002/0002C1T0001F003.jpg").unlink()
    found = index_changes(before, index(root, "two", train_shards=3, max_missing_fraction=1))
    assert {name: str(told) for name, told in found.items()} == {ALL: "bbox_train/0002/0002C1T0001F003.jpg removed"}


def test_an_index_of_an_earlier_version_is_not_compared(make_mars: Make, index: Callable[..., Artifact]) -> None:
    root = make_mars()
    before = index(root, "one")
    (root / "bbox_train/0002/0002C1T0001F003.jpg").unlink()
    now = index(root, "two", max_missing_fraction=1)
    assert index_changes(before, now)
    for shard in ("train-000", "train-001", "test-000"):
        path = before.path / f"{shard}.parquet"
        path.chmod(0o644)
        pq.write_table(pq.read_table(path).drop_columns("clothes"), path)
    assert index_changes(before, now) == {}
