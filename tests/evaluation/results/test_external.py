"""Embeddings of other programs: every way of handing them over gives the same rows, and what is wrong is named."""

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from evaluation.results import external
from evaluation.results.external import External, evaluated_rows, read_external, vectors_of
from storage.errors import DataError
from storage.tables.schema import EMBEDDINGS

Write = Callable[..., Path]
LABELS: dict[str, list[Any]] = {
    "tracklet_id": ["q1", "q2", "g1", "g2", "g3", "t1"],
    "split": ["query", "query", "gallery", "gallery", "gallery", "train"],
    "pid": [1, 2, 1, 2, 0, 9],
    "camid": [1, 1, 2, 2, 3, 1],
}
VECTORS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def labels_but(*left_out: str, **changed: list[Any]) -> dict[str, list[Any]]:
    return {name: values for name, values in (LABELS | changed).items() if name not in left_out}


def list_column(vectors: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.array([list(vector) for vector in vectors], kind)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(columns: dict[str, Any], name: str = "rows.parquet") -> Path:
        path = tmp_path / name
        table = pa.table(columns)
        if path.suffix == ".csv":
            pyarrow.csv.write_csv(table, path)
        else:
            pq.write_table(table, path)
        return path

    return write


@pytest.fixture
def array(tmp_path: Path) -> Callable[..., Path]:
    def array(values: np.ndarray, name: str = "vectors.npy", **how: Any) -> Path:
        np.save(tmp_path / name, values, **how)
        return tmp_path / name

    return array


def complete(vectors: np.ndarray = VECTORS, kind: pa.DataType | None = None, **changed: list[Any]) -> dict[str, Any]:
    return LABELS | changed | {"embedding": list_column(vectors, kind or pa.list_(pa.float32()))}


def problem(*given: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_external(*given)
    return str(caught.value)


def held(found: External) -> np.ndarray:
    return np.array(found.table["embedding"].to_pylist(), np.float32)


@pytest.mark.parametrize("value", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda value: pa.list_(value, 4)])
def test_any_list_of_floats_is_read_as_it_is(write: Write, make: Callable[..., pa.DataType], value: pa.DataType):
    vectors = VECTORS.astype(np.float16) if value == pa.float16() else VECTORS
    found = read_external([write(complete(vectors, make(value)))])
    assert found.table.schema.equals(EMBEDDINGS)
    np.testing.assert_array_equal(held(found), vectors[:5].astype(np.float32))
    assert found.table["tracklet_id"].to_pylist() == LABELS["tracklet_id"][:5]
    assert found.table["pid"].to_pylist() == LABELS["pid"][:5]
    assert found.notes == ("1 row of split 'train' left out: only query and gallery are evaluated",)


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_and_a_table_of_labels_are_the_same_rows(write: Write, array, name: str, dtype: str, order: str):
    vectors = VECTORS.astype(np.float16)
    found = read_external([array(np.array(vectors, dtype, order=order))], write(LABELS, name))
    np.testing.assert_array_equal(held(found), vectors[:5].astype(np.float32))
    assert found.table.drop_columns(["embedding"]).equals(
        read_external([write(complete())]).table.drop_columns(["embedding"])
    )


def test_several_files_are_one_table_in_their_order(write: Write, array):
    parts = [array(VECTORS[:2], "a.npy"), write({"embedding": list_column(VECTORS[2:], pa.list_(pa.float64()))})]
    np.testing.assert_array_equal(held(read_external(parts, write(LABELS, "l.csv"))), VECTORS[:5])
    cut = [
        write(pa.table(complete())[rows].to_pydict(), f"{rows.start}.parquet") for rows in (slice(0, 4), slice(4, 6))
    ]
    np.testing.assert_array_equal(held(read_external(cut)), VECTORS[:5])


@pytest.mark.parametrize("most", [3, 4, 9, 20, 21])
def test_more_values_than_one_list_array_holds_are_several(write: Write, array, monkeypatch, most: int):
    monkeypatch.setattr(external, "MOST_VALUES", most)
    found = read_external([array(VECTORS)], write(LABELS, "l.csv"))
    np.testing.assert_array_equal(held(found), VECTORS[:5])
    column = found.table["embedding"]
    assert column.num_chunks == -(-5 // max(1, most // 4))
    if most >= 4:  # of a vector
        assert max(len(part.flatten()) for part in column.chunks) <= most
    # and are read where they are several
    np.testing.assert_array_equal(vectors_of(found.table, "here"), VECTORS[:5])


def test_rows_without_ids_are_called_by_their_numbers(write: Write, array):
    found = read_external([array(VECTORS)], write(labels_but("tracklet_id"), "l.csv"))
    assert found.table["tracklet_id"].to_pylist() == ["0", "1", "2", "3", "4"]
    many = {name: values * 2 for name, values in labels_but("tracklet_id").items()}
    names = evaluated_rows(np.tile(VECTORS, (2, 1)), many, "here").table["tracklet_id"].to_pylist()
    assert names == sorted(names)
    assert names[-1] == "10"


def test_names_of_digits_in_a_csv_stay_names(write: Write, array):
    names = [f"000{number}" for number in range(6)]
    found = read_external([array(VECTORS)], write(LABELS | {"tracklet_id": names}, "l.csv"))
    assert found.table["tracklet_id"].to_pylist() == names[:5]


def test_clothes_are_kept_and_nothing_else_that_is_there(write: Write):
    found = read_external([write(complete(clothes=[1, 2, 2, 1, 0, 1], weather=list("abcdef")))])
    assert found.table["clothes"].to_pylist() == [1, 2, 2, 1, 0]
    assert found.table.column_names == EMBEDDINGS.names


def test_junk_is_left_out_and_told(write: Write):
    found = read_external([write(complete(pid=[1, 7, 1, -1, 0, 9]))])
    assert found.table["tracklet_id"].to_pylist() == ["q1", "q2", "g1", "g3"]
    assert "1 row of pid -1 (junk) left out" in found.notes


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (labels_but("camid", camera_id=[1] * 6), ["no column 'camid'", "did you mean 'camera_id'"]),
        (labels_but("split"), ["no column 'split'"]),
        (labels_but(cloths=[1] * 6), ["'cloths' is not known; did you mean 'clothes'"]),
        (labels_but("tracklet_id", tracklet=list("abcdef")), ["did you mean 'tracklet_id'"]),
        (labels_but(pid=["1", "2", "x", "2", "0", "9"]), ["column 'pid'", "x"]),
        (labels_but(pid=[1, 2, 1.5, 2, 0, 9]), ["column 'pid'", "1.5"]),
        (labels_but(pid=[1, 2, 2**40, 2, 0, 9]), ["column 'pid'", str(2**40), "up to 2147483647, int32"]),
        (labels_but("pid", **{" pid": [1] * 6}), ["no column 'pid'; did you mean ' pid'? Write it without the space"]),
        (labels_but("pid", PID=[1] * 6), ["no column 'pid'; did you mean 'PID'? Write it without capital letters"]),
        (labels_but(**{"clothes ": [1] * 6}), ["'clothes ' is not known", "without the space"]),
        (labels_but(pid=[1, 2, None, 2, 0, 9]), ["column 'pid' is empty in row 2 (from 0)"]),
        (labels_but(pid=[1, 2, -2, 2, 0, 9]), ["1 row with a pid below -1: g1"]),
        (labels_but(camid=[1, 1, 2, 2, -1, 1]), ["camid below 0", "g3"]),
        (labels_but(clothes=[1, 1, 2, 2, -1, 1]), ["with clothes below 0: g3"]),
        (labels_but(split=["gallery"] * 6), ["no query row (splits: gallery)"]),
        (labels_but(split=["query"] * 6), ["no gallery row"]),
        (
            labels_but(split=["Query"] * 6),
            ["no query row (splits: Query); did you mean 'Query'? Write it without capital letters", "no gallery row"],
        ),
        (labels_but(split=["query"] * 2 + ["galery"] * 4), ["no gallery row", "did you mean 'galery'?"]),
        (labels_but(tracklet_id=["x", "x\0", *"abcd"]), [r"1 tracklet id with a NUL character: 'x\x00'"]),
        (labels_but(tracklet_id=["a", "b", "a", "b", "c", "d"]), ["2 tracklet ids there more than once: a, b"]),
    ],
)
@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_labels_that_cannot_be_evaluated_are_named(write: Write, array, columns, said: list[str], name: str):
    if name.endswith("csv") and any(isinstance(v, float) for v in columns.get("pid", ())):
        columns = {key: [str(v) for v in values] for key, values in columns.items()}
    told = problem([array(VECTORS)], write(columns, name))
    assert all(part in told for part in said), told
    assert "to do: " in told


