"""The whole pipeline on a few rendered people: what runs, what is kept, and that the plan says so beforehand."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from flows.config import load_config
from flows.planning.plan import plan
from flows.rebuild import Result, rebuild
from flows.stages import STAGES
from storage.store.artifacts import Store
from storage.store.manifests import MANIFEST
from storage.store.runs import COMPLETED, STOPPED, records
from tests.small_run import small_settings


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with config.yaml, where the data and the store will be."""
    folder = tmp_path_factory.mktemp("rebuild")
    (folder / "config.yaml").write_text(yaml.safe_dump(small_settings(folder)))
    return folder


@pytest.fixture
def run(first: Path, api: str) -> Callable[..., Result]:
    """Runs with overrides, and checks that the plan made just before told what would happen."""

    def call(*overrides: str, check_plan: bool = True, **options: Sequence[str] | str) -> Result:
        config = load_config(first / "config.yaml", overrides)
        told = {line.label: line.verdict for line in plan(config)} if check_plan else {}
        result = rebuild(config, **options)
        if check_plan:
            built = set(result.built)
            assert {label for label, verdict in told.items() if verdict == "will run"} <= built
            assert built <= {label for label, verdict in told.items() if verdict != "kept"}
        return result

    if not (first / "store" / "runs").exists():
        call(check_plan=False)
    return call


def frame_of(first: Path, part: str) -> Path:
    return sorted((first / "data" / f"bbox_{part}" / ("0001" if part == "train" else "0006")).glob("*.jpg"))[0]


def repaint(path: Path) -> None:
    """Other content in the same file, still an image."""
    image = cv2.imread(str(path))
    cv2.imwrite(str(path), np.ascontiguousarray(image[::-1]))


def test_the_first_run_makes_everything_and_a_report(run: Callable[..., Result], first: Path) -> None:
    result = run()
    stages = {artifact.stage for artifact in result.artifacts.values()}
    assert stages == set(STAGES) - {"splits"}, "the data set has one split"
    assert result.report is not None
    page = result.report.read_text()
    assert page.count("data:image/") > 10
    store = Store(first / "store")
    assert all(store.damage(artifact) == [] for artifact in result.artifacts.values())
    assert not any((first / "store" / "staging").glob("*/*"))


def test_a_second_run_reruns_nothing(run: Callable[..., Result]) -> None:
    assert run().built == ()


def test_one_evaluation_setting_reruns_evaluation_and_report_alone(run: Callable[..., Result]) -> None:
    assert set(run("evaluation.gallery=without_queries").built) == {"metrics visual", "metrics finetuned", "report"}


def test_settings_that_cannot_change_results_rerun_nothing(run: Callable[..., Result]) -> None:
    assert run("extraction.batch_size=3", "workers=2", "finetune.decode_workers=1").built == ()


def test_a_touched_but_unchanged_frame_reruns_nothing(run: Callable[..., Result], first: Path) -> None:
    frame = frame_of(first, "train")
    frame.touch()
    assert run().built == ()


def test_a_changed_test_frame_reruns_its_shard_and_never_training(run: Callable[..., Result], first: Path) -> None:
    repaint(frame_of(first, "test"))
    built = run().built
    shards = [label for label in built if label.startswith("skeletons")]
    assert len(shards) == 1
    name = shards[0].split()[1]
    assert name.startswith("test-")
    assert {"index", "quality", f"embeddings visual {name}", f"embeddings finetuned {name}", "report"} <= set(built)
    assert not {"visual", "pretrained", "finetuned"} & set(built)
    assert not any(label.startswith("features") for label in built)


def test_a_changed_training_frame_reruns_what_learns_from_it(run: Callable[..., Result], first: Path) -> None:
    repaint(frame_of(first, "train"))
    built = run().built
    assert sum(label.startswith("skeletons") for label in built) == 1
    assert {"visual", "pretrained", "finetuned", "report"} <= set(built)


