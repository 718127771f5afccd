from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import StoreError
from storage.tables.parquet import ragged_table, read_ragged, read_table, shard_of, write_table
from storage.tables.schema import EMBEDDINGS, FEATURES, SKELETON_SHAPES, SKELETONS


def skeletons(lengths: list[int], seed: int = 0) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        name: [
            rng.integers(0, 2, (t, *shape)).astype({"status": np.uint8, "filled": np.bool_}[name])
            if name in ("status", "filled")
            else rng.normal(size=(t, *shape)).astype(np.float32)
            for t in lengths
        ]
        for name, shape in SKELETON_SHAPES.items()
    }


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=6), st.integers(1, 3))
def test_ragged_values_come_back_exactly_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], files: int
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    written, paths = [], []
    for number in range(files):
        columns = skeletons(lengths, number)
        ids = [f"{number}-{i}" for i in range(len(lengths))]
        paths.append(folder / f"{number}.parquet")
        write_table(ragged_table(ids, columns, SKELETONS), paths[-1])
        written += [(name, {c: columns[c][i] for c in columns}) for i, name in enumerate(ids)]

    read = read_ragged(paths, SKELETONS, SKELETON_SHAPES)

    assert list(read.ids) == [name for name, _ in written]
    for position, (_, values) in enumerate(written):
        for column, array in values.items():
            np.testing.assert_array_equal(read.of(position, column), array)
            assert read.values[column].dtype == array.dtype


def test_half_precision_features_come_back_exactly(tmp_path: Path) -> None:
    features = [np.random.default_rng(0).normal(size=(t, 8)).astype(np.float16) for t in (3, 1)]
    write_table(ragged_table(["a", "b"], {"features": features}, FEATURES), tmp_path / "f.parquet")
    read = read_ragged([tmp_path / "f.parquet"], FEATURES, {"features": (-1,)})
    np.testing.assert_array_equal(read.values["features"], np.concatenate(features))


def test_the_encoding_beats_pyarrow_defaults_on_skeletons(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    walk = [np.cumsum(rng.normal(scale=0.01, size=(200, 17, 3)), axis=0).astype(np.float32) for _ in range(20)]
    columns = skeletons([200] * 20) | {"keypoints_3d": walk}
    table = ragged_table([str(i) for i in range(20)], columns, SKELETONS).select(["tracklet_id", "keypoints_3d"])
    write_table(table, tmp_path / "ours.parquet")
    pq.write_table(table, tmp_path / "theirs.parquet")
    assert (tmp_path / "ours.parquet").stat().st_size < 0.85 * (tmp_path / "theirs.parquet").stat().st_size


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_table(ragged_table(["a"], skeletons([5]), SKELETONS), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_table(ragged_table(["a"], skeletons([5]), SKELETONS), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"s\.parquet"):
        read_table(path, SKELETONS)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    write_table(pa.table({"x": [1.0]}), path)
    with pytest.raises(StoreError, match="embeddings"):
        read_table(path, EMBEDDINGS)


def test_a_new_tracklet_moves_no_other_to_another_shard() -> None:
    before = {name: shard_of(name, 8) for name in ("0001C1T0001", "0001C2T0001")}
    assert before == {name: shard_of(name, 8) for name in before}
    spread = [shard_of(f"{i:04d}C1T0001", 8) for i in range(4000)]
    assert min(np.bincount(spread, minlength=8)) > 400
