"""The `finetuned` stage: prototype-guided finetuning of the visual encoder, with skeletons as privileged information
(stage 2).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from storage.addresses import DataRoot
from storage.errors import SettingsError
from storage.progress import Progress
from storage.tables.tracklets import Tracklet
from training.batches.augment import augmented, draw, draw_signs, mirrored
from training.batches.clips import (
    FrameSource,
    read_clips,
    read_features,
    read_skeletons,
    read_training_set,
    sample_frames,
)
from training.batches.loader import Batch, Steps
from training.batches.sampling import identity_batches
from training.looping.distributed import gather, own_share, rank, world_size
from training.looping.launch import on_all_devices
from training.looping.loop import Task, train
from training.looping.schedules import warmup_steps
from training.model.encoders.start import frame_features, load_encoder
from training.model.files import load_part, load_tensors, read_description, save_model, save_tensors
from training.model.prototypes import mean_prototypes
from training.model.reid_model import ReidModel
from training.pretrain import mean_visual, skeleton_prototypes, visual_prototypes
from training.settings import MODEL, PROTOTYPES, EncoderSettings, FinetuneSettings, SkeletonSettings, TrainerSettings

FRAMES_AT_ONCE = 64


@dataclass(frozen=True)
class Inputs:
    """Training shards, the pretrained skeleton encoder, and the visual encoder's folder (None: pretrained weights)."""

    data_root: DataRoot
    indexes: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    features: tuple[Path, ...]
    pretrained: Path
    encoder: Path | None
    encoder_settings: EncoderSettings
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


@on_all_devices
def run(inputs: Inputs, settings: FinetuneSettings, out_dir: Path, progress: Progress) -> None:
    """Train the model of stage 2 and write it.

    Raises:
        DataError: skeletons or features do not match the index.
        SettingsError: a batch has fewer clips than there are devices.
        WeightsError: the pretrained model does not fit.
        CsipError: the loss became NaN.
    """
    if settings.identities * settings.instances < world_size():
        raise SettingsError(
            f"a batch of {settings.identities} x {settings.instances} clips is too small for {world_size()} devices",
            where="finetune.identities",
            fix="raise it, or lower trainer.devices",
        )
    data = read_training_set(inputs.indexes)
    skeletons, seen = read_skeletons(inputs.skeletons, data.tracklets)
    features = read_features(inputs.features, data.tracklets)
    shape = inputs.encoder_settings
    described = read_description(inputs.pretrained)
    skeleton = SkeletonSettings(**described["skeleton"])
    cameras = data.cameras if settings.camera_side else ()
    switches = {"use_sgtm": settings.use_sgtm, "use_pfu": settings.use_pfu, "use_skeletons": settings.use_skeletons}
    torch.manual_seed(settings.seed)
    model = ReidModel(shape, skeleton, len(data.pids), cameras, **switches, dropout=settings.dropout)
    model.visual.trunk.load_state_dict(load_encoder(inputs.encoder, shape).trunk.state_dict())
    if model.skeleton is not None:
        load_part(model.skeleton, load_tensors(inputs.pretrained / MODEL), "", inputs.pretrained / MODEL)
        model.skeleton.requires_grad_(not settings.freeze_skeleton)
    model.visual.trunk.checkpointing = inputs.trainer.checkpointing
    if inputs.trainer.compile:
        for part in (model.visual, model.skeleton, model.sgtm, model.pfu):
            if part is not None:
                part.compile()

    def refresh(epoch: int) -> None:
        if epoch and not (settings.refresh_every and epoch % settings.refresh_every == 0):
            return
        count = len(data.pids)
        if epoch:
            model.prototypes_visual.copy_(current_prototypes(model, data.tracklets, data.labels, source, count))
        else:
            model.prototypes_visual.copy_(visual_prototypes(features, data.labels, count))
        if model.skeleton is not None:
            model.prototypes_skeleton.copy_(skeleton_prototypes(model.skeleton, skeletons, seen, data.labels, count))

    source = FrameSource(inputs.data_root, (shape.image_height, shape.image_width), 1, settings.cache_megabytes)
    source.fetch(data.tracklets, progress)

    def plan(epoch: int) -> list[list[int]]:
        return identity_batches(data.labels.tolist(), settings.identities, settings.instances, settings.seed, epoch)

    def make(tracklets: list[int], rng: np.random.Generator) -> Batch:
        frames = sample_frames(data, tracklets, settings.clip_length, rng)
        draws = draw(len(tracklets), settings.clip_length, settings.augment, rng)
        signs = draw_signs(skeleton.eigenvectors, rng)
        own = own_share(range(len(tracklets)))
        kept, images = read_clips(data, [tracklets[k] for k in own], frames[own], source)
        kept = [own[k] for k in kept]
        mine, frames, draws = [tracklets[k] for k in kept], frames[kept], draws.of(kept)
        return {
            "images": torch.from_numpy(images),
            "draws": draws,
            "skeletons": mirrored(torch.from_numpy(skeletons.clips(mine, frames)), draws.flipped),
            "seen": torch.from_numpy(seen.clips(mine, frames)),
            "signs": signs,
            "labels": torch.from_numpy(data.labels[mine]),
            "camids": torch.tensor([data.tracklets[i].camid for i in mine]),
            "names": [data.tracklets[i].tracklet_id for i in mine],
        }

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        images = augmented(batch.pop("images"), batch.pop("draws"), settings.augment)
        return model.loss({"images": images, **batch}, settings.losses)

    task = Task(
        model,
        loss,
        Steps(plan, make, settings.seed, settings.decode_workers, settings.epochs),
        list(parameter_groups(model, settings)),
        lambda epoch: warmup_steps(
            epoch, settings.warmup_epochs, settings.warmup_factor, settings.milestones, settings.gamma
        ),
        settings.weight_decay,
        refresh,
    )
    train(task, settings, inputs.trainer, out_dir, progress)
    if rank() == 0:
        _write(model, data.pids, cameras, settings, skeleton, shape, out_dir)


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


@torch.no_grad()
def current_prototypes(
    model: ReidModel,
    tracklets: Sequence[Tracklet],
    labels: NDArray[np.int64],
    source: FrameSource,
    identities: int,
) -> Tensor:
    """`P_V` by the visual encoder as it is now, each frame with its camera, in eval mode, (K, P).

    Several processes work out a part each, and have them all.
    """
    was_training = model.training
    model.visual.eval()
    device = model.prototypes_visual.device
    means, good = torch.zeros(0, model.prototypes_visual.shape[1], device=device), []
    for i in own_share(range(len(tracklets))):
        frames = source.read(tracklets[i].frames)
        rows = frame_features(model.visual, frames, FRAMES_AT_ONCE, device, tracklets[i].camid)
        if np.isfinite(rows[:, 0]).any():
            good.append(i)
            means = torch.cat([means, torch.from_numpy(mean_visual(rows, rows))[None].to(device)])
    model.train(was_training)
    rows = gather(torch.tensor(labels[good], device=device))
    return mean_prototypes(gather(means).cpu(), rows.cpu(), identities)


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