def test_a_deleted_and_a_damaged_artifact_alone_are_made_again(run: Callable[..., Result], first: Path) -> None:
    before = run()
    victim, other = before.artifacts["skeletons test-000"], before.artifacts["metrics visual"]
    shutil.rmtree(victim.path)
    (other.path / "metrics.json").write_text("{}")
    again = run()
    assert set(again.built) == {"skeletons test-000", "metrics visual"}, "same bytes again: nothing after them runs"
    assert again.artifacts["skeletons test-000"].digest == victim.digest


def test_a_byte_that_the_disk_flipped_is_found_before_it_is_used_and_that_alone_is_made_again(
    run: Callable[..., Result], first: Path
) -> None:
    before = run()
    victim = before.artifacts["skeletons train-000"]
    file = victim.path / "skeletons.parquet"
    stat = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 8
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    again = run("pretrain.lr=0.001", check_plan=False)

    assert {"skeletons train-000", "pretrained"} <= set(again.built)
    assert "skeletons train-001" not in again.built
    assert again.artifacts["skeletons train-000"].digest == victim.digest


def test_a_copied_store_and_a_moved_data_root_rerun_nothing(
    run: Callable[..., Result], first: Path, tmp_path: Path
) -> None:
    run()
    shutil.copytree(first / "store", tmp_path / "store")
    shutil.copytree(first / "data", tmp_path / "data")
    assert run(f"store={tmp_path / 'store'}", f"data.root={tmp_path / 'data'}").built == ()


def test_forcing_a_stage_builds_it_and_nothing_whose_input_stays_the_same(run: Callable[..., Result]) -> None:
    assert set(run(check_plan=False, force=["metrics"]).built) == {"metrics visual", "metrics finetuned"}


def test_a_run_can_stop_after_a_stage_and_says_so(run: Callable[..., Result], first: Path) -> None:
    assert list(run(check_plan=False, until="quality").artifacts)[-1] == "quality"
    assert records(Store(first / "store"))[-1]["status"] == STOPPED
    assert list(run(until="report").artifacts)[-1] == "report"
    assert records(Store(first / "store"))[-1]["status"] == COMPLETED


def test_the_plan_names_the_setting_with_its_old_and_new_value(run: Callable[..., Result], first: Path) -> None:
    run()
    lines = plan(load_config(first / "config.yaml", ["finetune.lr=0.5"]))
    reason = {line.label: line.reason for line in lines if line.verdict == "will run"}
    assert list(reason) == ["finetuned"]
    assert "lr: 5e-06 -> 0.5" in reason["finetuned"]
    assert {line.label for line in lines if line.verdict == "may run"} >= {"metrics finetuned", "report"}


def test_a_library_that_counts_as_another_version_reruns_who_uses_it_and_the_plan_says_so(
    run: Callable[..., Result], first: Path
) -> None:
    run()
    libraries = Store(first / "store").all("finetuned")[-1].manifest["libraries"]
    as_installed = load_config(first / "config.yaml", [f"versions.{name}='{v}'" for name, v in libraries.items()])
    assert {line.verdict for line in plan(as_installed)} == {"kept"}
    lines = plan(load_config(first / "config.yaml", ["versions.mmpose='0.1'"]))
    assert {line.stage for line in lines if line.verdict == "will run"} == {"skeletons"}
    assert any(line.reason.startswith("mmpose ") and line.reason.endswith(" -> 0.1") for line in lines)


def test_the_plan_names_the_changed_frame_of_the_index_and_of_its_shard(
    run: Callable[..., Result], first: Path
) -> None:
    run()
    frame = frame_of(first, "test")
    repaint(frame)
    told = f"{frame.relative_to(first / 'data').as_posix()} changed"
    lines = [line for line in plan(load_config(first / "config.yaml")) if line.verdict == "will run"]
    assert [line.stage for line in lines if told in line.reason] == ["index", "skeletons"]


def test_nothing_in_the_store_is_half_made_or_names_this_machine(run: Callable[..., Result], first: Path) -> None:
    result = run()
    for artifact in result.artifacts.values():
        assert (artifact.path / MANIFEST).is_file()
        for name in ("report.html", "settings.yaml", "quality.json", "metrics.json"):
            path = artifact.path / name
            if path.exists():
                assert str(first) not in path.read_text()
