"""The whole pipeline over stores in which nothing can be renamed, with the data set at an address beside them."""

from collections.abc import Callable
from pathlib import Path

import pytest

import storage.demo.dataset
from flows.config import Config, make_config
from flows.planning.plan import plan
from flows.rebuild import rebuild
from storage.demo.dataset import DemoSettings
from storage.store.artifacts import Store, open_store
from storage.store.copy import copy_store
from tests.small_run import SETTINGS, small_settings
from tests.storage.frames.test_remote import upload

pytestmark = pytest.mark.slow

OWN_DATA = "data.demo=null"


@pytest.fixture(params=["memory", "s3"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Config]:
    """Settings as on another machine: a `workspace` and a cache of its own, the same addresses of data and store."""
    address = f"memory://{tmp_path.name}" if request.param == "memory" else request.getfixturevalue("s3_address")
    storage.demo.dataset.make(DemoSettings(**SETTINGS["data"]["demo"]), tmp_path / "data")
    data = upload(tmp_path / "data", f"{address}-data")

    def configured(machine: str, *overrides: str) -> Config:
        settings = small_settings(tmp_path, address) | {"workspace": str(tmp_path / machine / "store")}
        own = [OWN_DATA, f"data.root={data}", f"data.cache={tmp_path / machine / 'frames'}"]
        return make_config(settings, [*own, *overrides])

    return configured


def test_what_one_machine_made_another_keeps_and_goes_on_from(
    config: Callable[..., Config], tmp_path: Path, api: str
) -> None:
    first = rebuild(config("one"))
    assert len(first.built) == len(first.artifacts)
    assert rebuild(config("two")).built == ()
    assert {line.verdict for line in plan(config("two"))} == {"kept"}

    third = rebuild(config("three", "evaluation.gallery=without_queries"))
    assert set(third.built) == {"metrics visual", "metrics finetuned", "report"}
    assert third.report is not None
    assert third.report.read_text().count("data:image/") > 10

    # moving data or store makes nothing run: keys and bytes are those of folders
    folder = rebuild(make_config(small_settings(tmp_path), [OWN_DATA]))
    made = {label: (a.key, a.digest) for label, a in folder.artifacts.items() if label != "report"}
    assert made == {label: (first.artifacts[label].key, first.artifacts[label].digest) for label in made}

    # and so does copying the store to an address
    moved = config("four", f"store={config('four').store}-moved")
    copy_store(Store(tmp_path / "store"), open_store(moved.store, moved.workspace))
    assert {line.verdict for line in plan(moved)} == {"kept"}
