from pathlib import Path
from typing import Any

import pytest
from prefect import flow, runtime, tags
from prefect.client.orchestration import get_client

from flows.config import load_config, make_config
from flows.watching.names import name_run, run_name, run_tags

CONFIGS = Path("configs")


@pytest.mark.parametrize(
    ("file", "name"),
    [("mars", "mars · MARS"), ("demo", "demo · demo data"), ("lsvid", "lsvid · LS-VID"), ("prid2011", None)],
)
def test_a_run_is_named_after_its_configuration_and_its_data_set(file: str, name: str | None) -> None:
    config = load_config(CONFIGS / f"{file}.yaml")
    assert run_name(config) == (name or "prid2011 · PRID2011")
    assert set(run_tags(config)) == {"csip", file, "generated" if file == "demo" else config.data.layout}


@pytest.mark.parametrize("root", ["/data/shop floor", "/data/shop floor/", "s3://bucket/shop floor"])
def test_a_data_set_of_your_own_is_called_as_its_folder(root: str) -> None:
    data: dict[str, Any] = {"root": root, "layout": "folder"}
    assert run_name(make_config({"name": "mine", "data": data})) == "mine · shop floor"


def test_a_flow_run_of_any_kind_is_named_and_keeps_the_tags_that_it_has(api: str) -> None:
    @flow(persist_result=False)
    def any_flow() -> str:
        name_run(runtime.flow_run.id, load_config(CONFIGS / "mars.yaml"))
        return str(runtime.flow_run.id)

    with tags("of its deployment"):
        run = any_flow()
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(run)  # type: ignore[arg-type] # a text serves
    assert found.name == "mars · MARS"
    assert set(found.tags) == {"csip", "mars", "of its deployment"}


def test_a_run_that_the_server_does_not_know_goes_on(api: str) -> None:
    name_run("00000000-0000-0000-0000-000000000000", load_config(CONFIGS / "mars.yaml"))
