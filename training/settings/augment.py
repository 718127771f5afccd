"""How training clips are augmented."""

from pydantic import Field

from storage.settings import Settings


class AugmentSettings(Settings):
    """What is done to training clips."""

    flip: float = Field(0.5, ge=0, le=1, description="Probability that a clip is mirrored, its skeleton with it.")
    shift: int = Field(10, ge=0, description="Largest shift of a clip's frames, pixels of the resized frame.")
    colour: float = Field(0.0, ge=0, le=1, description="Strength of random gain and brightness of each channel.")
    erase: float = Field(0.5, ge=0, le=1, description="Probability that a rectangle of a frame is erased.")
