"""A user's own encoder: a class in a Python file that a configuration names, looked at before anything runs."""

import difflib
import runpy
from typing import Any

import torch
from torch import Tensor, nn

from storage.errors import SettingsError
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
        self.module = _class_of(model)()
        self.size = size or tuple(getattr(self.module, "size", PERSON))
        self.mean = tuple(getattr(self.module, "mean", IMAGENET_MEAN))
        self.std = tuple(getattr(self.module, "std", IMAGENET_STD))
        with torch.no_grad():
            found = self.module.eval()(torch.zeros(2, 3, *self.size))
        tokens, projected = _looked_at(found, model)
        self.token_width, self.projected_width = tokens.shape[2], projected.shape[2]

    def forward(self, x: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Trunk.forward`; the camera is added to the global token that the module gives."""
        tokens, projected = self.module(x)
        return shifted(tokens, shift), projected


def _class_of(model: str) -> type[nn.Module]:
    file, name = own_class(model)
    defined = runpy.run_path(str(file))
    classes = {key: value for key, value in defined.items() if isinstance(value, type) and issubclass(value, nn.Module)}
    if name not in classes:
        near = difflib.get_close_matches(name, classes, n=3, cutoff=0)
        fix = f"its modules are: {', '.join(near)}" if near else "define one"
        raise SettingsError(f"{file} has no torch.nn.Module {name!r}", where=f"encoder.model={model}", fix=fix)
    return classes[name]


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
