"""Fit the 2D pose estimator: mmpose's model and loss on people rendered by the demo, disturbed anew at every step.

    python -m tests.fitting.estimator --out extraction/models/demo_estimator.safetensors

mmpose's own data pipeline encodes a person at a time; here whole batches are made at once.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from tests.fitting.people import People, disturbed, heatmaps, render
from tests.fitting.weights import MODELS, RunningMean, save_half, untrained

CONFIG = "demo_estimator.py"
REPORT_EVERY = 100  # steps


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn, and from how many people; the defaults made the committed weights."""

    steps: int = 3500
    batch: int = 64
    learning_rate: float = 1.5e-3
    people: int = 24000
    seed: int = 0


def input_size(model: nn.Module) -> tuple[int, int]:
    """Width and height of the crops that the model was made for."""
    return tuple(model.cfg.codec["input_size"])


def loss_of(model: nn.Module, people: People) -> dict[str, Tensor]:
    """The losses of one batch as mmpose gives them: `loss_kpt`, and `acc_pose`, the part of joints near enough."""
    from mmengine.structures import InstanceData, PixelData
    from mmpose.structures import PoseDataSample

    targets = zip(
        torch.from_numpy(heatmaps(people, model.cfg.codec)), torch.from_numpy(people.weights)[:, None], strict=True
    )
    samples = [
        PoseDataSample(gt_fields=PixelData(heatmaps=heatmap), gt_instance_labels=InstanceData(keypoint_weights=weights))
        for heatmap, weights in targets
    ]
    images = torch.from_numpy(people.images).permute(0, 3, 1, 2)
    inputs = model.data_preprocessor({"inputs": images, "data_samples": []})["inputs"]
    return model.loss(inputs.contiguous(memory_format=torch.channels_last), samples)


def fit(plan: Plan, people: People, report: Callable[[int, float, float, dict[str, Tensor]], None]) -> RunningMean:
    """Train from nothing.

    Args:
        plan: steps, batch, learning rate, seed.
        people: whom to learn from.
        report: called every `REPORT_EVERY` steps and at the end with the step, mean loss and mean accuracy since the
            last call, and the weights so far.

    Returns:
        The running mean of the weights. The same plan gives the same weights on the same kind of machine.
    """
    model = untrained(CONFIG, plan.seed).train().to(memory_format=torch.channels_last)
    mean = RunningMean(model, keep=0.998)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.learning_rate, total_steps=plan.steps, pct_start=max(0.05, 2 / plan.steps), final_div_factor=1e2
    )
    seen: list[tuple[float, float]] = []
    for step in range(plan.steps):
        rng = np.random.default_rng((plan.seed, step))
        losses = loss_of(model, disturbed(rng, people, rng.integers(0, len(people), plan.batch)))
        optimizer.zero_grad()
        losses["loss_kpt"].backward()
        optimizer.step()
        schedule.step()
        mean.update(model)
        seen.append((losses["loss_kpt"].item(), losses["acc_pose"].item()))
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == plan.steps:
            loss, accuracy = np.mean(seen, axis=0)
            report(step + 1, float(loss), float(accuracy), mean.state)
            seen.clear()
    return mean


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=MODELS / "demo_estimator.safetensors", help="file of weights")
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--batch", type=int, default=Plan.batch, help="people a step")
    parser.add_argument("--learning-rate", type=float, default=Plan.learning_rate, help="its highest value")
    parser.add_argument("--people", type=int, default=Plan.people, help="how many to render (2.8 ms each)")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    plan = Plan(given.steps, given.batch, given.learning_rate, given.people, given.seed)
    start = time.monotonic()
    people = render(plan.seed, plan.people, input_size(untrained(CONFIG, plan.seed)))
    print(f"{len(people)} people rendered  {time.monotonic() - start:.0f} s", flush=True)

    def report(step: int, loss: float, accuracy: float, state: dict[str, Tensor]) -> None:
        save_half(state, given.out)
        spent = time.monotonic() - start
        print(f"step {step}/{plan.steps}  loss {loss:.6f}  accuracy {accuracy:.3f}  {spent:.0f} s", flush=True)

    fit(plan, people, report)


if __name__ == "__main__":
    main()
