"""Matrices of MATLAB files, as scipy and h5py write them and scipy reads them."""

import io

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from storage.datasets.matlab import read_matrix
from tests.storage.datasets.trees import mat, mat73

KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
matrices = st.sampled_from(KINDS).flatmap(
    lambda kind: arrays.arrays(np.dtype(kind), arrays.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=5))
)


def packed(**variables: np.ndarray) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=True)
    return file.getvalue()


@settings(max_examples=200, deadline=None)
@given(matrices, st.sampled_from((mat, packed)), st.sampled_from(("a", "query_IDX", "track_train_info")))
def test_a_matrix_is_read_as_scipy_reads_it(values: np.ndarray, write, name: str) -> None:
    content = write(before=np.ones((2, 3)), **{name: values}, behind=np.zeros((1, 1)))
    got, slow = read_matrix(content, name), scipy.io.loadmat(io.BytesIO(content))[name]
    assert got.shape == slow.shape == values.shape
    np.testing.assert_array_equal(got, slow)


def test_a_matrix_of_the_other_byte_order_is_read() -> None:
    """Built by hand: MATLAB on a machine that stores the greatest byte first."""
    name, values = b"IDX", np.array([[1, 2], [3, 4]], ">u2")

    def element(kind: int, data: bytes) -> bytes:
        return np.array([kind, len(data)], ">u4").tobytes() + data.ljust(-(-len(data) // 8) * 8, b"\0")

    flags, shape = np.array([11, 0], ">u4").tobytes(), np.array([2, 2], ">i4").tobytes()
    inner = element(6, flags) + element(5, shape) + element(1, name) + element(4, values.tobytes("F"))
    content = b"by hand".ljust(124) + b"\1\0MI" + element(14, inner)
    assert read_matrix(content, "IDX").tolist() == [[1, 2], [3, 4]]
    assert scipy.io.loadmat(io.BytesIO(content))["IDX"].tolist() == [[1, 2], [3, 4]]


def test_a_matrix_of_matlab_7_3_is_as_it_was_before_it_was_written() -> None:
    values = np.arange(6.0).reshape(2, 3)
    assert read_matrix(mat73(query=values), "query").tolist() == values.tolist()


@pytest.mark.parametrize("write", [mat, packed, mat73])
def test_a_variable_that_is_not_there_is_a_key_error(write) -> None:
    with pytest.raises(KeyError):
        read_matrix(write(other=np.ones((2, 2))), "query")


@pytest.mark.parametrize(
    "value",
    [
        "words",
        np.array([[1j]]),
        {"a": 1},
        np.array([["a", np.ones(3)]], dtype=object),
        scipy.sparse.eye(3).tocsc(),
    ],
    ids=["text", "complex", "struct", "cell", "sparse"],
)
def test_what_is_no_matrix_of_real_numbers_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not a full matrix"):
        read_matrix(mat(query=value), "query")


def test_what_is_no_matrix_in_hdf5_is_refused() -> None:
    file = io.BytesIO()
    with h5py.File(file, "w") as hdf:
        hdf.create_group("query")
        hdf["words"] = "words"
    for name in ("query", "words"):
        with pytest.raises(ValueError, match="not a matrix"):
            read_matrix(file.getvalue(), name)


@pytest.mark.parametrize("write", [mat, packed, mat73])
def test_damage_raises_and_ends_no_process(write) -> None:
    sound = write(query=np.arange(8.0)[:, None])
    raised = 0
    for seed in range(1500):
        rng = np.random.default_rng(seed)
        content = bytearray(sound)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        if rng.random() < 0.2:
            del content[rng.integers(len(content)) :]
        try:
            assert read_matrix(bytes(content), "query").dtype.kind in "iuf"
        except Exception:
            raised += 1
    assert raised > 300
