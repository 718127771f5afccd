"""The whole pipeline over stores in which nothing can be renamed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.config import make_config
from flows.rebuild import Result, rebuild
from tests.small_run import small_settings


@pytest.fixture(params=[pytest.param("memory", marks=pytest.mark.slow), "s3"])
def run(request: pytest.FixtureRequest, tmp_path: Path, api: str) -> Callable[..., Result]:
    """Runs from a `workspace` of its own on the same store, as another machine would."""
    address = f"memory://{tmp_path.name}" if request.param == "memory" else request.getfixturevalue("s3_address")

    def call(workspace: str, *overrides: str) -> Result:
        settings = small_settings(tmp_path, address) | {"workspace": str(tmp_path / workspace)}
        return rebuild(make_config(settings, overrides))

    return call


def test_what_one_machine_made_another_keeps_and_goes_on_from(
    run: Callable[..., Result], tmp_path: Path, api: str
) -> None:
    first = run("one")
    assert len(first.built) == len(first.artifacts)
    assert run("two").built == ()

    third = run("three", "evaluation.gallery=without_queries")
    assert set(third.built) == {"metrics visual", "metrics finetuned", "report"}
    assert third.report is not None
    assert third.report.read_text().count("data:image/") > 10

    folder = rebuild(make_config(small_settings(tmp_path)))
    digests = {label: artifact.digest for label, artifact in folder.artifacts.items() if label != "report"}
    assert digests == {label: first.artifacts[label].digest for label in digests}
