"""`csip run`: the rebuild with its server, its bars, and what it came to."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options.config import ConfigPath, Overrides, load
from flows.commands.options.console import StepBars, command, console, print_error
from flows.commands.options.tables import print_whole, share, table

if TYPE_CHECKING:
    from flows.config import Config


@command(
    "csip run configs/demo.yaml",
    "csip run configs/mars.yaml --set data.root=/data/MARS --to skeletons",
    "csip run configs/mars.yaml --set evaluation.gallery=without_queries",
)
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    to: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Build this stage and all after it anew.")] = None,
    force: Annotated[list[str] | None, typer.Option(help="Build this stage anew.")] = None,
    log: Annotated[
        str,
        typer.Option(metavar="FILE", help="Write all lines as JSON, too, with stage, shard and tracklet; - is stderr."),
    ] = "",
) -> None:
    """Bring a data set's model and report up to date."""
    settings = load(config, overrides)
    lines = _prepare_logging()
    from flows.running.stops import ended_by_sigterm
    from flows.watching.log_fields import log_to

    if log:
        log_to(log)
    with ended_by_sigterm(console):
        _rebuild(settings, to, begin, tuple(force or ()), lines)


def _rebuild(
    config: "Config", to: str | None, begin: str | None, force: tuple[str, ...], lines: logging.Handler
) -> None:
    """Bring everything up to date and print what was made; bars replace the progress among the `lines` of the log."""
    from flows.watching.server import ServerLost, ensure_server, ui_url, watched

    ours = not os.environ.get("PREFECT_API_URL")
    with console.status("looking for the Prefect server"):
        api = ensure_server(config.server)
    os.environ["PREFECT_API_URL"] = api
    # Prefect reads its settings when first imported, so the flow comes after the server's address
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.rebuild import rebuild
    from flows.stages import STAGES

    console.print(f"Prefect UI: {ui_url(api)}")
    try:
        with temporary_settings({PREFECT_API_URL: api}), _step_bars(lines), watched(config.server, api, ours=ours):
            result = rebuild(config, until=to or STAGES[-1], force=force, begin=begin)
    except ServerLost as error:
        print_error(error)
        sys.stdout.flush()
        os._exit(1)  # at once: Prefect would try for minutes to tell a server that is gone what it missed
    total = len(result.artifacts)
    console.print(
        f"\n{len(result.built)} of {total} steps ran, {total - len(result.built)} kept, in {result.seconds:.1f} s"
    )
    if metrics := result.metrics:
        rows = ([value if isinstance(value, str) else share(value) for value in row.values()] for row in metrics)
        print_whole(table(*metrics[0], rows=rows))
    if result.report:
        console.print(f"report: {result.report}")
    console.print(f"run:    {ui_url(api, result.flow_run_id)}")


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
