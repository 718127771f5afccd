"""Stage 1 as it would be without kept features: the visual encoder runs on every batch of every epoch.

The same batches, contrast and skeleton encoder as `training.pretrain`, which see; for comparison alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from storage.addresses import DataRoot
from storage.progress import Progress
from training.batches.augment import draw, draw_signs
from training.batches.clips import Clips, FrameSource, read_clips, read_skeletons, read_training_set, sample_frames
from training.batches.loader import Batch
from training.batches.sampling import identity_batches
from training.looping.loop import Task, train
from training.model.encoders.start import load_encoder
from training.model.skeleton_encoder import SkeletonEncoder
from training.pretrain import contrast
from training.settings import AugmentSettings, EncoderSettings, PretrainSettings, TrainerSettings


@dataclass(frozen=True)
class Inputs:
    """Training shards of the index and skeletons, the data root, and the visual encoder's folder."""

    data_root: DataRoot
    indexes: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    encoder: Path
    encoder_settings: EncoderSettings
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


def run(inputs: Inputs, settings: PretrainSettings, out_dir: Path, progress: Progress) -> None:
    """Train the skeleton encoder; frames are decoded once and kept in memory, which is kind to this way."""
    data = read_training_set(inputs.indexes)
    skeletons, seen = read_skeletons(inputs.skeletons, data.tracklets)
    visual = load_encoder(inputs.encoder, inputs.encoder_settings).eval()
    torch.manual_seed(settings.seed)
    encoder = SkeletonEncoder(settings.skeleton, visual.trunk.projected_width)
    source = FrameSource(inputs.data_root, visual.trunk.size, 1, settings.cache_megabytes)

    def plan(epoch: int) -> list[list[int]]:
        identities = settings.batch // settings.instances
        return identity_batches(data.labels.tolist(), identities, settings.instances, settings.seed, epoch)

    def make(tracklets: list[int], rng: np.random.Generator) -> Batch:
        frames = sample_frames(data, tracklets, settings.clip_length, rng)
        rng.random(len(tracklets))  # which clips are mirrored, of which there are none here: the signs come after it
        unused = draw(len(tracklets), settings.clip_length, AugmentSettings(), np.random.default_rng(0))
        clips, batch = read_clips(data, Clips(tracklets, frames, unused), source)
        return batch | {
            "skeletons": torch.from_numpy(skeletons.clips(clips.tracklets, clips.frames)),
            "seen": torch.from_numpy(seen.clips(clips.tracklets, clips.frames)),
            "signs": draw_signs(settings.skeleton.eigenvectors, rng),
        }

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        images = batch["images"]
        with torch.no_grad():
            projected = visual(images.flatten(0, 1))[1][:, 0]
        v = projected.unflatten(0, images.shape[:2]).mean(dim=1)
        s = encoder(batch["skeletons"], batch["seen"], batch["signs"], pool=True)
        return contrast(v, s, batch["labels"], batch["seen"].any(dim=1), settings)

    groups = [{"params": list(encoder.parameters()), "lr": settings.lr}]
    train(
        Task(encoder, loss, plan, make, groups, lambda epoch: 1.0, settings.weight_decay),
        settings,
        inputs.trainer,
        out_dir,
        progress,
    )
