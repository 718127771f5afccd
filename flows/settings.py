"""Settings of this layer itself: where the tasks of a run are done, and the Prefect server that it reports to."""

from pathlib import Path
from typing import Literal

from storage.settings import Settings, neutral


class Needs(Settings):
    """What Ray keeps for each task of a stage."""

    cpus: float | None = neutral(None, "Cores; runner.cpus where not given.", ge=0)
    gpus: float | None = neutral(None, "GPUs, or a share of one; see runner.gpus where not given.", ge=0)


class RunnerSettings(Settings):
    """Where the tasks of a run are done; artifacts are the same everywhere."""

    kind: Literal["threads", "processes", "ray"] = neutral(
        "threads",
        "threads: of the run's own process, models loaded once. processes: of this machine, each with its models, and "
        "on a machine with several GPUs each on the next. ray: workers of a Ray cluster.",
    )
    address: str = neutral(
        "",
        "Ray cluster: ray://HOST:10001 or HOST:6379, auto for the one that this machine belongs to; empty: one is "
        "started on this machine for the run.",
    )
    cpus: float = neutral(1.0, "Cores that Ray keeps for a task.", ge=0)
    gpus: float = neutral(
        0.0,
        "GPUs that Ray keeps for a task that computes with models: 1, or a share such as 0.25 for small models. "
        "Trainings take trainer.devices of them, if this is not 0.",
        ge=0,
    )
    stages: dict[str, Needs] = neutral({}, "Stages whose tasks need something else: {skeletons: {gpus: 0.5}}.")


class ServerSettings(Settings):
    """The local Prefect server, used where PREFECT_API_URL names no other."""

    port: int = neutral(
        4200, "Port of the local server; if something else holds it, the next free one.", ge=1, le=65535
    )
    home: Path = neutral(Path("~/.csip/prefect"), "Folder of the local server's database and log.")
