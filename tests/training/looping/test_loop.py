"""What a user chooses of training: precision, memory, loggers, more epochs."""

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from storage.errors import CsipError
from storage.progress import silent
from tests.training.stages import FINETUNE, FIRM, PRETRAIN, QUIET, Stages, digests
from training.batches.loader import Batch
from training.files import load_tensors
from training.looping import loop
from training.looping.loop import SPEED, Task, train
from training.model.encoders.encoder import VisualEncoder
from training.settings import HISTORY, MODEL, EncoderSettings, LoopSettings, TrainerSettings

LONGER = FINETUNE.model_copy(update={"epochs": 5, "refresh_every": 0, "milestones": (2, 4)})


def told_steps(stages: Stages, stage: str, name: str, settings: LoopSettings) -> tuple[Path, list[int]]:
    steps: list[int] = []
    return stages.run(stage, name, settings, QUIET, lambda done, total, message="": steps.append(done)), steps


def test_more_epochs_extend_a_finished_training_where_the_rates_take_the_same_course(stages: Stages) -> None:
    whole, every = told_steps(stages, "finetune", "whole", LONGER)
    told_steps(stages, "finetune", "grown", LONGER.model_copy(update={"epochs": 3}))
    grown, steps = told_steps(stages, "finetune", "grown", LONGER)
    assert digests(grown) == digests(whole)
    assert steps == every[-len(steps) :]
    assert len(steps) == len(every) * 2 // 5


def test_a_cosine_to_the_last_epoch_starts_anew(stages: Stages) -> None:
    longer = PRETRAIN.model_copy(update={"epochs": 5, "warmup_epochs": 0})
    whole, every = told_steps(stages, "pretrain", "whole", longer)
    told_steps(stages, "pretrain", "grown", longer.model_copy(update={"epochs": 3}))
    grown, steps = told_steps(stages, "pretrain", "grown", longer)
    assert digests(grown) == digests(whole)
    assert steps == every


def test_fewer_epochs_stop_where_a_longer_training_passed(stages: Stages) -> None:
    whole, _ = told_steps(stages, "finetune", "whole", LONGER.model_copy(update={"epochs": 4}))
    told_steps(stages, "finetune", "shrunk", LONGER)
    shrunk, steps = told_steps(stages, "finetune", "shrunk", LONGER.model_copy(update={"epochs": 4}))
    assert digests(shrunk) == digests(whole)
    assert steps == [], "its state of that epoch was still there"


def test_tensorboard_gets_loss_and_rate_and_nothing_is_written_without_it(stages: Stages) -> None:
    told = stages.run("pretrain", "told", trainer=TrainerSettings())
    quiet = stages.run("pretrain", "quiet")
    (events,) = (told / "work").rglob("events.out.tfevents.*")
    scalars = EventAccumulator(str(events)).Reload()
    history = pq.read_table(told / HISTORY)
    for name in ("loss", "lr", "visual_to_skeleton"):
        assert [event.value for event in scalars.Scalars(name)] == pytest.approx(history[name].to_pylist(), rel=1e-5)
    assert not list((quiet / "work").rglob("events.out.tfevents.*"))
    assert digests(told) == digests(quiet)


def test_other_backends_of_mmengine_get_the_same(stages: Stages) -> None:
    out = stages.run("pretrain", trainer=TrainerSettings(loggers=("LocalVisBackend",)))
    lines = [json.loads(line) for path in (out / "work").rglob("scalars.json") for line in path.open()]
    history = pq.read_table(out / HISTORY)
    assert [line["loss"] for line in lines] == pytest.approx(history["loss"].to_pylist())
    assert [line["lr"] for line in lines] == pytest.approx(history["lr"].to_pylist())


def test_an_unknown_backend_is_named(stages: Stages) -> None:
    with pytest.raises(CsipError, match="NoSuchBackend") as caught:
        stages.run("pretrain", trainer=TrainerSettings(loggers=("NoSuchBackend",)))
    assert "trainer.loggers" in str(caught.value)


def test_recomputed_activations_change_no_byte(stages: Stages) -> None:
    whole = stages.run("finetune", "whole")
    saving = stages.run("finetune", "saving", trainer=QUIET.model_copy(update={"checkpointing": True}))
    assert digests(saving) == digests(whole)


