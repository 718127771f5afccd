"""Whole small runs with encoders of several families, from pretrained weights to a report and an exported model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from flows.config import make_config
from flows.rebuild import rebuild
from storage.store.artifacts import Store
from storage.tables.parquet import read_table
from storage.tables.schema import EMBEDDINGS
from tests.small_run import small_settings
from training.export import export
from training.model.encoders.osnet import NAMES, OSNet
from training.settings import EmbedSettings

WIDTHS = {"test_vit": (64, 64), "test_resnet": (96, 96), "osnet_x0_25": (128, 512)}


def pretrained(model: str, folder: Path) -> dict[str, Any]:
    """Settings of an encoder, with a file of random weights."""
    torch.manual_seed(0)
    if model in NAMES:
        made: torch.nn.Module = OSNet(model)
    else:
        size = {"img_size": (64, 32)} if "vit" in model else {}
        made = timm.create_model(model, pretrained=False, num_classes=0, **size)
    save_file(made.state_dict(), folder / "encoder.safetensors")
    return {"model": model, "weights": str(folder / "encoder.safetensors"), "image_height": 64, "image_width": 32}


@pytest.mark.slow
@pytest.mark.parametrize("model", WIDTHS)
def test_a_run_from_pretrained_weights(model: str, api: str, tmp_path: Path) -> None:
    settings = small_settings(tmp_path) | {"encoder": pretrained(model, tmp_path)}
    result = rebuild(make_config(settings, [f"extraction.weights_cache={tmp_path / 'cache'}"]))
    assert result.report
    store = Store(tmp_path / "store")
    assert not store.all("visual")
    d, p = WIDTHS[model]
    (finetuned,) = store.all("finetuned")
    widths = {
        len(row["embedding"])
        for artifact in store.all("embeddings")
        if artifact.manifest["inputs"].get("model")
        for row in read_table([artifact.file("embeddings.parquet").path], EMBEDDINGS).to_pylist()
    }
    assert widths == {2 * d + p}
    for name, file in (("safetensors", "model.safetensors"), ("onnx", "model.onnx")):
        about, difference = export(finetuned.path, EmbedSettings(), name, tmp_path / file)
        assert about.embedding_width == 2 * d + p
        assert difference < 1e-5
    assert np.isfinite(about.mean).all()
