"""The trained or pretrained visual encoder that a stage starts from, and frames sent through it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from storage.errors import SettingsError, WeightsError
from storage.wording import one_line
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


@torch.no_grad()
def try_out(encoder: VisualEncoder) -> None:
    """Send two frames through an encoder, so that what cannot work is told before anything runs.

    Raises:
        SettingsError: frames of its size do not go through, or it gives no float32 tokens.
        WeightsError: it gives values that are not finite.
    """
    settings, (h, w) = encoder.settings, encoder.trunk.size
    frames = torch.randint(0, 256, (2, 3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        found = encoder.eval()(frames)
    except Exception as error:  # of the model's own code, whatever it is
        raise SettingsError(
            f"frames of {h} x {w} do not go through {settings.model} ({type(error).__name__}: {one_line(error)})",
            where="encoder.model, encoder.image_height, encoder.image_width",
            fix="set other sizes, or leave both out, or name another model",
        ) from error
    for name, tokens in zip(("tokens", "projected tokens"), found, strict=True):
        if tokens.dtype != torch.float32 or not tokens.numel():
            kind = f"{tokens.dtype} of shape {tuple(tokens.shape)}".removeprefix("torch.")
            where = f"encoder.model={settings.model}"
            raise SettingsError(f"its {name} are {kind}, expected float32", where=where, fix="return float32")
        if not tokens.isfinite().all():
            raise WeightsError(
                f"{settings.model} gives {name} that are not finite numbers",
                where="encoder.weights" if settings.weights is None else settings.weights,
                fix="get the weights again: some are not numbers, or belong to other sizes of frames",
            )


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
