"""What the report is told of a run beside what its key counts."""

from pathlib import Path

from flows.config import Config, make_config
from flows.keys.steps import Step
from flows.pipeline import pipeline, used
from flows.planning.plan import Planner, Unmade
from flows.provenance import counted_settings, machine
from storage.store.artifacts import Store
from tests.small_run import small_settings


def told(config: Config) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in counted_settings(config, used(config)[0])}


def test_settings_are_told_with_their_defaults_and_only_those_that_count(tmp_path: Path) -> None:
    rows = told(make_config(small_settings(tmp_path), ["finetune.seed=7"]))
    assert rows["finetune.seed"] == {"name": "finetune.seed", "value": 7, "default": 0, "differs": True}
    assert not rows["evaluation.gallery"]["differs"]
    assert rows["data.demo.frames"]["differs"], "by default there is no demo data set"
    assert "data.root" not in rows, "where the data lies is nobody's business, and changes nothing"
    assert "trainer.device" not in rows


def test_sections_that_a_run_does_not_use_are_not_told(tmp_path: Path) -> None:
    small, existing = small_settings(tmp_path), small_settings(tmp_path)
    existing = existing | {"encoder": {}, "data": existing["data"] | {"skeletons": "skeleton_3d"}}
    one, other = ({name.partition(".")[0] for name in told(make_config(s))} for s in (small, existing))
    assert {"extraction", "visual"} <= one
    assert not {"existing", "skeleton_only", "server", "name"} & one
    assert "existing" in other
    assert not {"extraction", "visual"} & other
    assert used(make_config(existing))[1] == ("visual",)


def test_the_machine_is_told_without_its_name(tmp_path: Path) -> None:
    found = machine()
    assert {"System", "Processor", "Python"} <= found.keys()
    assert all(found.values())
    assert not any(__import__("platform").node() in text for text in found.values())


class Watched(Planner):
    """Plans, and keeps the step of the report."""

    report: Step

    def many(self, steps: list[Step]) -> list[Unmade]:
        if steps[0].stage == "report":
            Watched.report = steps[0]
        return [Unmade(self.store, step.stage, "", "digest", {"files": {}}) for step in steps]

    def lineage(self) -> tuple[dict[str, object], ...]:
        return ({"stage": "index", "key": str(id(self))},)


def test_what_is_only_told_is_no_part_of_the_key_of_a_report(tmp_path: Path, monkeypatch) -> None:
    config = make_config(small_settings(tmp_path))
    store = Store(tmp_path / "store")
    keys, facts = [], []
    for text in ("one", "another"):
        monkeypatch.setattr("flows.provenance.machine", lambda text=text: {"Processor": text})
        pipeline(config, Unmade(store, "index", "", "digest", {"files": {}}), Watched(store))
        keys.append(Watched.report.key)
        facts.append(Watched.report.arguments()["machine"])
    assert facts == [{"Processor": "one"}, {"Processor": "another"}]
    assert keys[0] == keys[1]
    assert "embeddings" in Watched.report.facts["inputs"], "the map is made from them"
