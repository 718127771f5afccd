"""A user's own encoder: a class in a Python file that a configuration names, looked at before anything runs."""

import difflib
import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from storage.errors import SettingsError
from storage.wording import one_line
from training.model.encoders.names import own_class
from training.model.encoders.trunk import IMAGENET_MEAN, IMAGENET_STD, PERSON, Trunk, shifted

WANTED = "tokens (B, N, D) and projected tokens (B, N, P), the global one first"


class OwnTrunk(Trunk):
    """A module of the user's, made without arguments, that turns normalised frames into two tensors of tokens.

    Its attributes `size` (H, W), `mean` and `std` say what frames it wants: 256 x 128 and ImageNet's by default.

    Args:
        model: `path/to/file.py:Class`.
        size: (H, W) of frames in place of the class's own.

    Raises:
        SettingsError: there is no such file or class, or what it returns is not as it must be; says what it is.
    """

    def __init__(self, model: str, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        kind = _class_of(model)
        with _told(model, "it cannot be made without arguments"):
            self.module = kind()
            self.module.eval()
        self.size = size or _numbers(self.module, "size", PERSON, 2, int, model)
        self.mean = _numbers(self.module, "mean", IMAGENET_MEAN, 3, float, model)
        self.std = _numbers(self.module, "std", IMAGENET_STD, 3, float, model)
        if min(self.std) <= 0:
            fix = f"set {IMAGENET_STD}"
            raise SettingsError(
                f"its std is {self.std}, by which frames are divided", where=f"encoder.model={model}", fix=fix
            )
        with torch.no_grad(), _told(model, f"two frames of {self.size[0]} x {self.size[1]} do not go through it"):
            found = self.module(torch.zeros(2, 3, *self.size))
        tokens, projected = _looked_at(found, model)
        self.token_width, self.projected_width = tokens.shape[2], projected.shape[2]

    def forward(self, x: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Trunk.forward`; the camera is added to the global token that the module gives."""
        tokens, projected = self.module(x)
        return shifted(tokens, shift), projected


def _class_of(model: str) -> type[nn.Module]:
    file, name = own_class(model)
    folder = str(file.resolve().parent)
    with _told(model, "its file cannot be run"):
        sys.path.insert(0, folder)  # so that it may import what lies beside it
        try:
            defined = runpy.run_path(str(file))
        finally:
            sys.path.remove(folder)
    classes = {key: value for key, value in defined.items() if isinstance(value, type) and issubclass(value, nn.Module)}
    if name not in classes:
        near = difflib.get_close_matches(name, classes, n=3, cutoff=0)
        fix = f"its modules are: {', '.join(near)}" if near else "define one"
        raise SettingsError(f"{file} has no torch.nn.Module {name!r}", where=f"encoder.model={model}", fix=fix)
    return classes[name]


@contextmanager
def _told(model: str, what: str) -> Iterator[None]:
    """Whatever goes wrong in the user's code, in one message with its last line there."""
    try:
        yield
    except (Exception, SystemExit) as error:
        lines = [f"line {at.lineno}" for at in traceback.extract_tb(error.__traceback__) if at.filename in model]
        place = f", {lines[-1]}" if lines else ""
        raise SettingsError(
            f"{what} ({type(error).__name__}: {one_line(error)}{place})",
            where=f"encoder.model={model}",
            fix="mend it; docs/encoders.md shows what is expected",
        ) from error


def _numbers(module: nn.Module, name: str, usual: Sequence[Any], count: int, kind: type, model: str) -> tuple[Any, ...]:
    given = getattr(module, name, usual)
    right = isinstance(given, tuple | list) and len(given) == count
    if not right or not all(isinstance(value, (int, kind)) and not isinstance(value, bool) for value in given):
        what = f"its {name} is {given!r}, expected {count} numbers such as {tuple(usual)}"
        raise SettingsError(what, where=f"encoder.model={model}", fix="set it so")
    return tuple(given)


def _looked_at(found: Any, model: str) -> tuple[Tensor, Tensor]:
    def wrong(what: str, fix: str = f"return {WANTED}") -> SettingsError:
        return SettingsError(f"{what}, for 2 frames; expected {WANTED}", where=f"encoder.model={model}", fix=fix)

    if isinstance(found, Tensor):
        fix = "return the tokens twice where the model has no projection: stage 1 and PFU need them"
        raise wrong(f"it returns one tensor {tuple(found.shape)} and no projected tokens", fix)
    if not isinstance(found, tuple | list) or len(found) != 2 or not all(isinstance(part, Tensor) for part in found):
        raise wrong(f"it returns {type(found).__name__}")
    tokens, projected = found
    if not (tokens.ndim == projected.ndim == 3 and tokens.shape[:2] == projected.shape[:2] and len(tokens) == 2):
        raise wrong(f"it returns shapes {tuple(tokens.shape)} and {tuple(projected.shape)}")
    return tokens, projected
