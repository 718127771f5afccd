"""Pretrained weights of a visual encoder from a file: read without running its code, and loaded strictly.

What the file is at all is seen by `file_kinds`; whose names its tensors bear, and whether they are the model's, by
`timm_names`.
"""

import argparse
import logging
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy._core.multiarray as multiarray
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from storage.errors import WeightsError
from training.model.encoders.file_kinds import Kind, damaged, weights_kind
from training.model.encoders.timm_names import timm_state

log = logging.getLogger("csip.training")
CONTAINERS = ("state_dict", "model", "model_state_dict", "model_ema", "state_dict_ema", "ema")
"""Entries under which trainings save the weights, beside their epoch, optimizer and settings; the first one counts."""

WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.", "net.")
"""What wrappers (several GPUs, torch.compile, Lightning, others' frameworks) put before every name; the first two are
nobody's own."""

HARMLESS: list[Any] = [
    # what trainings save beside the weights: their arguments, and scores as NumPy's scalars; all of it plain data
    argparse.Namespace,
    np.dtype,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
    *((multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # NumPy 1 and 2
]
REFUSED = re.compile(r"GLOBAL (\S+) (?:was not an allowed|whose module)|but got <class '(\S+)'>")


def load_pretrained(model: nn.Module, path: Path, positions: str = "bicubic") -> list[str]:
    """Load a file of weights into a timm model, every tensor of the model.

    Args:
        model: of `timm.create_model(name, pretrained=False, img_size=...)`.
        path: a file as `read_checkpoint` reads it, with names as `timm_state` knows them.
        positions: how positions of another grid are interpolated, see `timm_state`.

    Returns:
        What of the file the model has no use for, in a few words each.

    Raises:
        WeightsError: the file cannot be read, or its weights are not the model's.
    """
    state, dropped = timm_state(fitting(read_checkpoint(path), model), model, positions, where=path)
    model.load_state_dict(state)
    return dropped


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The weights that a file holds, flat, on the CPU, floating point as float32, `module.` taken off their names.

    Args:
        path: safetensors, a file of torch.save of any age (a state dict, or a training's that holds one), or a
            TorchScript archive. Whatever else than named tensors is beside the weights is left out.

    Raises:
        WeightsError: there is no such file, it is something else (says what), it is damaged, would have to run code, or
            holds no tensors.
    """
    kind = weights_kind(path)
    try:
        if kind == "safetensors":
            loaded: Any = load_file(path)
        elif kind == "torchscript":
            loaded = _read_torchscript(path)
        else:
            loaded = _read_torch(path, kind)
    except pickle.UnpicklingError as error:
        raise _refusal(error, path) from error
    except (
        # of torch's reader, on bytes that are none of its own
        *(OSError, EOFError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError),
        *(SafetensorError, struct.error, zipfile.BadZipFile),
    ) as error:
        if "magic number" in str(error):
            raise _no_torch_file(path) from error
        raise damaged(path, error) from error
    return _tensors(loaded, path)


def unwrapped(state: Mapping[str, Tensor], prefixes: Sequence[str]) -> dict[str, Tensor]:
    """A state dict without the prefixes that all of its names have."""
    found = dict(state)
    while prefix := next((p for p in prefixes if found and all(name.startswith(p) for name in found)), ""):
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def fitting(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A state dict without wrappers' prefixes that are none of the model's own names."""
    own = model.state_dict()
    return unwrapped(state, [prefix for prefix in WRAPPERS if not any(name.startswith(prefix) for name in own)])


def _read_torch(path: Path, kind: Kind) -> Any:
    # torch believes a name that ends in .safetensors, and maps only files that it opens by name
    mapped = kind == "zip" and path.suffix != ".safetensors"
    with path.open("rb") as file, torch.serialization.safe_globals(HARMLESS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)


def _read_torchscript(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated is nothing that the user can change
        return dict(torch.jit.load(str(path), map_location="cpu").state_dict())


def _refusal(error: pickle.UnpicklingError, path: Path) -> WeightsError:
    """What torch's reader of plain data refused; its own words are a page long and advise to run the code."""
    found = REFUSED.search(str(error))
    if found:
        name = found[1] or found[2]
        return WeightsError(
            f"this file holds more than weights: reading it would run code ({name}), which is not done",
            where=path,
            fix="get the weights alone (safetensors, or torch.save of a state_dict) from whoever made it",
        )
    return _no_torch_file(path)


def _no_torch_file(path: Path) -> WeightsError:
    return WeightsError(
        "this is a Python pickle that torch.save did not write, or it is damaged",
        where=path,
        fix="save the weights with torch.save and its own pickle protocol, or as safetensors",
    )


def _tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(loaded, Mapping):
        held = [name for name in CONTAINERS if isinstance(loaded.get(name), Mapping)]
        if not held:
            break
        if beside := [str(name) for name in loaded if name != held[0]]:
            log.info("%s: %s is read; beside it, and left out: %s", path.name, held[0], ", ".join(beside[:12]))
        loaded = loaded[held[0]]
    named = loaded if isinstance(loaded, Mapping) else {}
    state = {str(name): value.detach() for name, value in named.items() if isinstance(value, Tensor)}
    if not state:
        found = ", ".join(map(str, list(named)[:6])) if named else f"a {type(loaded).__name__}"
        raise WeightsError(
            f"this file holds no tensors that have names, only {found}",
            where=path,
            fix=f"give a state dict, by itself or as one of {', '.join(CONTAINERS)}",
        )
    state = unwrapped(state, WRAPPERS[:2])
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
