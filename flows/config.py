"""The configuration of a whole rebuild: every stage's typed settings, read from a small YAML file."""

import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator, model_validator

from evaluation.evaluate import EvaluationSettings
from evaluation.report import ReportSettings
from extraction.extract import ExtractionSettings
from extraction.score import QualitySettings
from extraction.skeleton_files import ExistingSettings
from flows.keys.libraries import LIBRARIES
from flows.settings import RunnerSettings, ServerSettings
from flows.settings_file import WORKSPACE, read_settings
from storage.addresses import checked
from storage.datasets.readers import READERS
from storage.errors import SettingsError
from storage.index import DataSettings
from storage.settings import Settings, neutral
from storage.wording import many
from training.settings import (
    EmbedSettings,
    EncoderSettings,
    FeatureSettings,
    FinetuneSettings,
    PretrainSettings,
    SkeletonOnlySettings,
    TrainerSettings,
    VisualSettings,
)


def _section(settings: type[Settings], description: str) -> Any:
    return Field(default_factory=settings, description=description)


class Config(Settings):
    """All settings of a rebuild; a YAML file holds only what differs from the defaults."""

    name: str = Field(description="Name of the data set or experiment, shown in the UI and the report.")
    store: Annotated[str, AfterValidator(checked)] = neutral(
        "store", "The artifact store: a folder, or an address that fsspec understands, e.g. s3://bucket/folder."
    )
    workspace: Path = neutral(
        WORKSPACE, "Folder on this machine for what is made for, and read from, a store elsewhere."
    )
    workers: int = neutral(
        1, "Shards worked on at once; on a GPU machine, one a GPU. On a Ray cluster its size says it.", ge=1
    )
    runner: RunnerSettings = _section(RunnerSettings, "Where the tasks of a run are done.")
    min_free_gb: float = neutral(1.0, "Do not start with less free disk than this at the store.", ge=0)
    versions: dict[str, str | None] = neutral(
        {},
        'Versions that libraries count as, whatever is installed: after an upgrade {torch: "2.15"} keeps what '
        "was made with 2.15; null leaves a library out.",
    )
    data: DataSettings = _section(DataSettings, "The raw data set.")
    extraction: ExtractionSettings = _section(ExtractionSettings, "Frames to skeletons.")
    existing: ExistingSettings = _section(ExistingSettings, "Skeletons that you already have (data.skeletons).")
    quality: QualitySettings = _section(QualitySettings, "What is measured of skeletons.")
    encoder: EncoderSettings = _section(EncoderSettings, "The visual encoder.")
    trainer: TrainerSettings = _section(TrainerSettings, "What trains, in all stages.")
    visual: VisualSettings = _section(VisualSettings, "Training of a small visual encoder.")
    features: FeatureSettings = _section(FeatureSettings, "Frozen visual features.")
    pretrain: PretrainSettings = _section(PretrainSettings, "Stage 1: contrastive pretraining.")
    skeleton_only: SkeletonOnlySettings = _section(
        SkeletonOnlySettings, "Pretraining on skeletons alone, where there are no images."
    )
    finetune: FinetuneSettings = _section(FinetuneSettings, "Stage 2: guided finetuning.")
    embed: EmbedSettings = _section(EmbedSettings, "Embedding of the test tracklets.")
    evaluation: EvaluationSettings = _section(EvaluationSettings, "Ranking metrics.")
    report: ReportSettings = _section(ReportSettings, "The HTML report.")
    server: ServerSettings = _section(ServerSettings, "The local Prefect server.")

    @field_validator("versions", mode="before")
    @classmethod
    def _known_libraries(cls, versions: Any) -> Any:
        if not isinstance(versions, dict):
            return versions
        unknown = [str(name) for name in versions if name not in LIBRARIES.values()]
        if unknown:
            raise ValueError(f"no such library: {', '.join(unknown)}; valid are {', '.join(LIBRARIES.values())}")
        wrong = [name for name, version in versions.items() if not (version is None or _is_version(version))]
        if wrong:
            raise ValueError(f'a version is major.minor in quotes, such as "2.15", or null: {", ".join(wrong)}')
        return versions

    @model_validator(mode="after")
    def _has_the_parts(self) -> Self:
        if "temporal" in (self.embed.parts or ()) and not self.finetune.use_sgtm:
            raise ValueError("embed.parts names temporal, which is SGTM's, and finetune.use_sgtm=false leaves that out")
        return self

    @model_validator(mode="after")
    def _holds_people_out(self) -> Self:
        if self.finetune.validate_every and not self.data.folds:
            raise ValueError(
                f"finetune.validate_every={self.finetune.validate_every} needs held-out training people: set "
                "data.folds, such as to 4"
            )
        return self

    @model_validator(mode="after")
    def _can_be_fused(self) -> Self:
        weight, evaluation = self.evaluation.skeleton_weight, self.evaluation
        if weight and self.data.without_images:
            raise ValueError(f"evaluation.skeleton_weight={weight:g}: data.layout={self.data.layout} has no images")
        if weight and (evaluation.rerank is not None or evaluation.expansion is not None):
            raise ValueError(
                f"evaluation.skeleton_weight={weight:g}: a fused ranking can be neither re-ranked nor expanded; "
                "set evaluation.rerank and evaluation.expansion to null"
            )
        return self

    @model_validator(mode="after")
    def _clothes_can_be_known(self) -> Self:
        layouts = [name for name, reader in READERS.items() if reader.clothes]
        if self.evaluation.protocol == "clothes_changing" and self.data.layout not in layouts:
            with_clothes = ", ".join(layouts)
            raise ValueError(
                f"evaluation.protocol=clothes_changing needs clothes, which data.layout={self.data.layout} does not "
                f"name; {with_clothes} can"
            )
        return self


