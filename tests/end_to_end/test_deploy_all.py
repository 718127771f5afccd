"""`prefect deploy --all` and `csip deploy` give the same deployments, limits and automations, however often."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows.config import load_config
from flows.running.limits import store_limit

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "configs").glob("*.yaml"))


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def call(api: str, home: Path, *command: str) -> str:
    environment = os.environ | {"PREFECT_API_URL": api, "PREFECT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


KEPT = {"schedules", "concurrency_limit_id", "global_concurrency_limit", "labels", "last_polled", "status"}
KEPT |= {"created", "created_by", "updated", "updated_by", "version", "version_id", "version_info"}
"""Fields of a deployment that time changes, or that are compared by what they refer to."""

AGES: Any = {"id": True, "created": True, "updated": True, "trigger": {"id"}}


def state(client: SyncPrefectClient) -> dict[str, Any]:
    """All that the server holds of us, without what every change of a row changes."""
    deployments = {d.name: d for d in client.read_deployments() if d.name in NAMES}
    limits = client.read_global_concurrency_limits(limit=200)
    automations = [a for a in client.read_automations() if a.name.startswith("csip: ")]
    return {
        "deployments": {
            name: d.model_dump(mode="json", exclude=KEPT)
            | {
                "schedules": [s.schedule.model_dump(mode="json") for s in d.schedules],
                "limit": d.global_concurrency_limit.limit if d.global_concurrency_limit else None,
            }
            for name, d in deployments.items()
        },
        "limits": sorted((limit.name, limit.limit) for limit in limits if limit.name.startswith("csip-")),
        "automations": sorted(automation.model_dump_json(exclude=AGES) for automation in automations),
    }


NAMES = {load_config(ROOT / path).name for path in CONFIGS}


def test_there_is_a_deployment_of_every_configuration() -> None:
    listed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert sorted(one["parameters"]["config"] for one in listed) == CONFIGS


@pytest.mark.slow
def test_both_ways_give_the_same_and_doing_it_again_changes_nothing(
    api: str, client: SyncPrefectClient, tmp_path: Path
) -> None:
    told = call(api, tmp_path, "flows.commands.app", "deploy", *CONFIGS)
    ours = state(client)
    assert ours["deployments"].keys() == NAMES
    assert all(name in told for name in NAMES)
    assert [store_limit("store", str(ROOT)), 1] in [list(limit) for limit in ours["limits"]]
    for what in ("a crashed run goes on", "crashed too often has failed", "fell silent is crashed"):
        assert sum(f'{what}"' in automation for automation in ours["automations"]) == 1
    assert {d["limit"] for d in ours["deployments"].values()} == {1}

    call(api, tmp_path, "prefect", "--no-prompt", "deploy", "--all")
    assert state(client) == ours

    call(api, tmp_path, "flows.commands.app", "deploy", *CONFIGS)
    assert state(client) == ours
