"""What `csip deploy` makes of its options: without a server."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from typer.testing import CliRunner

from flows.commands.app import app
from flows.config import make_config
from flows.deploying.deployments import Wishes, deployment, limits, schedule
from flows.running.limits import GPU_LIMIT, gpu_slot, store_limit
from flows.stages import STAGES, WITH_MODELS
from storage.errors import SettingsError

CONFIG = make_config({"name": "mars", "data": {"layout": "mars"}})
HERE = Path("configs/mars.yaml")


def test_the_form_has_titles_descriptions_enums_and_defaults() -> None:
    from prefect.utilities.callables import parameter_schema

    from flows.deploying.deployed import rebuild

    schema = parameter_schema(rebuild).model_dump()
    assert schema["required"] == ["config"]
    fields = schema["properties"]
    assert [fields[name]["title"] for name in sorted(fields, key=lambda name: fields[name]["position"])] == [
        "Configuration",
        "Settings to override",
        "From",
        "To",
        "Build anew",
    ]
    assert all(len(field["description"]) > 20 for field in fields.values())
    assert schema["definitions"]["Stage"]["enum"] == list(STAGES)
    assert schema["definitions"]["Begin"]["enum"] == ["what changed", *STAGES]
    assert {name: fields[name]["default"] for name in fields if name != "config"} == {
        "overrides": [],
        "begin": "what changed",
        "until": "splits",
        "force": [],
    }
    given = deployment(HERE, CONFIG, Wishes("pool", "process", "/somewhere"))["parameters"]
    assert given.keys() == fields.keys()
    rebuild.validate_parameters(given)


def test_nothing_of_a_deployed_run_is_pickled() -> None:
    from flows.deploying.deployed import rebuild

    assert rebuild.persist_result is False


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("6h", 21600), ("1d", 86400)])
def test_an_interval_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    made = schedule(None, text, None)
    assert made is not None
    assert IntervalSchedule(**made).interval.total_seconds() == seconds


def test_a_cron_schedule_has_a_time_zone() -> None:
    made = schedule("0 2 * * *", None, "Europe/Madrid")
    assert made is not None
    assert (CronSchedule(**made).cron, CronSchedule(**made).timezone) == ("0 2 * * *", "Europe/Madrid")
    assert schedule(None, None, None) is None


@given(st.text(max_size=8))
def test_any_text_is_an_interval_or_our_error(text: str) -> None:
    try:
        made = schedule(None, text, None)
    except SettingsError:
        return
    assert made is None or made["interval"] > 0


@given(st.text(max_size=12))
def test_any_text_is_a_cron_schedule_or_our_error(text: str) -> None:
    try:
        made = schedule(text, None, None)
    except SettingsError:
        return
    assert made is None or CronSchedule(**made).cron == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cron", "0 2 * * *", "--interval", "6h"), "--cron or by --interval"),
        (("--cron", "often"), "cannot understand the schedule"),
        (("--cron", "0 2 * * *", "--timezone", "Europe/Nowhere"), "there is no time zone"),
        (("--timezone", "Europe/Madrid"), "--timezone says when --cron is meant"),
        (("--interval", "6 hours"), "cannot understand the interval"),
        (("--interval", "0h"), "cannot understand the interval"),
        (("--type", "docker"), "--type is process or kubernetes"),
        (("--image", "csip:1"), "--image is for --type kubernetes"),
        (("--to", "metric"), "there is no stage 'metric'"),
        (("--from", "extract"), "there is no stage 'extract'"),
        (("--pool", "a/b"), "--pool 'a/b' has one of the characters"),
        (("--set", "pretrain.epocs=3"), "did you mean pretrain.epochs"),
        (("--notify", "slack-webhook/ops", "--no-automations"), "--notify is an automation"),
        (("configs/mars.yaml",), "one deployment: mars"),
    ],
)
def test_what_is_wrong_is_one_message_and_no_server_is_asked(
    options: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    path = tmp_path / "mars.yaml"
    path.write_text("name: mars\n")
    here = [str(Path(__file__).parents[3] / option) if option.startswith("configs/") else option for option in options]
    done = CliRunner().invoke(app, ["deploy", str(path), *here])
    assert done.exit_code == 1
    assert message in done.output.replace("\n", " ")


def test_a_dry_run_prints_all_of_it_and_needs_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mars.yaml").write_text("name: mars\n")
    options = ["--interval", "6h", "--tag", "night", "--gpus", "2", "--from", "visual", "--to", "metrics"]
    done = CliRunner().invoke(app, ["deploy", "mars.yaml", "--dry-run", "--set", "finetune.epochs=3", *options])
    assert done.exit_code == 0, done.output
    (made,) = yaml.safe_load(done.output)
    assert made["tags"] == ["csip", "mars", "night"]
    assert made["parameters"] == {
        "config": "mars.yaml",
        "overrides": ["finetune.epochs=3"],
        "begin": "visual",
        "until": "metrics",
        "force": [],
    }
    assert made["schedules"] == [{"schedule": {"interval": 21600.0}, "active": True}]
    assert made["job_variables"]["env"][GPU_LIMIT] == "csip-gpu-csip"
    assert made["pull_steps"] == [{"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}]


def test_processes_share_the_gpus_of_their_pool_and_a_kubernetes_job_has_its_own() -> None:
    near = Wishes("night", "process", "/here", gpus=2)
    assert limits(CONFIG, near) == {store_limit("store", "/here"): 1, "csip-gpu-night": 2}
    far = Wishes("night", "kubernetes", "/opt/csip", gpus=4, image="csip:1")
    assert limits(CONFIG, far) == {store_limit("store", "/opt/csip"): 1, "csip-gpu-night-mars": 4}
    made = deployment(HERE, CONFIG, far)["job_variables"]
    assert (made["gpus"], made["image"], made["env"][GPU_LIMIT]) == (4, "csip:1", "csip-gpu-night-mars")


def test_a_store_has_one_limit_wherever_it_is_named_from() -> None:
    assert store_limit("store", "/work/reid") == store_limit("/work/reid/store", "/elsewhere")
    assert store_limit("s3://bucket/reid", "/a") == store_limit("s3://bucket/reid", "/b")
    assert store_limit("store", "/a") != store_limit("store", "/b")
    assert store_limit("s3://bucket/reid", "/a").startswith("csip-store-s3-bucket-reid-")


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_limit_has_a_name_that_prefect_takes(one: str, other: str) -> None:
    names = {store_limit(f"s3://{address}", "/") for address in (one, other)}
    assert len(names) == len({one, other})
    assert all(name.isascii() and not set(name) & set("/%&<>") and len(name) < 70 for name in names)


def test_no_stage_waits_for_a_gpu_where_no_limit_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(GPU_LIMIT, raising=False)
    monkeypatch.setattr("flows.running.limits.concurrency", None)  # would be called
    with gpu_slot("skeletons"):
        pass
    monkeypatch.setenv(GPU_LIMIT, "csip-gpu-csip")
    with gpu_slot("report"):
        pass
    assert set(STAGES) > set(WITH_MODELS)


def test_recipes_are_printed_as_they_are() -> None:
    printed = CliRunner().invoke(app, ["recipe", "kubernetes"])
    assert json.loads(printed.output)["job_configuration"]["job_manifest"]["kind"] == "Job"
    assert CliRunner().invoke(app, ["recipe", "slurm"]).output.startswith("#!/bin/bash\n")
    assert "there is no recipe 'pbs'" in CliRunner().invoke(app, ["recipe", "pbs"]).output
