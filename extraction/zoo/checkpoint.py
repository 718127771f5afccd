"""Loading a file of weights into a model: never unpickled, every key accounted for."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy._core.multiarray as multiarray
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from storage.errors import WeightsError

HARMLESS_EXTRAS = ("data_preprocessor.",)
"""Keys that checkpoints carry and models rebuild from the config: mean and std, saved by older mmengine versions."""


def _ignored(*_args: Any) -> None:
    """Stands in for what a checkpoint's logged losses would call; they are not wanted."""


SAFE_GLOBALS: list[Any] = [
    # what mmengine puts beside the weights: logged losses, and numpy scalars and arrays in the data set's description
    HistoryBuffer,
    np.ndarray,
    np.dtype,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
    # pickled HistoryBuffers name their statistics through getattr, which must not run for a stranger's file
    (_ignored, "builtins.getattr"),
    # numpy 1, with which the model zoo was saved, called numpy._core numpy.core
    *(
        (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
        for name in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ),
]


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights into the model, every one of them.

    Raises:
        WeightsError: the file is damaged, holds more than tensors and plain data, or does not fit the model; names the
            keys that did not fit.
    """
    state = _read_state(path)
    shapes: list[str] = []
    try:
        # not strict, so that mmpose's own hooks may rename keys of old versions; what is left over is an error here
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        own = model.state_dict()
        missing, unexpected = [key for key in own if key not in state], [key for key in state if key not in own]
        shapes = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
    problems = []
    for kind, found in (("of another shape", shapes), ("missing", missing), ("unknown to the model", unexpected)):
        keys = [key for key in found if not key.startswith(HARMLESS_EXTRAS)]
        if keys:
            problems.append(f"{len(keys)} keys {kind}: {'; '.join(keys[:10])}{' ...' if len(keys) > 10 else ''}")
    if problems:
        raise WeightsError(
            f"the weights do not fit the model: {' | '.join(problems)}",
            where=path,
            fix="use the config that the weights were trained with",
        )


def _read_state(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        lines = str(error).splitlines()
        reason = next((line.strip() for line in lines if "WeightsUnpickler error" in line), lines[0])
        raise WeightsError(
            f"weights cannot be read without running code: {reason}",
            where=path,
            fix="the file is damaged, or not a checkpoint of mmpose; convert it to .safetensors if you trust it",
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, SafetensorError) as error:
        raise WeightsError(
            f"weights are damaged: {error}", where=path, fix="delete the file and get it again"
        ) from error
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("the file holds no state_dict of tensors", where=path, fix="name a checkpoint of the model")
    return state
