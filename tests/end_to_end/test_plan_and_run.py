"""What a plan says is what a run then does, whatever has changed."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.config import Config, make_config
from flows.planning.plan import plan
from flows.rebuild import rebuild
from flows.stages import STAGES
from storage.store.artifacts import Store
from tests.small_run import small_settings

CHANGES = 30
OVERRIDES = [
    "pretrain.epochs={1}",
    "pretrain.lr=0.00{1}",
    "finetune.lr=0.00{1}",
    "finetune.use_pfu={b}",
    "finetune.use_sgtm={b}",
    "visual.seed={1}",
    "extraction.max_gap={1}",
    "extraction.min_score=0.{1}",
    "extraction.batch_size={1}",
    "evaluation.gallery=without_queries",
    "embed.clip_length={1}",
    "report.title=number {1}",
    "data.test_shards={1}",
    "versions.timm='0.{1}'",
    "versions.matplotlib='9.{1}'",
    "workers={1}",
]


class World:
    """A configuration, its raw data and its store, changed at random."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.overrides: dict[str, str] = {}
        self.rng = random.Random(1)

    def config(self) -> Config:
        overrides = {"data.max_missing_fraction": "0.5"} | self.overrides
        return make_config(small_settings(self.folder), [f"{name}={value}" for name, value in overrides.items()])

    def setting(self) -> str:
        text = self.rng.choice(OVERRIDES).format(None, self.rng.randint(1, 3), b=self.rng.choice(["true", "false"]))
        name, _, value = text.partition("=")
        self.overrides[name] = value
        return text

    def setting_back(self) -> str:
        if not self.overrides:
            return self.setting()
        name = self.rng.choice(sorted(self.overrides))
        del self.overrides[name]
        return f"{name} as it was"

    def frame(self) -> str:
        path = self.rng.choice(sorted((self.folder / "data").glob("bbox_*/*/*.jpg")))
        content = bytearray(path.read_bytes())
        content[self.rng.randrange(len(content) // 2, len(content))] ^= 1
        path.write_bytes(content)
        return f"a byte of {path.name}"

    def lost_frame(self) -> str:
        path = self.rng.choice(sorted((self.folder / "data").glob("bbox_*/*/*.jpg")))
        path.unlink()
        return f"{path.name} is gone"

    def touched(self) -> str:
        for path in (self.folder / "data").glob("bbox_*/*/*.jpg"):
            path.touch()
        return "all frames touched"

    def artifact(self) -> str:
        stage, key = self.rng.choice(Store(self.folder / "store").names())
        shutil.rmtree(self.folder / "store" / "artifacts" / stage / key)
        return f"{stage} {key} deleted"

    def damage(self) -> str:
        artifact = self.rng.choice(Store(self.folder / "store").all())
        path = artifact.path / self.rng.choice(sorted(artifact.manifest["files"]))
        content = bytearray(path.read_bytes())
        content[self.rng.randrange(len(content))] ^= 1
        path.write_bytes(content)
        return f"a bit of {artifact.stage} {path.name}"

    def cache(self) -> str:
        shutil.rmtree(self.folder / "store" / "cache")
        return "cache deleted"

    def moved(self) -> str:
        shutil.copytree(self.folder, self.folder.with_name(self.folder.name + "x"))
        shutil.rmtree(self.folder)
        self.folder = self.folder.with_name(self.folder.name + "x")
        return "data and store copied elsewhere"

    def change(self) -> str:
        kinds: list[Callable[[], str]] = [self.setting] * 8 + [self.setting_back] * 2 + [self.frame] * 3
        kinds += [self.lost_frame, self.touched, self.artifact, self.damage, self.damage, self.cache, self.moved]
        return self.rng.choice(kinds)()


@pytest.mark.slow(minutes=6)
@pytest.mark.timeout(1800)
def test_a_run_does_what_the_plan_said_after_each_of_many_random_changes(tmp_path: Path, api: str) -> None:
    world = World(tmp_path / "world")
    rebuild(world.config())
    seen = {"kept": 0, "will run": 0, "may run": 0}
    for number in range(CHANGES):
        changed = "; ".join(world.change() for _ in range(world.rng.randint(1, 2)))
        told = {line.label: line for line in plan(world.config())}
        result = rebuild(world.config())
        about = f"change {number}: {changed}"
        assert list(told) == list(result.artifacts), about
        for label, line in told.items():
            seen[line.verdict] += 1
            assert line.reason, about
            if line.verdict != "may run":
                assert (label in result.built) == (line.verdict == "will run"), f"{about}: {line}"
        assert rebuild(world.config()).built == (), about
        assert {line.verdict for line in plan(world.config())} == {"kept"}, about
    assert min(seen.values()) > CHANGES, f"every verdict was put to the test: {seen}"
    assert {stage for stage, _ in Store(world.folder / "store").names()} == set(STAGES) - {"splits"}
