"""The lifter's network in training: mmpose's strided TCN as matrix products, which a core does twice as fast as its
convolutions, and twice as fast again in half precision."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def lifted(model: nn.Module, inputs: Tensor, half: bool = False) -> Tensor:
    """What `model.head.forward(model.extract_feat(inputs))` gives.

    A convolution whose stride is its kernel's size sees each frame once: its windows lie side by side in memory.

    Args:
        model: a PoseLifter with a TCN of strided convolutions without dropout, and a TemporalRegressionHead.
        inputs: (N, 34, T), T the product of the kernels.
        half: multiply the blocks' matrices in bfloat16; first and last layer, sums and weights stay what they are.

    Returns:
        (N, 17, 3) metres, single precision.
    """
    backbone = model.backbone
    n = len(inputs)
    frames = inputs.transpose(1, 2).reshape(-1, inputs.shape[1])  # (N * T, 34)
    frames = _convolved(backbone.expand_conv, frames)
    for block in backbone.tcn_blocks:
        middle = frames.unflatten(0, (-1, block.kernel_size))[:, block.kernel_size // 2]
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            answer = _convolved(block.conv2[0], _convolved(block.conv1[0], frames))
        frames = middle + answer
    joints = F.linear(frames.float(), model.head.conv.weight.flatten(1), model.head.conv.bias)
    return joints.view(n, -1, 3)


def _convolved(module: nn.Module, frames: Tensor) -> Tensor:
    """One ConvModule (convolution, batch norm, ReLU) on frames, (N * T, C) -> (N * T / kernel, C')."""
    weight = module.conv.weight  # (C', C, kernel)
    windows = frames.reshape(-1, weight.shape[1] * weight.shape[2])
    product = F.linear(windows, weight.transpose(1, 2).flatten(1), module.conv.bias)
    return F.relu(module.norm(product), inplace=True)
