"""Stage 1."""

from typing import Literal

from pydantic import Field

from training.settings.loop import LoopSettings
from training.settings.skeleton import SkeletonSettings


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
