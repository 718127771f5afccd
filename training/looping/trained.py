"""What mmengine's Runner trains."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from training.batches.loader import Batch


class Trained(BaseModel):
    """A module with the function of its loss terms; and the terms of the last step, and the names of its tracklets."""

    def __init__(self, module: nn.Module, loss: Callable[[Batch], Mapping[str, Tensor]], bf16: bool) -> None:
        super().__init__(data_preprocessor=BaseDataPreprocessor(non_blocking=True))  # moves batches to the device
        # not `module`: mmengine takes that name for a wrapper's and strips it from the keys of a checkpoint
        self.trained, self.loss_of, self.bf16 = module, loss, bf16
        self.terms: dict[str, float] = {}
        self.names: Sequence[str] = ()

    def forward(self, mode: str = "loss", **batch: Any) -> dict[str, Tensor]:
        """The loss terms of a batch."""
        self.names = batch.pop("names", ())
        with torch.autocast(self.data_preprocessor.device.type, torch.bfloat16, enabled=self.bf16):
            terms = self.loss_of(batch)
        values = torch.stack([value.detach().float() for value in terms.values()]).tolist()  # one wait for a GPU
        self.terms = dict(zip(terms, values, strict=True))
        return {f"loss_{name}": value for name, value in terms.items()}


def trained_by(runner: Runner) -> Trained:
    """The model of a runner, without the wrapper that several processes need."""
    model: Trained = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model