def bytes_kept(module: nn.Module, x: Tensor) -> int:
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
        module(x)
    return sum(sizes)


def test_recomputed_activations_are_not_kept() -> None:
    shape = EncoderSettings(model="small", image_height=64, image_width=32, width=32, depth=6, heads=2, projection=8)
    kept = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        encoder = VisualEncoder(shape).train()
        encoder.trunk.checkpointing = checkpointing
        kept.append(bytes_kept(encoder, torch.rand(4, 3, 64, 32)))
    assert kept[1] < kept[0] / 2


def test_bf16_computes_in_bf16_and_keeps_weights_and_losses_in_fp32(stages: Stages) -> None:
    full = stages.run("finetune", "full")
    half = stages.run("finetune", "half", trainer=QUIET.model_copy(update={"precision": "bf16"}))
    tensors = load_tensors(half / MODEL)
    assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {torch.float32}
    losses = [pq.read_table(folder / HISTORY)["loss"].to_numpy() for folder in (full, half)]
    assert digests(half)[MODEL] != digests(full)[MODEL]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_auto_is_fp32_on_the_cpu(stages: Stages) -> None:
    assert TrainerSettings().precision == "auto"
    auto = stages.run("pretrain", "auto")
    full = stages.run("pretrain", "full", trainer=QUIET.model_copy(update={"precision": "fp32"}))
    assert torch.cuda.is_available() or digests(auto) == digests(full)


@pytest.mark.slow(minutes=5)
@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_compiled_models_learn_the_same_to_rounding(stages: Stages, stage: str) -> None:
    firm = stages.run("pretrain", settings=FIRM["pretrain"])  # what finetuning starts from
    assert firm == stages.ready("pretrain")
    plain = stages.run(stage, "plain", FIRM[stage])
    compiled = stages.run(stage, "compiled", FIRM[stage], QUIET.model_copy(update={"compile": True}))
    losses = [pq.read_table(folder / HISTORY)["loss"].to_numpy() for folder in (plain, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert load_tensors(compiled / MODEL).keys() == load_tensors(plain / MODEL).keys()


def tiny_task(terms: Mapping[int, float]) -> Task:
    """One epoch of four steps of one tracklet each; a step's loss is multiplied by `terms`."""
    layer = nn.Linear(1, 1)

    def loss(batch: Batch) -> dict[str, Tensor]:
        return {"bad": layer(batch["x"]).square().sum() * terms.get(batch["step"], 1.0)}

    return Task(
        layer,
        loss,
        lambda epoch: [[0], [1], [2], [3]],
        lambda batch, rng: {"x": torch.ones(1, 1), "step": batch[0], "names": [f"t{batch[0]}"]},
        [{"params": list(layer.parameters()), "lr": 0.1}],
        lambda epoch: 1.0,
        0.0,
    )


@pytest.mark.parametrize(("term", "what"), [(float("nan"), "not a number"), (1e30, "exploded")])
def test_a_bad_loss_stops_with_the_step_the_tracklets_and_advice(tmp_path: Path, term: float, what: str) -> None:
    with pytest.raises(CsipError, match=what) as caught:
        train(tiny_task({2: term}), loop.LoopSettings(epochs=1), QUIET, tmp_path, silent)
    said = str(caught.value)
    assert "step 2" in said
    assert "t2" in said
    assert "learning rate" in said


def test_operators_use_the_threads_that_were_asked_for_and_afterwards_those_they_had(tmp_path: Path) -> None:
    before, used = torch.get_num_threads(), []
    settings = loop.LoopSettings(epochs=1, threads=before + 1)
    train(tiny_task({}), settings, QUIET, tmp_path, lambda *told: used.append(torch.get_num_threads()))
    assert used == [before + 1] * 4
    assert torch.get_num_threads() == before


def test_the_time_that_the_model_waited_is_kept(tmp_path: Path) -> None:
    speed = train(tiny_task({}), loop.LoopSettings(epochs=1), QUIET, tmp_path, silent)
    assert json.loads((tmp_path / "work" / SPEED).read_text())["steps"] == speed.steps == 3, "but for the first"
    assert speed.samples == 3
    assert 0 <= speed.waited < speed.seconds
