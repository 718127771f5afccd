"""What trains, and what every training stage shares."""

from typing import Literal

from pydantic import Field

from storage.settings import Settings, neutral


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
