"""How tracklets are embedded."""

from typing import Literal

from pydantic import Field

from storage.settings import Settings, neutral


class EmbedSettings(Settings):
    """How a tracklet becomes one embedding."""

    sampling: Literal["rrs", "dense"] = Field(
        "dense", description="rrs: one clip, the first frame of each segment; dense: all frames as clips, averaged."
    )
    clip_length: int = Field(8, ge=1, description="T, frames of a clip.")
    device: str = neutral("auto", "auto (a GPU if there is one), cpu, cuda.")
    batch_size: int = neutral(8, "Clips at once.", ge=1)
    decode_workers: int = neutral(4, "Threads that decode frames.", ge=1)
