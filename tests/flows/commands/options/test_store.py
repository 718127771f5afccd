"""What all commands that look into a store have in common, with small stores of every kind."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from storage.store.artifacts import Store
from tests.flows.commands.command_line import csip
from tests.storage.store.small_store import artifact, run


@pytest.mark.parametrize("words", [["--store", "store"], ["config.yaml"], []])
def test_a_store_is_named_by_itself_by_a_configuration_or_is_the_one_here(store: Store, words: list[str]) -> None:
    if words != ["config.yaml"] and store.away:
        pytest.skip("the store here is a folder")
    workspace = store.root.parent
    Path("config.yaml").write_text(
        f"name: one\nstore: {store.address}\nworkspace: {workspace}\nnot_a_setting_of_today: 1\n"
    )
    assert "3 of 3 artifacts" in csip("verify", *words)
    assert "bbbbbbbb" in csip("gc", *words)
    assert "bbbbbbbb" in csip("runs", *words)


@pytest.mark.parametrize("command", [["verify"], ["gc"], ["runs"], ["diff", "last", "last"], ["show", "artifact", "x"]])
def test_looking_at_a_store_that_is_not_there_makes_none(
    command: list[str], open_again: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    absent = open_again()
    said = csip(*command, "--store", absent.address, status=1)
    assert "there is no store here" in said
    assert absent.address in said.replace("\n", "")
    assert "to do: " in said
    assert not absent.place.exists()
    assert list(tmp_path.iterdir()) == []


def test_one_store_is_looked_at(store: Store) -> None:
    assert "give one of the two" in csip("verify", "config.yaml", "--store", "store", status=1)


@pytest.mark.parametrize(
    "command",
    [
        ["verify"],
        ["gc", "--keep", "1"],
        ["runs"],
        ["runs", "--json"],
        ["diff", "previous", "last"],
        ["diff", "previous", "last", "--json"],
        ["show", "artifact", "index"],
        ["show", "artifact", "metrics visual", "--json"],
        ["show", "artifact", "metrics"],
        ["show", "artifact", "9"],
    ],
)
def test_of_the_same_content_every_kind_of_store_tells_the_same(
    store: Store, tmp_path: Path, command: list[str]
) -> None:
    folder = Store(tmp_path / "folder")
    index = artifact(folder, "index", "1" * 24)
    for digit, name in (("2", "aaaaaaaa-old"), ("3", "bbbbbbbb-new")):
        run(folder, name, [index, artifact(folder, "metrics", digit * 24, index, part="visual")])
    told = []
    for held in (folder, store):
        done = CliRunner().invoke(app, [*command, "--store", held.address])
        said = re.sub(r"2\d{3}-\d\d-\d\d[T ][\d:.+Z]*(00:00)?|\d+\.\d+ s|0\.\d+|(?<= )-(?= )", "WHEN", done.output)
        told.append((done.exit_code, re.sub(r"\s+", " ", said.replace(held.address, "STORE"))))
    assert told[0] == told[1]


def test_an_address_says_which_store(store: Store) -> None:
    address = f"{store.address}/artifacts/index/{'1' * 24}"
    said = json.loads(csip("show", "artifact", address, "--json"))
    assert (said["key"], said["folder"]) == ("1" * 24, address)
