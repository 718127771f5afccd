"""What the two fits share: the running mean of the weights, and the small file that they end in."""

import os
from pathlib import Path

import torch
from mmengine.config import Config
from safetensors.torch import save_file
from torch import Tensor, nn

from extraction.zoo.pose_model import build

MODELS = Path(__file__).parents[2] / "extraction" / "models"


def untrained(config: str, seed: int) -> nn.Module:
    """The model of one of this project's configs with weights that depend on the seed alone."""
    torch.manual_seed(seed)
    return build(Config.fromfile(MODELS / config))


class RunningMean:
    """Exponential running mean of a model's weights and statistics: what is kept of a training run.

    Args:
        model: the model in training.
        keep: how much of the mean survives a step, once there were enough steps to speak of a mean.
    """

    def __init__(self, model: nn.Module, keep: float = 0.999) -> None:
        self.keep = keep
        self.steps = 0
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's present weights in."""
        self.steps += 1
        # the first steps are soon forgotten
        keep = min(self.keep, self.steps / (self.steps + 9))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)


def save_half(state: dict[str, Tensor], path: Path) -> None:
    """Write weights as half-precision safetensors, whole or not at all."""
    half = {name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in state.items()}
    part = path.with_suffix(".part")
    save_file(half, part)
    os.replace(part, path)
