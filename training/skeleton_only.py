"""The `pretrained` stage of a data set without images: what skeletons alone say of who somebody is.

A batch holds sequences of T frames, each drawn from anywhere in a recording. Of SGT's joint tokens x_btj, the mean over
joints f_bt is a skeleton's feature, and the mean over frames s_b the sequence's.

    L = w_s SupCon({s_b}) + w_f SupCon({f_bt}) + w_r mean_{(b,t,j) hidden} |h(y_btj) - p_btj| / 0.12 m

Positives are the items of one identity in other sequences (`losses.supcon_among`). y are the joint tokens of the same
skeletons with some joints put at the root: that place stands for "hidden", since no joint but the root has it. h is a
linear map, and p the joint's true place.

Source: TranSG (Rao and Miao, CVPR 2023) contrasts sequences and skeletons and reconstructs masked graphs. It contrasts
with the mean of each class, and hides joints behind its encoder. Here SGT with attention over time takes the place of
its encoder, and supervised contrast (Khosla et al. 2020) that of prototypes. Its weights are .25, .25 and .5, of a
reconstruction in metres that is divided by the batch besides: next to nothing. With as much weight on the one here the
contrast stays at chance.

With `skeleton_only.body` SGT is one part of an encoder of bodies, or none, and sees poses with equal bones
(`training.body_learner`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from storage.errors import DataError, SettingsError
from storage.progress import Progress
from storage.skeleton import SkeletonType
from training.batches.augment import draw_signs, mirrored
from training.batches.loader import Batch
from training.batches.sampling import identity_batches
from training.batches.sequences import Recordings, read_recordings
from training.body_learner import body_terms, start_from_people
from training.files import save_model
from training.looping.loop import Task, train
from training.looping.schedules import share_of_rate
from training.model.body_encoder import BodyEncoder
from training.model.losses import supcon_among
from training.model.sequence_encoders import BODY, SequenceEncoder, load_sequence_encoder
from training.model.skeleton_encoder import SPREAD, SkeletonEncoder, kind_of
from training.settings import SkeletonOnlySettings, TrainerSettings


@dataclass(frozen=True)
class Inputs:
    """Training shards of sequences."""

    sequences: tuple[Path, ...]
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


class Reconstructor(nn.Module):
    """An encoder with the map from its joint tokens back to places, which only training needs."""

    def __init__(self, encoder: SkeletonEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.place = nn.Linear(encoder.project.out_features, 3)

    def forward(self, skeletons: Tensor, hidden: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
        """Joint tokens (B, T, J, P) of skeletons (B, T, J, 3), and all joints' places from those not hidden."""
        seen = skeletons.masked_fill(hidden[..., None], 0)
        return self.encoder(skeletons, signs=signs), self.place(self.encoder(seen, signs=signs))


def run(inputs: Inputs, settings: SkeletonOnlySettings, out_dir: Path, progress: Progress) -> None:
    """Train the skeleton encoder, or take over the one that is given (no epochs); writes it.

    Raises:
        DataError: fewer than two identities, or no recording is as long as a sequence.
        SettingsError, WeightsError: the encoder to start from does not fit.
        CsipError: the loss became NaN.
    """
    torch.manual_seed(settings.seed)
    recordings = read_recordings(inputs.sequences)
    encoder: SequenceEncoder
    if settings.start_from:
        encoder, described = load_sequence_encoder(settings.start_from)
        recordings = recordings.as_kind(kind_of(described, settings.start_from))
    else:
        check_kind(recordings.kind, settings)
        described = {"skeleton": settings.skeleton.model_dump(mode="json"), "projection": settings.projection}
        if settings.body:
            encoder = BodyEncoder(settings.body, settings.skeleton, settings.projection, recordings.kind)
            start_from_people(encoder, recordings, settings.clip_length, settings.body.shrinkage)
            described["body"] = settings.body.model_dump(mode="json")
        else:
            encoder = SkeletonEncoder(settings.skeleton, settings.projection, recordings.kind)
    if settings.epochs:
        train(_task(encoder, recordings, settings), settings, inputs.trainer, out_dir, progress)
    described |= {
        "kind": BODY if isinstance(encoder, BodyEncoder) else "skeleton_only",
        "kind_of_skeleton": recordings.kind.described,
        "clip_length": settings.clip_length,
    }
    save_model(encoder, described, out_dir)


def check_kind(kind: SkeletonType, settings: SkeletonOnlySettings) -> None:
    """Refuse settings that a kind of skeleton cannot have.

    Raises:
        SettingsError: more eigenvectors than its graph has, or mirroring where no joint has a side.
    """
    if settings.skeleton.eigenvectors >= len(kind):
        raise SettingsError(
            f"a skeleton of {len(kind)} joints has {len(kind) - 1} eigenvectors",
            where=f"skeleton_only.skeleton.eigenvectors={settings.skeleton.eigenvectors}",
            fix=f"set it to {len(kind) - 1} or fewer",
        )
    if settings.flip and kind.mirror_order == tuple(range(len(kind))):
        raise SettingsError(
            "no joint's name says left or right, so that skeletons cannot be mirrored",
            where=f"skeleton_only.flip={settings.flip:g}",
            fix="set it to 0, or name the joints `left_foot`, `right_foot`, ...",
        )


