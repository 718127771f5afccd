"""Settings of the whole pipeline on a few rendered people: seconds, on a CPU."""

from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "name": "small",
    "data": {
        "train_shards": 2,
        "test_shards": 2,
        "demo": {
            "train_identities": 4,
            "test_identities": 4,
            "cameras": 2,
            "tracklets": 2,
            "frames": 3,
            "distractors": 1,
        },
    },
    "encoder": {
        "model": "small",
        "image_height": 32,
        "image_width": 16,
        "width": 16,
        "depth": 1,
        "heads": 2,
        "projection": 8,
    },
    "visual": {"epochs": 1, "clip_length": 2, "identities": 4, "instances": 2},
    "pretrain": {"epochs": 1, "clip_length": 2, "skeleton": {"width": 16, "depth": 1, "heads": 2, "hidden": 16}},
    "finetune": {"epochs": 1, "clip_length": 2, "instances": 2},
}


def small_settings(folder: Path, store: str = "") -> dict[str, Any]:
    """With data, and the store unless another is named, in a folder."""
    data = SETTINGS["data"] | {"root": str(folder / "data")}
    return SETTINGS | {"store": store or str(folder / "store"), "data": data}
