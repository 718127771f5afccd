"""`csip ui`: the Prefect UI of the local server."""

import webbrowser
from typing import Annotated

import typer

from flows.commands.options.console import command, console


@command()
def ui(
    stop: Annotated[bool, typer.Option("--stop", help="Stop the local server instead.")] = False,
    show: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open the Prefect UI of the local server, started if need be."""
    from flows.settings import ServerSettings
    from flows.watching.server import ensure_server, stop_server, ui_url

    if stop:
        console.print("stopped" if stop_server(ServerSettings()) else "no local server was running")
        return
    url = ui_url(ensure_server(ServerSettings()))
    console.print(url)
    if show:
        webbrowser.open(url)
