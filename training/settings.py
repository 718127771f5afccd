"""Settings of all that trains, embeds or computes features; each class is the section of a configuration.

They lie apart from the code that uses them, since that imports torch and timm, which takes seconds and most of a
gigabyte: a plan of a run, or a run that finds nothing to do, needs only the settings.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from storage.settings import Settings, neutral
from storage.skeleton import NUM_JOINTS
from training.body_settings import BodySettings

VALIDATION = "validation-{epoch:03d}.parquet"
MODEL, SETTINGS, PROTOTYPES, HISTORY = "model.safetensors", "settings.yaml", "prototypes.safetensors", "history.parquet"
"""Files of a trained model, named here for who looks for them without importing torch."""


class AugmentSettings(Settings):
    """What is done to training clips."""

    flip: float = Field(0.5, ge=0, le=1, description="Probability that a clip is mirrored, its skeleton with it.")
    shift: int = Field(0, ge=0, description="Largest shift of a clip's frames, pixels of the resized frame.")
    colour: float = Field(0.0, ge=0, le=1, description="Strength of random gain and brightness of each channel.")
    erase: float = Field(0.5, ge=0, le=1, description="Probability that a rectangle of a frame gets one random colour.")


Part = Literal["cls", "projected", "temporal"]
"""A clip feature: CLS, projected CLS, SGTM's F."""
Scale = Literal["raw", "unit", "neck"]
"""How clip features are made equal before they stand side by side: as they are, of length 1, behind their BNNeck."""


class EmbedSettings(Settings):
    """How a tracklet becomes one embedding."""

    sampling: Literal["rrs", "dense"] = Field(
        "dense", description="rrs: one clip, the first frame of each segment; dense: all frames as clips, averaged."
    )
    clip_length: int = Field(8, ge=1, description="T, frames of a clip.")
    parts: tuple[Part, ...] | None = Field(
        None,
        min_length=1,
        description="Clip features of the finetuned model that stand side by side, of cls, projected, temporal (SGTM's "
        "F); null: what is best for the encoder's family (docs/encoders.md).",
    )
    scale: Scale | None = Field(
        None,
        description="How they are scaled before: raw, unit (each of length 1), neck (behind its BNNeck); null: what is "
        "best for the encoder's family.",
    )
    frame_weights: Literal["equal", "visibility"] = Field(
        "equal",
        description="How much each frame of a test tracklet counts: all the same, or by how sure the pose estimator is "
        "of its joints.",
    )
    device: str = neutral("auto", "auto (a GPU if there is one), cpu, cuda.")
    batch_size: int = neutral(8, "Clips at once.", ge=1)
    decode_workers: int = neutral(4, "Threads that decode frames.", ge=1)

    @field_validator("parts", mode="before")
    @classmethod
    def _in_a_line(cls, parts: Any) -> Any:
        """`cls,temporal`, as one would write it on a command line."""
        return tuple(part.strip() for part in parts.split(",")) if isinstance(parts, str) else parts

    @field_validator("parts")
    @classmethod
    def _each_once(cls, parts: tuple[Part, ...] | None) -> tuple[Part, ...] | None:
        if parts and len(set(parts)) < len(parts):
            raise ValueError(f"each part once, not {', '.join(parts)}")
        return parts


Whose = Literal["own", "shuffled"]
"""A control: whether tracklets learn from their own skeletons, or each from those of any other."""

CLIP = "vit_base_patch16_clip_quickgelu_224.openai"


