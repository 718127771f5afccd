"""The `finetuned` stage: prototype-guided finetuning of the visual encoder, with skeletons as privileged information
(stage 2).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from storage.addresses import DataRoot
from storage.errors import SettingsError
from storage.progress import Progress
from storage.tables.parquet import write_table
from storage.tables.schema import SAMPLING_KEY
from storage.tables.tracklets import Tracklet, read_index
from training.batches.augment import augmented, draw_signs, mirrored
from training.batches.clips import (
    Clips,
    FrameSource,
    PerFrame,
    TrainingSet,
    draw_clips,
    read_clips,
    read_features,
    read_skeletons,
    read_training_set,
)
from training.batches.exchange import exchanged
from training.batches.loader import Batch
from training.batches.sampling import identity_batches, random_identity_batches
from training.embed import embed_tracklets, embeddings_table
from training.files import load_model, read_description, save_model, save_prototypes
from training.looping.distributed import own_share, rank, world_size
from training.looping.hooks import Validation
from training.looping.launch import on_all_devices
from training.looping.loop import Task, train
from training.looping.schedules import warmup_steps
from training.model.encoders.start import frame_features, load_encoder
from training.model.encoders.trunk import Composition
from training.model.prototypes import mean_visual, shared_prototypes, skeleton_prototypes, visual_prototypes
from training.model.reid_model import ReidModel
from training.settings import (
    VALIDATION,
    EmbedSettings,
    EncoderSettings,
    FinetuneSettings,
    SkeletonSettings,
    TrainerSettings,
)

FRAMES_AT_ONCE = 64
NECKS = ("heads.temporal.neck.weight", "heads.frame.weight")


@dataclass(frozen=True)
class Inputs:
    """Training shards, the pretrained skeleton encoder, and the visual encoder's folder (None: pretrained weights).

    Without `use_skeletons`, neither skeletons nor their encoder are looked at, and need not be there.
    """

    data_root: DataRoot
    indexes: tuple[Path, ...]
    features: tuple[Path, ...]
    encoder: Path | None
    encoder_settings: EncoderSettings
    skeletons: tuple[Path, ...] = ()
    pretrained: Path | None = None
    trainer: TrainerSettings = field(default_factory=TrainerSettings)


@dataclass(frozen=True)
class _Privileged:
    """What training sees of skeletons, and a tracklet at test time does not have."""

    settings: SkeletonSettings
    skeletons: PerFrame
    seen: PerFrame

    def of(self, clips: Clips) -> Batch:
        """The clips' skeletons, mirrored where their frames are, and which frames have one."""
        poses = torch.from_numpy(self.skeletons.clips(clips.tracklets, clips.frames))
        seen = torch.from_numpy(self.seen.clips(clips.tracklets, clips.frames))
        return {"skeletons": mirrored(poses, clips.draws.flipped), "seen": seen}


