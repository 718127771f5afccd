"""What a person sees of runs in the Prefect UI, in a real browser on the real server. Look at the pictures."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows.config import make_config
from flows.rebuild import Result, rebuild
from flows.watching.server import ui_url
from storage.errors import DataError, WeightsError
from tests.browser import Page, browser, chromium
from tests.flow_runs import last_started
from tests.small_run import small_settings

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine")

STAGES = ("skeletons train-000", "quality", "visual", "pretrained", "finetuned", "metrics finetuned", "report")
WINDOW = 1500, 1600


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots are kept: CSIP_SCREENSHOTS, or a folder of this test."""
    folder = Path(os.environ.get("CSIP_SCREENSHOTS", tmp_path / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"screenshots: {folder}")
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with browser(tmp_path / "chromium") as tab:
        yield tab


def artifacts(run: str) -> dict[str, Any]:
    """Key -> artifact of a flow run, of those that have a key."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run])), limit=200
        )
    return {artifact.key: artifact for artifact in found if artifact.key}


def look(page: Page, address: str, *texts: str, picture: Path) -> str:
    page.open(address, *WINDOW)
    seen = page.wait_for(*texts)
    page.screenshot(picture, height=3000)
    return seen


def look_at_run(page: Page, api: str, result: Result, name: str, state: str, pictures: Path) -> None:
    """The page of a flow run, its list of task runs, and its artifacts."""
    texts = name, "Completed", "csip", "Task runs", "Finished in state"
    look(page, ui_url(api, result.flow_run_id), *texts, picture=pictures / f"{state}.png")
    page.click(".p-tab", "Task Runs")
    seen = page.wait_for(*STAGES, state)
    page.screenshot(pictures / f"{state}-tasks.png", height=3000)
    assert seen.count(f"{state}\n") >= len(result.artifacts) - 1, "of each task run"
    page.click(".p-tab", "Artifacts")
    page.wait_for("plan", "progress", "metrics", "data-check")
    page.screenshot(pictures / f"{state}-artifacts.png", height=3000)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_can_be_read_in_the_prefect_ui_alone(api: str, tmp_path: Path, page: Page, pictures: Path) -> None:
    config = make_config(small_settings(tmp_path))
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
        first, again = rebuild(config), rebuild(config)
        with pytest.raises(WeightsError) as failed:
            rebuild(make_config(small_settings(tmp_path), ["extraction.estimator.weights=/nowhere.pth"]))

    look_at_run(page, api, first, "small · demo data", "Completed", pictures)
    look_at_run(page, api, again, "small · demo data", "Cached", pictures)

    made = artifacts(first.flow_run_id)
    base = f"{ui_url(api)}/artifacts/artifact"
    metrics = look(page, f"{base}/{made['metrics'].id}", "after finetuning", "mAP", picture=pictures / "metrics.png")
    assert "chance" in metrics
    plan = look(page, f"{base}/{made['plan'].id}", "skeletons", "never made", picture=pictures / "plan.png")
    assert "may run" in plan
    kept = look(
        page, f"{base}/{artifacts(again.flow_run_id)['plan'].id}", "nothing changed", picture=pictures / "kept.png"
    )
    assert f"{len(again.artifacts)} kept" in kept
    progress = f"{len(first.artifacts)} of {len(first.artifacts)} steps"
    look(page, f"{base}/{made['progress'].id}", progress, "100", picture=pictures / "progress.png")

    with get_client(sync_client=True) as client:
        last = last_started(client)
    assert last.state is not None
    assert last.state.message == str(failed.value)
    look(page, ui_url(api, last.id), "Failed", failed.value.what, picture=pictures / "failed.png")


def test_a_failed_task_and_its_run_tell_first_what_to_do(api: str, tmp_path: Path) -> None:
    config = make_config(small_settings(tmp_path) | {"data": {"root": str(tmp_path / "none")}})
    with pytest.raises(DataError) as failed:
        rebuild(config)
    with get_client(sync_client=True) as client:
        flow_run = last_started(client)
    assert flow_run.state is not None
    assert flow_run.state.message == str(failed.value)
    assert flow_run.state.type.value == "FAILED"
    assert flow_run.name == "small · MARS"
    assert {"csip", "small", "mars"} <= set(flow_run.tags)
    with get_client(sync_client=True) as client:
        (task_run,) = [
            run
            for run in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])))
            if run.state and run.state.type.value == "FAILED"
        ]
    assert task_run.state is not None
    assert task_run.state.message == str(failed.value)
