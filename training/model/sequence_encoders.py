"""Encoders of sequences of skeletons as files: the graph transformer alone, or a body's parts."""

from pathlib import Path
from typing import Any

from training.body_settings import BodySettings
from training.files import load_model, read_description
from training.model.body_encoder import BodyEncoder
from training.model.skeleton_encoder import SkeletonEncoder, kind_of, load_skeleton_encoder
from training.settings import SkeletonSettings

BODY = "body"
"""The kind of model that a folder of a body encoder says it is."""

SequenceEncoder = SkeletonEncoder | BodyEncoder


def load_sequence_encoder(folder: Path) -> tuple[SequenceEncoder, dict[str, Any]]:
    """The encoder of a `pretrained` folder, and what it is: `kind_of_skeleton`, `skeleton`, `projection`.

    Raises:
        WeightsError: the folder holds another model, or a damaged one.
    """
    described = read_description(folder)
    if described.get("kind") != BODY:
        return load_skeleton_encoder(folder)
    encoder = BodyEncoder(
        BodySettings(**described["body"]),
        SkeletonSettings(**described["skeleton"]),
        described["projection"],
        kind_of(described, folder),
    )
    load_model(encoder, folder)
    return encoder, described
