"""The `pretrained` stage: contrast between skeletons and images, from cached frozen features (stage 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from storage.progress import Progress
from training.augment import mirror_skeletons
from training.clips import read_features, read_skeletons, read_training_set
from training.loop import Batch, LoopSettings, Steps, finish, train, warmup_cosine
from training.losses import supcon
from training.model_files import PROTOTYPES, save_model, save_tensors
from training.prototypes import mean_prototypes
from training.sampling import identity_batches, segment_frames, uniform_batches
from training.skeleton_encoder import SkeletonEncoder, SkeletonSettings, sequence_features


class PretrainSettings(LoopSettings):
    """Stage 1 (METHOD, section 3)."""

    epochs: int = Field(120, ge=1, description="Epochs.")
    sampler: Literal["identities", "uniform"] = Field(
        "identities", description="Batches of identities x instances, or plainly shuffled."
    )
    batch: int = Field(64, ge=2, description="Clips of a batch.")
    instances: int = Field(4, ge=2, description="Clips of each identity in a batch (sampler: identities).")
    normalise: bool = Field(True, description="L2-normalise features before contrast; off is the reference's way.")
    temperature: float = Field(0.07, gt=0, description="Temperature of the contrast; 1 in the reference.")
    lr: float = Field(3.5e-4, gt=0, description="Learning rate.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    warmup_epochs: int = Field(5, ge=0, description="Epochs of linear warm-up.")
    warmup_lr: float = Field(1e-5, ge=0, description="Learning rate at the start.")
    final_lr: float = Field(1e-6, ge=0, description="Learning rate at the end of the cosine.")
    flip: float = Field(
        0.0, ge=0, le=1, description="Probability that a skeleton is mirrored (frozen features are not)."
    )
    skeleton: SkeletonSettings = Field(default_factory=SkeletonSettings, description="The skeleton encoder.")


@dataclass(frozen=True)
class Inputs:
    """Training shards of the index, skeletons and features, matched by tracklet id."""

    indexes: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    features: tuple[Path, ...]


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
    width = next(iter(features)).shape[1]
    torch.manual_seed(settings.seed)
    encoder = SkeletonEncoder(settings.skeleton, width)

    def plan(epoch: int) -> list[list[int]]:
        if settings.sampler == "uniform":
            batches = uniform_batches(len(usable), settings.batch, settings.seed, epoch)
        else:
            identities = max(settings.batch // settings.instances, 2)
            labels = data.labels[usable].tolist()
            batches = identity_batches(labels, identities, settings.instances, settings.seed, epoch)
        return [[usable[i] for i in batch] for batch in batches]

    def make(tracklets: list[int], generator: torch.Generator) -> Batch:
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        frames = [segment_frames(len(skeletons[i]), settings.clip_length, rng) for i in tracklets]
        picked = list(zip(tracklets, frames, strict=True))
        clips = torch.from_numpy(np.stack([skeletons[i][f] for i, f in picked]))
        flipped = torch.rand(len(clips), generator=generator) < settings.flip
        clips = torch.where(flipped.view(-1, 1, 1, 1), mirror_skeletons(clips), clips)
        return {
            "skeletons": clips,
            "seen": torch.from_numpy(np.stack([seen[i][f] for i, f in picked])),
            "visual": torch.stack([mean_visual(features[i][f], features[i]) for i, f in picked]),
            "labels": torch.from_numpy(data.labels[tracklets]),
            "names": [data.tracklets[i].tracklet_id for i in tracklets],
        }

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        s = sequence_features(encoder(batch["skeletons"], batch["seen"]), batch["seen"])
        v = batch["visual"]
        if settings.normalise:
            s, v = F.normalize(s, dim=1), F.normalize(v, dim=1)
        seen = batch["seen"].any(dim=1)
        return {
            "visual_to_skeleton": supcon(v, s, batch["labels"], settings.temperature, seen),
            "skeleton_to_visual": supcon(s, v, batch["labels"], settings.temperature, seen),
        }

    train(
        encoder,
        loss,
        Steps(plan, make, settings.seed),
        [{"params": list(encoder.parameters()), "lr": settings.lr}],
        lambda epoch: warmup_cosine(
            epoch,
            settings.epochs,
            settings.warmup_epochs,
            settings.warmup_lr / settings.lr,
            settings.final_lr / settings.lr,
        ),
        settings,
        out_dir,
        progress,
        settings.weight_decay,
    )
    prototypes = {
        "visual": visual_prototypes(features, data.labels, len(data.pids)),
        "skeleton": skeleton_prototypes(encoder, skeletons, seen, data.labels, len(data.pids)),
        "pids": torch.tensor(data.pids),
    }
    save_tensors(prototypes, out_dir / PROTOTYPES)
    described: dict[str, Any] = {
        "kind": "pretrained",
        "skeleton": settings.skeleton.model_dump(mode="json"),
        "projection": width,
    }
    save_model(encoder, described, out_dir)
    finish(out_dir)


def mean_visual(frames: NDArray[np.float16], tracklet: NDArray[np.float16]) -> Tensor:
    """`v`: mean of the readable frames' features (T, P); of the whole tracklet's where none of these can be read."""
    good = np.isfinite(frames[:, 0])
    if not good.any():
        frames, good = tracklet, np.isfinite(tracklet[:, 0])
    return torch.from_numpy(frames[good].astype(np.float32).mean(axis=0))


def visual_prototypes(features: Sequence[NDArray[np.float16]], labels: NDArray[np.int64], identities: int) -> Tensor:
    """`P_V`: mean over an identity's tracklets of the mean over all readable frames, (K, P)."""
    good = [i for i, rows in enumerate(features) if np.isfinite(rows[:, 0]).any()]
    means = torch.stack([mean_visual(features[i], features[i]) for i in good])
    return mean_prototypes(means, torch.from_numpy(labels[good]), identities)


@torch.no_grad()
def skeleton_prototypes(
    encoder: SkeletonEncoder,
    skeletons: Sequence[NDArray[np.float32]],
    seen: Sequence[NDArray[np.bool_]],
    labels: NDArray[np.int64],
    identities: int,
) -> Tensor:
    """`P_S`: mean over an identity's tracklets of the sequence feature of all frames, in eval mode, (K, P)."""
    was_training = encoder.training
    encoder.eval()
    device = encoder.positions.device
    good = [i for i, frames in enumerate(seen) if frames.any()]
    means = []
    for i in good:
        clip = torch.from_numpy(np.ascontiguousarray(skeletons[i]))[None].to(device)
        mask = torch.from_numpy(seen[i])[None].to(device)
        means.append(sequence_features(encoder(clip, mask), mask)[0].cpu())
    encoder.train(was_training)
    if not means:
        return torch.zeros(identities, encoder.project.out_features)
    return mean_prototypes(torch.stack(means), torch.from_numpy(labels[good]), identities)
