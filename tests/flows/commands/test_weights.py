import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from typer.testing import CliRunner

import training.model.encoders.weights
from flows.commands import weights as weights_command
from flows.commands.app import app
from flows.config import load_config
from tests.serving import serving
from training.settings import CLIP

ROOT = Path(__file__).parents[3]
POSE, LIFT = b"pose weights", b"lift weights"


class Zoo(ThreadingHTTPServer):
    """A folder of weights served on this machine; notes what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(Keeper, directory=str(folder)))

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Keeper(SimpleHTTPRequestHandler):
    server: Zoo

    def log_request(self, *args: object) -> None:
        self.server.asked.append(self.path)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[Zoo]:
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "pose.pth").write_bytes(POSE)
    (folder / "lift.pth").write_bytes(LIFT)
    with serving(Zoo(folder)) as server:
        yield server


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with a hub that has nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)


def model(address: str, data: bytes = b"") -> dict[str, str]:
    return {"config": "some.py", "weights": address, "sha256": hashlib.sha256(data).hexdigest()}


def write(tmp_path: Path, name: str = "mine", encoder: dict[str, Any] | None = None, **extraction: Any) -> Path:
    """A configuration whose cache is `cache` beside it."""
    values = {"name": name, "encoder": encoder or {"model": "small"}}
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values | {"extraction": {"weights_cache": str(tmp_path / "cache")} | extraction}))
    return path


def both(zoo: Zoo) -> dict[str, dict[str, str]]:
    return {"estimator": model(zoo.address("pose.pth"), POSE), "lifter": model(zoo.address("lift.pth"), LIFT)}


def weights(*words: object, status: int = 0) -> str:
    """What a command says; checks how it ends."""
    done = CliRunner().invoke(app, ["weights", *(str(word) for word in words)], env={"COLUMNS": "300"})
    assert done.exit_code == status, done.output
    return done.output


def listed(*words: object) -> list[dict[str, Any]]:
    return json.loads(weights("list", "--json", *words))


def test_the_projects_own_models_are_here_with_size_and_digest(tmp_path):
    config = write(tmp_path)
    estimator, lifter = listed(config)
    file = ROOT / "extraction/models/demo_estimator.safetensors"
    assert estimator == {
        "config": str(config),
        "part": "estimator",
        "model": "project:demo_estimator.py",
        "weights": "project:demo_estimator.safetensors",
        "path": str(file),
        "size": file.stat().st_size,
        "state": "here",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "expected": None,
    }
    assert (lifter["part"], lifter["state"]) == ("lifter", "here")


def test_weights_at_an_address_are_missing_until_they_are_in_the_cache_and_damaged_if_their_digest_is_wrong(tmp_path):
    config = write(tmp_path, estimator=model("https://zoo.example.org/a.pth", POSE))
    path = tmp_path / "cache" / "a.pth"
    first = listed(config)[0]
    assert (first["state"], first["path"], first["size"], first["sha256"]) == ("missing", str(path), None, None)
    assert first["expected"] == hashlib.sha256(POSE).hexdigest()
    assert not path.parent.exists()
    path.parent.mkdir()
    path.write_bytes(b"other")
    assert listed(config)[0]["state"] == "damaged"
    path.write_bytes(POSE)
    assert listed(config)[0]["state"] == "here"


def test_a_model_is_listed_with_its_address_its_place_and_its_state(tmp_path):
    config = write(tmp_path, estimator=model("https://zoo.example.org/a.pth", POSE))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a.pth").write_bytes(LIFT)
    said = " ".join(weights("list", config).split())
    assert "weights https://zoo.example.org/a.pth" in said
    assert f"file {tmp_path / 'cache' / 'a.pth'}" in said
    digests = [hashlib.sha256(data).hexdigest()[:12] for data in (LIFT, POSE)]
    assert "estimator: damaged, 0.0 MB" in said
    assert f"sha256 {' not '.join(digests)}" in said


def test_a_misspelt_file_of_the_project_is_missing_and_fetching_says_which_there_are(tmp_path):
    config = write(tmp_path, estimator={"weights": "project:demo_estimater.safetensors"})
    assert [row["state"] for row in listed(config)] == ["missing", "here"]
    assert "choose from: " in weights("fetch", config, status=1)


def test_without_a_configuration_those_of_the_working_directory_are_meant_else_those_of_the_project(tmp_path):
    shipped = (ROOT / "configs").glob("*.yaml")
    with_images = {path for path in shipped if not load_config(path).data.without_images}
    assert {Path(row["config"]) for row in listed()} == with_images
    (tmp_path / "configs").mkdir()
    write(tmp_path / "configs", "own")
    assert {row["config"] for row in listed()} == {"configs/own.yaml"}


def test_without_any_configuration_one_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(weights_command, "OWN_CONFIGS", tmp_path / "nowhere")
    assert "error: there is no configuration here" in weights("list", status=1)


@pytest.mark.parametrize("command", ["list", "fetch"])
def test_a_wrong_configuration_is_one_plain_message(tmp_path, command):
    path = tmp_path / "wrong.yaml"
    path.write_text("name: x\nextraction: {estimater: {}}")
    said = weights(command, path, status=1)
    assert "did you mean extraction.estimator?" in said
    assert "Traceback" not in said


def test_a_visual_encoder_that_names_a_file_is_listed_with_it_and_a_small_one_is_not(tmp_path):
    file = tmp_path / "clip.safetensors"
    config = write(tmp_path, encoder={"model": CLIP, "weights": str(file)})
    assert [row["part"] for row in listed(write(tmp_path, "small"))] == ["estimator", "lifter"]
    assert [(row["part"], row["state"]) for row in listed(config)][2] == ("visual encoder", "missing")
    assert f"encoder.weights={file}" in weights("fetch", config, status=1)
    file.write_bytes(b"clip")
    assert listed(config)[2]["state"] == "here"


def test_a_visual_encoder_that_names_no_file_is_looked_for_in_the_hubs_folder(tmp_path, monkeypatch):
    config = write(tmp_path, encoder={"model": CLIP})
    row = listed(config)[2]
    assert (row["weights"], row["state"]) == ("hub: timm/vit_base_patch16_clip_224.openai", "missing")
    cached = tmp_path / "model.safetensors"
    cached.write_bytes(b"clip")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(cached))
    row = listed(config)[2]
    assert (row["path"], row["state"]) == (str(cached), "here")


def test_the_hubs_folder_is_written_only_when_asked_for(tmp_path, monkeypatch):
    asked = []

    def weight_files(settings):
        asked.append(settings.model)
        return {"encoder": tmp_path / "model.safetensors"}

    monkeypatch.setattr(training.model.encoders.weights, "weight_files", weight_files)
    config = write(tmp_path, encoder={"model": CLIP})
    assert "to do: add --hub" in weights("fetch", config, status=1)
    assert asked == []
    weights("fetch", config, "--hub")
    assert asked == [CLIP]


def test_fetching_brings_what_is_missing_into_the_cache_and_a_second_time_asks_for_nothing(zoo, tmp_path):
    config = write(tmp_path, **both(zoo))
    said = weights("fetch", config)
    assert f"fetched  {tmp_path / 'cache' / 'pose.pth'}" in said
    assert "2 of 2 files of weights are here" in said
    assert [path.read_bytes() for path in sorted((tmp_path / "cache").iterdir())] == [LIFT, POSE]
    assert zoo.asked == ["/pose.pth", "/lift.pth"]
    assert f"here  {tmp_path / 'cache' / 'pose.pth'}" in weights("fetch", config)
    assert len(zoo.asked) == 2


def test_another_cache_can_be_named(zoo, tmp_path):
    config = write(tmp_path, **both(zoo))
    weights("fetch", config, "--cache", tmp_path / "other")
    assert not (tmp_path / "cache").exists()
    assert [row["state"] for row in listed(config)] == ["missing", "missing"]
    assert [row["state"] for row in listed(config, "--cache", tmp_path / "other")] == ["here", "here"]


def test_weights_that_two_configurations_share_are_brought_once(zoo, tmp_path):
    configs = [write(tmp_path, name, **both(zoo)) for name in ("one", "two")]
    assert "2 of 2 files" in weights("fetch", *configs)
    assert zoo.asked == ["/pose.pth", "/lift.pth"]


def test_after_a_failure_the_others_are_fetched_and_all_failures_are_told_at_the_end(zoo, tmp_path):
    absent = {"estimator": model(zoo.address("absent.pth"), POSE), "lifter": model(zoo.address("gone.pth"), LIFT)}
    configs = [write(tmp_path, "one", **absent), write(tmp_path, "two", **both(zoo))]
    said = weights("fetch", *configs, status=1)
    told, _, errors = said.partition("2 of 4 files of weights are here")
    assert "fetched" in told
    for name in ("absent.pth", "gone.pth"):
        assert f"failed  {name}" in told
        assert f"download {zoo.address(name)}" in errors
        assert f"put it at {tmp_path / 'cache' / name}" in errors
    assert "Traceback" not in said


def test_a_damaged_file_is_reported_and_never_replaced(zoo, tmp_path):
    config = write(tmp_path, **both(zoo))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "pose.pth").write_bytes(b"mine")
    assert "to do: delete it and run again" in weights("fetch", config, status=1)
    assert (tmp_path / "cache" / "pose.pth").read_bytes() == b"mine"
    assert (tmp_path / "cache" / "lift.pth").read_bytes() == LIFT


@pytest.mark.parametrize("command", ["list", "fetch"])
def test_help_gives_examples(command):
    assert f"csip weights {command} configs/mars.yaml --cache /data/weights" in weights(command, "--help")


def test_help_waits_for_no_model_library():
    code = "import sys, flows.commands.weights; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "timm", "mmpose", "huggingface_hub", "pydantic"} & set(loaded)


def test_a_data_set_without_images_needs_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "biwi.yaml"
    path.write_text("name: biwi\ndata: {layout: biwi}\n")
    assert weights_command.needed([path]) == []
