"""What a Prefect server is given: deployments, and the work pool, limits and automations that they rely on.

Everything is known by its name, so that giving it twice changes it and doubles nothing.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound

from flows.deploying.automations import (
    crashed_run_goes_on,
    failed_run_is_reported,
    make_automations,
    run_crashed_too_often,
    silent_run_is_crashed,
)
from flows.running.limits import store_limit
from storage.errors import SettingsError


def ensure_pool(client: SyncPrefectClient, name: str, kind: str) -> bool:
    """Make a work pool if it is not there; one that is there stays as its operator made it.

    Returns:
        Whether it was made.

    Raises:
        SettingsError: it is there, with another type.
    """
    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=job_template(kind)))
        return True
    if found.type != kind:
        raise SettingsError(
            f"the work pool {name!r} has the type {found.type}",
            where="--pool, --type",
            fix=f"give --type {found.type}, or another --pool",
        )
    return False


def job_template(kind: str) -> dict[str, Any]:
    """What a pool starts for a run, and which variables it takes."""
    if kind == "kubernetes":
        return dict(json.loads((files("flows") / "deploying/recipes/kubernetes.json").read_text()))
    from prefect.workers.process import ProcessWorker

    return dict(ProcessWorker.get_default_base_job_template())


def make_deployment(client: SyncPrefectClient, fields: Mapping[str, Any]) -> UUID:
    """Create a deployment, or change the one of its name."""
    from prefect.utilities.callables import parameter_schema

    from flows.deploying.deployed import ENTRYPOINT, rebuild

    return client.create_deployment(
        flow_id=client.create_flow(rebuild),
        entrypoint=ENTRYPOINT,
        description=rebuild.description,
        version=rebuild.version,
        parameter_openapi_schema=parameter_schema(rebuild).model_dump(exclude_unset=True),
        **fields,
    )


def ensure_limits(client: SyncPrefectClient, limits: Mapping[str, int]) -> None:
    """Make limits, or change how many slots they have."""
    for name, slots in limits.items():
        client.upsert_global_concurrency_limit_by_name(name, slots)


def ensure_automations(client: SyncPrefectClient, notify: str = "") -> None:
    """Make all automations; `notify` is the notification block of failed runs, type/name.

    Raises:
        SettingsError: there is no such block.
    """
    wanted = [crashed_run_goes_on(), run_crashed_too_often(), silent_run_is_crashed()]
    if notify:
        wanted.append(failed_run_is_reported(notify, _notification_block(client, notify)))
    make_automations(client, wanted)


def _notification_block(client: SyncPrefectClient, notify: str) -> UUID:
    kind, _, name = notify.partition("/")
    try:
        return UUID(str(client.read_block_document_by_name(name, kind).id))
    except ObjectNotFound as error:
        raise SettingsError(
            f"the server has no block {notify!r}",
            where="--notify",
            fix="make one in the UI under Blocks, and name it TYPE/NAME, such as slack-webhook/ops",
        ) from error


def prepare(store: str) -> dict[str, Any]:
    """The build step of prefect.yaml, with the store of its configurations: what `csip deploy` makes beside them."""
    with get_client(sync_client=True) as client:
        ensure_limits(client, {store_limit(store, str(Path.cwd())): 1})
        ensure_automations(client)
    return {}
