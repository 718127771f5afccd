"""The visual encoder: CLIP's ViT-B/16 through timm, or a small ViT where no pretrained weights can be had.

Both give the same two outputs: tokens before and after projection, CLS first.
"""

from itertools import pairwise
from pathlib import Path
from typing import cast

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from storage.errors import WeightsError
from training.files import misfits
from training.settings import CLIP, PATCH, EncoderSettings

CLIP_MEAN = (0.4815, 0.4578, 0.4082)
CLIP_STD = (0.2686, 0.2613, 0.2758)
PROJECTED_NORM = 3.0  # similarities to prototypes, the raw logits of stage 2, then span about -9 to 9


class VisualEncoder(nn.Module):
    """Images to tokens before projection (B, N, D) and after it (B, N, P), CLS first.

    Args:
        settings: which encoder.
        cameras: camera ids that get a learned vector added to CLS (camera side information); none by default.
    """

    trunk: "ClipTrunk | SmallTrunk"
    mean: Tensor
    std: Tensor
    cameras: Tensor

    def __init__(self, settings: EncoderSettings, cameras: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.settings = settings
        self.trunk = ClipTrunk(settings) if settings.arch == "clip_vit_b16" else SmallTrunk(settings)
        self.camera_vectors = None
        if cameras:
            start = nn.init.trunc_normal_(torch.empty(len(cameras), settings.token_width), std=0.02)
            self.camera_vectors = nn.Parameter(start)
        # buffers, so that a graph that was traced on one device moves to another with all it holds
        self.register_buffer("mean", torch.tensor(CLIP_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("cameras", torch.tensor(cameras, dtype=torch.int64), persistent=False)

    def forward(self, images: Tensor, camids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens of images, before projection and after it.

        Args:
            images: (B, 3, H, W) RGB, 0 to 255, any float or uint8 dtype; normalised here with CLIP's constants.
            camids: (B,) camera ids; a camera not among `cameras`, or None, adds nothing.
        """
        x = (images.float() - self.mean) / self.std
        tokens, projected = self.trunk(x, self._camera_shift(camids))
        return tokens, projected

    def _camera_shift(self, camids: Tensor | None) -> Tensor | None:
        if camids is None or self.camera_vectors is None:
            return None
        return (camids[:, None] == self.cameras).float() @ self.camera_vectors  # (B, D); zero for an unseen camera


class SmallTrunk(nn.Module):
    """A convolutional stem to stride 16, a few pre-norm transformer blocks, a projection."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        width = settings.width
        steps = [3, width // 8, width // 4, width // 2, width]
        layers: list[nn.Module] = []
        for before, after in pairwise(steps):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.stem = nn.Sequential(*layers)
        cells = settings.image_height // PATCH * (settings.image_width // PATCH)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, cells + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, settings.heads, qkv_bias=True) for _ in range(settings.depth)))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, settings.projection)
        self.checkpointing = False

    def forward(self, x: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        cells = self.stem(x).flatten(2).transpose(1, 2)  # (B, N - 1, D)
        # CLS starts from the mean cell: with few training steps, a bare one hardly learns to gather them
        cls = self.cls + cells.mean(dim=1, keepdim=True)
        tokens = torch.cat([cls, cells], dim=1) + self.position
        tokens = self.norm(_through(self.blocks, _shifted(tokens, shift), self.checkpointing))
        return tokens, self.project(tokens)


@torch.no_grad()
def fold_necks(encoder: VisualEncoder, cls: nn.BatchNorm1d, projected: nn.BatchNorm1d) -> None:
    """Make a small encoder's two outputs those of the batch norms that they were trained behind.

    Without it all features share one large offset, next to which identities differ in the fourth digit: cosines, and
    with them contrast and prototypes, would see nothing else. Projected features get a norm of about `PROJECTED_NORM`.
    """
    trunk = cast(SmallTrunk, encoder.trunk)
    (scale, shift), (outer, lift) = _affine(cls), _affine(projected)
    trunk.project.bias.sub_(trunk.project.weight @ (shift / scale))
    trunk.project.weight.div_(scale)  # undoes what the next two lines do to its input
    trunk.norm.weight.mul_(scale)
    trunk.norm.bias.mul_(scale).add_(shift)
    size = PROJECTED_NORM / len(outer) ** 0.5
    trunk.project.weight.mul_(outer[:, None] * size)
    trunk.project.bias.mul_(outer).add_(lift).mul_(size)


def _affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Scale and shift that a batch norm applies in evaluation."""
    scale = norm.weight / (norm.get_buffer("running_var") + norm.eps).sqrt()
    return scale, norm.bias - norm.get_buffer("running_mean") * scale


class ClipTrunk(nn.Module):
    """CLIP's visual tower as timm builds it, its position embedding interpolated to our grid."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.vit = cast(VisionTransformer, timm.create_model(CLIP, pretrained=False, img_size=settings.size))
        self.checkpointing = False

    def forward(self, x: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        vit = self.vit
        tokens = vit.norm_pre(_shifted(vit._pos_embed(vit.patch_embed(x)), shift))
        tokens = vit.norm(_through(vit.blocks, tokens, self.checkpointing))
        return tokens, vit.head(tokens)


def _through(blocks: nn.Sequential, tokens: Tensor, checkpointing: bool) -> Tensor:
    """Tokens after all blocks; with checkpointing, only what enters a block is kept for the backward pass."""
    saving = checkpointing and torch.is_grad_enabled()
    for block in blocks:
        tokens = checkpoint(block, tokens, use_reentrant=False) if saving else block(tokens)
    return tokens


def _shifted(tokens: Tensor, shift: Tensor | None) -> Tensor:
    if shift is None:
        return tokens
    return torch.cat([tokens[:, :1] + shift[:, None], tokens[:, 1:]], dim=1)


def load_clip(encoder: VisualEncoder, path: Path) -> None:
    """Load CLIP's visual tower, strictly; position embeddings of another grid are interpolated.

    Raises:
        WeightsError: the file is damaged or is not CLIP ViT-B/16.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot read weights: {error}", where=path, fix="fetch the file again") from error
    vit = cast(ClipTrunk, encoder.trunk).vit
    if "pos_embed" in state and state["pos_embed"].shape != vit.get_parameter("pos_embed").shape:
        grid = vit.patch_embed.grid_size
        state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], new_size=list(grid), num_prefix_tokens=1)
    wrong = misfits(vit, state)
    if wrong:
        raise WeightsError(
            f"these weights are not CLIP ViT-B/16; {len(wrong)} keys do not fit, such as {', '.join(wrong[:5])}",
            where=path,
            fix=f"use model.safetensors of timm/{CLIP}",
        )
    vit.load_state_dict(state)
