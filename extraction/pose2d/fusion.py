"""The same pose model, faster: what inference does not need is folded away, and memory is laid out as a CPU likes it.

Nothing here changes an answer by more than rounding: `fused` compares before it trusts.
"""

import copy
import logging

import torch
from torch import Tensor

from extraction.zoo.mmpose_compat import mmpose_scope
from extraction.zoo.pose_model import PoseModel

log = logging.getLogger("csip.extraction")

TOLERANCE = 1e-3
"""Largest change of a feature, relative to the largest of them, that folding may make; rounding makes about 1e-6."""


@torch.inference_mode()
def fused(model: PoseModel) -> PoseModel:
    """A copy of a 2D model with batch norms folded into convolutions, channels last in memory.

    Folding is mmcv's `fuse_conv_bn`, which goes by the order in which a module names its parts; a model whose parts run
    in another order than they are named is left as it is.
    """
    from mmcv.cnn.utils import fuse_conv_bn

    keep_layout_when_shuffling()
    model = copy.deepcopy(model)
    with mmpose_scope():
        folded = fuse_conv_bn(copy.deepcopy(model)).eval()
    width, height = model.head.decoder.input_size
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 3, int(height), int(width), generator=generator).to(next(model.parameters()).device)
    before, after = tuple(model.extract_feat(noise)), tuple(folded.extract_feat(noise))
    size = max(float(feature.abs().max()) for feature in before)
    change = max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))
    if change > TOLERANCE * size:
        log.warning("batch norms of this model cannot be folded (features would change by %.2g): slower", change / size)
        folded = model
    return folded.to(memory_format=torch.channels_last)


def shuffled(images: Tensor, groups: int) -> Tensor:
    """Channel shuffle of (B, C, H, W) that leaves channels last in memory where they are."""
    batch, channels, height, width = images.shape
    last = images.permute(0, 2, 3, 1).reshape(batch, height, width, groups, channels // groups)
    return last.transpose(3, 4).flatten(3).permute(0, 3, 1, 2)


def keep_layout_when_shuffling() -> None:
    """Give LiteHRNet a channel shuffle that does not copy its features into another layout and back.

    mmpose's ends in `contiguous()`, which for channels-last features costs a third of the whole forward pass. Only
    those are shuffled by ours; the values are the same.
    """
    from mmpose.models.backbones import litehrnet
    from mmpose.models.backbones.utils import channel_shuffle

    def shuffle(images: Tensor, groups: int) -> Tensor:
        channels_last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
        answer: Tensor = shuffled(images, groups) if channels_last else channel_shuffle(images, groups)
        return answer

    litehrnet.channel_shuffle = shuffle
