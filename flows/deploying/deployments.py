"""What a configuration becomes as a Prefect deployment: plain values, made without a server.

`prefect.yaml` says the same of every configuration in `configs/`; a test compares the two.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect.client.schemas.schedules import CronSchedule
from pydantic import ValidationError

from flows.config import Config
from flows.running.limits import GPU_LIMIT, store_limit
from flows.stages import STAGES
from flows.watching.names import run_tags
from storage.errors import SettingsError

POOL_TYPES = ("process", "kubernetes")
IMAGE_FOLDER = "/opt/csip"
"""The working directory of the Dockerfile's image."""

HEARTBEAT_SECONDS = 30
"""The least that Prefect allows."""

ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
    "PREFECT_LOGGING_EXTRA_LOGGERS": "csip",
}
WHAT_CHANGED = "what changed"
"""The parameter `begin` of a run that builds nothing anew without need."""

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Wishes:
    """What the options of `csip deploy` ask for."""

    pool: str  # the work pool
    kind: str  # its type
    folder: str  # absolute path of the working directory of runs
    schedule: dict[str, Any] | None = None  # when it runs by itself; `schedule` makes it
    name: str = ""  # of the deployment; the configuration's if empty
    tags: Sequence[str] = ()  # beside its own
    overrides: Sequence[str] = ()  # settings, NAME=VALUE
    begin: str | None = None  # build this stage and all after it anew
    until: str = STAGES[-1]  # stop after this stage
    gpus: int | None = None  # tasks that may use a GPU at once; no limit without it
    image: str = ""  # the container image

    def __post_init__(self) -> None:
        problems = [
            f"there is no stage {stage!r}" for stage in (self.begin, self.until) if stage not in (*STAGES, None)
        ]
        if self.kind not in POOL_TYPES:
            problems.append(f"--type is {' or '.join(POOL_TYPES)}, not {self.kind!r}")
        if self.image and self.kind != "kubernetes":
            problems.append("--image is for --type kubernetes: processes use what is installed beside their worker")
        problems += [
            f"{what} {name!r} has one of the characters that Prefect allows in no name: / % & < >"
            for what, name in (("--pool", self.pool), ("--name", self.name), *(("--tag", tag) for tag in self.tags))
            if re.search(r"[/%&<>]", name) or (what != "--name" and not name)
        ]
        if problems:
            raise SettingsError(
                "; ".join(problems),
                where="the options of csip deploy",
                fix=f"`csip deploy --help` shows examples; stages are: {', '.join(STAGES)}",
            )


def schedule(cron: str | None, interval: str | None, timezone: str | None) -> dict[str, Any] | None:
    """When a deployment runs by itself, as Prefect's API says it; None for never.

    Raises:
        SettingsError: they contradict each other, or cannot be read.
    """
    if cron and interval:
        raise SettingsError("a deployment runs by --cron or by --interval", where="--cron, --interval", fix="give one")
    if timezone and not cron:
        raise SettingsError("--timezone says when --cron is meant", where="--timezone", fix="give --cron as well")
    if cron:
        try:
            ZoneInfo(timezone or "UTC")
        except (KeyError, OSError, ValueError) as error:
            raise SettingsError(
                f"there is no time zone {timezone!r}", where="--timezone", fix="write one such as Europe/Madrid"
            ) from error
        try:
            return CronSchedule(cron=cron, timezone=timezone or "UTC").model_dump(mode="json")
        except ValidationError as error:
            raise SettingsError(
                f"cannot understand the schedule {cron!r}", where="--cron", fix='write five fields, such as "0 2 * * *"'
            ) from error
    if interval:
        found = re.fullmatch(r"(\d{1,5})([smhd])", interval)
        if not found or not int(found[1]):
            raise SettingsError(
                f"cannot understand the interval {interval!r}",
                where="--interval",
                fix="write one such as 30m, 6h or 1d",
            )
        every = timedelta(**{UNITS[found[2]]: int(found[1])})
        return {"interval": every.total_seconds()}
    return None


def deployment(path: Path, config: Config, wishes: Wishes) -> dict[str, Any]:
    """A deployment's fields as Prefect's API names them, without those that the flow itself says.

    The configuration is what the file at `path` holds, with the overrides.
    """
    environment = dict(ENVIRONMENT)
    variables: dict[str, Any] = {"env": environment}
    if wishes.image:
        variables["image"] = wishes.image
    if wishes.gpus is not None:
        environment[GPU_LIMIT] = gpu_limit_of(config, wishes)
        if wishes.kind == "kubernetes":
            variables["gpus"] = wishes.gpus
    return {
        "name": wishes.name or config.name,
        "tags": list(dict.fromkeys([*run_tags(config), *wishes.tags])),
        "parameters": {
            "config": seen_from_here(path),
            "overrides": list(wishes.overrides),
            "begin": wishes.begin or WHAT_CHANGED,
            "until": wishes.until,
            "force": [],
        },
        "schedules": [{"schedule": wishes.schedule, "active": True}] if wishes.schedule else [],
        "work_pool_name": wishes.pool,
        "job_variables": variables,
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": wishes.folder}}],
        "concurrency_limit": 1,
        "concurrency_options": {"collision_strategy": "ENQUEUE"},
        "enforce_parameter_schema": True,
    }


def limits(config: Config, wishes: Wishes) -> dict[str, int]:
    """The limits that runs of a deployment hold: name -> slots."""
    found = {store_limit(config.store, wishes.folder): 1}
    if wishes.gpus:
        found[gpu_limit_of(config, wishes)] = wishes.gpus
    return found


def gpu_limit_of(config: Config, wishes: Wishes) -> str:
    """The limit on tasks that use a GPU: processes of a pool share the machine's, a Kubernetes job has its own."""
    job = "" if wishes.kind == "process" else f"-{wishes.name or config.name}"
    return f"csip-gpu-{wishes.pool}{job}"


def seen_from_here(path: Path) -> str:
    """A file as the worker finds it, whose working directory is, or is a copy of, this one."""
    absolute = Path.cwd() / path
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)