def _privileged(inputs: Inputs, settings: FinetuneSettings, data: TrainingSet) -> _Privileged | None:
    if not (settings.use_skeletons and inputs.pretrained):
        return None
    shape = SkeletonSettings(**read_description(inputs.pretrained)["skeleton"])
    skeletons, seen = read_skeletons(inputs.skeletons, data.tracklets)
    if settings.skeletons == "shuffled":
        skeletons, seen = exchanged(skeletons, seen, settings.seed)
    return _Privileged(shape, skeletons, seen)


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
    features = read_features(inputs.features, data.tracklets)
    shape, identities = inputs.encoder_settings, len(data.pids)
    privileged = _privileged(inputs, settings, data)
    cameras = data.cameras if settings.camera_side else ()
    parts = {"use_sgtm": settings.use_sgtm, "use_pfu": settings.use_pfu}
    skeleton = privileged.settings if privileged else None
    freeze_norms, dropout = settings.freeze_norms, settings.dropout
    torch.manual_seed(settings.seed)
    model = ReidModel(shape, skeleton, identities, cameras, **parts, freeze_norms=freeze_norms, dropout=dropout)
    model.visual.trunk.load_state_dict(load_encoder(inputs.encoder, shape).trunk.state_dict())
    if model.skeleton is not None and inputs.pretrained:
        load_model(model.skeleton, inputs.pretrained)
        model.skeleton.requires_grad_(not settings.freeze_skeleton)
    model.visual.trunk.checkpointing = inputs.trainer.checkpointing
    if inputs.trainer.compile:
        for part in (model.visual, model.skeleton, model.sgtm, model.pfu):
            if part is not None:
                part.compile()
    source = FrameSource(inputs.data_root, model.visual.trunk.size, 1, settings.cache_megabytes)
    source.fetch(data.tracklets, progress)

    def refresh(epoch: int) -> None:
        if epoch and not (settings.refresh_every and epoch % settings.refresh_every == 0):
            return
        if epoch:
            model.prototypes_visual.copy_(current_prototypes(model, data, source))
        else:
            model.prototypes_visual.copy_(visual_prototypes(features, data.labels, identities))
        if model.skeleton is not None and privileged:
            poses, seen = privileged.skeletons, privileged.seen
            found = skeleton_prototypes(model.skeleton, poses, seen, data.labels, identities)
            model.prototypes_skeleton.copy_(found)

    def make(tracklets: list[int], rng: np.random.Generator) -> Batch:
        drawn = draw_clips(data, tracklets, settings.clip_length, settings.augment, rng)
        signs = draw_signs(privileged.settings.eigenvectors, rng) if privileged else None
        clips, batch = read_clips(data, drawn.of(own_share(range(len(tracklets)))), source)
        batch["camids"] = torch.tensor([data.tracklets[i].camid for i in clips.tracklets])
        return batch | (privileged.of(clips) | {"signs": signs} if privileged else {})

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        images = augmented(batch.pop("images"), batch.pop("draws"), settings.augment)
        return model.loss({"images": images, **batch}, settings.losses)

    held_out = [t for t in read_index(list(inputs.indexes)) if t.split != "train"] if settings.validate_every else []
    validation = Validation(settings.validated_epochs, lambda: embedded(model, held_out, inputs.data_root, settings))
    batches = random_identity_batches if settings.sampler == "random" else identity_batches
    task = Task(
        model,
        loss,
        partial(batches, data.labels.tolist(), settings.identities, settings.instances, settings.seed),
        make,
        list(parameter_groups(model, settings)),
        lambda epoch: warmup_steps(
            epoch, settings.warmup_epochs, settings.warmup_factor, settings.milestones, settings.gamma
        ),
        settings.weight_decay,
        refresh,
        validation,
    )
    train(task, settings, inputs.trainer, out_dir, progress)
    if rank() == 0:
        for epoch in validation.epochs:
            if epoch not in validation.found:  # the last one, of a longer training that passed through it
                validation.found[epoch] = validation.embed()
            found = validation.found[epoch]
            table = embeddings_table(held_out, list(found.numpy()), found.shape[1], {SAMPLING_KEY: "dense"})
            write_table(table, out_dir / VALIDATION.format(epoch=epoch))
        save_prototypes(model.prototypes_visual, model.prototypes_skeleton, data.pids, out_dir)
        described = {
            "kind": "finetuned",
            "encoder": shape.model_dump(mode="json", exclude={"weights"}),
            "skeleton": skeleton.model_dump(mode="json") if skeleton else None,
            "cameras": list(cameras),
            "identities": identities,
            **parts,
            "use_skeletons": settings.use_skeletons,
        }
        save_model(model, described, out_dir)


def parameter_groups(model: nn.Module, settings: FinetuneSettings) -> Iterator[dict[str, Any]]:
    """Adam's groups: encoders at `lr`, the rest faster by `head_lr` or `classifier_lr`, biases `bias_lr` times more."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = settings.lr
        if name.startswith(("heads.cls.", "heads.projected.")) or name in NECKS:
            rate *= settings.classifier_lr
        elif not name.startswith(("visual.", "skeleton.")):
            rate *= settings.head_lr
        if name.endswith("bias"):
            rate *= settings.bias_lr
        groups.setdefault(rate, []).append(parameter)
    for rate, parameters in sorted(groups.items(), key=lambda item: item[0]):
        yield {"params": parameters, "lr": rate}


@torch.no_grad()
def embedded(model: ReidModel, tracklets: Sequence[Tracklet], root: DataRoot, settings: FinetuneSettings) -> Tensor:
    """Embeddings of tracklets by the model as it is, (N, C); zeros of one without a readable frame."""
    was_training, device = model.training, model.prototypes_visual.device
    parts, scale = model.visual.trunk.finetuned
    made_of = Composition(tuple(part for part in parts if part != "temporal" or model.sgtm is not None), scale)
    model.eval()

    def embed(clips: Tensor, camid: Tensor) -> Tensor:
        camids = camid.expand(len(clips)).to(device)
        return model.embedding(clips.to(device), camids, made_of).float().cpu()

    frames = EmbedSettings(clip_length=settings.clip_length, decode_workers=settings.decode_workers)
    rows = embed_tracklets(root, tracklets, embed, model.visual.trunk.size, frames)
    model.train(was_training)
    width = next((len(row) for row in rows if row is not None), 0)
    return torch.from_numpy(np.stack([np.zeros(width, np.float32) if row is None else row for row in rows]))


@torch.no_grad()
def current_prototypes(model: ReidModel, data: TrainingSet, source: FrameSource) -> Tensor:
    """`P_V` by the visual encoder as it is now, each frame with its camera, in eval mode, (K, P)."""
    was_training, device = model.training, model.prototypes_visual.device
    model.visual.eval()

    def feature(i: int) -> Tensor | None:
        tracklet = data.tracklets[i]
        rows = frame_features(model.visual, source.read(tracklet.frames), FRAMES_AT_ONCE, device, tracklet.camid)
        return torch.from_numpy(mean_visual(rows, rows)).to(device) if np.isfinite(rows[:, 0]).any() else None

    prototypes = shared_prototypes(feature, data.labels, len(data.pids), model.prototypes_visual[:0])
    model.train(was_training)
    return prototypes
