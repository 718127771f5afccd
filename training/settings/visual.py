"""The training of the small visual encoder."""

from pydantic import Field

from training.settings.augment import AugmentSettings
from training.settings.loop import LoopSettings


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
