"""The trained or pretrained visual encoder that a stage starts from, and frames sent through it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.files import load_model, read_description
from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.pretrained import load_pretrained
from training.model.encoders.weights import weight_files
from training.settings import EncoderSettings


def load_encoder(folder: Path | None, settings: EncoderSettings) -> VisualEncoder:
    """The encoder of a `visual` folder, or with pretrained weights where there is none.

    Raises:
        WeightsError: the weights cannot be had or do not fit.
    """
    if folder is None:
        encoder = VisualEncoder(settings)
        files = weight_files(settings)
        if "encoder" in files:
            load_pretrained(encoder.trunk, files["encoder"], settings.model, settings.positions)
    else:
        encoder = VisualEncoder(EncoderSettings(**read_description(folder)["encoder"]))
        load_model(encoder, folder)
    return encoder


@torch.inference_mode()
def frame_features(
    encoder: VisualEncoder,
    frames: Sequence[NDArray[np.uint8] | None],
    batch_size: int,
    device: str | torch.device,
    camid: int | None = None,
) -> NDArray[np.float16]:
    """Projected CLS of one camera's frames (3, H, W), (N, P) float16; NaN for a frame that could not be read."""
    out = np.full((len(frames), encoder.trunk.projected_width), np.nan, np.float16)
    good = [(row, frame) for row, frame in enumerate(frames) if frame is not None]
    for start in range(0, len(good), batch_size):
        rows, some = zip(*good[start : start + batch_size], strict=True)
        images = torch.from_numpy(np.stack(some)).to(device)
        camids = None if camid is None else torch.full((len(rows),), camid, device=device)
        out[list(rows)] = encoder(images, camids)[1][:, 0].float().cpu().numpy().astype(np.float16)
    return out
