"""`csip deploy`: configurations as Prefect deployments, which run on a schedule, from the UI, or through the API."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.markup import escape

from flows.commands.options.config import load, set_option
from flows.commands.options.console import command, console, say
from storage.errors import SettingsError

if TYPE_CHECKING:
    from flows.config import Config
    from flows.deploying.deployments import Wishes


@command(
    "csip deploy configs/demo.yaml",
    'csip deploy configs/*.yaml --pool night --cron "0 2 * * *" --timezone Europe/Madrid --gpus 2',
    "csip deploy configs/mars.yaml --set store=s3://bucket/reid --type kubernetes --image registry/csip:1 --gpus 1",
    "csip deploy configs/mars.yaml --interval 6h --notify slack-webhook/ops --dry-run",
)
def deploy(
    configs: Annotated[list[Path], typer.Argument(metavar="CONFIG...", help="YAML files.", show_default=False)],
    pool: Annotated[str, typer.Option(help="The work pool; it is made if it is not there.")] = "csip",
    kind: Annotated[str, typer.Option("--type", metavar="process|kubernetes", help="The pool's type.")] = "process",
    cron: Annotated[str | None, typer.Option(help='Run at these times, e.g. "0 2 * * *".')] = None,
    interval: Annotated[str | None, typer.Option(help="Run so often: 30m, 6h, 1d.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone of --cron; UTC without it.")] = None,
    name: Annotated[str, typer.Option(help="Name of the deployment; the configuration's without it.")] = "",
    tags: Annotated[list[str] | None, typer.Option("--tag", help="A tag beside csip, data set and name.")] = None,
    overrides: Annotated[list[str] | None, set_option(help="Override a setting in its runs.")] = None,
    to: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Build this stage and all after it anew.")] = None,
    gpus: Annotated[
        int | None,
        typer.Option(min=0, help="GPUs of the pool, or of each Kubernetes job: one task a GPU."),
    ] = None,
    image: Annotated[str, typer.Option(help="Container image (--type kubernetes).")] = "",
    path: Annotated[
        str, typer.Option(help="Working directory of runs; this one, or that of the image, without it.")
    ] = "",
    automations: Annotated[bool, typer.Option(help="Let crashed runs go on by themselves.")] = True,
    notify: Annotated[str, typer.Option(metavar="TYPE/NAME", help="Tell this block of failed runs.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", "--print", help="Print it; change nothing.")] = False,
) -> None:
    """Make Prefect deployments of configurations, or change those of their names."""
    from flows.deploying.deployments import IMAGE_FOLDER, Wishes, deployment, schedule
    from flows.stages import STAGES

    wishes = Wishes(
        pool=pool,
        kind=kind,
        folder=path or (IMAGE_FOLDER if kind == "kubernetes" else str(Path.cwd())),
        schedule=schedule(cron, interval, timezone),
        name=name,
        tags=tuple(tags or ()),
        overrides=tuple(overrides or ()),
        begin=begin,
        until=to or STAGES[-1],
        gpus=gpus,
        image=image,
    )
    if notify and not automations:
        raise SettingsError("--notify is an automation", where="--no-automations", fix="leave one of the two out")
    loaded = {config: load(config, wishes.overrides) for config in configs}
    _check_names(loaded, name)
    if dry_run:
        made = [deployment(config, settings, wishes) for config, settings in loaded.items()]
        plain = json.loads(json.dumps(made))  # shared parts would become anchors
        console.print(yaml.safe_dump(plain, sort_keys=False), end="", markup=False, soft_wrap=True)
    else:
        _register(loaded, wishes, notify, automations=automations)


def _check_names(loaded: "dict[Path, Config]", name: str) -> None:
    names = [name or config.name for config in loaded.values()]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise SettingsError(
            f"several configurations would be one deployment: {', '.join(double)}",
            where=", ".join(str(path) for path in loaded),
            fix="deploy them one by one with --name, or give each a `name` of its own",
        )


def _register(loaded: "dict[Path, Config]", wishes: "Wishes", notify: str, *, automations: bool) -> None:
    from flows.watching.server import ensure_server, ui_url

    api = ensure_server(next(iter(loaded.values())).server)
    os.environ["PREFECT_API_URL"] = api
    # Prefect reads its settings when first imported, so its client comes after the server's address
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.deploying import registration as registering
    from flows.deploying.deployments import deployment, limits

    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        if automations:
            registering.ensure_automations(client, notify)
        made = registering.ensure_pool(client, wishes.pool, wishes.kind)
        console.print(f"work pool {escape(wishes.pool)} ({wishes.kind}{', made now' if made else ''})")
        for path, config in loaded.items():
            registering.ensure_limits(client, limits(config, wishes))
            fields = deployment(path, config, wishes)
            found = registering.make_deployment(client, fields)
            page = f"{ui_url(api)}/deployments/deployment/{found}"
            say(f"[bold]{escape(fields['name'])}[/] runs {_when(wishes)}: {page}")
    say(
        "\nstart a worker where they shall run:",
        f"  PREFECT_API_URL={api} prefect worker start --pool {escape(wishes.pool)} --type {wishes.kind}",
        "run one now:",
        f"  PREFECT_API_URL={api} prefect deployment run rebuild/{escape(fields['name'])}",
    )


def _when(wishes: "Wishes") -> str:
    if not wishes.schedule:
        return "when asked"
    if "cron" in wishes.schedule:
        return f"{wishes.schedule['cron']} {wishes.schedule['timezone']}"
    return f"every {wishes.schedule['interval']:.0f} s"
