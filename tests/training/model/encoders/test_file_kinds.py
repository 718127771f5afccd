"""What is no file of weights, or one that cannot be read, is said as just that."""

import io
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from storage.errors import WeightsError
from training.model.encoders.checkpoint import read_checkpoint

WEIGHTS = {"a": torch.arange(1000.0), "b": torch.ones(3, 3)}
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 54212345\n"


class Command:
    """What a pickle that runs a command holds."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch ran",)


def saved(value: object, **how: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **how)
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(3))
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return buffer.getvalue()


def flipped(data: bytes) -> bytes:
    """One bit of a weight changed, in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def legacy(value: object) -> bytes:
    return saved(value, _use_new_zipfile_serialization=False)


OTHER: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", "this file is empty", "fetch it again"),
    "page": (lambda: PAGE, "this is a web page, not weights", "fetch the file again"),
    "page, small letters": (lambda: b"\xef\xbb\xbf\n <html>no</html>", "this is a web page, not weights", "fetch"),
    "xml": (lambda: b'<?xml version="1.0"?><Error/>', "this is XML", "fetch the file again"),
    "git lfs": (lambda: POINTER, r"a pointer of Git LFS of a file of 54,212,345 bytes", "git lfs pull"),
    "json": (lambda: b'{"weight_map": {}}', "this is JSON", "give the file of weights"),
    "gguf": (lambda: b"GGUF\x03\0\0\0", "this is a GGUF file", "PyTorch weights"),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n\0\0", "this is an HDF5 file, as Keras", "PyTorch weights"),
    "tflite": (lambda: b"\x1c\0\0\0TFL3\0\0", "this is a TensorFlow Lite file", "PyTorch weights"),
    "onnx": (lambda: b"\x08\x08\x12\x07pytorch\x1a\x062.15.0", "this is an ONNX file", "PyTorch weights"),
    "saved model": (lambda: b"\x08\x01\x12\xde\x0a\x0a", "this is a TensorFlow SavedModel", "PyTorch weights"),
    "flax": (lambda: b"\x81\xa6params\x81\xa5Dense\x80", "this is a msgpack file, as Flax", "PyTorch weights"),
    "numpy": (arrays, "this is a zip of NumPy arrays", "PyTorch weights"),
    "keras": (lambda: zipped(**{"config.json": b"", "model.weights.h5": b""}), "this is a Keras file", "PyTorch"),
    "zip": (
        lambda: zipped(**{"model.pth": b"", "README": b""}),
        r"a zip of other files \(model.pth, README\)",
        "unpack",
    ),
    "tar": (tarred, "this is a packed archive", "unpack"),
    "gzip": (lambda: b"\x1f\x8b\x08\0", "this is a packed archive", "unpack"),
    "noise": (lambda: bytes(range(40, 240)), "no file of weights that is known, or it is damaged", "PyTorch weights"),
    "code": (lambda: saved({"a": Command()}), r"would run code \(posix\.system\), which is not done", "weights alone"),
    "code, legacy": (lambda: legacy({"a": Command()}), r"would run code \(posix\.system\)", "weights alone"),
    "code, plain pickle": (lambda: pickle.dumps(Command(), 2), r"would run code \(posix\.system\)", "weights alone"),
    "a whole model": (
        lambda: saved(torch.nn.Linear(2, 2)),
        r"run code \(torch\.nn\.modules\.linear\.Linear\)",
        "alone",
    ),
    "plain pickle": (lambda: pickle.dumps({"a": 1}, 2), "Python pickle that torch.save did not write", "torch.save"),
    "new pickle": (lambda: pickle.dumps({"a": 1}, 4), "Python pickle that torch.save did not write", "torch.save"),
    "no tensors": (
        lambda: saved({"epoch": 3, "args": {}}),
        "no tensors that have names, only epoch, args",
        "state dict",
    ),
    "no tensors, safetensors": (lambda: save({}), "no tensors that have names, only a dict", "state dict"),
    "a list": (lambda: saved([torch.ones(3)]), "no tensors that have names, only a list", "state dict"),
    "cut zip": (lambda: saved(WEIGHTS)[:-900], "this file is cut off or damaged", "fetch it again"),
    "cut legacy": (lambda: legacy(WEIGHTS)[:-900], "this file is cut off or damaged", "fetch it again"),
    "cut legacy, early": (lambda: legacy(WEIGHTS)[:100], "this file is cut off or damaged", "fetch it again"),
    "cut safetensors": (lambda: save(WEIGHTS)[:-900], "this file is cut off or damaged", "fetch it again"),
    "changed zip": (
        lambda: flipped(saved(WEIGHTS)),
        r"damaged: \S+/data/0 in it has a wrong checksum",
        "fetch it again",
    ),
    "changed header": (lambda: save(WEIGHTS).replace(b"dtype", b"dtyqe"), "cut off or damaged", "fetch it again"),
}


@pytest.mark.parametrize(("make", "what", "fix"), OTHER.values(), ids=OTHER)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_a_file_is_instead_is_said(
    make: Callable[[], bytes], what: str, fix: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(WeightsError, match=what) as error:
        read_checkpoint(path)
    assert error.value.where == str(path)
    assert fix in str(error.value.fix)
    assert "\n" not in error.value.what
    assert not Path("ran").exists()


def test_no_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at the place named"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="this is a folder"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["model.ckpt.index", "model.ckpt.data-00000-of-00001", "model.ckpt.meta"])
def test_parts_of_a_tensorflow_checkpoint_are_known_by_their_names(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(bytes(range(200)))
    with pytest.raises(WeightsError, match="a part of a TensorFlow checkpoint"):
        read_checkpoint(tmp_path / name)


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_archive_that_is_damaged_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-16.pt"
    torch.jit.trace(torch.nn.Linear(64, 64), torch.ones(1, 64), check_trace=False).save(str(path))
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], flipped(whole)):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="damaged"):
            read_checkpoint(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "torchscript"])
def test_any_change_of_a_file_gives_weights_or_an_error_of_one_line(kind: str, tmp_path: Path) -> None:
    path, chance = tmp_path / "w", random.Random(0)
    torch.jit.trace(torch.nn.Linear(4, 4), torch.ones(1, 4), check_trace=False).save(str(path))
    few = {"a": torch.ones(40), "b": torch.ones(3).half()}
    whole = {"zip": saved(few), "legacy": legacy(few), "safetensors": save(few), "torchscript": path.read_bytes()}[kind]
    outcomes, messages = set(), []
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(chance.choice([1, 3])):
            changed[chance.randrange(chance.choice([min(900, len(whole)), len(whole)]))] = chance.randrange(256)
        path.write_bytes(changed[: chance.choice([len(whole), len(whole), chance.randrange(len(whole))])])
        try:
            outcomes.add(bool(read_checkpoint(path)))
        except WeightsError as error:
            messages.append(error.what)
            outcomes.add(False)
    assert outcomes == {True, False}
    assert all(message and "\n" not in message for message in messages)
