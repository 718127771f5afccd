"""Pretrained weights into a trunk, family by family; what a file holds beside them is named in the log."""

import logging
from pathlib import Path

from torch import nn

from storage.errors import WeightsError
from training.files import misfits
from training.model.encoders import checkpoint
from training.model.encoders.osnet import OSNet, osnet_state
from training.model.encoders.own import OwnTrunk
from training.model.encoders.timm_models import TimmTrunk
from training.model.encoders.trunk import Trunk

log = logging.getLogger("csip.training")


def load_pretrained(trunk: Trunk, path: Path, model: str, positions: str) -> None:
    """Load a file of pretrained weights, strictly.

    Args:
        trunk: of a family that has pretrained weights.
        path: the file, as `checkpoint.read_checkpoint` reads it.
        model: name of the trunk, for messages.
        positions: how a position embedding is laid over another grid, `bicubic` or `bilinear`.

    Raises:
        WeightsError: the file is none, is damaged, or holds the weights of another model.
    """
    if isinstance(trunk, TimmTrunk):
        dropped = checkpoint.load_pretrained(trunk.model, path, positions)
    else:
        target: nn.Module = trunk.module if isinstance(trunk, OwnTrunk) else trunk
        state, dropped = checkpoint.fitting(checkpoint.read_checkpoint(path), target), []
        if isinstance(trunk, OSNet):
            state, dropped = osnet_state(state)
        if wrong := misfits(target, state):
            raise WeightsError(
                f"these weights are not {model}: {len(wrong)} tensors do not fit, such as {', '.join(wrong[:4])}",
                where=path,
                fix="name the model that they are of, or give weights of this one",
            )
        target.load_state_dict(state)
    if dropped:
        log.info("%s: not of the visual encoder, and left out: %s", path.name, "; ".join(dropped))
