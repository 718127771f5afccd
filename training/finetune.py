"""The `finetuned` stage: prototype-guided finetuning of the visual encoder, with skeletons as privileged information
(stage 2).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from storage.progress import Progress
from storage.tracklets import Tracklet
from training.augment import AugmentSettings, augment
from training.clips import FrameSource, read_features, read_skeletons, read_training_set, sample_clips
from training.encoders import frame_features, load_encoder
from training.loop import Batch, LoopSettings, Steps, finish, train, warmup_steps
from training.model_files import MODEL, PROTOTYPES, load_part, load_tensors, read_description, save_model, save_tensors
from training.pretrain import skeleton_prototypes, visual_prototypes
from training.reid_model import LossSettings, ReidModel
from training.sampling import identity_batches
from training.skeleton_encoder import SkeletonSettings
from training.visual_encoder import EncoderSettings

FRAMES_AT_ONCE = 64


class FinetuneSettings(LoopSettings):
    """Stage 2 (METHOD, section 4)."""

    epochs: int = Field(80, ge=1, description="Epochs.")
    identities: int = Field(4, ge=2, description="Identities of a batch.")
    instances: int = Field(4, ge=2, description="Clips of each identity in a batch.")
    lr: float = Field(5e-6, gt=0, description="Learning rate of the encoders.")
    bias_lr: float = Field(2.0, gt=0, description="Biases learn this many times faster.")
    head_lr: float = Field(10.0, gt=0, description="PFU, SGTM and its heads learn this many times faster.")
    classifier_lr: float = Field(
        1.0, gt=0, description="Necks and classifiers of CLS and projected CLS learn this many times faster."
    )
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    warmup_epochs: int = Field(10, ge=0, description="Epochs of linear warm-up.")
    warmup_factor: float = Field(0.1, gt=0, le=1, description="Share of the learning rate at the start.")
    milestones: tuple[int, ...] = Field((30, 50, 70), description="Epochs at which the learning rate drops.")
    gamma: float = Field(0.1, gt=0, le=1, description="Factor of each drop.")
    camera_side: bool = Field(True, description="Add a learned vector per camera to CLS.")
    freeze_skeleton: bool = Field(False, description="Keep the skeleton encoder as pretrained (the paper's figure).")
    refresh_every: int = Field(0, ge=0, description="Epochs between new prototypes; 0 keeps the first ones.")
    use_sgtm: bool = Field(True, description="Skeleton-guided temporal modelling; off for the ablation.")
    use_pfu: bool = Field(True, description="Prototype fusion updater; off for the ablation.")
    use_skeletons: bool = Field(True, description="Skeletons in SGTM and PFU; off for the ablation.")
    losses: LossSettings = Field(default_factory=LossSettings, description="Weights of the losses.")
    augment: AugmentSettings = Field(default_factory=AugmentSettings, description="Augmentation of training clips.")


@dataclass(frozen=True)
class Inputs:
    """Training shards, the pretrained skeleton encoder, and the visual encoder's folder (None: pretrained weights)."""

    data_root: Path
    indexes: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    features: tuple[Path, ...]
    pretrained: Path
    encoder: Path | None
    encoder_settings: EncoderSettings


