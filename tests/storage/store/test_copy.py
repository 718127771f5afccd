"""A copied store has the same artifacts with the same bytes, wherever it was copied from and to."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from storage.store.artifacts import Store
from storage.store.bucket import Bucket
from storage.store.copy import Copied, copy_store
from storage.store.runs import FAILED, records
from storage.store.verify import verify
from tests.storage.store.small_store import artifact, flip_in, original, run


@pytest.fixture
def source(open_again: Callable[..., Store]) -> Store:
    store = open_again()
    index = artifact(store, "index", "k1", text="one")
    run(store, "first", [index, artifact(store, "metrics", "k2", index, part="visual")])
    run(store, "second", [index], FAILED)
    return store


@pytest.fixture(params=["folder", "address"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(tmp_path / "other")
    return Store(Bucket(f"memory://other-{tmp_path.name}-{abs(hash(tmp_path))}", tmp_path / "elsewhere"))


def content(store: Store) -> dict[str, tuple[str, dict[str, bytes]]]:
    """Digest and files of each artifact, its manifest too."""
    found = {}
    for made in store.all():
        folder = store.fetch(made, made.manifest["files"])
        files = {name: (folder / name).read_bytes() for name in made.manifest["files"]}
        manifest = f"artifacts/{made.stage}/{made.key}/manifest.json"
        found[made.key] = (made.digest, files | store.place.read([manifest]))
    return found


def test_a_copy_has_the_same_bytes_and_the_same_runs(source: Store, target: Store) -> None:
    told = []
    found = copy_store(source, target, lambda done, total, message="": told.append((done, total)))
    assert (found.copied, found.there, found.damaged, found.runs) == (2, 0, (), 2)
    assert found.bytes == told[-1][0] == told[-1][1] > 0
    assert content(target) == content(source)
    assert records(target) == records(source)
    assert [checked.problems for checked in verify(target).artifacts] == [(), ()]


def test_a_copy_that_was_interrupted_goes_on_and_what_is_there_stays(source: Store, target: Store) -> None:
    artifact(target, "index", "k1", text="made there, on another device")
    found = copy_store(source, target)
    assert (found.copied, found.there, found.runs) == (1, 1, 2)
    assert content(target)["k1"][1]["data.txt"] == b"made there, on another device"
    assert copy_store(source, target) == Copied(0, 0, 2, (), 0)


def test_what_is_damaged_is_named_and_not_copied(
    source: Store, target: Store, open_again: Callable[..., Store]
) -> None:
    flip_in(source, original(source.all("metrics")[0], "data.txt"))
    found = copy_store(open_again("a machine without a sound copy"), target)
    assert found.damaged == ("metrics/k2",)
    assert found.copied == 1
    assert content(target).keys() == {"k1"}


def test_the_command_says_what_it_did_and_refuses_a_copy_onto_itself(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    run(store, "only", [artifact(store, "index", "k1")])
    call = ["copy", "--store", str(store.root), "--to"]

    done = CliRunner().invoke(app, [*call, str(tmp_path / "other")])
    assert done.exit_code == 0
    assert "copied 1 artifact" in done.output
    assert "--set store=" in done.output

    same = CliRunner().invoke(app, [*call, str(tmp_path / "here" / ".." / "store")])
    assert same.exit_code == 1
    assert "the same store" in same.output

    flip_in(store, original(store.all()[0], "data.txt"))
    bad = CliRunner().invoke(app, [*call, str(tmp_path / "third")])
    assert bad.exit_code == 1
    assert "index/k1" in bad.output
