"""The flow that deployments run: a rebuild whose parameters are JSON, which the Prefect UI shows as a form.

Nothing of it is pickled: it takes JSON and gives a state, and what it makes is in the store alone.
"""

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Crashed, Failed
from pydantic import Field

from flows.config import Config, load_config
from flows.deploying.deployments import WHAT_CHANGED
from flows.rebuild import bring_up_to_date
from flows.running.limits import slot, store_limit
from flows.running.tasks import can_pass
from flows.stages import STAGES
from storage.errors import CsipError, SettingsError
from storage.secrets import without_secrets
from training.model.encoders.names import is_own

log = logging.getLogger("csip")
ENTRYPOINT = "flows.deploying.deployed.rebuild"
Stage = StrEnum("Stage", [(stage, stage) for stage in STAGES])  # type: ignore[misc] # it wants them written out
LAST = Stage(STAGES[-1])
Begin = StrEnum("Begin", [(stage, stage) for stage in (WHAT_CHANGED, *STAGES)])  # type: ignore[misc] # as above
"""A list to choose from, as that of `Stage`: the form shows what may be null as two types."""

UNFORCED = Begin(WHAT_CHANGED)


def titled(title: str) -> Any:
    """What the form calls a parameter; Prefect takes the description from the docstring, and would take the name."""
    return Field(json_schema_extra={"title": title})


def with_overrides(config: str, overrides: tuple[str, ...]) -> Config:
    """The configuration; the code of an encoder is named by its file, which an operator keeps, and by no parameter.

    Raises:
        SettingsError: a setting is wrong, or a parameter names code.
    """
    chosen = load_config(config, overrides)
    if is_own(chosen.encoder.model) and chosen.encoder.model != load_config(config).encoder.model:
        raise SettingsError(
            "the parameters of a run may not name code", where="encoder.model", fix="name it in the configuration file"
        )
    return chosen


@flow(name="rebuild", flow_run_name="{config}", persist_result=False)
def rebuild(
    config: Annotated[str, titled("Configuration")],
    overrides: Annotated[tuple[str, ...], titled("Settings to override")] = (),
    begin: Annotated[Begin, titled("From")] = UNFORCED,
    until: Annotated[Stage, titled("To")] = LAST,
    force: Annotated[tuple[Stage, ...], titled("Build anew")] = (),
) -> State[None]:
    """Bring a data set's model and report up to date; what did not change is kept.

    Bad input fails at once, with a message that says what to do. What another try may mend (a lost connection, a full
    GPU) ends as crashed: an automation runs it again, and it goes on where it was.

    Args:
        config: A YAML file, from the worker's working directory, such as configs/demo.yaml.
        overrides: One NAME=VALUE each, such as pretrain.epochs=60; `csip settings` lists the names.
        begin: Build only what changed, or this stage and all after it anew.
        until: Stop after this stage.
        force: Stages to build anew, even if nothing changed.
    """
    log.setLevel(logging.INFO)
    try:
        settings = with_overrides(config, overrides)
        with slot(store_limit(settings.store, str(Path.cwd()))):
            result = bring_up_to_date(
                settings, until.value, [str(stage) for stage in force], None if begin == WHAT_CHANGED else begin.value
            )
    except Exception as error:
        ours, told = isinstance(error, CsipError), without_secrets(str(error))
        if can_pass(error):
            told = told if ours else f"{type(error).__name__}: {told}\n  to do: nothing, another try may mend it"
            return Crashed(message=told)
        if not ours:
            raise
        log.error("%s", told)
        return Failed(message=told)
    return Completed(message=result.summary)
