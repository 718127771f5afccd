"""The skeleton encoder's sizes."""

from pydantic import Field

from storage.settings import Settings
from storage.skeleton import NUM_JOINTS


class SkeletonSettings(Settings):
    """Sizes of the skeleton graph transformer."""

    width: int = Field(512, description="Width of joint tokens inside the encoder.")
    depth: int = Field(10, description="Transformer blocks.")
    heads: int = Field(8, description="Attention heads.")
    hidden: int = Field(1024, description="Hidden width of the feed-forward part.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout in the blocks.")
    eigenvectors: int = Field(10, ge=1, le=NUM_JOINTS - 1, description="Laplacian eigenvectors as position encoding.")
    temporal: bool = Field(
        False, description="Alternate joint and time attention, with a CLS token (the paper's text)."
    )
