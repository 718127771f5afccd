"""Whatever really runs while a stage runs is among the code that its key is made of."""

import ast
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

import storage.demo.dataset
from flows.builder import Builder
from flows.config import Config, make_config
from flows.keys.reach import code_digests
from flows.keys.steps import Step
from flows.pipeline import mean_of_splits, pipeline
from flows.stages import STAGES
from storage.index import scan, write_index
from storage.skeleton import JOINTS
from storage.store.artifacts import Artifact, Store
from tests import small_run
from tests.storage.datasets.recordings.skeleton_trees import write_biwi

ROOT = Path(__file__).parents[2]
STAGE_PACKAGES = ("extraction", "training", "evaluation", "storage")
SETTINGS = small_run.SETTINGS | {
    "data": small_run.SETTINGS["data"] | {"train_shards": 1, "test_shards": 1},
    "finetune": small_run.SETTINGS["finetune"] | {"refresh_every": 1},
}


@cache
def definitions(path: Path) -> list[tuple[int, int, str]]:
    """(first line, last line, name) of a file's top-level definitions, found without the code under test."""
    found = []
    for statement in ast.parse(path.read_text()).body:
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(d.lineno for d in decorators)])
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        name = getattr(statement, "name", None) or getattr(targets[0], "id", None)
        found.append((first, statement.end_lineno or first, f".{name}" if name else ""))
    return found


def is_ours(code: CodeType) -> bool:
    """Whether some code is of a stage's packages; that of templates is not."""
    path = Path(code.co_filename)
    return path.suffix == ".py" and path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in STAGE_PACKAGES


def unit_of(code: CodeType) -> str | None:
    """The top-level definition that holds some code, if it is ours; the module where it is no definition."""
    path = Path(code.co_filename)
    if not is_ours(code) or code.co_name == "<module>":
        return None
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    inside = [name for first, last, name in definitions(path) if first <= code.co_firstlineno <= last]
    return module + "".join(inside[:1])


def is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: what only defines names unused by the stage does not count."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and is_ours(frame.f_code):
            return True
        frame = frame.f_back
    return False


def unheard(done: int, total: int, message: str = "") -> None:
    """Progress that nobody looks at."""


class Tracer:
    """Notes each function of ours that is called, in any thread."""

    def __init__(self) -> None:
        self.called: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code not in self.called and not is_importing(frame):
            self.called.add(frame.f_code)

    @contextmanager
    def tracing(self) -> Iterator[set[str]]:
        """Within it, calls are noted; afterwards the set holds the definitions called."""
        units: set[str] = set()
        self.called.clear()
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield units
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            units.update(unit for code in self.called if (unit := unit_of(code)))


class TracedBuilder(Builder):
    """Runs each step in this process, and remembers what it called."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tracer = Tracer()
        self.called: dict[str, set[str]] = defaultdict(set)

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        return [self.build(step) for step in steps]

    def build(self, step: Step) -> Artifact:
        module = step.load()
        arguments = step.arguments()
        with self.store.staging(step.stage, step.key, resume=False) as folder:
            with self.tracer.tracing() as called:
                module.run(module.Inputs(**arguments), step.settings, folder, unheard)
            self.called[step.module] |= called
            return self.store.publish(folder, step.stage, step.key, step.record, 0.0)


def build_index(config: Config, build: TracedBuilder) -> Artifact:
    key = f"index of {config.data.layout} {config.data.skeletons}"
    with build.store.staging("index", key, resume=False) as folder:
        with build.tracer.tracing() as called:
            write_index(scan(config.data, build.store.root / "cache" / "fingerprints"), config.data, folder)
        build.called["storage.index"] |= called
        return build.store.publish(folder, "index", key, {}, 0.0)


def write_skeletons(root: Path) -> None:
    """Skeletons as a user may bring them: a JSON for each frame; every person stands still."""
    body = np.zeros((len(JOINTS), 3))
    body[JOINTS.index("head"), 1] = -0.8
    for frame in root.glob("bbox_*/*/*.jpg"):
        file = root / "skeleton_3d" / frame.relative_to(root).with_suffix(".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"keypoints": (body + 1).tolist()}))


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Stage's module -> the definitions called while it ran on a few rendered people."""
    folder = tmp_path_factory.mktemp("reach")
    data = SETTINGS["data"] | {"root": str(folder / "data")}
    config = make_config({**SETTINGS, "store": str(folder / "store"), "data": data})
    storage.demo.dataset.make(config.data.demo, config.data.root)
    build = TracedBuilder(Store(Path(config.store)))
    made = pipeline(config, build_index(config, build), build)
    mean_of_splits(config, {"split 0": made, "split 1": made}, build)

    write_skeletons(config.data.root)
    own = make_config({**SETTINGS, "data": data | {"skeletons": "skeleton_3d"}})
    index = build_index(own, build)
    inputs = {"index": index.file("train-000.parquet"), "files": index.file("train-000.skeletons.parquet")}
    build.one(Step("skeletons", "extraction.skeleton_files", own.existing, inputs, {"data_root": config.data.root}))

    write_biwi(folder / "biwi", 3, 2, 14)
    alone = {"root": str(folder / "biwi"), "layout": "biwi", "train_shards": 1, "test_shards": 1}
    small = {"epochs": 1, "skeleton": {"width": 16, "depth": 2, "heads": 2, "hidden": 16, "temporal": True}}
    recordings = make_config({"name": "alone", "data": alone, "skeleton_only": small})
    pipeline(recordings, build_index(recordings, build), build)
    return build.called


@pytest.mark.slow
def test_every_function_that_a_stage_calls_is_in_its_key(called: dict[str, set[str]]) -> None:
    assert len(called) == len(STAGES) + 1 + 3, "skeletons are made in two ways, and three stages are without images"
    assert all(f"{module}.run" in units for module, units in called.items() if module != "storage.index")
    assert sum(len(units) for units in called.values()) > 200, "the tracer sees what runs"
    missed = {module: units - code_digests(module).keys() for module, units in called.items()}
    assert {module: sorted(units) for module, units in missed.items() if units} == {}


@pytest.mark.slow
def test_most_of_what_is_in_a_key_really_runs(called: dict[str, set[str]]) -> None:
    """The analysis follows names rather than whole modules: it would be sound, and of no use, if it took everything."""
    functions = {
        module: {name for name in code_digests(module) if name.rpartition(".")[2].lstrip("_")[:1].islower()}
        for module in called
    }
    shares = {module: len(units & functions[module]) / len(functions[module]) for module, units in called.items()}
    # what an earlier test has left in a cache is not called again: in the mean, then
    assert sum(shares.values()) / len(shares) > 0.5, shares
