"""The small visual encoder, trained on the training identities first, where no pretrained weights can be had."""

from itertools import pairwise

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from training.model.encoders.trunk import PERSON, PROJECTED_NORM, Trunk, shifted, through
from training.settings import EncoderSettings

STRIDE = 16
CLIP_MEAN, CLIP_STD = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)


class SmallTrunk(Trunk):
    """A convolutional stem to stride 16, a few pre-norm transformer blocks, a projection."""

    mean, std = CLIP_MEAN, CLIP_STD

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.size = settings.frame_size or PERSON
        self.token_width, self.projected_width = width, _ = settings.width, settings.projection
        steps = [3, width // 8, width // 4, width // 2, width]
        layers: list[nn.Module] = []
        for before, after in pairwise(steps):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.stem = nn.Sequential(*layers)
        cells = self.size[0] // STRIDE * (self.size[1] // STRIDE)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, cells + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, settings.heads, qkv_bias=True) for _ in range(settings.depth)))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, settings.projection)

    def forward(self, x: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Trunk.forward`; the camera is added to CLS before the blocks."""
        cells = self.stem(x).flatten(2).transpose(1, 2)  # (B, N - 1, D)
        # CLS starts from the mean cell: with few training steps, a bare one hardly learns to gather them
        cls = self.cls + cells.mean(dim=1, keepdim=True)
        tokens = torch.cat([cls, cells], dim=1) + self.position
        tokens = self.norm(through(self.blocks, shifted(tokens, shift), self.checkpointing))
        return tokens, self.project(tokens)


@torch.no_grad()
def fold_necks(trunk: SmallTrunk, cls: nn.BatchNorm1d, projected: nn.BatchNorm1d) -> None:
    """Make a small encoder's two outputs those of the batch norms that they were trained behind.

    Without it all features share one large offset, next to which identities differ in the fourth digit: cosines, and
    with them contrast and prototypes, would see nothing else. Projected features get a norm of about `PROJECTED_NORM`.
    """
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
