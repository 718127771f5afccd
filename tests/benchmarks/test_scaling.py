from pathlib import Path

import pytest

from flows.stages import STAGES
from storage.store.artifacts import Store
from tests.benchmarks.scaling import FILES, config_of, simulate

WHOLE = pytest.param("metrics", 7 + 1 + 1 + 2 + 1 + 1 + 2 * 5 + 2, marks=pytest.mark.slow)


@pytest.mark.parametrize(("until", "tasks"), [("skeletons", 7), WHOLE])
def test_the_real_scheduling_is_done_by_workers_that_wait(until: str, tasks: int, api: str, tmp_path: Path) -> None:
    found = simulate(config_of(tmp_path, shards=7, workers=3), seconds=0.1, until=until)
    made = Store(tmp_path / "store").all()
    assert found["tasks"] == tasks
    assert len(made) == tasks + 1, "and the index"
    assert {artifact.stage for artifact in made} == {"index", *STAGES[: STAGES.index(until) + 1]} & {"index", *FILES}
    assert found["wall"] >= found["ideal"] > 0
    assert found["overhead"] == pytest.approx(1 - found["ideal"] / found["wall"])
