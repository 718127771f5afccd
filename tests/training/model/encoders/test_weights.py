"""Where pretrained weights come from: a named file, or the hub as timm's own registry knows it."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import yaml

from flows.config import load_config
from storage.errors import SettingsError, WeightsError
from tests.serving import serving
from training.model.encoders.names import OSNET, check_name
from training.model.encoders.osnet import NAMES
from training.model.encoders.weights import HUB_FILES, on_hub, weight_files
from training.settings import CLIP, EncoderSettings

CONFIGS = sorted((Path(__file__).parents[4] / "configs").glob("*.yaml"))
COMMIT = "0123456789" * 4


class Hub(ThreadingHTTPServer):
    """A hub on this machine that has one repository, of one file."""

    def __init__(self, path: str, content: bytes) -> None:
        self.path, self.content, self.asked = path, content, list[str]()
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        if "/resolve/" in self.path:  # and not the client's other questions
            self.server.asked.append(self.path)
        there = self.path == self.server.path
        self.send_response(200 if there else 404)
        self.send_header("X-Repo-Commit", COMMIT)
        if there:
            self.send_header("ETag", '"of-this-file"')
            self.send_header("Content-Length", str(len(self.server.content)))
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.path == self.server.path:
            self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """It holds CLIP as the real one does: in open_clip's file, in a repository of another name than the model's."""
    server = Hub("/timm/vit_base_patch16_clip_224.openai/resolve/main/open_clip_model.safetensors", b"weights")
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving(server):
        yield server


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_encoder_of_every_configuration_is_one_and_lies_where_timms_registry_says(path: Path) -> None:
    settings = load_config(path).encoder
    check_name(settings.model)
    if settings.is_pretrained and settings.model not in OSNET:
        about, where = timm.get_pretrained_cfg(settings.model), on_hub(settings.model)
        assert where is not None
        assert where.repository == about.hf_hub_id
        assert where.files == ((about.hf_hub_filename,) if about.hf_hub_filename else HUB_FILES)


def test_clip_is_asked_for_where_it_is() -> None:
    where = on_hub(CLIP)
    assert where is not None
    assert where.repository == "timm/vit_base_patch16_clip_224.openai"
    assert "open_clip_model.safetensors" in where.files


def test_the_one_file_that_a_repository_has_is_found_and_kept(hub: Hub) -> None:
    found = weight_files(EncoderSettings())["encoder"]
    assert found.read_bytes() == b"weights"
    asked = list(hub.asked)
    assert asked[0].endswith("/model.safetensors"), "without pickles first"
    assert weight_files(EncoderSettings())["encoder"] == found
    assert hub.asked == asked, "what is kept is taken without a question"


def test_without_the_hub_the_error_names_repository_and_files(hub: Hub) -> None:
    hub.path = "/nothing"
    with pytest.raises(WeightsError) as caught:
        weight_files(EncoderSettings())
    said = str(caught.value)
    assert "timm/vit_base_patch16_clip_224.openai" in said
    assert all(file in said for file in HUB_FILES)
    assert "encoder.weights" in said


def test_a_file_that_is_named_is_taken_and_nothing_is_asked(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "ViT-B-16.pt"
    with pytest.raises(WeightsError, match="does not exist"):
        weight_files(EncoderSettings(weights=file))
    file.write_bytes(b"mine")
    assert weight_files(EncoderSettings(weights=file)) == {"encoder": file}
    assert weight_files(EncoderSettings(model="small")) == {}
    assert hub.asked == []


def test_osnet_wants_a_file() -> None:
    assert OSNET == NAMES
    with pytest.raises(WeightsError, match="no file of weights is named"):
        weight_files(EncoderSettings(model="osnet_x0_25"))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("osnet_x1_1", "osnet_x1_0"),
        ("smal", "small"),
        ("vit_base_patch16_clip_quickgelu_224.openia", "its weights are: .*openai"),
        ("resnet5o", "resnet50"),
        ("convnext_tinny.fb_in22k", "convnext_tiny"),
    ],
)
def test_an_unknown_name_is_one_message_with_the_nearest_ones(name: str, near: str) -> None:
    with pytest.raises(SettingsError, match=f"(?s)encoder.model.*{near}"):
        check_name(name)


def test_no_configuration_names_its_encoder_as_before() -> None:
    assert not [path for path in CONFIGS if "arch" in (yaml.safe_load(path.read_text()).get("encoder") or {})]
    with pytest.raises(ValueError, match="arch is now called model"):
        EncoderSettings.model_validate({"arch": "small"})
