"""The hooks of mmengine's Runner that make a training repeatable, watched, and resumable."""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from storage.errors import CsipError
from storage.progress import Progress
from training.distributed import rank, world_size
from training.states import NEW, keep_state, sound_states

log = logging.getLogger("csip")
RATES = "learning_rates"


class Epochs(Hook):
    """Seeds each epoch from (seed, epoch, rank), plans its batches, and sets its learning rates."""

    priority = "VERY_HIGH"

    def __init__(self, seed: int, rate: Callable[[int], float], before: Callable[[int], None] | None) -> None:
        self.seed, self.rate, self.before = seed, rate, before

    def before_train_epoch(self, runner: Runner) -> None:
        state = np.random.SeedSequence([self.seed, runner.epoch, rank()]).generate_state(1, np.uint64)
        seed_torch(int(state[0] >> np.uint64(1)))
        runner.train_dataloader.dataset.start(runner.epoch)
        for group in runner.optim_wrapper.optimizer.param_groups:
            group["lr"] = group["base_lr"] * self.rate(runner.epoch)
        if self.before is not None:
            self.before(runner.epoch)


class Watch(Hook):
    """Keeps the history, tells progress and the loggers, and stops at a loss that is not a number or huge."""

    def __init__(self, progress: Progress, epochs: int, max_loss: float) -> None:
        self.progress, self.epochs, self.max_loss = progress, epochs, max_loss
        self.history: dict[str, list[float]] = defaultdict(list)
        self.steps = self.samples = 0
        self.start = math.nan  # once the first step is done: libraries are slow in it
        self.waited = 0.0

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        model = plain(runner.model)
        loss = sum(model.terms.values())
        if not math.isfinite(loss) or loss > self.max_loss:
            what = f"has exploded to {loss:.3g}" if math.isfinite(loss) else "is not a number"
            worst = max(model.terms, key=lambda name: (not math.isfinite(model.terms[name]), model.terms[name]))
            raise CsipError(
                f"the loss {what} at step {runner.iter} (epoch {runner.epoch + 1}), above all its term {worst}",
                where="tracklets " + ", ".join(model.names[:8]) + (" ..." if len(model.names) > 8 else ""),
                fix="lower the learning rate or lengthen its warm-up; look at these tracklets with csip show skeletons",
            )
        rate = max(g["lr"] for g in runner.optim_wrapper.optimizer.param_groups)
        values = {"step": runner.iter, "epoch": runner.epoch, "lr": rate, "loss": loss, **model.terms}
        for name, value in values.items():
            self.history[name].append(value)
        now = time.perf_counter()
        if math.isnan(self.start):
            self.start, self.waited = now, runner.train_dataloader.dataset.waited
        else:
            self.steps += 1
            self.samples += len(model.names) * world_size()
        runner.visualizer.add_scalars({"loss": loss, "lr": rate, **model.terms}, step=runner.iter)
        speed = f"  {self.samples / (now - self.start):.0f} clips/s" if self.steps else ""
        self.progress(
            runner.epoch * len(runner.train_dataloader) + batch_idx + 1,
            self.epochs * len(runner.train_dataloader),
            f"epoch {runner.epoch + 1}/{self.epochs}  loss {loss:.3f}  lr {rate:.1e}{speed}",
        )


class States(Hook):
    """Goes on from a saved state, and writes one after an epoch: to a new file first, then under its name."""

    priority = "VERY_LOW"

    def __init__(
        self, found: dict[str, Any] | None, watch: Watch, every: int, keep: int, rate: Callable[[int], float]
    ) -> None:
        self.found, self.watch, self.every, self.keep, self.rate = found, watch, every, keep, rate

    def before_train(self, runner: Runner) -> None:
        if self.found is None:
            return
        state, self.found = self.found, None  # as large as the model three times: not to be kept
        plain(runner.model).load_state_dict(state["model"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        runner.train_loop._epoch, runner.train_loop._iter = state["epochs"], state["steps"]
        self.watch.history |= {name: column.tolist() for name, column in state["history"].items()}
        log.info("training goes on after epoch %d", state["epochs"])

    def after_train_epoch(self, runner: Runner) -> None:
        done = runner.epoch + 1
        if rank() or (done % self.every and done != runner.max_epochs):
            return
        state = {
            "model": plain(runner.model).state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "epochs": done,
            "steps": runner.iter,
            "history": {name: torch.tensor(column, dtype=torch.float64) for name, column in self.watch.history.items()},
            RATES: [self.rate(epoch) for epoch in range(done)],
        }
        work = Path(runner.work_dir)
        torch.save(state, work / NEW)
        keep_state(work, done, self.keep)


def seed_torch(seed: int) -> None:
    """Seed torch on every device there is; `torch.manual_seed` also remembers a call for each that there is not."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def plain(model: nn.Module) -> nn.Module:
    """A model without the wrapper that several processes need."""
    return model.module if is_model_wrapper(model) else model


def resumable(work: Path, rate: Callable[[int], float], epochs: int) -> dict[str, Any] | None:
    """The newest sound state that a training of `epochs` epochs would have passed through; None to start anew.

    A longer training passes through the states of a shorter one where the learning rates of the epochs done are the
    same: with steps they are, with a cosine to the last epoch they are not.
    """
    for done, path in sound_states(work):
        if done > epochs:
            continue
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state[RATES] == [rate(epoch) for epoch in range(done)]:
            return state
        log.info("training starts anew: over %d epochs the learning rate takes another course", epochs)
    return None
