"""How fast training is, in one run: `make bench-training`.

Steps and clips a second, the share of the time in which the model waited for data, the largest memory; and for stage 1
how many times faster it is with kept features than the naive way, which runs the visual encoder in every epoch.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import storage.demo.dataset
import tests.benchmarks.naive
import training.features
import training.finetune
import training.pretrain
import training.visual
from flows.config import Config, load_config
from storage.demo.dataset import DemoSettings
from storage.index import scan, write_index
from storage.progress import silent
from storage.settings import Settings
from training.files import save_model
from training.looping.launch import write_job
from training.model.encoders.encoder import VisualEncoder
from training.settings import EncoderSettings, FeatureSettings, PretrainSettings, TrainerSettings

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
FEW = DemoSettings(train_identities=4, test_identities=2, cameras=2, tracklets=2, frames=8, distractors=0)
# a batch of 8 clips, and not of 64, so that the naive way ends
PUBLISHED = PretrainSettings(epochs=3, batch=8, decode_workers=2, save_every=3)
QUIET = TrainerSettings(loggers=())
console = Console(highlight=False, width=130)


@dataclass(frozen=True)
class Case:
    """Sizes that are measured.

    Attributes:
        name: as printed.
        encoder: the visual encoder; its weights are random, which changes no speed.
        pretrain: stage 1 with kept features.
        naive_epochs: epochs of the naive way.
    """

    name: str
    encoder: EncoderSettings
    pretrain: PretrainSettings
    naive_epochs: int


class Bench:
    """Runs stages in processes of their own, on the demo data set with its true joints for skeletons.

    Args:
        folder: for files on the way.
        config: of the demo.
        people: who is rendered.
    """

    def __init__(self, folder: Path, config: Config, people: DemoSettings) -> None:
        self.folder = folder
        self.root = folder / "data"
        storage.demo.dataset.make(people, self.root)
        data = config.data.model_copy(update={"root": self.root, "train_shards": 1, "test_shards": 1})
        (index := folder / "index").mkdir()
        write_index(scan(data, folder / "cache"), data, index)
        self.index = index / "train-000.parquet"
        self.skeletons = self.root / "truth" / "skeletons.parquet"

    def encoder(self, name: str, settings: EncoderSettings) -> Path:
        """A folder with an encoder of random weights."""
        folder = self.folder / f"encoder, {name}"
        if not folder.exists():
            folder.mkdir()
            described = {"kind": "visual", "encoder": settings.model_dump(mode="json"), "cameras": []}
            save_model(VisualEncoder(settings), described, folder)
        return folder

    def features(self, name: str, settings: EncoderSettings) -> tuple[Path, float]:
        """Kept features, and how long they took, seconds."""
        out = self.folder / f"features, {name}"
        out.mkdir()
        inputs = training.features.Inputs(self.root, self.index, self.encoder(name, settings), settings)
        start = time.perf_counter()
        training.features.run(inputs, FeatureSettings(), out, silent)
        return out / "features.parquet", time.perf_counter() - start

    def train(self, name: str, module: Any, inputs: Any, settings: Settings) -> Mapping[str, float]:
        """What a stage's process says of its speed and memory."""
        out = self.folder / name
        out.mkdir()
        write_job(out / "job.json", module.__name__, inputs, settings, out)
        command = [sys.executable, "-m", "tests.benchmarks.side", str(out / "job.json")]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def row(measured: Mapping[str, float]) -> list[str]:
    """Of the table: steps, steps and clips a second, share of waiting, memory."""
    seconds = measured["seconds"]
    memory = f"{measured['peak_mb']:.0f}" + (f" + {measured['peak_gpu_mb']:.0f}" if measured["peak_gpu_mb"] else "")
    return [
        f"{measured['steps']:.0f}",
        f"{measured['steps'] / seconds:.2f}",
        f"{measured['samples'] / seconds:.1f}",
        f"{100 * measured['waited'] / seconds:.1f} %",
        memory,
    ]


def stage_1(bench: Bench, case: Case, table: Table) -> str:
    """Both ways of stage 1; what to say of them."""
    features, seconds = bench.features(case.name, case.encoder)
    skeletons, index = (bench.skeletons,), (bench.index,)
    kept = training.pretrain.Inputs(index, skeletons, (features,), QUIET)
    encoder = bench.encoder(case.name, case.encoder)
    naive = tests.benchmarks.naive.Inputs(bench.root, index, skeletons, encoder, case.encoder, QUIET)
    ours = bench.train(f"kept, {case.name}", training.pretrain, kept, case.pretrain)
    slow = case.pretrain.model_copy(update={"epochs": case.naive_epochs, "threads": 0})  # the visual encoder wants all
    theirs = bench.train(f"naive, {case.name}", tests.benchmarks.naive, naive, slow)
    table.add_row(f"stage 1, {case.name}", *row(ours))
    table.add_row(f"stage 1 the naive way, {case.name}", *row(theirs))
    step, naive_step = (m["seconds"] / m["steps"] for m in (ours, theirs))
    whole = seconds + ours["seconds"]
    return (
        f"stage 1, {case.name}: {naive_step / step:.1f} times as fast as the naive way; "
        f"{naive_step * ours['steps'] / whole:.1f} times over its {case.pretrain.epochs} epochs, "
        f"with the {seconds:.1f} s in which features are made once"
    )


def other_stages(bench: Bench, config: Config, table: Table) -> None:
    """The visual encoder and stage 2."""
    visual = training.visual.Inputs(bench.root, (bench.index,), config.encoder, QUIET)
    some = config.visual.model_copy(update={"epochs": 10})
    table.add_row("visual, demo", *row(bench.train("visual", training.visual, visual, some)))
    stage_2 = training.finetune.Inputs(
        bench.root,
        (bench.index,),
        (bench.folder / "features, demo" / "features.parquet",),
        bench.encoder("demo", config.encoder),
        config.encoder,
        (bench.skeletons,),
        bench.folder / "kept, demo",
        QUIET,
    )
    few = config.finetune.model_copy(update={"epochs": 4})
    table.add_row("stage 2, demo", *row(bench.train("stage 2", training.finetune, stage_2, few)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["demo", "published"], help="only these sizes")
    chosen = parser.parse_args()
    config = load_config(CONFIG, [])
    table = Table("", "steps", "steps a second", "clips a second", "waiting for data", "peak memory, MB")
    said = []
    if chosen.only != "published":
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), config, config.data.demo or DemoSettings())
            said.append(stage_1(bench, Case("demo", config.encoder, config.pretrain, 10), table))
            other_stages(bench, config, table)
    if chosen.only != "demo":
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), config, FEW)
            said.append(stage_1(bench, Case("published sizes", EncoderSettings(), PUBLISHED, 1), table))
    console.print(table)
    console.print("\n".join(said))


if __name__ == "__main__":
    main()
