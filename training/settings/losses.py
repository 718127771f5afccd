"""How stage 2's losses are weighted."""

from pydantic import Field

from storage.settings import Settings


class LossSettings(Settings):
    """Weights of stage 2's losses (METHOD, section 4)."""

    identity: float = Field(0.25, ge=0, description="Label-smoothed cross-entropy on each of the three features.")
    triplet: float = Field(1.0, ge=0, description="Batch-hard triplet loss on each of the three features.")
    prototype: float = Field(1.0, ge=0, description="Cross-entropy of the similarity to updated prototypes.")
    frame: float = Field(0.1625, ge=0, description="Cross-entropy of frame features.")
    smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing.")
    margin: float = Field(0.3, ge=0, description="Triplet margin.")
