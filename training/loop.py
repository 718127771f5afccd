"""The training loop of every stage: mmengine's Runner with a few small hooks.

Each epoch seeds itself from (seed, epoch), and its state is written atomically after it: a run that was killed goes on
from its last whole epoch and ends with the same bytes as one that was not.
"""

import math
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from storage.errors import CsipError
from storage.progress import Progress
from storage.settings import Settings, neutral
from storage.tables import write_table
from training.model_files import HISTORY

WORK = "work"
STATE = "state.pth"
Batch = dict[str, Any]


class LoopSettings(Settings):
    """What every training stage shares."""

    seed: int = Field(0, ge=0, description="Seed of initial weights, batches, augmentation and dropout.")
    epochs: int = Field(60, ge=1, description="Epochs.")
    clip_length: int = Field(8, ge=1, description="T, frames of a clip.")
    decode_workers: int = neutral(4, "Threads that decode frames.", ge=1)
    cache_megabytes: int = neutral(4000, "Memory for decoded frames.", ge=0)
    save_every: int = neutral(1, "Epochs between saved states, from which a killed run goes on.", ge=1)


def warmup_cosine(epoch: int, epochs: int, warmup: int, start: float, end: float) -> float:
    """Learning rate of an epoch as a share of the base rate: linear from `start` to 1, then cosine to `end`."""
    if epoch < warmup:
        return start + (1 - start) * epoch / warmup
    done = (epoch - warmup) / max(epochs - warmup, 1)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * done))


def warmup_steps(epoch: int, warmup: int, start: float, milestones: Sequence[int], gamma: float) -> float:
    """Learning rate of an epoch as a share of the base rate: linear from `start` to 1, then gamma at milestones."""
    if epoch < warmup:
        return start + (1 - start) * epoch / warmup
    return gamma ** sum(epoch >= milestone for milestone in milestones)


class Steps(Dataset[Batch]):
    """The batches of one epoch, each made when it is asked for.

    Args:
        plan: epoch -> the batches' plans.
        make: one batch's plan and the generator of its randomness -> tensors, and `names` of its tracklets.
        seed: of the training.
    """

    def __init__(
        self, plan: Callable[[int], Sequence[Any]], make: Callable[[Any, torch.Generator], Batch], seed: int
    ) -> None:
        self.plan, self.make, self.seed = plan, make, seed
        self.start(0)

    def start(self, epoch: int) -> None:
        """Go to an epoch."""
        self.epoch = epoch
        self.batches = self.plan(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> Batch:
        if step >= len(self.batches):
            raise IndexError(step)
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch, step)) % 2**63)
        return self.make(self.batches[step], generator)


class _Trained(BaseModel):
    """What mmengine's Runner trains: a module and the function that gives its loss terms."""

    def __init__(self, module: nn.Module, loss: Callable[[Batch], Mapping[str, Tensor]]) -> None:
        super().__init__()
        # not `module`: mmengine takes that name for a wrapper's and strips it from the keys of a checkpoint
        self.trained, self.loss_of = module, loss
        self.terms: dict[str, float] = {}
        self.names: Sequence[str] = ()

    def forward(self, mode: str = "loss", **batch: Any) -> dict[str, Tensor]:
        self.names = batch.pop("names", ())
        terms = self.loss_of(batch)
        self.terms = {name: float(value.detach()) for name, value in terms.items()}
        return {f"loss_{name}": value for name, value in terms.items()}


class _Epochs(Hook):
    """Seeds each epoch from (seed, epoch), plans its batches, and sets its learning rates."""

    priority = "VERY_HIGH"

    def __init__(self, seed: int, rate: Callable[[int], float], before: Callable[[int], None] | None) -> None:
        self.seed, self.rate, self.before = seed, rate, before

    def before_train_epoch(self, runner: Runner) -> None:
        torch.manual_seed((self.seed + 1) * 1_000_003 + runner.epoch)
        runner.train_dataloader.dataset.start(runner.epoch)
        for group in runner.optim_wrapper.optimizer.param_groups:
            group["lr"] = group["base_lr"] * self.rate(runner.epoch)
        if self.before is not None:
            self.before(runner.epoch)


