"""The `visual` stage: a small visual encoder trained on the training identities, where no pretrained one can be had."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from storage.errors import SettingsError
from storage.progress import Progress
from training.augment import AugmentSettings, augment
from training.clips import FrameSource, read_training_set, sample_clips
from training.loop import Batch, LoopSettings, Steps, finish, train, warmup_cosine
from training.losses import batch_hard_triplet, smoothed_cross_entropy
from training.model_files import save_model
from training.reid_model import Head
from training.sampling import identity_batches
from training.visual_encoder import EncoderSettings, VisualEncoder, fold_necks


class VisualSettings(LoopSettings):
    """Training of the small visual encoder."""

    epochs: int = Field(40, ge=1, description="Epochs.")
    clip_length: int = Field(4, ge=1, description="Frames of a clip.")
    identities: int = Field(8, ge=2, description="Identities of a batch.")
    instances: int = Field(4, ge=2, description="Clips of each identity in a batch.")
    lr: float = Field(1e-3, gt=0, description="Learning rate.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    warmup_epochs: int = Field(3, ge=0, description="Epochs of linear warm-up.")
    smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing.")
    margin: float = Field(0.3, ge=0, description="Triplet margin.")
    augment: AugmentSettings = Field(
        default_factory=lambda: AugmentSettings(shift=6, colour=0.4), description="Augmentation of training clips."
    )


@dataclass(frozen=True)
class Inputs:
    """The data root, the training shards of the index, and which encoder to train."""

    data_root: Path
    indexes: tuple[Path, ...]
    encoder_settings: EncoderSettings


class _Classifier(nn.Module):
    """The encoder with a head on each of its two outputs."""

    def __init__(self, settings: EncoderSettings, identities: int) -> None:
        super().__init__()
        self.encoder = VisualEncoder(settings)
        self.cls = Head(settings.token_width, identities)
        self.projected = Head(settings.projected_width, identities)


def run(inputs: Inputs, settings: VisualSettings, out_dir: Path, progress: Progress) -> None:
    """Train with label-smoothed identity loss and batch-hard triplet loss on both outputs of the encoder.

    Raises:
        SettingsError: the encoder is one with pretrained weights.
        DataError: fewer than two identities.
        CsipError: the loss became NaN.
    """
    encoder = inputs.encoder_settings
    if encoder.arch != "small":
        raise SettingsError(
            "only the small encoder is trained by this stage", where="encoder.arch", fix="set it to small"
        )
    data = read_training_set(inputs.indexes)
    torch.manual_seed(settings.seed)
    model = _Classifier(encoder, len(data.pids))
    source = FrameSource(
        inputs.data_root, (encoder.image_height, encoder.image_width), settings.decode_workers, settings.cache_megabytes
    )

    def plan(epoch: int) -> list[list[int]]:
        return identity_batches(data.labels.tolist(), settings.identities, settings.instances, settings.seed, epoch)

    def make(tracklets: list[int], generator: torch.Generator) -> Batch:
        kept, _, images = sample_clips(data, tracklets, settings.clip_length, source, generator)
        images, _ = augment(images, None, settings.augment, generator)
        labels = torch.from_numpy(data.labels[kept])
        return {"images": images, "labels": labels, "names": [data.tracklets[i].tracklet_id for i in kept]}

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        images, labels = batch["images"], batch["labels"]
        tokens, projected = model.encoder(images.flatten(0, 1))
        terms = {}
        for name, part in (("cls", tokens), ("projected", projected)):
            feature = part[:, 0].unflatten(0, images.shape[:2]).mean(1)
            head: Head = getattr(model, name)
            # behind the neck, where the scale is fixed: from scratch, before it, the triplet shrinks all to one point
            necked = head.neck(feature)
            terms[f"identity_{name}"] = smoothed_cross_entropy(head.classifier(necked), labels, settings.smoothing)
            unit = necked / necked.shape[1] ** 0.5
            terms[f"triplet_{name}"] = batch_hard_triplet(unit, labels, settings.margin)
        return terms

    train(
        model,
        loss,
        Steps(plan, make, settings.seed),
        [{"params": [p for p in model.parameters() if p.requires_grad], "lr": settings.lr}],
        lambda epoch: warmup_cosine(epoch, settings.epochs, settings.warmup_epochs, 0.1, 0.01),
        settings,
        out_dir,
        progress,
        settings.weight_decay,
    )
    described = {"kind": "visual", "encoder": encoder.model_dump(mode="json"), "cameras": []}
    fold_necks(model.encoder, model.cls.neck, model.projected.neck)
    save_model(model.encoder, described, out_dir)
    finish(out_dir)
