"""The `visual` stage: a small visual encoder trained on the training identities, where no pretrained one can be had."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from storage.addresses import DataRoot
from storage.errors import SettingsError
from storage.progress import Progress
from training.batches.augment import augmented
from training.batches.clips import FrameSource, draw_clips, read_clips, read_training_set
from training.batches.loader import Batch
from training.batches.sampling import identity_batches
from training.files import save_model
from training.looping.loop import Task, train
from training.looping.schedules import warmup_cosine
from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.small import SmallTrunk, fold_necks
from training.model.losses import batch_hard_triplet, smoothed_cross_entropy
from training.model.reid_model import Head
from training.settings import EncoderSettings, TrainerSettings, VisualSettings


@dataclass(frozen=True)
class Inputs:
    """The data root, the training shards of the index, and which encoder to train."""

    data_root: DataRoot
    indexes: tuple[Path, ...]
    encoder_settings: EncoderSettings
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


class _Classifier(nn.Module):
    """The encoder with a head on each of its two outputs."""

    def __init__(self, settings: EncoderSettings, identities: int) -> None:
        super().__init__()
        self.encoder = VisualEncoder(settings)
        self.cls = Head(self.encoder.trunk.token_width, identities)
        self.projected = Head(self.encoder.trunk.projected_width, identities)


def run(inputs: Inputs, settings: VisualSettings, out_dir: Path, progress: Progress) -> None:
    """Train with label-smoothed identity loss and batch-hard triplet loss on both outputs of the encoder.

    On one device, whatever `trainer.devices` says: the batch norms of the stem want the whole batch.

    Raises:
        SettingsError: the encoder is one with pretrained weights.
        DataError: fewer than two identities.
        CsipError: the loss became NaN.
    """
    encoder = inputs.encoder_settings
    if encoder.is_pretrained:
        raise SettingsError(
            "only the small encoder is trained by this stage", where="encoder.model", fix="set it to small"
        )
    data = read_training_set(inputs.indexes)
    torch.manual_seed(settings.seed)
    model = _Classifier(encoder, len(data.pids))
    source = FrameSource(inputs.data_root, model.encoder.trunk.size, 1, settings.cache_megabytes)
    source.fetch(data.tracklets, progress)

    def make(tracklets: list[int], rng: np.random.Generator) -> Batch:
        drawn = draw_clips(data, tracklets, settings.clip_length, settings.augment, rng)
        return read_clips(data, drawn, source)[1]

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        images, labels = augmented(batch["images"], batch["draws"], settings.augment), batch["labels"]
        tokens, projected = model.encoder(images.flatten(0, 1))
        terms = {}
        for name, part, head in (("cls", tokens, model.cls), ("projected", projected, model.projected)):
            feature = part[:, 0].unflatten(0, images.shape[:2]).mean(1)
            # behind the neck, where the scale is fixed: from scratch, before it, the triplet shrinks all to one point
            necked = head.neck(feature)
            terms[f"identity_{name}"] = smoothed_cross_entropy(head.classifier(necked), labels, settings.smoothing)
            unit = necked / necked.shape[1] ** 0.5
            terms[f"triplet_{name}"] = batch_hard_triplet(unit, labels, settings.margin)
        return terms

    task = Task(
        model,
        loss,
        partial(identity_batches, data.labels.tolist(), settings.identities, settings.instances, settings.seed),
        make,
        [{"params": [p for p in model.parameters() if p.requires_grad], "lr": settings.lr}],
        lambda epoch: warmup_cosine(epoch, settings.epochs, settings.warmup_epochs, 0.1, 0.01),
        settings.weight_decay,
    )
    train(task, settings, inputs.trainer, out_dir, progress)
    described = {"kind": "visual", "encoder": encoder.model_dump(mode="json"), "cameras": []}
    fold_necks(cast(SmallTrunk, model.encoder.trunk), model.cls.neck, model.projected.neck)
    save_model(model.encoder, described, out_dir)
