"""Pretrained weights into a trunk, family by family; what a file holds beside them is named in the log."""

import logging
from pathlib import Path

from training.model.encoders import checkpoint
from training.model.encoders.timm_models import TimmTrunk
from training.model.encoders.trunk import Trunk

log = logging.getLogger("csip.training")


def load_pretrained(trunk: Trunk, path: Path, positions: str) -> None:
    """Load a file of pretrained weights, strictly.

    Raises:
        WeightsError: the file is none, is damaged, or holds the weights of another model.
    """
    dropped: list[str] = []
    if isinstance(trunk, TimmTrunk):
        dropped = checkpoint.load_pretrained(trunk.model, path, positions)
    if dropped:
        log.info("%s: not of the visual encoder, and left out: %s", path.name, "; ".join(dropped))
