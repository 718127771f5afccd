"""What a command that runs flows needs: lines of the log, bars of the steps, a Prefect server that is watched."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options.console import StepBars, console, print_error

if TYPE_CHECKING:
    from flows.config import Config

LogOption = Annotated[
    str,
    typer.Option(metavar="FILE", help="Write all lines as JSON, too, with stage, shard and tracklet; - is stderr."),
]


@contextmanager
def flow_runs(config: "Config", log: str = "") -> Iterator[str]:
    """A Prefect server for the runs of the block, its address, and bars in place of the progress among the log's lines.

    Where the server is lost, this process ends at once.

    Args:
        config: whose server it is.
        log: file for all lines as JSON; none if empty.

    Raises:
        EnvironmentProblem: there is no server, and none can be started.
    """
    lines = _prepare_logging()
    from flows.running.stops import ended_by_sigterm
    from flows.watching.log_fields import log_to
    from flows.watching.server import ServerLost, ensure_server, ui_url, watched

    if log:
        log_to(log)
    ours = not os.environ.get("PREFECT_API_URL")
    with ended_by_sigterm(console):
        with console.status("looking for the Prefect server"):
            api = ensure_server(config.server)
        os.environ["PREFECT_API_URL"] = api
        # Prefect reads its settings when first imported, so flows come after the server's address
        from prefect.settings import PREFECT_API_URL, temporary_settings

        console.print(f"Prefect UI: {ui_url(api)}")
        try:
            with temporary_settings({PREFECT_API_URL: api}), _step_bars(lines), watched(config.server, api, ours=ours):
                yield api
        except ServerLost as error:
            print_error(error)
            sys.stdout.flush()
            os._exit(1)  # at once: Prefect would try for minutes to tell a server that is gone what it missed


def _prepare_logging() -> logging.Handler:
    """Our lines on the terminal and in the Prefect UI; Prefect's own only in the UI."""
    from rich.logging import RichHandler

    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "csip")
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # a server that is away is reported once, by us, and not with every event that does not reach it
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
    logging.raiseExceptions = False
    handler = RichHandler(
        console=console, show_path=False, show_level=False, omit_repeated_times=False, log_time_format="%X"
    )
    log = logging.getLogger("csip")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    return handler


@contextmanager
def _step_bars(lines: logging.Handler) -> Iterator[None]:
    """On a terminal, bars of the running steps in place of their lines in the log."""
    if not console.is_terminal:
        yield
        return
    from flows.watching.progress import bars

    drawing = StepBars(console)
    lines.addFilter(lambda record: not hasattr(record, "progress"))
    bars.addHandler(drawing)
    try:
        with drawing.bars:
            yield
    finally:
        bars.removeHandler(drawing)
