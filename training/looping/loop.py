"""The training loop of every stage: mmengine's Runner with a few small hooks.

Each epoch seeds itself from (seed, epoch, rank), and its state is written atomically after it: a run that was killed
goes on from its last whole epoch and ends with the same bytes as one that was not. One that was asked to stop, by a
`Progress` that raises `Stopped`, goes on after its last step: the state in the middle of an epoch also holds where the
sources of randomness were, and batches are pure functions of (seed, epoch, step).
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import VISBACKENDS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from storage.errors import SettingsError
from storage.progress import Progress
from storage.store.trainings import WORK
from storage.tables.parquet import write_table
from training.batches.loader import Batch, Make, Plan, Steps
from training.looping.distributed import rank, world_size
from training.looping.hooks import Epochs, States, Validate, Validation, Watch, done_in, resumable
from training.looping.trained import Trained
from training.settings import HISTORY, LoopSettings, TrainerSettings

SPEED, LOGS = "speed.json", "logs"


@dataclass(frozen=True)
class Speed:
    """What a training took, but for the first step, in which libraries load and choose their kernels.

    Attributes:
        steps: done here (a resumed training did others before).
        samples: clips of these steps, of all processes.
        seconds: in the loop; `waited` of them, the model waited for data.
    """

    steps: int
    samples: int
    seconds: float
    waited: float


@dataclass(frozen=True)
class Task:
    """What is trained, and how.

    Attributes:
        module: on the CPU; trained on a GPU if there is one, and on the CPU again at the end.
        loss: a batch on the device -> weighted loss terms.
        plan, make: the batches, as of `Steps`.
        groups: parameter groups of Adam: `params` and `lr`.
        rate: epoch -> share of each group's `lr`.
        weight_decay: of Adam.
        before_epoch: called with the epoch's number, after seeding.
        validation: what is looked at between epochs, if anything.
    """

    module: nn.Module
    loss: Callable[[Batch], Mapping[str, Tensor]]
    plan: Plan
    make: Make
    groups: Sequence[Mapping[str, Any]]
    rate: Callable[[int], float]
    weight_decay: float
    before_epoch: Callable[[int], None] | None = None
    validation: Validation | None = None


def train(task: Task, settings: LoopSettings, trainer: TrainerSettings, out_dir: Path, progress: Progress) -> Speed:
    """Train a module in place; writes history.parquet, and goes on from an unfinished training in `out_dir`.

    What only an unfinished training needs is in the folder `work` of `out_dir`.

    Raises:
        Stopped: `progress` raised it; the state after this step is saved.
        CsipError: the loss became NaN, infinite or huge; names the step and its tracklets.
        SettingsError: there is no such logger.
    """
    work = out_dir / WORK
    work.mkdir(exist_ok=True)
    steps = Steps(task.plan, task.make, settings.seed, settings.decode_workers, settings.epochs)
    watch = Watch(steps, progress, settings.epochs, settings.max_loss)
    runner = _runner(task, steps, settings, trainer, work, watch)
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads or threads)
    try:
        runner.train()
    finally:
        torch.set_num_threads(threads)
        steps.close()
        runner.visualizer.close()
        for handler in runner.logger.handlers:
            handler.close()  # mmengine's log of this training, which it would leave open
    task.module.to("cpu")
    seconds, waited = time.perf_counter() - watch.start, steps.waited - watch.waited
    speed = Speed(watch.steps, watch.samples, seconds, waited) if watch.steps else Speed(0, 0, 0.0, 0.0)
    if rank() == 0:
        write_table(_history(watch.history), out_dir / HISTORY)
        (work / SPEED).write_text(json.dumps(asdict(speed)) + "\n")
    return speed


def _runner(
    task: Task, steps: Steps, settings: LoopSettings, trainer: TrainerSettings, work: Path, watch: Watch
) -> Runner:
    state = resumable(work, task.rate, settings.epochs)
    on_gpu = torch.cuda.is_available()
    bf16 = trainer.precision == "bf16" or (trainer.precision == "auto" and on_gpu)
    groups = [dict(group) | {"base_lr": group["lr"]} for group in task.groups]
    optimizer = torch.optim.Adam(groups, weight_decay=task.weight_decay, fused=True)
    model: nn.Module = Trained(task.module, task.loss, bf16)
    if world_size() > 1:
        model, device = (model.cuda(), [torch.cuda.current_device()]) if on_gpu else (model, None)
        model = MMDistributedDataParallel(module=model, device_ids=device, broadcast_buffers=False)
    name = f"csip-{uuid.uuid4().hex}"  # mmengine keeps one logger and message hub a name for the whole process
    backends = [{"type": kind} for kind in _known(trainer.loggers)] if rank() == 0 else []
    return Runner(
        model=model,
        work_dir=str(work),
        train_dataloader=DataLoader(steps, batch_size=None),
        optim_wrapper={"type": "OptimWrapper", "optimizer": optimizer},
        train_cfg={"by_epoch": True, "max_epochs": settings.epochs},
        default_hooks=dict.fromkeys(
            ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint"), None
        ),
        custom_hooks=[
            Epochs(steps, settings.seed, task.rate, task.before_epoch, done_in(state)),
            watch,
            *([Validate(task.validation)] if task.validation else []),
            States(state, watch, task.validation, settings.save_every, trainer.keep_states, task.rate),
        ],
        visualizer={"type": "Visualizer", "name": name, "vis_backends": backends, "save_dir": str(work / LOGS)},
        randomness={"seed": settings.seed},
        experiment_name=name,
        default_scope="mmengine",
        log_level="ERROR",
    )


def _known(loggers: Sequence[str]) -> Sequence[str]:
    for kind in loggers:
        if VISBACKENDS.get(kind) is None:
            raise SettingsError(
                f"mmengine has no backend {kind}",
                where="trainer.loggers",
                fix=f"choose from {', '.join(sorted(VISBACKENDS.module_dict))}, or [] for none",
            )
    return loggers


def _history(columns: Mapping[str, Sequence[float]]) -> pa.Table:
    first = ["step", "epoch", "lr", "loss"]
    kinds = {"step": pa.int64(), "epoch": pa.int64()}
    order = [*first, *sorted(columns.keys() - first)]
    return pa.table({name: pa.array(columns[name], kinds.get(name, pa.float64())) for name in order})
