"""`csip doctor`: what this machine has, or with --cluster what every machine has on which a run's tasks are done."""

import json
import os
import platform
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.commands.given.store_choice import AsJson, print_whole, table
from storage.errors import SettingsError

app = typer.Typer(rich_markup_mode="rich")


@app.command(
    epilog="csip doctor\n\ncsip doctor configs/mars.yaml --cluster --set runner.kind=ray "
    "--set runner.address=ray://head:10001"
)
def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="A YAML file, for --cluster.", show_default=False)
    ] = None,
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Ask every machine of the configuration's Ray cluster (this one where it has none) for its versions, "
            "GPUs, weights, data and write access to the store; status 1 if a run would stumble.",
        ),
    ] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Override a setting.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what this machine has, and what is missing."""
    from flows.commands.app import console, told_plainly

    with told_plainly():
        if not cluster:
            if config or overrides:
                raise SettingsError("a configuration says which cluster", where="CONFIG", fix="add --cluster")
            _print_here(console)
            return
        if config is None:
            raise SettingsError("which cluster?", where="--cluster", fix="csip doctor CONFIG --cluster")
        from flows.config import load_config
        from flows.deploying.machines import differences, machines_of

        loaded = load_config(config, overrides or ())
        with console.status("asking every machine"):
            machines = machines_of(loaded, os.environ.get("PREFECT_API_URL", ""))
        problems = [f"{m.name}: {problem}" for m in machines for problem in m.problems] + differences(machines)
        if as_json:
            console.print_json(json.dumps({"machines": [asdict(m) for m in machines], "problems": problems}))
        else:
            rows = table("machine", "csip", "python", "torch", "GPUs", ">cores", ">memory", ">free disk")
            for m in machines:
                versions = [m.installed[name] or "missing" for name in ("csip", "python", "torch")]
                gpus = ", ".join(sorted({f"{m.gpus.count(name)} x {name}" for name in m.gpus})) or "none"
                rows.add_row(m.name, *versions, gpus, str(m.cores), f"{m.memory_gb:.0f} GB", f"{m.free_gb:.0f} GB")
            print_whole(console, rows)
            for problem in problems:
                console.print(f"[bold red]problem:[/] {escape(problem)}", soft_wrap=True)
            if not problems:
                console.print("a run would find all that it needs" + (" on each of them" if len(machines) > 1 else ""))
        if problems:
            raise typer.Exit(1)


def _print_here(console: Console) -> None:
    import torch

    from flows.keys.libraries import all_versions

    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.add_row("python", platform.python_version())
    for name, version in all_versions().items():
        shown.add_row(name, version or "[red]missing[/]")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    shown.add_row("GPUs", ", ".join(gpus) or "none: everything runs on the CPU")
    shown.add_row("cores", str(os.cpu_count()))
    shown.add_row("free disk here", f"{shutil.disk_usage('.').free / 1e9:.0f} GB")
    shown.add_row("Prefect server", os.environ.get("PREFECT_API_URL", "a local one, started when needed"))
    console.print(shown)
