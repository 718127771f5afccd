"""How frozen features are computed."""

from storage.settings import Settings, neutral


class FeatureSettings(Settings):
    """How features are computed; nothing here changes them."""

    device: str = neutral("auto", "auto (a GPU if there is one), cpu, cuda.")
    batch_size: int = neutral(64, "Frames at once.", ge=1)
    decode_workers: int = neutral(4, "Threads that decode frames.", ge=1)
