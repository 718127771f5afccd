"""OSNet: small CNNs made for person re-identification, with the layout of torchreid's weight files.

Every block looks at its input through four streams of one to four 3x3 convolutions, and one gate, the same for all
four, weighs their channels before they are added. Reading files is not done here.

Source: Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019; instance norms (IBN, AIN):
Zhou et al., "Learning Generalisable Omni-Scale Representations for Person Re-Identification", TPAMI 2021.
"""

from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.model.encoders.trunk import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PERSON,
    PROJECTED_NORM,
    Composition,
    Trunk,
    shifted,
    through,
)

Instance = Literal["none", "branch", "sum"]
"""Where a block has an instance norm: nowhere; on the branch, in place of its batch norm; on branch plus shortcut."""

STREAMS = (1, 2, 3, 4)  # 3x3 convolutions of each
CHANNELS = (64, 256, 384, 512)  # of the stem and of three stages of two blocks, at width x1.0
BOTTLENECK, GATE = 4, 16  # by how much the streams, and the gate's hidden layer, are narrower
PROJECTED = 512

_NONE: tuple[Instance, Instance] = ("none", "none")
# share of the channels, and instance norms of the two blocks of each stage; with any, the stem's norm is one, too
_FAMILY: dict[str, tuple[float, tuple[tuple[Instance, Instance], ...]]] = {
    "osnet_x1_0": (1.0, (_NONE, _NONE, _NONE)),
    "osnet_x0_75": (0.75, (_NONE, _NONE, _NONE)),
    "osnet_x0_5": (0.5, (_NONE, _NONE, _NONE)),
    "osnet_x0_25": (0.25, (_NONE, _NONE, _NONE)),
    "osnet_ibn_x1_0": (1.0, (("sum", "sum"), _NONE, _NONE)),
    "osnet_ain_x1_0": (1.0, (("branch", "branch"), ("none", "branch"), ("branch", "none"))),
}
NAMES = tuple(_FAMILY)


