"""What a file is, seen from its bytes and not from its name: a file of weights of some kind, or something else.

A download that went wrong, a pointer or another framework's file is said to be just that. Nothing is unpickled here.
"""

import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Literal

from storage.errors import WeightsError

Kind = Literal["safetensors", "zip", "torchscript", "pickle"]

HEAD = 4096  # bytes that are looked at
AGAIN = "delete the file and fetch it again"
ELSEWHERE = "give the model's PyTorch weights: .safetensors, .pt, .pth or .bin"
UNPACK = "unpack it and give the file of weights in it"
PAGE = "fetch the file again; its address opened in a browser shows what is sent instead"

SIGNATURES = (
    (r"<(!doctype html|html|head|body)", "this is a web page, not weights", PAGE),
    (r"<\?xml", "this is XML, such as a server's message, not weights", PAGE),
    (r"\{", "this is JSON, such as a config or an index of several files, not weights", "give the file of weights"),
    (r"GGUF", "this is a GGUF file, of llama.cpp", ELSEWHERE),
    (r"\x89HDF\r\n", "this is an HDF5 file, as Keras and TensorFlow write", ELSEWHERE),
    (r".{4}TFL3", "this is a TensorFlow Lite file", ELSEWHERE),
    (r"\x08[\x03-\x20]\x12.[\w.-]+", "this is an ONNX file", ELSEWHERE),
    (r"([\x81-\x8f]|\xde..)[\xa1-\xbf\xd9]\w", "this is a msgpack file, as Flax writes", ELSEWHERE),
    (r"\x08\x01\x12", "this is a TensorFlow SavedModel", ELSEWHERE),
    (r"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!|.{257}ustar", "this is a packed archive", UNPACK),
)
"""How files of something else start, after white space and a byte order mark; what they are; what to do."""

FOREIGN_NAMES = (
    (r"\.onnx$", "this is an ONNX file"),
    (r"\.msgpack$", "this is a msgpack file, as Flax writes"),
    (r"(\.index|\.meta|\.data-\d+-of-\d+)$", "this is a part of a TensorFlow checkpoint"),
    (r"\.pb$", "this is a TensorFlow graph"),
)
"""What only the name tells of a file whose bytes say nothing."""

FOREIGN_MEMBERS = (
    (r"\.npy$", "this is a zip of NumPy arrays, as JAX models are published"),
    (r"\.weights\.h5$|keras_metadata", "this is a Keras file"),
)


def weights_kind(path: Path) -> Kind:
    """Which kind of file of weights this is.

    Raises:
        WeightsError: there is none, or it is something else; says what.
    """
    if path.is_dir():
        raise WeightsError("this is a folder, not a file of weights", where=path, fix="name the file in it")
    if not path.is_file():
        raise WeightsError("there are no weights at the place named", where=path, fix="check the path")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise WeightsError(f"this file cannot be read: {error.strerror}", where=path, fix="check its access") from error
    if not head:
        raise WeightsError("this file is empty", where=path, fix=AGAIN)
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    if re.match(rb"\x80[\x02-\x05]", head):
        return "pickle"
    # safetensors: 8 bytes that count the bytes of the JSON behind them
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000:
        return "safetensors"
    raise _foreign(path, head)


def damaged(path: Path, error: Exception) -> WeightsError:
    """What a reader's error on bytes that are none of its own means to the user."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return WeightsError(f"this file is cut off or damaged: {reason}", where=path, fix=AGAIN)


def _zip_kind(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names, broken = archive.namelist(), archive.testzip()  # torch reads past wrong checksums
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise damaged(path, error) from error
    if broken:
        raise WeightsError(f"this file is damaged: {broken} in it has a wrong checksum", where=path, fix=AGAIN)
    members = {PurePosixPath(name).name for name in names}
    if {"data.pkl", "constants.pkl"} <= members:
        return "torchscript"
    if "data.pkl" in members:
        return "zip"
    for pattern, what in FOREIGN_MEMBERS:
        if any(re.search(pattern, name) for name in names):
            raise WeightsError(what, where=path, fix=ELSEWHERE)
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    raise WeightsError(f"this is a zip of other files ({listed or 'none'}), not weights", where=path, fix=UNPACK)


def _foreign(path: Path, head: bytes) -> WeightsError:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().decode("latin-1")
    if text.startswith("version https://git-lfs"):
        size = re.search(r"^size (\d+)$", text, re.MULTILINE)
        of = f" of a file of {int(size[1]):,} bytes" if size else ""
        return WeightsError(f"this is a pointer of Git LFS{of}, not the file", where=path, fix="run git lfs pull")
    for pattern, what, fix in SIGNATURES:
        if re.match(pattern, text, re.IGNORECASE | re.DOTALL):
            return WeightsError(what, where=path, fix=fix)
    for pattern, what in FOREIGN_NAMES:
        if re.search(pattern, path.name):
            return WeightsError(what, where=path, fix=ELSEWHERE)
    return WeightsError("this is no file of weights that is known, or it is damaged", where=path, fix=ELSEWHERE)