def test_everything_that_is_wrong_is_said_at_once(write: Write):
    vectors = VECTORS.copy()
    vectors[[0, 3], 1] = np.nan, np.inf
    told = problem([write(complete(vectors, camid=[-1, 1, 2, 2, 3, 1], split=["gallery"] * 5 + ["train"]))])
    assert "3 problems:" in told
    assert "2 rows with values that are not finite in float32: q1, g2" in told
    assert "camid below 0 (without cameras nothing can be evaluated): q1" in told
    assert "no query row" in told


@pytest.mark.parametrize("factor", [0.0, 1e-60])
def test_nothing_but_zeros_is_refused_with_words_for_other_programs(write: Write, factor: float):
    told = problem([write(complete(VECTORS * np.float64(factor), pa.list_(pa.float64())))])
    assert "every embedding is zero in float32 (check what wrote them; bring very small values to unit length" in told
    assert "train" not in told


def test_what_float32_cannot_hold_is_not_finite(write: Write):
    vectors = VECTORS.astype(np.float64)
    vectors[2, 0] = 1e300
    assert "not finite in float32: g1" in problem([write(complete(vectors, pa.list_(pa.float64())))])


def test_rows_that_are_left_out_may_hold_anything(write: Write):
    vectors = VECTORS.copy()
    vectors[5] = np.nan
    assert len(read_external([write(complete(vectors))]).table) == 5


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([[1.0, 2.0]] * 4 + [[1.0], None]), ["2 rows of 6", "no vector of 2 values", "row 4, 5 (from 0)"]),
        (pa.array([[1, 2]] * 6), ["of type list<"]),
        (pa.array(["1 2"] * 6), ["of type string"]),
        (pa.array([[]] * 6, pa.list_(pa.float32())), ["6 rows of 6"]),
        (pa.array([[1.0, None]] * 6), ["not finite"]),
    ],
)
def test_columns_that_are_no_vectors_are_named(write: Write, column: pa.Array, said: list[str]):
    told = problem([write(LABELS | {"embedding": column})])
    assert all(part in told for part in said), told


