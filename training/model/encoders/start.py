"""The trained or pretrained visual encoder that a stage starts from, and frames sent through it."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.model.encoders.vit import VisualEncoder, load_clip
from training.model.files import load_part, load_tensors, read_description
from training.settings import MODEL, EncoderSettings, weight_files


def load_encoder(folder: Path | None, settings: EncoderSettings, cameras: tuple[int, ...] = ()) -> VisualEncoder:
    """The encoder of a `visual` folder, or CLIP's weights where there is none; `cameras` get zero vectors to learn.

    Raises:
        WeightsError: the weights cannot be had or do not fit.
    """
    encoder = VisualEncoder(settings, cameras)
    if folder is None:
        load_clip(encoder, weight_files(settings)["clip"])
        return encoder
    trained = EncoderSettings(**read_description(folder)["encoder"])
    plain = VisualEncoder(trained)
    load_part(plain, load_tensors(folder / MODEL), "", folder / MODEL)
    encoder.trunk.load_state_dict(plain.trunk.state_dict())
    return encoder


@torch.inference_mode()
def frame_features(
    encoder: VisualEncoder,
    frames: list[NDArray[np.uint8] | None],
    batch_size: int,
    device: str | torch.device,
    camid: int | None = None,
) -> NDArray[np.float16]:
    """Projected CLS of one camera's frames (3, H, W), (N, P) float16; NaN for a frame that could not be read."""
    out = np.full((len(frames), encoder.settings.projected_width), np.nan, np.float16)
    good = [i for i, frame in enumerate(frames) if frame is not None]
    for start in range(0, len(good), batch_size):
        rows = good[start : start + batch_size]
        images: Tensor = torch.from_numpy(np.stack([frames[i] for i in rows])).to(device)  # type: ignore[arg-type]
        cameras = None if camid is None else torch.full((len(rows),), camid, device=device)
        out[rows] = encoder(images, cameras)[1][:, 0].float().cpu().numpy().astype(np.float16)
    return out
