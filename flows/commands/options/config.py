"""The configuration and the overrides that a command line names, and the typed settings that they come to."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flows.config import Config

ConfigPath = Annotated[Path, typer.Argument(help="A YAML file such as configs/demo.yaml.", show_default=False)]


set_option = partial(typer.Option, "--set", metavar="NAME=VALUE")
"""The option with this `help`, which may be given several times."""

Overrides = Annotated[list[str] | None, set_option(help="Override a setting, e.g. pretrain.epochs=60.")]


def load(config: Path | None, overrides: Sequence[str] | None = None) -> "Config":
    """Typed settings of a configuration, or the defaults where none is given.

    Raises:
        SettingsError: the file cannot be read, or a setting is unknown or wrong.
    """
    from flows.config import load_config, make_config  # half a second, which `csip --help` need not wait for

    return load_config(config, overrides or ()) if config else make_config({"name": "defaults"}, overrides or ())
