"""The training stages one after another on a small data set: same bytes twice, and after an interruption."""

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from storage.progress import silent
from storage.tables.parquet import read_ragged, read_table, write_table
from storage.tables.schema import EMBEDDINGS, FEATURES, MODEL_KEY
from storage.tables.tracklets import index_table, read_index
from tests.training.conftest import Small
from tests.training.stages import PRETRAIN, Stages, digests
from training import embed
from training.batches.clips import FrameSource
from training.batches.sampling import dense_clips
from training.inference_model import described, load_embedder
from training.settings import HISTORY


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("stage", ["visual", "pretrain", "finetune"])
def test_an_interrupted_training_ends_with_the_same_bytes(stages: Stages, stage: str) -> None:
    whole = stages.run(stage, "whole")
    steps = len(pq.read_table(whole / HISTORY))

    def stop(done: int, total: int, message: str = "") -> None:
        if done > total * 2 // 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        stages.run(stage, "broken", progress=stop)
    continued: list[int] = []
    broken = stages.run(stage, "broken", progress=lambda done, total, message="": continued.append(done))

    assert digests(broken) == digests(whole)
    assert 0 < len(continued) < steps, "it went on from where it was, not from the start"


def test_losses_are_recorded_step_by_step(stages: Stages) -> None:
    history = pq.read_table(stages.run("finetune") / HISTORY)
    assert {"step", "epoch", "lr", "loss", "prototype", "frame", "triplet_temporal"} <= set(history.column_names)
    rows = history.to_pylist()
    assert [row["step"] for row in rows] == list(range(len(rows)))
    for row in rows:
        terms = sum(value for name, value in row.items() if name not in ("step", "epoch", "lr", "loss"))
        assert row["loss"] == pytest.approx(terms)


def test_features_are_the_encoders_and_not_a_number_where_a_frame_is_broken(stages: Stages, small: Small) -> None:
    read = read_ragged([stages.run("features") / "features.parquet"], FEATURES, {"features": (-1,)})
    bad = np.isnan(read.values["features"]).any(axis=1)
    assert bad.nonzero()[0].tolist() == [1]


def test_prototypes_are_the_same_when_computed_twice(stages: Stages, small: Small) -> None:
    from training.batches.clips import read_skeletons, read_training_set
    from training.model.prototypes import skeleton_prototypes
    from training.model.skeleton_encoder import SkeletonEncoder

    data = read_training_set([small.train])
    skeletons, seen = read_skeletons([small.skeletons], data.tracklets)
    encoder = SkeletonEncoder(PRETRAIN.skeleton, 8).train()
    one, two = (skeleton_prototypes(encoder, skeletons, seen, data.labels, 4) for _ in range(2))
    assert torch.equal(one, two)
    assert encoder.training


@pytest.mark.parametrize("sampling", ["rrs", "dense"])
def test_embeddings_are_unit_vectors_and_zeros_for_a_tracklet_that_cannot_be_read(
    stages: Stages, small: Small, tmp_path: Path, sampling: str
) -> None:
    for stage, width in (("visual", 16 + 8), ("finetune", 16 + 8 + 16)):
        out = tmp_path / f"embeddings-{stage}"
        out.mkdir()
        settings = embed.EmbedSettings(sampling=sampling, clip_length=2)
        embed.run(embed.Inputs(small.root, small.test, stages.ready(stage), small.encoder), settings, out, silent)
        rows = read_table(out / "embeddings.parquet", EMBEDDINGS).to_pylist()
        length = {row["tracklet_id"]: np.linalg.norm(row["embedding"]) for row in rows}
        assert {len(row["embedding"]) for row in rows} == {width}
        assert length["0007C1T0001"] == pytest.approx(1)
        assert length["0007C2T0001"] == 0
        assert json.loads((out / "notes.json").read_text())["without_readable_frame"] == ["0007C2T0001"]


def test_embeddings_carry_the_clothes_of_the_index(stages: Stages, small: Small, tmp_path: Path) -> None:
    clothes = {t.tracklet_id: number for number, t in enumerate(read_index(small.test), start=3)}
    dressed = [replace(t, clothes=clothes[t.tracklet_id]) for t in read_index(small.test)]
    write_table(index_table(dressed), tmp_path / "dressed.parquet")
    inputs = embed.Inputs(small.root, tmp_path / "dressed.parquet", stages.ready("visual"), small.encoder)
    embed.run(inputs, embed.EmbedSettings(clip_length=2), tmp_path, silent)
    rows = read_table(tmp_path / "embeddings.parquet", EMBEDDINGS).to_pylist()
    assert {row["tracklet_id"]: row["clothes"] for row in rows} == clothes


