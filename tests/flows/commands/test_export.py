import re
import shutil
import time
from pathlib import Path

import pytest

from storage.store.artifacts import Artifact, Store
from tests.flows.commands.command_line import csip_line
from tests.training.model_folders import finetuned_folder, visual_folder
from training.export import FORMATS
from training.inference_model import load_exported
from training.settings import MODEL, SETTINGS

pytestmark = pytest.mark.usefixtures("here")


def refused(*words: object) -> str:
    """What an export says that must fail with one message and without a file."""
    before = set(Path().rglob("*"))
    said = csip_line("export", *words, status=1)
    assert said.startswith("error: ")
    assert "to do: " in said
    assert set(Path().rglob("*")) == before
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return finetuned_folder(tmp_path / "model")


def published(store: Store, key: str, cameras: tuple[int, ...] = (1, 2)) -> Artifact:
    return store.publish(finetuned_folder(store.root / "staging" / key, cameras=cameras), "finetuned", key, {}, 1.0)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return published(Store(tmp_path / "store"), "0123abcd")


@pytest.mark.parametrize("name", FORMATS)
def test_without_a_name_the_file_is_called_model_and_lies_here(folder, here, name):
    said = csip_line("export", folder, "--format", name)
    assert [path.name for path in here.iterdir()] == [f"model{FORMATS[name].suffix}"]
    assert f"wrote: model{FORMATS[name].suffix}" in said


def test_it_says_what_was_exported_and_how_far_it_is_from_pytorch(folder):
    said = csip_line("export", folder, "--format", "safetensors", "--out", "deep/person.safetensors")
    assert "finetuned, clips of 32 x 16 pixels, cameras 1, 2, 6, embeddings of 40" in said
    assert re.search(r"differs from PyTorch by \S+ at most \(allowed: 0.001\)", said)
    assert re.search(r"wrote: deep/person.safetensors \(0\.\d MB\)", said)
    assert Path("deep/person.safetensors").is_file()


def test_a_visual_encoder_is_said_to_know_no_cameras(tmp_path):
    said = csip_line("export", visual_folder(tmp_path / "visual"), "--format", "safetensors")
    assert "visual, clips of 32 x 16 pixels, no cameras, embeddings of 24" in said


def test_the_newest_finetuned_model_of_a_configurations_store_is_taken(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    for day, cameras in ((2, (5, 6)), (1, (3, 4))):
        monkeypatch.setattr(time, "strftime", lambda *_, day=day: f"2026-01-0{day}T00:00:00Z")
        published(store, f"key{day}", cameras)
    Path("config.yaml").write_text(f"name: one\nstore: {store.root}\n")
    assert "cameras 5, 6" in csip_line("export", "--config", "config.yaml", "--format", "safetensors")


def test_a_store_without_a_finetuned_model_names_the_command_that_makes_one(tmp_path):
    Path("config.yaml").write_text(f"name: one\nstore: {tmp_path / 'empty'}\n")
    said = refused("--config", "config.yaml")
    assert "no finetuned model in this store" in said
    assert "csip run CONFIG --to finetuned" in said
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("words", [(), ("folder", "--config", "config.yaml")])
def test_a_model_is_named_in_one_way(words):
    assert "CHECKPOINT, --config" in refused(*words)


def test_an_unknown_format_is_answered_with_those_there_are(folder):
    for more in ((), ("--out", "model.tflite")):
        assert "choose one of onnx, torchscript, safetensors" in refused(folder, "--format", "tflite", *more)


def test_a_wrong_ending_is_answered_with_the_right_one(folder):
    assert "name it NAME.onnx" in refused(folder, "--out", "model.pt")


def test_a_folder_that_is_not_there_is_answered_with_how_to_name_one(here):
    (here / "file").touch()
    for absent in ("absent", "file"):
        assert "no such model folder" in refused(absent)


@pytest.mark.parametrize("name", [MODEL, SETTINGS])
def test_a_folder_without_one_of_its_files_is_answered_with_the_files_name(folder, name):
    (folder / name).unlink()
    assert name in refused(folder)


def test_a_published_model_is_exported(artifact):
    csip_line("export", artifact.path, "--format", "safetensors")
    assert load_exported(Path("model.safetensors"))[1].cameras == (1, 2)


@pytest.mark.parametrize("change", ["a byte", "the size", "the manifest"])
def test_a_published_model_that_was_changed_since_is_refused(artifact, change):
    weights = artifact.path / MODEL
    held = weights.read_bytes()
    if change == "a byte":
        weights.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    elif change == "the size":
        weights.write_bytes(held + b"0")
    else:
        (artifact.path / "manifest.json").write_text("{")
    said = refused(artifact.path, "--format", "safetensors")
    assert "not what was published" in said
    if change == "a byte":
        assert f"{MODEL} does not hold the bytes" in said


def test_a_published_model_that_was_copied_elsewhere_is_exported(artifact, tmp_path):
    shutil.copytree(artifact.path, tmp_path / "copy")
    csip_line("export", tmp_path / "copy", "--format", "safetensors")


def test_a_folder_of_another_stage_is_answered_with_the_stages_that_can_be_exported(folder):
    (folder / SETTINGS).write_text("kind: pretrained\n")
    said = refused(folder)
    assert "no ReID model, but kind 'pretrained'" in said
    assert "artifacts/finetuned or artifacts/visual" in said
