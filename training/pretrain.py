"""The `pretrained` stage: contrast between skeletons and images, from cached frozen features (stage 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from storage.progress import Progress
from training.batches.augment import draw_signs, mirrored
from training.batches.clips import PerFrame, read_features, read_skeletons, read_training_set, sample_frames
from training.batches.exchange import exchanged
from training.batches.loader import Batch
from training.batches.sampling import identity_batches, uniform_batches
from training.files import save_model, save_prototypes
from training.looping.distributed import gather, own_share, rank
from training.looping.launch import on_all_devices
from training.looping.loop import Task, train
from training.looping.schedules import share_of_rate
from training.model.losses import supcon
from training.model.prototypes import mean_visual, skeleton_prototypes, visual_prototypes
from training.model.skeleton_encoder import SkeletonEncoder
from training.settings import PretrainSettings, TrainerSettings


@dataclass(frozen=True)
class Inputs:
    """Training shards of the index, skeletons and features, matched by tracklet id."""

    indexes: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    features: tuple[Path, ...]
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


@on_all_devices
def run(inputs: Inputs, settings: PretrainSettings, out_dir: Path, progress: Progress) -> None:
    """Train the skeleton encoder, unless there are no epochs; writes it with the prototypes of both modalities.

    Raises:
        DataError: skeletons or features do not match the index, or fewer than two identities.
        CsipError: the loss became NaN.
    """
    data = read_training_set(inputs.indexes)
    skeletons, seen = read_skeletons(inputs.skeletons, data.tracklets)
    if settings.skeletons == "shuffled":
        skeletons, seen = exchanged(skeletons, seen, settings.seed)
    features = read_features(inputs.features, data.tracklets)
    usable = [i for i, rows in enumerate(features) if np.isfinite(rows[:, 0]).any()]
    width = features[0].shape[1]
    torch.manual_seed(settings.seed)
    encoder = SkeletonEncoder(settings.skeleton, width)
    if inputs.trainer.compile:
        encoder.compile()

    def plan(epoch: int) -> list[list[int]]:
        if settings.sampler == "uniform":
            batches = uniform_batches(len(usable), settings.batch, settings.seed, epoch)
        else:
            identities = max(settings.batch // settings.instances, 2)
            labels = data.labels[usable].tolist()
            batches = identity_batches(labels, identities, settings.instances, settings.seed, epoch)
        return [[usable[i] for i in batch] for batch in batches]

    def make(tracklets: list[int], rng: np.random.Generator) -> Batch:
        frames = sample_frames(data, tracklets, settings.clip_length, rng)
        flipped = torch.from_numpy(rng.random(len(tracklets)) < settings.flip)
        signs = draw_signs(settings.skeleton.eigenvectors, rng)
        mine, frames, flipped = own_share(tracklets), own_share(frames), own_share(flipped)
        return {
            "skeletons": mirrored(torch.from_numpy(skeletons.clips(mine, frames)), flipped),
            "seen": torch.from_numpy(seen.clips(mine, frames)),
            "signs": signs,
            "visual": torch.from_numpy(_clip_visual(features, mine, frames)),
            "labels": torch.from_numpy(data.labels[mine]),
            "names": [data.tracklets[i].tracklet_id for i in mine],
        }

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        s = gather(encoder(batch["skeletons"], batch["seen"], batch["signs"], pool=True).float())
        return contrast(gather(batch["visual"]), s, gather(batch["labels"]), gather(batch["seen"].any(dim=1)), settings)

    groups = [{"params": list(encoder.parameters()), "lr": settings.lr}]
    if settings.epochs:
        task = Task(encoder, loss, plan, make, groups, share_of_rate(settings), settings.weight_decay)
        train(task, settings, inputs.trainer, out_dir, progress)
    visual = visual_prototypes(features, data.labels, len(data.pids))
    skeleton = skeleton_prototypes(encoder, skeletons, seen, data.labels, len(data.pids))
    if rank() == 0:
        save_prototypes(visual, skeleton, data.pids, out_dir)
        described = {"kind": "pretrained", "skeleton": settings.skeleton.model_dump(mode="json"), "projection": width}
        save_model(encoder, described, out_dir)


def contrast(v: Tensor, s: Tensor, labels: Tensor, seen: Tensor, settings: PretrainSettings) -> dict[str, Tensor]:
    """The two terms of stage 1's loss, of visual and sequence features (B, P) of which some have a skeleton, (B,)."""
    if settings.normalise:
        s, v = F.normalize(s, dim=1), F.normalize(v, dim=1)
    return {
        "visual_to_skeleton": supcon(v, s, labels, settings.temperature, seen),
        "skeleton_to_visual": supcon(s, v, labels, settings.temperature, seen),
    }


def _clip_visual(features: PerFrame, tracklets: Sequence[int], frames: NDArray[np.int64]) -> NDArray[np.float32]:
    """`v` of clips, (B, P)."""
    clips = features.clips(tracklets, frames).astype(np.float32)
    means: NDArray[np.float32] = clips.mean(axis=1)
    for row in np.flatnonzero(np.isnan(means[:, 0])).tolist():  # a frame of these could not be read
        means[row] = mean_visual(clips[row], features[tracklets[row]])
    return means
