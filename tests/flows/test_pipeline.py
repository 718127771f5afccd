"""What is wrong with a visual encoder is told before anything runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import training.model.encoders.start
from flows.config import make_config
from flows.pipeline import check_weights
from storage.errors import CsipError, SettingsError, WeightsError
from training.model.encoders.weights import weight_files
from training.settings import EncoderSettings

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
        ({"model": "test_vit", "weights": "nan.safetensors"}, WeightsError, "not finite numbers"),
        ({"model": "test_vit", "weights": "."}, WeightsError, "this is a folder"),
        (
            {"model": "small", "image_height": 70, "image_width": 40},
            SettingsError,
            r"frames of 70 x 40 do not go through small \(RuntimeError",
        ),
        ({"model": "mvitv2_tiny", "weights": "vit.safetensors"}, SettingsError, "mvitv2_tiny cannot be used here"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_one_message(
    encoder: dict[str, Any], kind: type[CsipError], says: str, check: Check, tmp_path: Path
) -> None:
    write(tmp_path / "vit.safetensors")
    write(tmp_path / "wide.safetensors", embed_dim=96, num_heads=2)
    (tmp_path / "lfs.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "code.pth")
    state = load_file(tmp_path / "vit.safetensors")
    save_file(state | {"norm.weight": state["norm.weight"] * float("nan")}, tmp_path / "nan.safetensors")
    if "weights" in encoder:
        encoder = encoder | {"weights": str(tmp_path / encoder["weights"])}
    with pytest.raises(kind, match=says) as caught:
        check(**encoder)
    assert caught.value.fix


GOOD = """
import torch
from torch import nn
class Mine(nn.Module):
    size = (32, 16)
    def __init__(self):
        super().__init__()
        self.cells = nn.Conv2d(3, 8, 16, 16)
    def forward(self, x):
        cells = self.cells(x).flatten(2).transpose(1, 2)
        return cells, cells
"""
BROKEN = {
    "syntax": ("def (", r"its file cannot be run \(SyntaxError"),
    "import": ("import nowhere_to_be_found" + GOOD, r"its file cannot be run \(ModuleNotFoundError"),
    "exit": ("import sys; sys.exit(4)" + GOOD, r"its file cannot be run \(SystemExit: 4, line 1"),
    "arguments": (GOOD.replace("__init__(self)", "__init__(self, width)"), "cannot be made without arguments"),
    "no super": (GOOD.replace("        super().__init__()\n", ""), "cannot be made without arguments"),
    "forward": (GOOD.replace("cells = self.cells(x)", "cells = self.cells(x) @ self.cells(x)"), "do not go through it"),
    "size": (GOOD.replace("(32, 16)", "64"), r"its size is 64, expected 2 numbers such as \(256, 128\)"),
    "sizes": (GOOD.replace("(32, 16)", "(32.0, 16.0)"), r"its size is \(32.0, 16.0\), expected 2 numbers"),
    "mean": (GOOD.replace("size = (32, 16)", "mean = (0.5,)"), r"its mean is \(0.5,\), expected 3 numbers"),
    "deviation": (GOOD.replace("size = (32, 16)", "std = (0.0, 1.0, 1.0)"), "by which frames are divided"),
    "half": (GOOD.replace("return cells, cells", "return cells.half(), cells"), "its tokens are float16"),
    "not numbers": (GOOD.replace("return cells, cells", "return cells * float('nan'), cells"), "not finite numbers"),
}


@pytest.mark.parametrize(("code", "says"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_in_a_class_of_ones_own_is_one_message(
    code: str, says: str, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises((SettingsError, WeightsError), match=says) as caught:
        check(model=f"{tmp_path / 'mine.py'}:Mine")
    assert caught.value.fix


def test_what_a_class_of_ones_own_imports_from_beside_it_counts_as_its_code(check: Check, tmp_path: Path) -> None:
    (tmp_path / "cells_of_mine.py").write_text(GOOD.replace("Mine", "Cells"))
    (tmp_path / "mine.py").write_text("from cells_of_mine import Cells\nclass Mine(Cells):\n    pass\n")
    model = f"{tmp_path / 'mine.py'}:Mine"
    check(model=model)
    assert weight_files(EncoderSettings(model=model)) == {
        "code": tmp_path / "mine.py",
        "code cells_of_mine": tmp_path / "cells_of_mine.py",
    }