class OSNet(Trunk):
    """One network of the family: cells of its last map as tokens, its `fc` as projection.

    The global token is the mean of the H/16 x W/16 cells. Tokens as they are would be a hundred times smaller than
    CLIP's, to which the size of camera vectors and token types is made: they are given behind a LayerNorm without
    weights, and projected ones at a length of `PROJECTED_NORM`. `checkpointing` works the activations of each block
    out again, which moves the running statistics of batch norms in training mode twice.

    Args:
        name: one of `NAMES`; torchreid's models of these names have the same keys and shapes, plus a classifier.
        size: (H, W) of frames, multiples of 16; 16 x 8 cells by default.
    """

    mean, std = IMAGENET_MEAN, IMAGENET_STD
    ranked_by = Composition(("projected",))  # by its authors; equally long in all frames

    def __init__(self, name: str, size: tuple[int, int] = PERSON) -> None:
        super().__init__()
        share, instances = _FAMILY[name]
        widths = [int(share * channels) for channels in CHANNELS]
        ain = name.startswith("osnet_ain")  # torchreid has a file of its own for these, with other keys
        self.size, self.token_width, self.projected_width = size, widths[-1], PROJECTED
        # on one CPU thread 7.5 ms a frame instead of 8.6 (x0_25), 42 instead of 49 (x1_0); slower with instance norms
        self.channels_last = instances == (_NONE, _NONE, _NONE)
        stem = nn.BatchNorm2d(widths[0]) if instances[0] == _NONE else _instance_norm(widths[0])
        self.conv1 = _convolution(3, widths[0], stem, kernel=7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2, self.conv3, self.conv4 = (
            nn.Sequential(_Block(before, after, first, ain), _Block(after, after, second, ain))
            for (before, after), (first, second) in zip(pairwise(widths), instances, strict=True)
        )
        self.pool2, self.pool3 = nn.Sequential(), nn.Sequential()
        if ain:
            self.pool2, self.pool3 = _halving(widths[1]), _halving(widths[2])
        else:
            self.conv2.append(_halving(widths[1]))
            self.conv3.append(_halving(widths[2]))
        self.conv5 = _convolution(widths[-1], widths[-1], nn.BatchNorm2d(widths[-1]))
        self.fc = nn.Sequential(nn.Linear(widths[-1], PROJECTED), nn.BatchNorm1d(PROJECTED), nn.ReLU(inplace=True))

    def forward(self, x: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Trunk.forward`; the camera is added to the global token, and not to the projected one."""
        raw = self.raw_tokens(x)
        projected: Tensor = PROJECTED_NORM * F.normalize(self.project(raw), dim=-1)
        tokens: Tensor = F.layer_norm(raw, raw.shape[-1:])
        return shifted(tokens, shift), projected

    def raw_tokens(self, x: Tensor) -> Tensor:
        """The mean of the last map, then its cells, (B, N, D), as they are."""
        if self.channels_last and x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.maxpool(self.conv1(x))
        for stage in (self.conv2, self.pool2, self.conv3, self.pool3, self.conv4):
            x = through(stage, x, self.checkpointing)
        cells = self.conv5(x).flatten(2).transpose(1, 2)  # (B, N - 1, D)
        tokens: Tensor = torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1)
        return tokens

    def project(self, raw: Tensor) -> Tensor:
        """`fc` of each raw token, (B, N, 512); of the first, the feature that torchreid's model gives in evaluation."""
        projected: Tensor = self.fc(raw.flatten(0, 1)).unflatten(0, (-1, raw.shape[1]))
        return projected


class _Block(nn.Module):
    """Bottleneck with four streams; `ain` keeps them in a list, as that layout does."""

    def __init__(self, before: int, after: int, instance: Instance, ain: bool) -> None:
        super().__init__()
        width = after // BOTTLENECK
        self.instance, self.ain = instance, ain
        self.conv1 = _convolution(before, width, nn.BatchNorm2d(width))
        streams = [nn.Sequential(*(_light_convolution(width) for _ in range(depth))) for depth in STREAMS]
        if ain:
            self.conv2 = nn.ModuleList(nn.Sequential(OrderedDict(layers=stream)) for stream in streams)
        else:
            self.conv2a, self.conv2b, self.conv2c, self.conv2d = streams[0][0], *streams[1:]
        self.gate = _Gate(width)
        self.conv3 = _convolution(width, after, None if instance == "branch" else nn.BatchNorm2d(after), relu=False)
        self.downsample: nn.Module = nn.Identity()
        if before != after:
            self.downsample = _convolution(before, after, nn.BatchNorm2d(after), relu=False)
        if instance != "none":
            self.IN = _instance_norm(after)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(x)
        streams = self.conv2 if self.ain else (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        first, *others = (self.gate(stream(narrow)) for stream in streams)
        branch = self.conv3(sum(others, start=first))
        if self.instance == "branch":
            branch = self.IN(branch)
        total = branch + self.downsample(x)
        return F.relu(self.IN(total) if self.instance == "sum" else total)


class _Gate(nn.Module):
    """Each channel times a number from 0 to 1 that depends on the means of all channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // GATE, 1)
        self.fc2 = nn.Conv2d(width // GATE, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True))))  # (B, C, 1, 1)
        return x * weights.sigmoid()


def _convolution(
    before: int, after: int, norm: nn.Module | None, *, kernel: int = 1, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    if norm is not None:
        parts["bn"] = norm
    if relu:
        parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


def _light_convolution(width: int) -> nn.Sequential:
    """A 3x3 convolution in two steps: channels are mixed at each place, then each looks around alone."""
    mix = nn.Conv2d(width, width, 1, bias=False)
    look = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
    parts = OrderedDict(conv1=mix, conv2=look, bn=nn.BatchNorm2d(width), relu=nn.ReLU(inplace=True))
    return nn.Sequential(parts)


def _halving(width: int) -> nn.Sequential:
    return nn.Sequential(_convolution(width, width, nn.BatchNorm2d(width)), nn.AvgPool2d(2))


def _instance_norm(width: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(width, affine=True)


def osnet_state(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """What an `OSNet` loads of a state dict in torchreid's naming, and the names left out: its classifier's."""
    dropped = [name for name in state if name.startswith("classifier.")]
    return {name: value for name, value in state.items() if name not in dropped}, dropped
