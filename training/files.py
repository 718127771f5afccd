"""A trained model as files: model.safetensors, settings.yaml (what it is), prototypes.safetensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from storage.errors import StoreError, WeightsError
from training.settings import MODEL, PROTOTYPES, SETTINGS


def save_model(model: nn.Module, description: Mapping[str, Any], folder: Path) -> None:
    """Write a model's weights, and what is needed to build it again."""
    save_tensors(model.state_dict(), folder / MODEL)
    (folder / SETTINGS).write_text(yaml.safe_dump(dict(description), sort_keys=True))


def save_prototypes(visual: Tensor, skeleton: Tensor, pids: Sequence[int], folder: Path) -> None:
    """Write the prototypes (K, P) of both modalities, and whose they are."""
    save_tensors({"visual": visual, "skeleton": skeleton, "pids": torch.tensor(pids)}, folder / PROTOTYPES)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors, the same bytes for the same values."""
    save_file({name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}, path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise StoreError(
            f"cannot read tensors: {error}", where=path, fix="delete the artifact and run again"
        ) from error


def read_description(folder: Path) -> dict[str, Any]:
    """What a model folder says that its model is.

    Raises:
        StoreError: the file is missing or damaged.
    """
    path = folder / SETTINGS
    try:
        described = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StoreError(
            f"cannot read a model's settings: {error}", where=path, fix="delete it and run again"
        ) from error
    if not isinstance(described, dict):
        raise StoreError("a model's settings are not a mapping", where=path, fix="delete the artifact and run again")
    return described


def load_model(model: nn.Module, folder: Path) -> None:
    """Load the weights of a model folder, with the errors of `load_tensors` and `load_weights`."""
    load_weights(model, load_tensors(folder / MODEL), folder / MODEL)


def load_weights(model: nn.Module, state: Mapping[str, Tensor], where: Path) -> None:
    """Load a model's weights, strictly.

    Raises:
        WeightsError: keys or shapes do not fit; names them.
    """
    wrong = misfits(model, state)
    if wrong:
        raise WeightsError(
            f"weights do not fit the model: {', '.join(wrong[:8])}" + (" ..." if len(wrong) > 8 else ""),
            where=where,
            fix="they were made with other settings; run the stage that makes them again",
        )
    model.load_state_dict(state)


def misfits(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Keys that only one of the two has, then those of another shape."""
    own = model.state_dict()
    shared = own.keys() & state.keys()
    return sorted(own.keys() ^ state.keys()) + sorted(name for name in shared if own[name].shape != state[name].shape)
