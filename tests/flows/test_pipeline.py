"""What is wrong with a visual encoder is told before anything runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

import training.model.encoders.start
from flows.config import make_config
from flows.pipeline import check_weights
from storage.errors import CsipError, SettingsError, WeightsError

Check = Callable[..., None]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def look(**encoder: Any) -> None:
        check_weights(
            make_config({"name": "any", "extraction": {"weights_cache": str(tmp_path / "cache")}, "encoder": encoder}),
            "report",
        )

    return look


def write(path: Path, model: str = "test_vit", **changes: Any) -> Path:
    save_file(timm.create_model(model, pretrained=False, num_classes=0, **changes).state_dict(), path)
    return path


def test_weights_are_looked_at_once_and_again_when_their_file_has_changed(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    original = training.model.encoders.start.load_encoder

    def counted(*given: Any) -> Any:
        loads.append(given)
        return original(*given)

    monkeypatch.setattr(training.model.encoders.start, "load_encoder", counted)
    file = write(tmp_path / "vit.safetensors")
    for _ in range(2):
        check(model="test_vit", weights=str(file))
    assert len(loads) == 1
    (tmp_path / "page.html").write_text("<!DOCTYPE html><html></html>")
    file.write_bytes((tmp_path / "page.html").read_bytes())
    with pytest.raises(WeightsError, match="this is a web page"):
        check(model="test_vit", weights=str(file))


@pytest.mark.parametrize(
    ("encoder", "kind", "says"),
    [
        ({"model": "test_vitt"}, SettingsError, "did you mean .*test_vit"),
        ({"model": "resnet18", "weights": "vit.safetensors"}, WeightsError, "not resnet18(.|\n)*vision transformer"),
        ({"model": "test_vit", "weights": "wide.safetensors"}, WeightsError, "width 96, the model has 64"),
        ({"model": "osnet_x0_25", "weights": "vit.safetensors"}, WeightsError, "these weights are not osnet_x0_25"),
        ({"model": "osnet_x0_25"}, WeightsError, "no file of weights is named"),
        ({"model": "test_vit", "weights": "lfs.safetensors"}, WeightsError, "pointer of Git LFS"),
        ({"model": "test_vit", "weights": "code.pth"}, WeightsError, "reading it would run code"),
        ({"model": "test_vit", "weights": "none.pth"}, WeightsError, "does not exist"),
        ({"model": "none.py:Mine"}, SettingsError, "there is no such file"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_one_message(
    encoder: dict[str, str], kind: type[CsipError], says: str, check: Check, tmp_path: Path
) -> None:
    write(tmp_path / "vit.safetensors")
    write(tmp_path / "wide.safetensors", embed_dim=96, num_heads=2)
    (tmp_path / "lfs.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "code.pth")
    if "weights" in encoder:
        encoder = encoder | {"weights": str(tmp_path / encoder["weights"])}
    with pytest.raises(kind, match=says) as caught:
        check(**encoder)
    assert caught.value.fix
