"""The visual encoder: a trunk of any family behind the normalisation of pixels, with a vector for each camera."""

import torch
from torch import Tensor, nn

from storage.errors import CsipError, SettingsError
from storage.wording import one_line
from training.model.encoders import osnet
from training.model.encoders.names import SMALL, check_name, is_own
from training.model.encoders.own import OwnTrunk
from training.model.encoders.small import SmallTrunk
from training.model.encoders.timm_models import TimmTrunk
from training.model.encoders.trunk import PERSON, Trunk
from training.settings import EncoderSettings


def make_trunk(settings: EncoderSettings) -> Trunk:
    """The trunk that settings name, with initial weights.

    Raises:
        SettingsError: there is no such model, or it cannot take frames of the size that is set.
    """
    check_name(settings.model)
    if settings.model == SMALL:
        return SmallTrunk(settings)
    if settings.model in osnet.NAMES:
        return osnet.OSNet(settings.model, settings.frame_size or PERSON)
    if is_own(settings.model):
        return OwnTrunk(settings.model, settings.frame_size)
    try:
        return TimmTrunk(settings.model, settings.frame_size)
    except CsipError:
        raise
    except Exception as error:  # models of timm that are made in other ways than most
        raise SettingsError(
            f"{settings.model} cannot be used here ({type(error).__name__}: {one_line(error)})",
            where="encoder.model",
            fix="name another model, or write a class of your own around it (docs/encoders.md)",
        ) from error


class VisualEncoder(nn.Module):
    """Images to tokens before projection (B, N, D) and after it (B, N, P), the global one first.

    Args:
        settings: which encoder.
        cameras: camera ids that get a learned vector added to the global token; none by default.
    """

    mean: Tensor
    std: Tensor
    cameras: Tensor

    def __init__(self, settings: EncoderSettings, cameras: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.settings = settings
        self.trunk = make_trunk(settings)
        self.camera_vectors = None
        if cameras:
            start = nn.init.trunc_normal_(torch.empty(len(cameras), self.trunk.token_width), std=0.02)
            self.camera_vectors = nn.Parameter(start)
        # buffers, so that a graph that was traced on one device moves to another with all it holds
        self.register_buffer("mean", torch.tensor(self.trunk.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(self.trunk.std).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("cameras", torch.tensor(cameras, dtype=torch.int64), persistent=False)

    def forward(self, images: Tensor, camids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens of images, before projection and after it.

        Args:
            images: (B, 3, H, W) RGB, 0 to 255, any float or uint8 dtype; normalised here as the trunk wants.
            camids: (B,) camera ids; a camera not among `cameras`, or None, adds nothing.
        """
        x = (images.float() - self.mean) / self.std
        tokens, projected = self.trunk(x, self._camera_shift(camids))
        return tokens, projected

    def _camera_shift(self, camids: Tensor | None) -> Tensor | None:
        if camids is None or self.camera_vectors is None:
            return None
        return (camids[:, None] == self.cameras).float() @ self.camera_vectors  # (B, D); zero for an unseen camera