class EncoderSettings(Settings):
    """Which visual encoder. Normalisation and widths come from the model; the last four are those of the small one."""

    model: str = Field(
        CLIP,
        description="A name of timm's (CLIP's ViT-B/16 by default), of OSNet's (osnet_x1_0 to osnet_x0_25), a class of "
        "your own (my_encoder.py:MyEncoder), or small: a small ViT that is first trained on the training identities.",
    )
    weights: Path | None = neutral(
        None, "File of pretrained weights, in any layout that people have; by default fetched from the hub by name."
    )
    image_height: int | None = Field(None, ge=16, description="Height of resized frames, pixels; by default 256.")
    image_width: int | None = Field(None, ge=16, description="Width of resized frames, pixels; by default 128.")
    positions: Literal["bicubic", "bilinear"] = Field(
        "bicubic", description="How a position embedding is laid over another grid; bilinear is the published way."
    )
    width: int = Field(192, ge=8, multiple_of=8, description="Token width D of the small encoder.")
    depth: int = Field(4, ge=1, description="Blocks of the small encoder.")
    heads: int = Field(4, ge=1, description="Attention heads of the small encoder.")
    projection: int = Field(128, ge=1, description="Projected width P of the small encoder.")

    @model_validator(mode="before")
    @classmethod
    def _named_as_today(cls, values: Any) -> Any:
        if isinstance(values, dict) and "arch" in values:
            raise ValueError(f"arch is now called model: small, or {CLIP} for clip_vit_b16")
        return values

    @model_validator(mode="after")
    def _can_be_small(self) -> Self:
        if self.model == "small" and self.width % self.heads:
            raise ValueError(f"encoder.width={self.width} is no multiple of encoder.heads={self.heads}")
        return self

    @model_validator(mode="after")
    def _both_sides(self) -> Self:
        if (self.image_height is None) != (self.image_width is None):
            raise ValueError("image_height and image_width go together: set both, or none")
        return self

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """(H, W) that frames are to be resized to, pixels; None: what fits the model."""
        return (self.image_height, self.image_width) if self.image_height and self.image_width else None

    @property
    def is_pretrained(self) -> bool:
        """Whether it starts from weights that somebody else trained."""
        return self.model != "small"


class FeatureSettings(Settings):
    """How features are computed; nothing here changes them."""

    device: str = neutral("auto", "auto (a GPU if there is one), cpu, cuda.")
    batch_size: int = neutral(64, "Frames at once.", ge=1)
    decode_workers: int = neutral(4, "Threads that decode frames.", ge=1)


class TrainerSettings(Settings):
    """What trains, the same for all stages."""

    devices: int = neutral(1, "Processes of the two stages of the method, one a GPU (or on the CPU).", ge=1)
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Of the forward passes; auto: bf16 on a GPU, fp32 on the CPU. Losses are always fp32."
    )
    compile: bool = Field(
        False, description="Compile the models of the two stages (torch.compile): slow to start, then faster."
    )
    checkpointing: bool = neutral(False, "Work out the visual encoder's activations again instead of keeping them.")
    loggers: tuple[str, ...] = neutral(
        ("TensorboardVisBackend",), "Backends of mmengine.visualization that get loss and rate; none is needed."
    )
    keep_states: int = neutral(2, "Saved states that are kept while training.", ge=1)


class LoopSettings(Settings):
    """What every training stage shares."""

    seed: int = Field(0, ge=0, description="Seed of initial weights, batches, augmentation and dropout.")
    epochs: int = Field(60, ge=1, description="Epochs.")
    clip_length: int = Field(8, ge=1, description="T, frames of a clip.")
    decode_workers: int = neutral(4, "Threads that make batches.", ge=1)
    cache_megabytes: int = neutral(4000, "Memory for decoded frames.", ge=0)
    threads: int = neutral(
        0, "Threads of torch's operators on the CPU; 0: one a core. Small models are faster with one.", ge=0
    )
    save_every: int = neutral(1, "Epochs between saved states, from which a killed run goes on.", ge=1)
    max_loss: float = neutral(1e4, "A larger loss stops the training: it has exploded.", gt=0)


class LossSettings(Settings):
    """Weights of stage 2's losses (METHOD, section 4)."""

    identity: float = Field(0.25, ge=0, description="Label-smoothed cross-entropy on each of the three features.")
    triplet: float = Field(1.0, ge=0, description="Batch-hard triplet loss on each of the three features.")
    prototype: float = Field(1.0, ge=0, description="Cross-entropy of the similarity to updated prototypes.")
    frame: float = Field(0.1625, ge=0, description="Cross-entropy of frame features.")
    smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing.")
    margin: float = Field(0.3, ge=0, description="Triplet margin.")


