"""`csip settings`: every setting, its default and what it is for."""

from typing import Annotated

import typer
from rich.markup import escape

from flows.commands.options.console import command, say


@command()
def settings(section: Annotated[str, typer.Argument(help="Only this section, e.g. pretrain.")] = "") -> None:
    """List every setting with its default and what it is for."""
    from flows.config import Config, described_settings

    for name, default, description in described_settings(Config):
        if name.startswith(section):
            say(f"[bold]{name}[/] = {escape(str(default))}\n    {escape(description)}")
