"""Failed runs say in the Prefect UI what a person can act on, in place of a traceback."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import get_run_logger
from prefect.states import Failed

from storage.errors import CsipError, EnvironmentProblem
from storage.secrets import without_secrets

P = ParamSpec("P")
T = TypeVar("T")


def plain_failure(call: Callable[P, T]) -> Callable[P, T]:
    """For the function of a task or flow: a `CsipError` makes its run fail with our message as its state's.

    Raised, it would come after Prefect's own words. Whoever asks the state or the future for the result is raised the
    error itself, or one without credentials where there are any in it.
    A task that is called gives the state in place of raising: call it with `return_state=True`.
    """

    @wraps(call)
    def failing_plainly(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            shown = _for_a_person(error)
            if shown is None:
                raise
            get_run_logger().error(str(shown))  # Prefect itself logs the state, and as information alone
            return Failed(message=str(shown), data=shown)

    return failing_plainly


def _for_a_person(error: Exception) -> CsipError | None:
    """What is shown of an error; None of one that is none of ours and holds no secret: its traceback says most."""
    text = without_secrets(str(error))
    if text == str(error):
        return error if isinstance(error, CsipError) else None
    if isinstance(error, CsipError):
        where, fix = (None if part is None else without_secrets(part) for part in (error.where, error.fix))
        return type(error)(without_secrets(error.what), where=where, fix=fix)
    return EnvironmentProblem(
        f"{type(error).__name__}: {text}",
        fix="what is *** is in the environment of this process; of an address, give it in a variable of its own",
    )