class _Watch(Hook):
    """Keeps the history, tells progress, and stops at a loss that is not a number."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        self.progress, self.epochs = progress, epochs
        self.rows: list[dict[str, float]] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        model: _Trained = runner.model
        loss = sum(model.terms.values())
        if not math.isfinite(loss):
            raise CsipError(
                f"the loss is not a number at step {runner.iter} (epoch {runner.epoch + 1})",
                where="tracklets " + ", ".join(model.names[:8]),
                fix="lower the learning rate, or look at these tracklets with csip show",
            )
        rate = max(g["lr"] for g in runner.optim_wrapper.optimizer.param_groups)
        self.rows.append({"step": runner.iter, "epoch": runner.epoch, "lr": rate, "loss": loss, **model.terms})
        steps = len(runner.train_dataloader)
        done = runner.epoch * steps + batch_idx + 1
        self.progress(done, self.epochs * steps, f"epoch {runner.epoch + 1}/{self.epochs}  loss {loss:.3f}")

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.rows
        # the message hub holds objects that a safe load refuses, and nothing that a resumed run needs
        checkpoint["message_hub"] = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.rows = list(checkpoint["history"])


class _Save(Hook):
    """Writes the whole state after an epoch: to a new file first, then over the old one."""

    priority = "VERY_LOW"

    def __init__(self, every: int) -> None:
        self.every = every

    def after_train_epoch(self, runner: Runner) -> None:
        if (runner.epoch + 1) % self.every == 0 and runner.epoch + 1 < runner.max_epochs:
            runner.save_checkpoint(runner.work_dir, f"{STATE}.new", save_param_scheduler=False)
            os.replace(Path(runner.work_dir) / f"{STATE}.new", Path(runner.work_dir) / STATE)


def train(
    module: nn.Module,
    loss: Callable[[Batch], Mapping[str, Tensor]],
    steps: Steps,
    groups: Sequence[Mapping[str, Any]],
    rate: Callable[[int], float],
    settings: LoopSettings,
    out_dir: Path,
    progress: Progress,
    weight_decay: float,
    before_epoch: Callable[[int], None] | None = None,
) -> None:
    """Train a module in place; writes history.parquet, and goes on from an unfinished training in `out_dir`.

    Args:
        module: on the CPU; trained on a GPU if there is one, and on the CPU again at the end.
        loss: a batch on the device -> weighted loss terms.
        steps: the batches.
        groups: parameter groups of Adam: `params` and `lr`.
        rate: epoch -> share of each group's `lr`.
        settings: seed, epochs.
        out_dir: the stage's folder.
        progress: told steps done of all.
        weight_decay: of Adam.
        before_epoch: called with the epoch's number, after seeding.

    Raises:
        CsipError: the loss became NaN or infinite; names the step and its tracklets.
    """
    work = out_dir / WORK
    work.mkdir(exist_ok=True)
    optimizer = torch.optim.Adam([dict(g) | {"base_lr": g["lr"]} for g in groups], weight_decay=weight_decay)
    watch = _Watch(progress, settings.epochs)
    name = f"csip-{uuid.uuid4().hex}"  # mmengine keeps one logger and message hub a name for the whole process
    runner = Runner(
        model=_Trained(module, loss),
        work_dir=str(work),
        train_dataloader=DataLoader(steps, batch_size=None, shuffle=False),
        optim_wrapper={"type": "OptimWrapper", "optimizer": optimizer},
        train_cfg={"by_epoch": True, "max_epochs": settings.epochs},
        default_hooks=dict.fromkeys(
            ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint"), None
        ),
        custom_hooks=[_Epochs(settings.seed, rate, before_epoch), watch, _Save(settings.save_every)],
        visualizer={"type": "Visualizer", "name": name, "vis_backends": []},
        randomness={"seed": settings.seed},
        experiment_name=name,
        default_scope="mmengine",
        log_level="ERROR",
        resume=(work / STATE).exists(),
        load_from=str(work / STATE) if (work / STATE).exists() else None,
    )
    runner.train()
    module.to("cpu")
    columns = sorted({key for row in watch.rows for key in row} - {"step", "epoch", "lr", "loss"})
    order = ["step", "epoch", "lr", "loss", *columns]
    kinds = {"step": pa.int64(), "epoch": pa.int64()}
    table = pa.table({c: pa.array([row[c] for row in watch.rows], kinds.get(c, pa.float64())) for c in order})
    write_table(table, out_dir / HISTORY)


def finish(out_dir: Path) -> None:
    """Remove what only an unfinished training needs."""
    shutil.rmtree(out_dir / WORK, ignore_errors=True)
