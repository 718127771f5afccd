"""`csip recipe`: what schedulers other than Prefect's take."""

from importlib.resources import files
from typing import Annotated

import typer

from flows.commands.options.console import command
from storage.errors import SettingsError

RECIPES = {"slurm": "ray-on-slurm.sh", "kubernetes": "kubernetes.json"}


@command("csip recipe slurm > ray-on-slurm.sh && sbatch ray-on-slurm.sh configs/mars.yaml")
def recipe(
    kind: Annotated[str, typer.Argument(metavar="slurm|kubernetes", help="For which scheduler.", show_default=False)],
) -> None:
    """Print the batch script for Slurm, or the template of a Kubernetes work pool."""
    if kind not in RECIPES:
        raise SettingsError(f"there is no recipe {kind!r}", fix=f"recipes are: {', '.join(RECIPES)}")
    typer.echo((files("flows") / "deploying/recipes" / RECIPES[kind]).read_text(), nl=False)
