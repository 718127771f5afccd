"""Whole small runs with encoders of several families, from pretrained weights to a report and an exported model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import evaluation.evaluate
import training.embed
from evaluation.evaluate import EvaluationSettings
from flows.config import make_config
from flows.rebuild import rebuild
from storage.index import DataSettings, scan, write_index
from storage.progress import silent
from storage.store.artifacts import Store
from storage.tables.parquet import read_table
from storage.tables.schema import EMBEDDINGS
from tests.small_run import small_settings
from training.export import export
from training.model.encoders.osnet import NAMES, OSNet
from training.settings import EmbedSettings, EncoderSettings

WIDTHS = {"test_vit": 2 * 64, "test_resnet": 2 * 96, "osnet_x0_25": 128 + 512 + 128}  # CLS, projected CLS, F


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
    (finetuned,) = store.all("finetuned")
    widths = {
        len(row["embedding"])
        for artifact in store.all("embeddings")
        if artifact.manifest["inputs"].get("model")
        for row in read_table([artifact.file("embeddings.parquet").path], EMBEDDINGS).to_pylist()
    }
    assert widths == {WIDTHS[model]}
    for name, file in (("safetensors", "model.safetensors"), ("onnx", "model.onnx")):
        about, difference = export(finetuned.path, EmbedSettings(), name, tmp_path / file)
        assert about.embedding_width == WIDTHS[model]
        assert difference < 1e-5
    assert np.isfinite(about.mean).all()


@pytest.mark.slow
def test_osnet_as_it_is_ranks_real_people_as_its_authors_code_does(shared_data: Path, tmp_path: Path) -> None:
    """mAP and Rank-1, percent, of an independent implementation: 42.1 and 44.1 with queries in the gallery."""
    weights = shared_data.parent / "weights/osnet/osnet_x0_25_msmt17.pth"
    encoder = EncoderSettings(model="osnet_x0_25", weights=weights)
    data = DataSettings(root=shared_data / "mars-tiles", train_shards=1, test_shards=1)
    (index := tmp_path / "index").mkdir()
    write_index(scan(data, tmp_path / "cache"), data, index)
    inputs = training.embed.Inputs(data.place, index / "test-000.parquet", None, encoder)
    training.embed.run(inputs, EmbedSettings(), tmp_path, silent)
    found = {}
    for gallery in ("with_queries", "without_queries"):
        (out := tmp_path / gallery).mkdir()
        ranked = evaluation.evaluate.Inputs((tmp_path / "embeddings.parquet",))
        evaluation.evaluate.run(ranked, EvaluationSettings(gallery=gallery), out)
        metrics = json.loads((out / "metrics.json").read_text())
        found[gallery] = (100 * metrics["mAP"], 100 * metrics["cmc"]["1"])
    assert found["with_queries"] == pytest.approx((42.1, 44.1), abs=0.3)
    assert found["without_queries"] == pytest.approx((47.7, 48.8), abs=0.3)
