"""`csip run`: the rebuild with its server, its bars, and what it came to."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.config import Config
from flows.watching.server import ServerLost, ensure_server, ui_url, watched


def run_and_tell(
    config: Config, to: str | None, begin: str | None, force: tuple[str, ...], console: Console, lines: logging.Handler
) -> None:
    """Bring everything up to date and print what was made; a local server that dies on the way is started again.

    Args:
        config: all settings.
        to: stop after this stage.
        begin: build this stage and all after it anew.
        force: stages to build anew.
        console: to print on.
        lines: the handler that prints the log, whose lines of progress bars replace.

    Raises:
        CsipError: as `flows.rebuild.rebuild`.
    """
    ours = not os.environ.get("PREFECT_API_URL")
    with console.status("looking for the Prefect server"):
        api = ensure_server(config.server)
    os.environ["PREFECT_API_URL"] = api
    # Prefect reads its settings when first imported, so the flow comes after the server's address
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.pipeline import STAGES
    from flows.rebuild import metric_rows, rebuild

    console.print(f"Prefect UI: {ui_url(api)}")
    try:
        with (
            temporary_settings({PREFECT_API_URL: api}),
            _step_bars(console, lines),
            watched(config.server, api, ours=ours),
        ):
            result = rebuild(config, until=to or STAGES[-1], force=force, begin=begin)
    except ServerLost as error:
        _leave(console, error)
    total = len(result.artifacts)
    console.print(
        f"\n{len(result.built)} of {total} steps ran, {total - len(result.built)} kept, in {result.seconds:.1f} s"
    )
    metrics = metric_rows(result)
    if metrics:
        console.print(_metrics_table(metrics))
    if result.report:
        console.print(f"report: {result.report}")
    console.print(f"run:    {ui_url(api, result.flow_run_id)}")


def _leave(console: Console, error: ServerLost) -> NoReturn:
    """End at once: Prefect would try for minutes to tell a server that is gone what it missed."""
    console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
    sys.stdout.flush()
    os._exit(1)


@contextmanager
def _step_bars(console: Console, lines: logging.Handler) -> Iterator[None]:
    """On a terminal, bars of the running steps in place of their lines in the log."""
    if not console.is_terminal:
        yield
        return
    from flows.watching.bar import StepBars
    from flows.watching.telling import bars

    drawing = StepBars(console)
    lines.addFilter(lambda record: not hasattr(record, "progress"))
    bars.addHandler(drawing)
    try:
        with drawing.bars:
            yield
    finally:
        bars.removeHandler(drawing)


def _metrics_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{100 * value:.1f} %" for value in row.values()))
    return table
