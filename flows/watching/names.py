"""What a run is called in the Prefect UI, and the tags by which it is found there."""

from uuid import UUID

from prefect.client.orchestration import get_client

from flows.config import Config
from flows.watching.progress import quietly
from storage.datasets.published import PUBLISHED
from storage.index import DataSettings


def run_name(config: Config, title: str = "") -> str:
    """The configuration, or a title in its place, and the data set, e.g. `mars · MARS`, `demo · demo data`."""
    return f"{title or config.name} · {data_name(config.data)}"


def run_tags(config: Config) -> tuple[str, ...]:
    """Whose run it is, the kind of its data, and the configuration's name."""
    return tuple(dict.fromkeys(("csip", "generated" if config.data.demo else config.data.layout, config.name)))


def data_name(data: DataSettings) -> str:
    """What people call the data set: its published name where it has one, or that of its folder."""
    if data.demo is not None:
        return "demo data"
    known = PUBLISHED.get(data.layout)
    return known.name if known else str(data.root).rstrip("/").rpartition("/")[2]


def name_run(run: UUID | str, config: Config, title: str = "") -> None:
    """Name a flow run and tag it; tags that it has already, of a deployment, stay.

    In this way, and not by `flow_run_name` and `prefect.tags`: it serves flows of any parameters, and tasks do not
    inherit the tags, for each set of which Prefect would ask the server (docs/decisions/0007-tags-on-tasks.md).
    """

    def rename() -> None:
        with get_client(sync_client=True) as client:
            flow_run = UUID(str(run))
            tags = client.read_flow_run(flow_run).tags
            client.update_flow_run(flow_run, name=run_name(config, title), tags=sorted({*tags, *run_tags(config)}))

    quietly(rename, "the run could not be named")
