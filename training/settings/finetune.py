"""Stage 2."""

from pydantic import Field

from training.settings.augment import AugmentSettings
from training.settings.loop import LoopSettings
from training.settings.losses import LossSettings


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
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in PFU.")
    losses: LossSettings = Field(default_factory=LossSettings, description="Weights of the losses.")
    augment: AugmentSettings = Field(default_factory=AugmentSettings, description="Augmentation of training clips.")
