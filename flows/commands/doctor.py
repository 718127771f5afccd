"""`csip doctor`: what this machine has, or with --cluster what every machine has on which a run's tasks are done."""

import os
import platform
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flows.commands.options.config import load, set_option
from flows.commands.options.console import AsJson, command, console, print_json, say
from flows.commands.options.tables import facts, print_whole, table
from storage.errors import SettingsError


@command(
    "csip doctor", "csip doctor configs/mars.yaml --cluster --set runner.kind=ray --set runner.address=ray://head:10001"
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
    overrides: Annotated[list[str] | None, set_option(help="Override a setting.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what this machine has, and what is missing."""
    if not cluster:
        if config or overrides:
            raise SettingsError("a configuration says which cluster", where="CONFIG", fix="add --cluster")
        _print_here()
        return
    if config is None:
        raise SettingsError("which cluster?", where="--cluster", fix="csip doctor CONFIG --cluster")
    from flows.deploying.machines import differences, machines_of

    loaded = load(config, overrides)
    with console.status("asking every machine"):
        machines = machines_of(loaded, os.environ.get("PREFECT_API_URL", ""))
    problems = [f"{m.name}: {problem}" for m in machines for problem in m.problems] + differences(machines)
    if as_json:
        print_json({"machines": [asdict(m) for m in machines], "problems": problems})
    else:
        rows = table("machine", "csip", "python", "torch", "GPUs", ">cores", ">memory", ">free disk")
        for m in machines:
            versions = [m.installed[name] or "missing" for name in ("csip", "python", "torch")]
            gpus = ", ".join(sorted({f"{m.gpus.count(name)} x {name}" for name in m.gpus})) or "none"
            rows.add_row(m.name, *versions, gpus, str(m.cores), f"{m.memory_gb:.0f} GB", f"{m.free_gb:.0f} GB")
        print_whole(rows)
        for problem in problems:
            say(f"[bold red]problem:[/] {escape(problem)}")
        if not problems:
            console.print("a run would find all that it needs" + (" on each of them" if len(machines) > 1 else ""))
    if problems:
        raise typer.Exit(1)


def _print_here() -> None:
    import torch

    from flows.keys.libraries import all_versions

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    console.print(
        facts(
            [
                ("python", platform.python_version()),
                *((name, version or "[red]missing[/]") for name, version in all_versions().items()),
                ("GPUs", ", ".join(gpus) or "none: everything runs on the CPU"),
                ("cores", str(os.cpu_count())),
                ("free disk here", f"{shutil.disk_usage('.').free / 1e9:.0f} GB"),
                ("Prefect server", os.environ.get("PREFECT_API_URL", "a local one, started when needed")),
            ]
        )
    )
