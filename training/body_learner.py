"""How a body encoder learns: each part by supervised contrast, the graph transformer as it does alone.

    L = w_s (SupCon({z_b}) + sum_{whitened parts} SupCon({x_b})) + L_graph

z is the embedding, x a part of it, of length 1, and L_graph the loss of `training.skeleton_only` over poses with equal
bones.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.batches.sampling import covering_clips
from training.batches.sequences import Recordings
from training.model.body_encoder import BodyEncoder
from training.model.losses import supcon_among
from training.settings import SkeletonOnlySettings


def start_from_people(encoder: BodyEncoder, recordings: Recordings, length: int, shrinkage: float) -> None:
    """Whiten a new encoder by the recordings' sequences of `length` frames."""
    labels: list[int] = []
    clips = []
    for number, skeletons in enumerate(recordings.skeletons):
        own = covering_clips(len(skeletons), length)
        if len(own):
            clips.append(torch.from_numpy(np.ascontiguousarray(skeletons[own])))
            labels += [int(recordings.pids[number])] * len(own)
    if clips:
        encoder.start(clips, torch.tensor(labels), shrinkage)


def body_terms(
    encoder: BodyEncoder, skeletons: Tensor, tokens: Tensor | None, labels: Tensor, settings: SkeletonOnlySettings
) -> dict[str, Tensor]:
    """The weighted contrast of the whole embedding, and of each whitened part.

    Args:
        encoder: of bodies.
        skeletons: sequences, (B, T, J, 3).
        tokens: joint tokens of its graph transformer, (B, T, J, P), where it has one.
        labels: identities, (B,).
        settings: weight and temperature.
    """
    clips = torch.arange(len(labels), device=labels.device)
    parts = encoder(skeletons, tokens)

    def contrast(features: Tensor) -> Tensor:
        return settings.sequence * supcon_among(features, labels, clips, settings.temperature)

    found = {"body": contrast(encoder.joined(parts))}
    for name, part in zip(encoder.weights, encoder.split(parts), strict=True):
        if name in encoder.whitened:
            found[name] = contrast(F.normalize(part, dim=1))
    return found
