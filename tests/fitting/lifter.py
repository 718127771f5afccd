"""Fit the lifter: mmpose's model and loss on windows drawn anew at every step.

    python -m tests.fitting.lifter --mocap ../shared/data/mocap

mmpose's own data pipeline encodes a window at a time; here whole batches go through the network.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from extraction.lifting.lifter import Lifter
from tests.fitting.clips import make_clips
from tests.fitting.lifted import clips, pa_mpjpe
from tests.fitting.mocap import Motion, read_motion
from tests.fitting.tcn import lifted
from tests.fitting.views import Windows, network_input, sample_windows
from tests.fitting.weights import MODELS, RunningMean, save_half, untrained

CONFIG = "demo_lifter.py"
REPORT_EVERY = 200  # steps


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn; the defaults made the committed weights."""

    steps: int = 10000
    batch: int = 256
    learning_rate: float = 1e-3
    seed: int = 0
    half: bool = True


def frames_of(model: nn.Module) -> int:
    """Frames of the windows that the model was made for."""
    return model.cfg.seq_len


def loss_of(model: nn.Module, windows: Windows, half: bool) -> Tensor:
    """The MPJPELoss that mmpose gives for one batch, metres."""
    inputs = torch.from_numpy(network_input(windows.inputs))
    target = torch.from_numpy(windows.target)
    return model.head.loss_module(lifted(model, inputs, half), target, torch.ones_like(target[..., :1]))


def fit(
    plan: Plan, report: Callable[[int, float, dict[str, Tensor]], None], motion: Motion | None = None
) -> RunningMean:
    """Train from nothing.

    Args:
        plan: steps, batch, learning rate, seed, precision.
        report: called every `REPORT_EVERY` steps and at the end with the step, the mean loss since the last call
            (metres) and the weights so far.
        motion: recordings of people; without them all windows are invented.

    Returns:
        The running mean of the weights. The same plan gives the same weights on the same kind of machine.
    """
    model = untrained(CONFIG, plan.seed).train()
    mean = RunningMean(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.learning_rate, total_steps=plan.steps, pct_start=max(0.03, 2 / plan.steps), final_div_factor=1e3
    )
    losses: list[float] = []
    for step in range(plan.steps):
        windows = sample_windows(np.random.default_rng((plan.seed, step)), plan.batch, frames_of(model), motion)
        loss = loss_of(model, windows, plan.half)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean.update(model)
        losses.append(loss.item())
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == plan.steps:
            report(step + 1, float(np.mean(losses)), mean.state)
            losses.clear()
    return mean


def on_held_out(motion: Motion, state: dict[str, Tensor]) -> str:
    """PA-MPJPE on recordings that are not trained on, as a line."""
    model = untrained(CONFIG, 0)
    model.load_state_dict(state)
    found = clips(Lifter(model, normalise="canonical"), make_clips(np.random.default_rng(0), motion))
    figures = (f"{name} {pa_mpjpe(part.skeletons, part.true).mean():.1f}" for name, part in found.items())
    return f"held out, PA-MPJPE mm: {'; '.join(figures)}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mocap", type=Path, help="folder with recordings of people, train.npz")
    parser.add_argument("--hold-out", action="store_true", help="train on four fifths of them, and measure on the rest")
    parser.add_argument("--out", type=Path, default=MODELS / "demo_lifter.safetensors", help="file of weights")
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--batch", type=int, default=Plan.batch, help="windows a step")
    parser.add_argument("--learning-rate", type=float, default=Plan.learning_rate, help="its highest value")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--full", action="store_true", help="single precision throughout, for cores without bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if given.hold_out and not given.mocap:
        parser.error("--hold-out needs --mocap")
    torch.set_num_threads(given.threads)
    plan = Plan(given.steps, given.batch, given.learning_rate, given.seed, not given.full)
    motion = read_motion(given.mocap / "train.npz", False if given.hold_out else None) if given.mocap else None
    held_out = read_motion(given.mocap / "train.npz", True) if given.hold_out else None
    start = time.monotonic()

    def report(step: int, loss: float, state: dict[str, Tensor]) -> None:
        save_half(state, given.out)
        print(f"step {step}/{plan.steps}  MPJPE {1000 * loss:.1f} mm  {time.monotonic() - start:.0f} s", flush=True)
        if held_out and (step % (5 * REPORT_EVERY) == 0 or step == plan.steps):
            print(on_held_out(held_out, state), flush=True)

    fit(plan, report, motion)


if __name__ == "__main__":
    main()