def run(inputs: Inputs, settings: FinetuneSettings, out_dir: Path, progress: Progress) -> None:
    """Train the model of stage 2 and write it.

    Raises:
        DataError: skeletons or features do not match the index.
        WeightsError: the pretrained model does not fit.
        CsipError: the loss became NaN.
    """
    data = read_training_set(inputs.indexes)
    skeletons, seen = read_skeletons(inputs.skeletons, data.tracklets)
    features = read_features(inputs.features, data.tracklets)
    shape = inputs.encoder_settings
    described = read_description(inputs.pretrained)
    skeleton = SkeletonSettings(**described["skeleton"])
    cameras = data.cameras if settings.camera_side else ()
    switches = {"use_sgtm": settings.use_sgtm, "use_pfu": settings.use_pfu, "use_skeletons": settings.use_skeletons}
    torch.manual_seed(settings.seed)
    model = ReidModel(shape, skeleton, len(data.pids), cameras, **switches)
    model.visual.trunk.load_state_dict(load_encoder(inputs.encoder, shape).trunk.state_dict())
    if model.skeleton is not None:
        load_part(model.skeleton, load_tensors(inputs.pretrained / MODEL), "", inputs.pretrained / MODEL)
        model.skeleton.requires_grad_(not settings.freeze_skeleton)

    def refresh(epoch: int) -> None:
        if epoch and not (settings.refresh_every and epoch % settings.refresh_every == 0):
            return
        count = len(data.pids)
        current = _current_features(model, data.tracklets, source) if epoch else features
        model.prototypes_visual.copy_(visual_prototypes(current, data.labels, count))
        if model.skeleton is not None:
            model.prototypes_skeleton.copy_(skeleton_prototypes(model.skeleton, skeletons, seen, data.labels, count))

    source = FrameSource(
        inputs.data_root, (shape.image_height, shape.image_width), settings.decode_workers, settings.cache_megabytes
    )

    def plan(epoch: int) -> list[list[int]]:
        return identity_batches(data.labels.tolist(), settings.identities, settings.instances, settings.seed, epoch)

    def make(tracklets: list[int], generator: torch.Generator) -> Batch:
        kept, frames, images = sample_clips(data, tracklets, settings.clip_length, source, generator)
        picked = list(zip(kept, frames, strict=True))
        clips = torch.from_numpy(np.stack([skeletons[i][f] for i, f in picked]))
        images, mirrored = augment(images, clips, settings.augment, generator)
        return {
            "images": images,
            "skeletons": mirrored,
            "seen": torch.from_numpy(np.stack([seen[i][f] for i, f in picked])),
            "labels": torch.from_numpy(data.labels[kept]),
            "camids": torch.tensor([data.tracklets[i].camid for i in kept]),
            "names": [data.tracklets[i].tracklet_id for i in kept],
        }

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        return model.loss(batch, settings.losses)

    train(
        model,
        loss,
        Steps(plan, make, settings.seed),
        list(parameter_groups(model, settings)),
        lambda epoch: warmup_steps(
            epoch, settings.warmup_epochs, settings.warmup_factor, settings.milestones, settings.gamma
        ),
        settings,
        out_dir,
        progress,
        settings.weight_decay,
        refresh,
    )
    _write(model, data.pids, cameras, settings, skeleton, shape, out_dir)
    finish(out_dir)


def parameter_groups(model: nn.Module, settings: FinetuneSettings) -> Iterator[dict[str, Any]]:
    """Adam's groups: encoders at `lr`, the rest faster by `head_lr` or `classifier_lr`, biases `bias_lr` times more."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = settings.lr
        if name.startswith(("heads.cls.", "heads.projected.")):
            rate *= settings.classifier_lr
        elif not name.startswith(("visual.", "skeleton.")):
            rate *= settings.head_lr
        if name.endswith("bias"):
            rate *= settings.bias_lr
        groups.setdefault(rate, []).append(parameter)
    for rate, parameters in sorted(groups.items(), key=lambda item: item[0]):
        yield {"params": parameters, "lr": rate}


def _current_features(
    model: ReidModel, tracklets: Sequence[Tracklet], source: FrameSource
) -> list[NDArray[np.float16]]:
    """Features of all frames by the visual encoder as it is now, each with its camera, in eval mode."""
    model.visual.eval()
    device = model.prototypes_visual.device
    features = [frame_features(model.visual, source.read(t.frames), FRAMES_AT_ONCE, device, t.camid) for t in tracklets]
    model.train()
    return features


def _write(
    model: ReidModel,
    pids: tuple[int, ...],
    cameras: tuple[int, ...],
    settings: FinetuneSettings,
    skeleton: SkeletonSettings,
    encoder: EncoderSettings,
    out_dir: Path,
) -> None:
    prototypes = {
        "visual": model.prototypes_visual,
        "skeleton": model.prototypes_skeleton,
        "pids": torch.tensor(pids),
    }
    save_tensors(prototypes, out_dir / PROTOTYPES)
    described = {
        "kind": "finetuned",
        "encoder": encoder.model_dump(mode="json", exclude={"weights"}),
        "skeleton": skeleton.model_dump(mode="json"),
        "cameras": list(cameras),
        "identities": len(pids),
        "use_sgtm": settings.use_sgtm,
        "use_pfu": settings.use_pfu,
        "use_skeletons": settings.use_skeletons,
    }
    save_model(model, described, out_dir)
