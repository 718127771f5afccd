"""Which visual encoder, and the files of its pretrained weights."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from storage.errors import WeightsError
from storage.settings import Settings, neutral

CLIP = "vit_base_patch16_clip_quickgelu_224.openai"
PATCH = 16


class EncoderSettings(Settings):
    """Which visual encoder; the sizes below `arch` and `weights` are those of the small one."""

    arch: Literal["clip_vit_b16", "small"] = Field(
        "clip_vit_b16", description="CLIP's ViT-B/16, or a small ViT that is first trained on the training identities."
    )
    weights: Path | None = neutral(
        None, "File of CLIP weights in timm's naming (.safetensors); by default fetched from the hub by name."
    )
    image_height: int = Field(256, multiple_of=PATCH, description="Height that frames are resized to, pixels.")
    image_width: int = Field(128, multiple_of=PATCH, description="Width that frames are resized to, pixels.")
    width: int = Field(192, description="Token width D of the small encoder; 768 for CLIP.")
    depth: int = Field(4, description="Blocks of the small encoder; 12 for CLIP.")
    heads: int = Field(4, description="Attention heads of the small encoder; 12 for CLIP.")
    projection: int = Field(128, description="Projected width P of the small encoder; 512 for CLIP.")

    @property
    def token_width(self) -> int:
        """D, the width of tokens before projection."""
        return 768 if self.arch == "clip_vit_b16" else self.width

    @property
    def projected_width(self) -> int:
        """P, the width of tokens after projection."""
        return 512 if self.arch == "clip_vit_b16" else self.projection


def weight_files(settings: EncoderSettings) -> dict[str, Path]:
    """Files of pretrained weights whose bytes decide results: CLIP's, fetched from the hub if no file is named.

    Raises:
        WeightsError: they are not there and cannot be fetched; says which file to put where.
    """
    if settings.arch == "small":
        return {}
    if settings.weights is not None:
        if not settings.weights.is_file():
            raise WeightsError(
                "the file of CLIP weights does not exist",
                where=f"encoder.weights={settings.weights}",
                fix=f"put model.safetensors of the hub's timm/{CLIP} there",
            )
        return {"clip": settings.weights}
    from huggingface_hub import hf_hub_download

    try:
        return {"clip": Path(hf_hub_download(f"timm/{CLIP}", "model.safetensors"))}
    except Exception as error:  # the hub's client raises many kinds for one cause: it cannot be reached
        raise WeightsError(
            f"CLIP weights are not in the cache and cannot be fetched: {type(error).__name__}",
            where="encoder.weights",
            fix=f"download model.safetensors of timm/{CLIP} from the Hugging Face hub and set encoder.weights to the "
            "file; or set encoder.arch=small to train a small encoder instead",
        ) from error