def _task(encoder: SequenceEncoder, recordings: Recordings, settings: SkeletonOnlySettings) -> Task:
    length = settings.clip_length
    lengths = recordings.skeletons.lengths
    # as many sequences of a recording as it can be cut into, each drawn anew in every epoch
    items = np.repeat(np.arange(len(lengths)), lengths // length)
    pids, labels = np.unique(recordings.pids, return_inverse=True)
    identities = len(np.unique(labels[items]))
    if identities < 2:
        raise DataError(
            f"{identities} of {len(pids)} training identities have recordings of {length} frames; at least two are "
            "needed",
            fix="check the data set's training part, or set a smaller skeleton_only.clip_length",
        )
    graph = encoder.graph if isinstance(encoder, BodyEncoder) else encoder
    learner = None if graph is None else Reconstructor(graph)
    model = learner if learner and graph is encoder else nn.ModuleList([m for m in (encoder, learner) if m])
    eigenvectors = settings.skeleton.eigenvectors if graph is None else graph.settings.eigenvectors
    wanted = max(settings.batch // settings.instances, 2)

    def make(positions: list[int], rng: np.random.Generator) -> Batch:
        chosen = items[positions]
        starts = rng.integers(0, lengths[chosen] - length, endpoint=True)
        clips = recordings.skeletons.clips(chosen.tolist(), starts[:, None] + np.arange(length))
        skeletons = varied(torch.from_numpy(clips), recordings.kind, settings, rng)
        return {
            "skeletons": skeletons,
            "hidden": hidden_joints(skeletons.shape[:3], recordings.kind, settings.hidden, rng),
            "signs": draw_signs(eigenvectors, rng),
            "labels": torch.from_numpy(labels[chosen]),
            "names": [recordings.ids[i] for i in chosen],
        }

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        skeletons, tokens, found = batch["skeletons"], None, dict[str, Tensor]()
        if learner:
            poses = encoder.poses(skeletons) if isinstance(encoder, BodyEncoder) else skeletons
            tokens, places = learner(poses, batch["hidden"], batch["signs"])
            found = terms(tokens, places, poses, batch["hidden"], batch["labels"], settings)
        if isinstance(encoder, BodyEncoder):
            found |= body_terms(encoder, skeletons, tokens, batch["labels"], settings)
        return found

    return Task(
        model,
        loss,
        partial(identity_batches, labels[items].tolist(), wanted, settings.instances, settings.seed),
        make,
        [{"params": list(model.parameters()), "lr": settings.lr}],
        share_of_rate(settings),
        settings.weight_decay,
    )


def terms(
    tokens: Tensor, places: Tensor, skeletons: Tensor, hidden: Tensor, labels: Tensor, settings: SkeletonOnlySettings
) -> dict[str, Tensor]:
    """The weighted terms of the loss, see above.

    Args:
        tokens: joint tokens, (B, T, J, P).
        places: of all joints as they were reconstructed, (B, T, J, 3).
        skeletons: true places, (B, T, J, 3).
        hidden: which joints the reconstruction did not see, (B, T, J).
        labels: identities, (B,).
        settings: weights and temperature.
    """
    b, t = tokens.shape[:2]
    frames = tokens.float().mean(dim=2)
    clips = torch.arange(b, device=tokens.device)
    sequences = F.normalize(frames.mean(dim=1), dim=1)
    single = F.normalize(frames.flatten(0, 1), dim=1)
    tau = settings.temperature
    wrong = (places.float() - skeletons).abs().mean(dim=-1)
    return {
        "sequence": settings.sequence * supcon_among(sequences, labels, clips, tau),
        "frame": settings.frame * supcon_among(single, labels.repeat_interleave(t), clips.repeat_interleave(t), tau),
        "reconstruction": settings.reconstruction * wrong[hidden].mean() / SPREAD,
    }


def hidden_joints(shape: torch.Size, kind: SkeletonType, share: float, rng: np.random.Generator) -> Tensor:
    """Which joints of (B, T, J) are hidden: the same number in every frame, at least one, never the root."""
    order = rng.random(tuple(shape))
    if len(kind.root) == 1:
        order[..., kind.root[0]] = np.inf
    count = max(1, round(share * (shape[-1] - 1)))
    return torch.from_numpy(order <= np.sort(order, axis=-1)[..., count - 1 : count])


def varied(skeletons: Tensor, kind: SkeletonType, settings: SkeletonOnlySettings, rng: np.random.Generator) -> Tensor:
    """Sequences (B, T, J, 3), some mirrored, each turned about the vertical axis as a whole."""
    flipped = torch.from_numpy(rng.random(len(skeletons)) < settings.flip)
    angles = torch.from_numpy(np.radians(rng.uniform(-settings.turn, settings.turn, len(skeletons))).astype(np.float32))
    skeletons = mirrored(skeletons, flipped, kind)
    if not settings.turn:
        return skeletons
    cosine, sine = angles.cos().view(-1, 1, 1), angles.sin().view(-1, 1, 1)
    x, y, z = skeletons.unbind(-1)
    return torch.stack([cosine * x + sine * z, y, cosine * z - sine * x], dim=-1)
