"""Matrices of numbers in MATLAB files, of MATLAB 5 to 7 here, of 7.3 (HDF5) through h5py.

Read here since general readers end the process on some damaged files; data sets need no more of the format than this.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

HDF5 = b"\x89HDF\r\n\x1a\n"
HEADER = 128
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Kind of an element -> what each of its numbers is."""

DESCRIPTION = (6, 5, 1)
"""Kinds of the elements that a matrix begins with: its flags, its shape, its name."""

NUMBER_CLASSES = range(6, 16)  # double to uint64
COMPLEX = 0x0800
LARGEST = 1 << 30  # bytes of a matrix, uncompressed


def read_matrix(content: bytes, variable: str) -> NDArray[np.generic]:
    """A full, real matrix of numbers by its name.

    Raises:
        KeyError: there is none of this name.
        ValueError: the file is damaged, or the variable is something else.
        Exception: of any kind, from h5py on a damaged MATLAB 7.3 file.
    """
    if HDF5 in (content[:8], content[512:520]):  # MATLAB's own header is 512 bytes
        return _of_hdf5(content, variable)
    order = {b"\0\1IM": "<", b"\1\0MI": ">"}.get(content[124:HEADER])
    if order is None:
        raise ValueError("the header is not that of MATLAB 5 or later")
    for kind, data in _elements(content[HEADER:], order):
        if kind == COMPRESSED:
            unpacked = zlib.decompressobj()
            try:
                inner = next(_elements(unpacked.decompress(data, LARGEST), order), None)
            except zlib.error as error:
                raise ValueError(f"cannot be unpacked: {error}") from error
            if inner is None or not unpacked.eof:
                raise ValueError("ends too early, or is too large")
            kind, data = inner
        if kind != MATRIX:
            raise ValueError(f"holds an element of unknown kind {kind}")
        parts = list(_elements(data, order))
        if tuple(kind for kind, _ in parts[:3]) != DESCRIPTION or len(parts[0][1]) != 8:
            raise ValueError("holds an incomplete variable")
        if parts[2][1] == variable.encode():
            return _matrix(parts, order)
    raise KeyError(variable)


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each element, one behind the other."""
    place = 0
    while place < len(data):
        if place + 8 > len(data):
            raise ValueError("ends too early")
        kind, size = struct.unpack_from(f"{order}II", data, place)
        start = place + 8
        if kind >> 16:  # a small element: kind, size and data in 8 bytes
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        if start + size > len(data) or (start == place + 4 and size > 4):
            raise ValueError("ends too early")
        yield kind, data[start : start + size]
        place = start + size if kind == COMPRESSED else start + size + -(start + size) % 8


def _matrix(parts: list[tuple[int, bytes]], order: str) -> NDArray[np.generic]:
    flags, _ = struct.unpack(f"{order}II", parts[0][1])
    if flags & 0xFF not in NUMBER_CLASSES or flags & COMPLEX or len(parts) != 4 or parts[3][0] not in NUMBERS:
        raise ValueError("is not a full matrix of real numbers")
    number = np.dtype(order + NUMBERS[parts[3][0]])
    if len(parts[1][1]) % 4 or len(parts[3][1]) % number.itemsize:
        raise ValueError("holds a part of a number")
    shape = np.frombuffer(parts[1][1], f"{order}i4").tolist()
    values = np.frombuffer(parts[3][1], number)
    if len(shape) < 2 or min(shape) < 0 or math.prod(shape) != len(values):
        raise ValueError(f"says shape {shape}, and holds {len(values)} numbers")
    return values.reshape(shape, order="F")


def _of_hdf5(content: bytes, variable: str) -> NDArray[np.generic]:
    import h5py  # half a second, for nothing where the lists are as at the last scan

    with h5py.File(BytesIO(content)) as file:
        if variable not in file:
            raise KeyError(variable)
        found = file[variable]
        if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "iuf" or found.nbytes > LARGEST:
            raise ValueError("is not a matrix of numbers")
        return np.asarray(found[()]).T  # MATLAB counts columns first
