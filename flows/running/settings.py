"""Settings of where the tasks of a run are done, and what each stage's tasks ask of Ray."""

from typing import Literal

from storage.settings import Settings, neutral

MODELS = ("skeletons", "visual", "features", "pretrained", "finetuned", "embeddings")
"""Stages that compute with models, and so on a GPU where there is one."""
TRAININGS = ("visual", "pretrained", "finetuned")


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


def needs(settings: RunnerSettings, stage: str, devices: int) -> dict[str, float]:
    """What Ray keeps for each task of a stage: `num_cpus` and `num_gpus`.

    Args:
        settings: of the runner.
        stage: name of the stage.
        devices: GPUs that a training uses.
    """
    own = settings.stages.get(stage, Needs())
    gpus = settings.gpus if stage in MODELS else 0.0
    if gpus and stage in TRAININGS:
        gpus = max(gpus, float(devices)) if devices > 1 else gpus
    return {
        "num_cpus": settings.cpus if own.cpus is None else own.cpus,
        "num_gpus": gpus if own.gpus is None else own.gpus,
    }
