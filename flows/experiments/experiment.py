"""An experiment as its YAML file says it, and the trials that it comes to: each arm with each seed."""

import difflib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from evaluation.ranking.embeddings import GalleryKind
from evaluation.results.arms import is_measure
from flows.config import Config, make_config
from flows.settings_file import merged, named, read_settings
from storage.errors import SettingsError
from storage.settings import Settings

MODEL = "model"
"""In an arm, beside its settings: which of a run's models is measured."""

SEEDS = ("visual.seed", "pretrain.seed", "finetune.seed", "skeleton_only.seed")
"""What an experiment's seed is given to: data and evaluation stay as they are."""

IMAGES, SKELETONS = ("finetuned", "visual", "skeletons", "fused"), ("recordings", "sequences")
"""Models of runs with images and without, the one first that is measured where an arm names none."""

MOST_SEEDS = 1000
ASKED = ("root", "layout", "split", "folds", "demo", "sequences")
"""Settings of the data that say who is asked for: the same in all arms."""

FUSED = ("skeletons", "fused")
"""Of these, those that there are only with `evaluation.skeleton_weight`."""


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, measured by one protocol."""

    arm: str
    seed: int
    gallery: GalleryKind
    model: str  # of `EVALUATED`
    config: Config

    @property
    def label(self) -> str:
        """What it is called in lines and in the Prefect UI."""
        return f"{self.arm}, seed {self.seed}"


class Experiment(Settings):
    """What is compared with what, on one base configuration."""

    name: str = Field(
        "",
        pattern=r"^[^/\\\x00]*[^/\\.\x00][^/\\\x00]*$",
        description="Of its page and files; the file's name without it.",
    )
    about: str = Field("", description="What it asks, in a sentence or two, for its page.")
    base: str = Field(
        description="The configuration that all arms change: a name beside this file, or a path from there."
    )
    settings: dict[str, Any] = Field({}, description="Settings of all arms, over the base's.")
    arms: dict[str, dict[str, Any] | None] = Field(
        min_length=1,
        description="Name -> its settings, as sections or dotted names; with `model: visual`, what the encoder alone "
        "gives is measured.",
    )
    seeds: tuple[int, ...] = Field(
        (0, 1, 2), min_length=1, description="Seeds of all trainings; a number N means 0 to N-1."
    )
    measures: tuple[str, ...] = Field(("mAP", "Rank-1"), min_length=1, description="mAP, mINP, Rank-1, Rank-5, ...")
    galleries: tuple[GalleryKind, ...] = Field((), description="Protocols to measure by; the base's own without any.")
    against: str = Field("", description="The arm from which differences are tested; the first without it.")

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, seeds: Any) -> Any:
        if not isinstance(seeds, int) or isinstance(seeds, bool):
            return seeds
        if not 1 <= seeds <= MOST_SEEDS:
            raise ValueError(f"a number of seeds is 1 to {MOST_SEEDS}")
        return tuple(range(seeds))

    @field_validator("seeds", "measures", "galleries")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("each once")
        if any(isinstance(value, int) and value < 0 for value in values):
            raise ValueError("seeds are 0 or more")
        return values

    @field_validator("measures")
    @classmethod
    def _known(cls, measures: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [measure for measure in measures if not is_measure(measure)]:
            raise ValueError(f"{', '.join(unknown)}: measures are mAP, mINP, Rank-1, Rank-5, ...")
        return measures

    @property
    def reference(self) -> str:
        """The arm from which differences are tested."""
        return self.against or next(iter(self.arms))


def read_experiment(path: Path, overrides: Sequence[str] = ()) -> tuple[Experiment, list[Trial]]:
    """What an experiment's file says, and its trials: all arms of the first seed, then of the next.

    Args:
        path: of the file.
        overrides: `section.name=value` over the settings of every arm.

    Raises:
        SettingsError: a file cannot be read, a setting does not exist, or arms are the same; says which arm.
    """
    values = read_settings(path)
    try:
        experiment = Experiment(**{"name": path.stem} | values)
    except ValidationError as error:
        raise SettingsError(
            "this is no experiment:\n  " + "\n  ".join(map(_told, error.errors())), where=path, fix=_FIX
        ) from error
    if experiment.reference not in experiment.arms:
        fix = f"arms are: {', '.join(experiment.arms)}"
        raise SettingsError(f"there is no arm {experiment.against!r}", where=f"{path}: against", fix=fix)
    below = read_settings(named(experiment.base, path))
    if "arms" in below:
        fix = "name the configuration that its arms change"
        raise SettingsError("its base is an experiment itself", where=f"{path}: base: {experiment.base}", fix=fix)
    base = merged(below, _nested(experiment.settings))
    trials = [
        trial
        for seed in experiment.seeds
        for arm in experiment.arms
        for trial in _trials(experiment, arm, seed, base, overrides, path)
    ]
    _refuse_apart(trials, path)
    _refuse_equal(trials, path)
    return experiment, trials


_FIX = "write base and arms, and if need be about, settings, seeds, measures, galleries, against (docs/experiments.md)"


def is_experiment(path: Path) -> bool:
    """Whether a file is an experiment's, and not a configuration; one that cannot be read is none."""
    try:
        return "arms" in read_settings(path)
    except SettingsError:
        return False