def test_a_misspelt_column_of_vectors_is_found(write: Write):
    told = problem([write(LABELS | {"embeddings": list_column(VECTORS, pa.list_(pa.float32()))})])
    assert "no column 'embedding'; did you mean 'embeddings'?" in told


def test_labels_of_another_number_of_rows_are_refused(write: Write, array):
    told = problem([array(VECTORS[:5])], write(LABELS, "l.csv"))
    assert "6 rows of labels for 5 vectors" in told


def test_files_of_different_dimensions_are_refused(write: Write, array):
    told = problem([array(VECTORS, "a.npy"), array(VECTORS[:, :3], "b.npy")], write(LABELS, "l.csv"))
    assert "a.npy: 4 dimensions" in told
    assert "b.npy: 3 dimensions" in told


def test_files_with_different_columns_are_refused(write: Write):
    told = problem([write(complete()), write(complete(clothes=[1] * 6), "other.parquet")])
    assert "different columns" in told


def test_vectors_need_labels(array, tmp_path: Path):
    assert "give --labels" in problem([array(VECTORS)])
    assert "absent.npy" in problem([tmp_path / "absent.npy"])


@pytest.mark.parametrize(
    "values", [VECTORS[0], VECTORS[None], VECTORS[:, :0], VECTORS.astype(np.int64), VECTORS.astype(np.complex64)]
)
def test_arrays_of_another_shape_or_type_are_refused(write: Write, array, values: np.ndarray):
    told = problem([array(values)], write(LABELS, "l.csv"))
    assert "expected floats of shape" in told or "cannot be read as .npy" in told
    assert "vectors.npy" in told


def test_pickles_are_never_opened(write: Write, array, tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "opened",)

    path = array(np.array([Trap()] * 6, object), allow_pickle=True)
    assert "not Python objects" in problem([path], write(LABELS, "l.csv"))
    assert not (tmp_path / "opened").exists()


def test_a_raw_memory_map_is_told_from_an_array(write: Write, tmp_path: Path):
    raw = np.memmap(tmp_path / "raw.npy", np.float32, "w+", shape=VECTORS.shape)
    raw[:] = VECTORS
    raw.flush()
    assert "a raw memory map has no header" in problem([tmp_path / "raw.npy"], write(LABELS, "l.csv"))


@pytest.mark.parametrize("name", ["x.parquet", "x.npy"])
def test_damaged_and_absent_files_are_named(write: Write, tmp_path: Path, name: str):
    labels = write(LABELS, "l.csv")
    assert name in problem([tmp_path / name], labels)
    (tmp_path / name).write_bytes(b"PAR1 or what")
    assert name in problem([tmp_path / name], labels)
    assert "l2.csv" in problem([write(complete())], tmp_path / "l2.csv")
    assert ".parquet or .npy" in problem([labels], labels)


@given(cut=st.integers(0, 200), flip=st.integers(0, 199))
def test_a_damaged_array_is_read_or_refused_but_nothing_else(tmp_path_factory, cut: int, flip: int):
    buffer = io.BytesIO()
    np.save(buffer, VECTORS)
    content = bytearray(buffer.getvalue())
    content[min(flip, len(content) - 1)] ^= 0x15
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "v.npy").write_bytes(content[: len(content) - cut])
    pyarrow.csv.write_csv(pa.table(LABELS), folder / "l.csv")
    with suppress(DataError):
        assert len(read_external([folder / "v.npy"], folder / "l.csv").table) == 5


@given(vectors=arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 4)), elements=st.floats(width=32)))
def test_vectors_are_read_back_whatever_they_are(vectors: np.ndarray):
    for kind in (pa.list_(pa.float64()), pa.list_(pa.float32(), vectors.shape[1])):
        found = vectors_of(pa.table({"embedding": list_column(vectors, kind)}), "here")
        assert found.shape[0] == len(vectors)
        np.testing.assert_array_equal(found.ravel(), vectors.ravel())


def test_how_frames_were_sampled_is_handed_on(write: Write):
    path = write(complete())
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"csip.sampling": b"rrs"}), path)
    assert read_external([path]).table.schema.metadata[b"csip.sampling"] == b"rrs"
