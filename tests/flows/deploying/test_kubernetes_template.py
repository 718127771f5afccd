"""The Kubernetes work pool's template, against the worker that will fill it in and the API's own classes."""

import asyncio
import json
import os
import re
from importlib.resources import files
from typing import Any
from uuid import uuid4

import kubernetes_asyncio.client.models as api
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from flows.deploying.deployments import ENVIRONMENT

pytestmark = pytest.mark.usefixtures("api")  # Prefect would start a server of its own to fill in a template
TEMPLATE = json.loads((files("flows") / "deploying/recipes/kubernetes.json").read_text())
MISPLACED = {"completions", "parallelism"}
"""Prefect's worker asks for them in the pod's specification, where Kubernetes knows none; they are in the job's too."""


def filled_in(**variables: Any) -> KubernetesWorkerJobConfiguration:
    made = asyncio.run(KubernetesWorkerJobConfiguration.from_template_and_values(TEMPLATE, variables))
    made.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="mars"))
    return made


def build(kind: str, value: Any, where: str = "job") -> Any:
    """What the API's classes make of JSON; they refuse what is missing, this function what they do not know."""
    if kind.startswith("list["):
        assert isinstance(value, list), where
        return [build(kind[5:-1], part, f"{where}[{i}]") for i, part in enumerate(value)]
    if kind.startswith("dict("):
        inner = kind[5:-1].split(", ")[1]
        assert isinstance(value, dict), where
        return {name: build(inner, part, f"{where}.{name}") for name, part in value.items()}
    model = getattr(api, kind, None)
    if model is None:
        quantity = where.endswith(("/gpu", ".cpu", ".memory"))  # a number, or one with a unit
        wanted = {"str": int | str if quantity else str, "int": int, "bool": bool, "object": object}[kind]
        assert isinstance(value, wanted), f"{where} is {value!r}, and not {kind}"
        return value
    names = {theirs: ours for ours, theirs in model.attribute_map.items()}
    known = {name: part for name, part in value.items() if kind != "V1PodSpec" or name not in MISPLACED}
    assert known.keys() <= names.keys(), f"{where} has {sorted(known.keys() - names.keys())}"
    return model(**{names[n]: build(model.openapi_types[names[n]], part, f"{where}.{n}") for n, part in known.items()})


@pytest.mark.parametrize("gpus", [0, 2])
def test_the_job_is_one_that_kubernetes_takes(gpus: int) -> None:
    job = build("V1Job", filled_in(gpus=gpus, image="registry/csip:1", env=dict(ENVIRONMENT)).job_manifest)

    pod = job.spec.template.spec
    (container,) = pod.containers
    assert container.image == "registry/csip:1"
    assert container.resources.limits["nvidia.com/gpu"] == gpus
    assert container.resources.limits == container.resources.requests
    assert {entry.name: entry.value for entry in container.env}.items() >= ENVIRONMENT.items()
    (shared,) = (volume for volume in pod.volumes if volume.name == "shared-memory")
    assert (shared.empty_dir.medium, shared.empty_dir.size_limit) == ("Memory", "8Gi")
    assert "/dev/shm" in [mount.mount_path for mount in container.volume_mounts]  # noqa: S108 - the mount itself
    assert (job.spec.completions, job.spec.parallelism, job.spec.backoff_limit) == (1, 1, 0)
    assert pod.termination_grace_period_seconds == 120
    assert pod.security_context.run_as_non_root


def test_what_a_deployment_asks_for_reaches_the_pod() -> None:
    asked = {"node_selector": {"gpu": "h200"}, "secret": "reid", "shared_memory": "64Gi", "grace_seconds": 600}
    job = build("V1Job", filled_in(**asked).job_manifest)
    pod = job.spec.template.spec
    assert pod.node_selector == {"gpu": "h200"}
    assert pod.termination_grace_period_seconds == 600
    assert [source.secret_ref.name for source in pod.containers[0].env_from if source.secret_ref] == ["reid"]
    assert pod.volumes[0].empty_dir.size_limit == "64Gi"


def test_a_job_that_is_told_to_leave_is_rescheduled() -> None:
    job = build("V1Job", filled_in().job_manifest)
    behaviour = [e.value for e in job.spec.template.spec.containers[0].env if e.name.endswith("SIGTERM_BEHAVIOR")]
    assert behaviour == ["reschedule"]


def test_every_variable_is_used_and_every_one_used_is_there() -> None:
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(TEMPLATE["job_configuration"])))
    assert used == set(TEMPLATE["variables"]["properties"])
    theirs = KubernetesWorker.get_default_base_job_template()["job_configuration"]
    assert TEMPLATE["job_configuration"].keys() == theirs.keys()


def test_the_template_holds_nothing_of_this_machine() -> None:
    text = json.dumps(TEMPLATE)
    assert not re.search(r"(?i)(password|token|api_key|secret_access|access_key)", text)
    assert os.path.expanduser("~/") not in text
