"""Pretraining on skeletons alone."""

from pathlib import Path

from pydantic import Field

from storage.settings import neutral
from training.settings.loop import LoopSettings
from training.settings.skeleton import SkeletonSettings


class SkeletonOnlySettings(LoopSettings):
    """How a skeleton encoder is trained without images (layouts biwi, ias, utd_mhad, skeletons)."""

    epochs: int = Field(60, ge=0, description="Epochs; 0 with start_from: the encoder is used as it is.")
    clip_length: int = Field(6, ge=1, description="T, frames of a sequence, in training and evaluation.")
    start_from: Path | None = neutral(
        None,
        "Folder of a skeleton encoder to begin with: a `pretrained` artifact, of a video data set or of skeletons. "
        "Its bytes count, and its sizes take the place of those here.",
    )
    batch: int = Field(64, ge=2, description="Sequences of a batch: identities x instances.")
    instances: int = Field(8, ge=2, description="Sequences of each identity in a batch.")
    sequence: float = Field(1.0, ge=0, description="Weight of the contrast of sequences.")
    frame: float = Field(1.0, ge=0, description="Weight of the contrast of single skeletons.")
    reconstruction: float = Field(0.1, ge=0, description="Weight of the reconstruction of hidden joints.")
    hidden: float = Field(0.5, gt=0, lt=1, description="Share of the joints that are hidden from reconstruction.")
    temperature: float = Field(0.07, gt=0, description="Temperature of both contrasts.")
    lr: float = Field(3.5e-4, gt=0, description="Learning rate.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    warmup_epochs: int = Field(5, ge=0, description="Epochs of linear warm-up.")
    warmup_lr: float = Field(1e-5, ge=0, description="Learning rate at the start.")
    final_lr: float = Field(1e-6, ge=0, description="Learning rate at the end of the cosine.")
    flip: float = Field(0.0, ge=0, le=1, description="Probability that a sequence is mirrored.")
    turn: float = Field(0.0, ge=0, le=180, description="Largest random turn about the vertical axis, degrees.")
    projection: int = Field(128, ge=1, description="Width P of the embedding.")
    skeleton: SkeletonSettings = Field(
        default_factory=lambda: SkeletonSettings(width=128, depth=4, hidden=256, temporal=True),
        description="The skeleton encoder.",
    )
