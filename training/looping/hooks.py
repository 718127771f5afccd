"""The hooks of mmengine's Runner that make a training repeatable, watched, and resumable."""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from storage.errors import CsipError
from storage.progress import Progress
from storage.stop import Stopped
from storage.store.trainings import Done
from training.batches.loader import Steps
from training.looping.distributed import anywhere, random_states, rank, set_random_state, world_size
from training.looping.states import NEW, keep_state, sound_states
from training.looping.trained import trained_by

log = logging.getLogger("csip")
Rate = Callable[[int], float]
RATES, RANDOM, STEP, VALIDATED = "learning_rates", "random", "step", "validated"


class Epochs(Hook):
    """Seeds each epoch from (seed, epoch, rank), plans its batches, and sets its learning rates.

    An epoch that was begun before goes on at the step that `done` names.
    """

    priority = "VERY_HIGH"

    def __init__(self, steps: Steps, seed: int, rate: Rate, before: Callable[[int], None] | None, done: Done) -> None:
        self.steps, self.seed, self.rate, self.before, self.done = steps, seed, rate, before, done

    def before_train_epoch(self, runner: Runner) -> None:
        state = np.random.SeedSequence([self.seed, runner.epoch, rank()]).generate_state(1, np.uint64)
        seed = int(state[0] >> np.uint64(1))
        torch.default_generator.manual_seed(seed)  # torch.manual_seed remembers a call for each GPU that there is not
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        first = self.done[1] if runner.epoch == self.done[0] else 0
        self.steps.start(runner.epoch, first)
        for group in runner.optim_wrapper.optimizer.param_groups:
            group["lr"] = group["base_lr"] * self.rate(runner.epoch)
        if self.before is not None and not first:
            self.before(runner.epoch)


class Watch(Hook):
    """Keeps the history, tells progress and the loggers, and stops at a loss that is not a number or huge."""

    def __init__(self, batches: Steps, progress: Progress, epochs: int, max_loss: float) -> None:
        self.batches, self.progress, self.epochs, self.max_loss = batches, progress, epochs, max_loss
        self.history: dict[str, list[float]] = defaultdict(list)
        self.steps = self.samples = 0
        self.start = math.nan  # once the first step is done: libraries are slow in it
        self.waited = 0.0
        self.stopped: Stopped | None = None

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        model = trained_by(runner)
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
            self.start, self.waited = now, self.batches.waited
        else:
            self.steps += 1
            self.samples += len(model.names) * world_size()
        runner.visualizer.add_scalars({"loss": loss, "lr": rate, **model.terms}, step=runner.iter)
        speed = f"  {self.samples / (now - self.start):.0f} clips/s" if self.steps else ""
        try:
            self.progress(
                runner.epoch * len(self.batches) + self.batches.first + batch_idx + 1,
                self.epochs * len(self.batches),
                f"epoch {runner.epoch + 1}/{self.epochs}  loss {loss:.3f}  lr {rate:.1e}{speed}",
            )
        except Stopped as error:
            self.stopped = error  # raised once `States` has saved what was done


@dataclass
class Validation:
    """What a training is looked at with between epochs; it must draw no random number.

    Attributes:
        epochs: from 1, after which it is looked at.
        embed: of the model as it is, one row an embedding; called in the first process alone.
        found: epoch -> what `embed` gave, also by those parts of the training that were done before.
    """

    epochs: tuple[int, ...]
    embed: Callable[[], Tensor]
    found: dict[int, Tensor] = field(default_factory=dict)


class Validate(Hook):
    """Looks at the model after epochs, before their state is saved."""

    priority = "LOW"

    def __init__(self, validation: Validation) -> None:
        self.validation = validation

    def after_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch + 1
        if epoch in self.validation.epochs and not rank():
            self.validation.found[epoch] = self.validation.embed()


class States(Hook):
    """Goes on from a saved state, and writes one after an epoch and before a stop: whole or not at all."""

    priority = "VERY_LOW"

    def __init__(
        self,
        found: dict[str, Any] | None,
        watch: Watch,
        validation: Validation | None,
        every: int,
        keep: int,
        rate: Rate,
    ) -> None:
        self.found, self.watch, self.every, self.keep, self.rate = found, watch, every, keep, rate
        self.validated = validation.found if validation else {}
        self.random: torch.Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        if self.found is None:
            return
        state, self.found = self.found, None  # as large as the model three times: not to be kept
        trained_by(runner).load_state_dict(state["model"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        runner.train_loop._epoch, runner.train_loop._iter = state["epochs"], state["steps"]
        self.watch.history |= {name: column.tolist() for name, column in state["history"].items()}
        self.validated |= {int(epoch): found for epoch, found in state[VALIDATED].items()}
        self.random = state.get(RANDOM)
        log.info("training goes on after %s", _told(done_in(state)))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        # not before: the start of the loader's iteration draws a number
        if self.random is not None:
            set_random_state(self.random)
            self.random = None

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not anywhere(self.watch.stopped is not None):
            return
        step = self.watch.batches.first + batch_idx + 1
        done = (runner.epoch, step) if step < len(self.watch.batches) else (runner.epoch + 1, 0)
        self._save(runner, done, runner.iter + 1)
        log.info("training stops after %s; its state is saved", _told(done))
        anywhere(True)  # no process ends before the state is saved
        raise self.watch.stopped or Stopped("another process of this training was stopped")

    def after_train_epoch(self, runner: Runner) -> None:
        done = runner.epoch + 1
        if done % self.every == 0 or done == runner.max_epochs:
            self._save(runner, (done, 0), runner.iter)

    def _save(self, runner: Runner, done: Done, steps: int) -> None:
        within = {RANDOM: random_states(), STEP: done[1]} if done[1] else {}
        if rank():
            return
        state = {
            "model": trained_by(runner).state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "epochs": done[0],
            "steps": steps,
            "history": {name: torch.tensor(column, dtype=torch.float64) for name, column in self.watch.history.items()},
            VALIDATED: {str(epoch): found for epoch, found in self.validated.items()},
            RATES: [self.rate(epoch) for epoch in range(_begun(done))],
            **within,
        }
        work = Path(runner.work_dir)
        torch.save(state, work / NEW)
        keep_state(work, done, self.keep)


def done_in(state: dict[str, Any] | None) -> Done:
    """What was done when a state was saved."""
    return (state["epochs"], state.get(STEP, 0)) if state else (0, 0)


def _begun(done: Done) -> int:
    return done[0] + (done[1] > 0)


def _told(done: Done) -> str:
    return f"epoch {done[0]}" + (f" and {done[1]} steps of the next" if done[1] else "")


def resumable(work: Path, rate: Rate, epochs: int) -> dict[str, Any] | None:
    """The newest sound state that a training of `epochs` epochs would have passed through; None to start anew.

    A longer training passes through the states of a shorter one where the learning rates of the epochs done are the
    same: with steps they are, with a cosine to the last epoch they are not.
    """
    for done, path in sound_states(work):
        if _begun(done) > epochs:
            continue
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state[RATES] != [rate(epoch) for epoch in range(_begun(done))]:
            told = "training does not go on from %s: over %d epochs the learning rate takes another course"
            log.info(told, path.name, epochs)
        elif len(state.get(RANDOM, [])) in (0, world_size()):
            return state
    return None