def _is_version(value: Any) -> bool:
    # in YAML 2.10 without quotes is the number 2.1
    return isinstance(value, str) and re.fullmatch(r"\d+\.\d+", value) is not None


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration file and apply `section.name=value` overrides (values are YAML).

    Raises:
        SettingsError: the file is missing or is not YAML, or settings are unknown or out of range; all are listed, each
            unknown one with the nearest valid name.
    """
    path = Path(path)
    values = read_settings(path)
    if "arms" in values:
        fix = f"csip experiment {path}, csip plan {path}"
        raise SettingsError("this is an experiment, and no configuration", where=path, fix=fix)
    return make_config(values, overrides, path)


def make_config(values: dict[str, Any], overrides: Sequence[str] = (), where: Path | None = None) -> Config:
    """A configuration from settings as a YAML file holds them, and overrides.

    Raises:
        SettingsError: as `load_config`.
    """
    for override in overrides:
        _apply(values, override)
    try:
        return Config(**values)
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
        raise SettingsError(
            f"{many(len(problems), 'wrong setting')}:\n  " + "\n  ".join(problems),
            where=where,
            fix="`csip settings` lists every setting with its default",
        ) from error


def _apply(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise SettingsError(f"cannot understand --set {override!r}", fix="write --set section.name=value")
    *sections, last = name.strip().split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            inner = values[section] = {}
        values = inner
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"the value of --set {override!r} is not valid YAML", fix="quote it") from error


def _explain(problem: Mapping[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    name = ".".join(location)
    if problem["type"] == "value_error" and _names_at(location):
        return str(problem["ctx"]["error"])  # settings that contradict each other
    if problem["type"] != "extra_forbidden":
        return f"{name}: {problem['msg']} (given: {problem.get('input')!r})"
    close = difflib.get_close_matches(location[-1], _names_at(location[:-1]), n=1, cutoff=0.5)
    same_end = [full for full, _, _ in described_settings(Config) if full.rpartition(".")[2] == location[-1]]
    nearest = [".".join([*location[:-1], *close])] if close else same_end
    return f"{name} is not a setting" + (f"; did you mean {nearest[0]}?" if nearest else "")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings class in an annotation such as `X`, `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((m for a in typing.get_args(annotation) if (m := _model_in(a))), None)
    return None


def _names_at(sections: Sequence[str]) -> list[str]:
    """The settings and sections of a section."""
    names, depth = [full.split(".") for full, _, _ in described_settings(Config)], len(sections)
    return list(dict.fromkeys(name[depth] for name in names if name[:depth] == sections and len(name) > depth))


def described_settings(model: type[BaseModel], prefix: str = "") -> list[tuple[str, Any, str]]:
    """(dotted name, default, description) of every setting below a settings class, in order.

    A section that is off where nothing is said of it is listed too, and its settings say what they depend on.
    """
    found: list[tuple[str, Any, str]] = []
    for name, info in model.model_fields.items():
        inner, full = _model_in(info.annotation), prefix + name
        default = "(required)" if info.is_required() else info.get_default(call_default_factory=True)
        if not inner:
            found.append((full, default, info.description or ""))
            continue
        below = described_settings(inner, f"{full}.")
        if default is None:
            found.append((full, "null (off; {} turns it on)", info.description or ""))
            below = [(setting, f"{value} (where {full} is on)", text) for setting, value, text in below]
        found += below
    return found