class SkeletonSettings(Settings):
    """Sizes of the skeleton graph transformer."""

    width: int = Field(512, description="Width of joint tokens inside the encoder.")
    depth: int = Field(10, description="Transformer blocks.")
    heads: int = Field(8, description="Attention heads.")
    hidden: int = Field(1024, description="Hidden width of the feed-forward part.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout in the blocks.")
    eigenvectors: int = Field(10, ge=1, le=NUM_JOINTS - 1, description="Laplacian eigenvectors as position encoding.")
    metric_start: bool = Field(
        True,
        description="Initial weights of the first layer fit for joints in metres; off: torch's own, as published.",
    )
    temporal: bool = Field(
        False, description="Alternate joint and time attention, with a CLS token (the paper's text)."
    )


class PretrainSettings(LoopSettings):
    """Stage 1 (METHOD, section 3)."""

    epochs: int = Field(120, ge=0, description="Epochs; 0, as a control: the skeleton encoder's initial weights.")
    skeletons: Whose = Field(
        "own", description="shuffled, as a control: each tracklet learns from the skeletons of any other."
    )
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


class FinetuneSettings(LoopSettings):
    """Stage 2 (METHOD, section 4)."""

    epochs: int = Field(80, ge=1, description="Epochs.")
    identities: int = Field(4, ge=2, description="Identities of a batch.")
    instances: int = Field(4, ge=2, description="Clips of each identity in a batch.")
    sampler: Literal["random", "complete"] = Field(
        "random",
        description="random: identities drawn uniformly, a rest of fewer tracklets than `instances` left out. "
        "complete: those with most tracklets left first, so that each comes once an epoch.",
    )
    lr: float = Field(5e-6, gt=0, description="Learning rate of the encoders.")
    bias_lr: float = Field(2.0, gt=0, description="Biases learn this many times faster.")
    head_lr: float = Field(10.0, gt=0, description="PFU, SGTM and its heads learn this many times faster.")
    classifier_lr: float = Field(
        1.0, gt=0, description="Necks, and classifiers of CLS and projected CLS, learn this many times faster."
    )
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    warmup_epochs: int = Field(10, ge=0, description="Epochs of linear warm-up.")
    warmup_factor: float = Field(0.1, gt=0, le=1, description="Share of the learning rate at the start.")
    milestones: tuple[int, ...] = Field((30, 50, 70), description="Epochs, from 1, at which the learning rate drops.")
    gamma: float = Field(0.1, gt=0, le=1, description="Factor of each drop.")
    camera_side: bool = Field(True, description="Add a learned vector per camera to CLS.")
    freeze_norms: bool = Field(
        True, description="Batch norms of the visual encoder, if it has any, keep the statistics they came with."
    )
    freeze_skeleton: bool = Field(False, description="Keep the skeleton encoder as pretrained (the paper's figure).")
    refresh_every: int = Field(0, ge=0, description="Epochs between new prototypes; 0 keeps the first ones.")
    validate_every: int = Field(
        0,
        ge=0,
        description="Epochs between rankings of the training people that data.folds holds out, for a curve; 0: none.",
    )
    use_sgtm: bool = Field(True, description="Skeleton-guided temporal modelling; off for the ablation.")
    use_pfu: bool = Field(True, description="Prototype fusion updater; off for the ablation.")
    use_skeletons: bool = Field(True, description="Skeletons in SGTM and PFU; off for the ablation.")
    skeletons: Whose = Field("own", description="shuffled, as a control: each tracklet has the skeletons of any other.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in PFU and SGTM.")
    losses: LossSettings = Field(default_factory=LossSettings, description="Weights of the losses.")
    augment: AugmentSettings = Field(default_factory=AugmentSettings, description="Augmentation of training clips.")

    @property
    def validated_epochs(self) -> tuple[int, ...]:
        """Epochs, from 1, after which held-out people are embedded; the last one is always among them."""
        every = self.validate_every
        return (*range(every, self.epochs, every), self.epochs) if every else ()


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
    body: BodySettings | None = Field(
        None,
        description="An encoder that is given lengths and directions of bones, and the skeleton encoder as one of its "
        "parts; {} takes the usual weights. null: the skeleton encoder alone, on joints in metres.",
    )
