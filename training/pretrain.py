"""The `pretrained` stage: contrast between skeletons and images, from cached frozen features (stage 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from storage.progress import Progress
from training.batches.augment import draw_signs, mirrored
from training.batches.clips import PerFrame, read_features, read_skeletons, read_training_set, sample_frames
from training.batches.loader import Batch, Steps
from training.batches.sampling import identity_batches, uniform_batches
from training.looping.distributed import gather, own_share, rank
from training.looping.launch import on_all_devices
from training.looping.loop import Task, train
from training.looping.schedules import share_of_rate
from training.model.files import save_model, save_tensors
from training.model.losses import supcon
from training.model.prototypes import mean_prototypes
from training.model.skeleton_encoder import SkeletonEncoder
from training.settings import PROTOTYPES, PretrainSettings, TrainerSettings


@dataclass(frozen=True)
class Inputs:
    """Training shards of the index, skeletons and features, matched by tracklet id."""

    indexes: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    features: tuple[Path, ...]
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


@on_all_devices
def run(inputs: Inputs, settings: PretrainSettings, out_dir: Path, progress: Progress) -> None:
    """Train the skeleton encoder; writes it with the prototypes of both modalities.

    Raises:
        DataError: skeletons or features do not match the index, or fewer than two identities.
        CsipError: the loss became NaN.
    """
    data = read_training_set(inputs.indexes)
    skeletons, seen = read_skeletons(inputs.skeletons, data.tracklets)
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

    task = Task(
        encoder,
        loss,
        Steps(plan, make, settings.seed, settings.decode_workers, settings.epochs),
        [{"params": list(encoder.parameters()), "lr": settings.lr}],
        share_of_rate(settings),
        settings.weight_decay,
    )
    train(task, settings, inputs.trainer, out_dir, progress)
    prototypes = {
        "visual": visual_prototypes(features, data.labels, len(data.pids)),
        "skeleton": skeleton_prototypes(encoder, skeletons, seen, data.labels, len(data.pids)),
        "pids": torch.tensor(data.pids),
    }
    described: dict[str, Any] = {
        "kind": "pretrained",
        "skeleton": settings.skeleton.model_dump(mode="json"),
        "projection": width,
    }
    if rank() == 0:
        save_tensors(prototypes, out_dir / PROTOTYPES)
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
    means = clips.mean(axis=1)
    for row in np.flatnonzero(np.isnan(means[:, 0])):  # a frame of these could not be read
        means[row] = mean_visual(clips[row], features[tracklets[row]])
    return means


def mean_visual(frames: NDArray[np.floating], tracklet: NDArray[np.floating]) -> NDArray[np.float32]:
    """`v`: mean of the readable frames' features (T, P); of the whole tracklet's where none of these can be read."""
    good = np.isfinite(frames[:, 0])
    if not good.any():
        frames, good = tracklet, np.isfinite(tracklet[:, 0])
    return frames[good].astype(np.float32).mean(axis=0)


def visual_prototypes(
    features: Sequence[NDArray[np.float16]] | PerFrame, labels: NDArray[np.int64], identities: int
) -> Tensor:
    """`P_V`: mean over an identity's tracklets of the mean over all readable frames, (K, P)."""
    good = [i for i, rows in enumerate(features) if np.isfinite(rows[:, 0]).any()]
    means = np.stack([mean_visual(features[i], features[i]) for i in good])
    return mean_prototypes(torch.from_numpy(means), torch.from_numpy(labels[good]), identities)


@torch.no_grad()
def skeleton_prototypes(
    encoder: SkeletonEncoder, skeletons: PerFrame, seen: PerFrame, labels: NDArray[np.int64], identities: int
) -> Tensor:
    """`P_S`: mean over an identity's tracklets of the sequence feature of all frames, in eval mode, (K, P).

    Several processes work out a part each, and have them all.
    """
    was_training = encoder.training
    encoder.eval()
    device = encoder.positions.device
    good = [i for i in range(len(seen)) if seen[i].any()]
    if not good:
        return torch.zeros(identities, encoder.project.out_features)
    means = torch.zeros(0, encoder.project.out_features, device=device)
    for i in own_share(good):
        clip = torch.from_numpy(skeletons[i].copy())[None].to(device)
        mask = torch.from_numpy(seen[i].copy())[None].to(device)
        means = torch.cat([means, encoder(clip, mask, pool=True)])
    encoder.train(was_training)
    return mean_prototypes(gather(means).cpu(), torch.from_numpy(labels[good]), identities)
