from collections.abc import Callable

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.watching.failures import plain_failure
from storage.errors import CsipError, EnvironmentProblem, StoreError

ADDRESS, SHOWN = "http://me:pass@host", "http://***@host"


def raises(error: Exception) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


def state_of(error: Exception) -> tuple[str, BaseException | None]:
    """The message of a task run that raises this, and what is raised to who wants its result."""

    @flow(persist_result=False)
    def run() -> tuple[str, BaseException | None]:
        failing = task(plain_failure(raises(error)), name="failing", cache_policy=NO_CACHE, persist_result=False)
        state = failing(return_state=True)
        return state.message, state.result(raise_on_failure=False)

    return run()


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (StoreError("what", where="here", fix="this"), StoreError, "what\n  where: here\n  to do: this"),
        (StoreError(f"{ADDRESS} is away", where=f"{ADDRESS}/x"), StoreError, f"{SHOWN} is away\n  where: {SHOWN}/x"),
        (ConnectionError(f"no answer: {ADDRESS}"), EnvironmentProblem, f"ConnectionError: no answer: {SHOWN}\n  to do"),
    ],
)
def test_a_failed_task_tells_first_what_happened_and_never_a_secret(
    api: str, error: Exception, kind: type[CsipError], message: str
) -> None:
    told, raised = state_of(error)
    assert told.startswith(message)
    assert type(raised) is kind
    assert str(raised) == told


def test_a_defect_keeps_its_traceback(api: str) -> None:
    told, raised = state_of(ZeroDivisionError("a defect"))
    assert told.startswith("Task run encountered an exception")
    assert isinstance(raised, ZeroDivisionError)
    assert raised.__traceback__ is not None