def test_embeddings_say_which_model_made_them_and_how(stages: Stages, small: Small, tmp_path: Path) -> None:
    folder, said = stages.ready("finetune"), set()
    for scale in ("raw", "unit"):
        settings = embed.EmbedSettings(clip_length=2, scale=scale)
        embed.run(embed.Inputs(small.root, small.test, folder, small.encoder), settings, tmp_path, silent)
        metadata = pq.read_schema(tmp_path / "embeddings.parquet").metadata
        assert metadata[MODEL_KEY.encode()].decode() == described(folder, settings).embeds_as
        said.add(metadata[MODEL_KEY.encode()])
    assert len(said) == 2


def test_dense_embeddings_are_the_mean_of_raw_clip_features_normalised(
    stages: Stages, small: Small, tmp_path: Path
) -> None:
    folder, settings = stages.ready("finetune"), embed.EmbedSettings(clip_length=2)
    embed.run(embed.Inputs(small.root, small.test, folder, small.encoder), settings, tmp_path, silent)
    kept = {
        row["tracklet_id"]: row["embedding"]
        for row in read_table([tmp_path / "embeddings.parquet"], EMBEDDINGS).to_pylist()
    }
    raw, _ = load_embedder(folder, small.encoder, settings, "cpu")
    source = FrameSource(small.root, (32, 16), 1, cache_megabytes=0)
    tracklet = next(t for t in read_index(small.test) if len(t.frames) > 2)
    chosen = dense_clips(len(tracklet.frames), 2)
    clips = source.clips([[tracklet.frames[f] for f in clip] for clip in chosen])
    each = [raw(torch.from_numpy(clip)[None], torch.tensor([tracklet.camid]))[0].numpy() for clip in clips]
    assert len(each) > 1
    assert len({round(float(np.linalg.norm(one)), 3) for one in each}) > 1, "clips weigh as long as they are"
    mean = sum(each) / len(each)
    np.testing.assert_allclose(kept[tracklet.tracklet_id], mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.parametrize("stage", ["visual", "finetune"])
def test_frames_count_in_an_embedding_by_their_weights(stages: Stages, small: Small, stage: str) -> None:
    settings = embed.EmbedSettings(clip_length=2)
    model, about = load_embedder(stages.ready(stage), small.encoder, settings, "cpu")
    (tracklet,) = [t for t in read_index(small.test) if t.tracklet_id == "0007C1T0001"]
    clips = [tracklet.frames[:2], (tracklet.frames[2],) * 2]

    def found(weights: list[float] | None) -> np.ndarray:
        given = None if weights is None else [np.array(weights, np.float32)]
        (row,) = embed.embed_tracklets(small.root, [tracklet], model, about.size, settings, weights=given)
        assert row is not None
        return row

    np.testing.assert_allclose(found([0.3, 0.3, 0.3]), found(None), atol=1e-6)
    images = torch.from_numpy(np.stack(FrameSource(small.root, about.size, 1, 0).clips(clips)))
    weights = torch.tensor([[0.9, 0.1], [0.5, 0.5]])
    rows = model(images, torch.tensor(tracklet.camid), weights)
    expected = (1.0 * rows[0] + 1.0 * rows[1]) / 2.0
    np.testing.assert_allclose(found([0.9, 0.1, 0.5]), expected / expected.norm(), atol=1e-6)


@pytest.mark.parametrize("stage", ["visual", "finetune"])
def test_a_frame_is_decoded_once_in_a_training(stages: Stages, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stages.ready("pretrain")
    decoded: Counter[str] = Counter()
    original = FrameSource._decode

    def counted(self: FrameSource, name: str) -> object:
        decoded[name] += 1
        time.sleep(0.005)  # so that others ask for it meanwhile
        return original(self, name)

    monkeypatch.setattr(FrameSource, "_decode", counted)
    stages.run(stage, "counted")
    assert decoded
    assert set(decoded.values()) == {1}