def _trials(
    experiment: Experiment, arm: str, seed: int, base: Mapping[str, Any], overrides: Sequence[str], path: Path
) -> list[Trial]:
    own = dict(experiment.arms[arm] or {})
    model = own.pop(MODEL, None)
    where = f"{path}: arm {arm!r}"
    seeds = [f"{name}={seed}" for name in SEEDS]
    try:
        config = make_config(deepcopy(merged(dict(base), _nested(own))), [*seeds, *overrides])
    except SettingsError as error:
        raise SettingsError(error.what, where=where, fix=error.fix) from error
    if set(_dotted(own)) & set(SEEDS):
        raise SettingsError("an arm sets a seed, which the experiment gives", where=where, fix="set `seeds` instead")
    there = SKELETONS if config.data.without_images else IMAGES
    model = model or there[0]
    if model not in there:
        fix = f"models are: {', '.join(there)}"
        raise SettingsError(f"there is no model {model!r} to measure", where=where, fix=fix)
    if model in FUSED and not config.evaluation.skeleton_weight:
        fix = "set evaluation.skeleton_weight, such as to 0.2"
        raise SettingsError(f"there is no model {model!r} without skeletons in the ranking", where=where, fix=fix)
    galleries = experiment.galleries or (config.evaluation.gallery,)
    return [
        Trial(
            arm,
            seed,
            gallery,
            model,
            config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"gallery": gallery})}),
        )
        for gallery in galleries
    ]


def _refuse_equal(trials: Sequence[Trial], path: Path) -> None:
    known: dict[str, str] = {}
    for trial in trials:
        same = known.setdefault(f"{trial.seed} {trial.gallery} {trial.model} {trial.config.key_fields()}", trial.arm)
        if same != trial.arm:
            raise SettingsError(
                f"the arms {same!r} and {trial.arm!r} cannot differ in their results: their settings are the same",
                where=path,
                fix="take one of them out",
            )


def _refuse_apart(trials: Sequence[Trial], path: Path) -> None:
    """Arms are asked of the same people, and kept in one store."""
    first = trials[0].config
    for trial in trials[1:]:
        data, own = first.data, trial.config.data
        other = [f"data.{name}" for name in ASKED if getattr(data, name) != getattr(own, name)]
        other += [name for name in ("store", "workspace") if getattr(first, name) != getattr(trial.config, name)]
        if other:
            raise SettingsError(
                f"the arms {trials[0].arm!r} and {trial.arm!r} differ in {', '.join(other)}, and cannot be compared",
                where=path,
                fix="set it for all arms: settings, or the base",
            )


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of which some have dotted names, as sections."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        own = _nested(value) if isinstance(value, dict) else value
        for section in reversed(str(name).split(".")):
            own = {section: own}
        found = merged(found, own)
    return found


def _dotted(settings: Mapping[str, Any], above: str = "") -> list[str]:
    names = []
    for name, value in settings.items():
        names += _dotted(value, f"{above}{name}.") if isinstance(value, dict) else [f"{above}{name}"]
    return names


def _told(problem: Mapping[str, Any]) -> str:
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Experiment.model_fields, n=1)
        return f"{name} is no part of an experiment" + (f"; did you mean {near[0]}?" if near else "")
    if problem["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {str(problem['msg']).removeprefix('Value error, ')} (given: {problem.get('input')!r})"
