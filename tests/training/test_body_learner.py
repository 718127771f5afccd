"""An encoder of bodies is trained, kept and used: sequences of a skeleton of their own in, ranks out."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import extraction.recordings
from evaluation.ranking.distances import between
from evaluation.ranking.embeddings import queries_and_gallery, read_embeddings
from evaluation.ranking.metrics import per_query
from evaluation.ranking.ranks import rank_gallery
from storage.datasets.recordings.readers import SEQUENCE_READERS, SequenceSettings
from storage.errors import SettingsError, WeightsError
from storage.frames.files import DataFiles
from storage.progress import silent
from storage.skeleton import SkeletonType, described_kind, skeleton_of
from storage.tables.parquet import write_table
from storage.tables.schema import SKELETON_KEY
from storage.tables.tracklets import index_table
from tests.storage.datasets.recordings.skeleton_trees import WALKER, WALKER_BONES, write_arrays
from tests.training.stages import QUIET, digests
from training import embed_sequences, skeleton_only
from training.batches.sequences import read_recordings
from training.body_settings import BodySettings
from training.model.body_encoder import BodyEncoder
from training.model.sequence_encoders import load_sequence_encoder
from training.model.skeleton_encoder import load_skeleton_encoder
from training.settings import SETTINGS, FeatureSettings, SkeletonOnlySettings, SkeletonSettings
from training.skeleton_only import check_kind

CHOSEN = SequenceSettings(
    train={"test": (False,)},
    query={"test": (True,), "condition": ("N",)},
    gallery={"test": (True,), "condition": ("AR",)},
)
BRIEF = SkeletonOnlySettings(
    epochs=2,
    clip_length=4,
    batch=12,
    instances=3,
    lr=1e-3,
    warmup_epochs=0,
    threads=1,
    projection=8,
    flip=0.5,
    skeleton=SkeletonSettings(width=8, depth=2, heads=2, hidden=8, dropout=0.0, eigenvectors=4, temporal=True),
    body=BodySettings(graph=0.5),
)
PEOPLE = 12


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sequences of 6 people to train on, and of 6 others who walk normally and with trouble."""
    root = tmp_path_factory.mktemp("walkers")
    write_arrays(root / "raw.npz", frames=11, people=PEOPLE, walks=4)
    recordings, found = SEQUENCE_READERS["skeleton_arrays"].read(DataFiles(root), CHOSEN), {}
    for part in ("train", "test"):
        out = root / part
        out.mkdir()
        write_table(index_table(r for r in recordings if (r.split == "train") == (part == "train")), out / "index")
        inputs = extraction.recordings.Inputs(root, out / "index", "skeleton_arrays")
        extraction.recordings.run(inputs, CHOSEN, out, silent)
        found[part] = out / extraction.recordings.FILE_NAME
    return found


def trained(shards: dict[str, Path], out: Path, chosen: SkeletonOnlySettings = BRIEF) -> Path:
    out.mkdir(exist_ok=True)
    skeleton_only.run(skeleton_only.Inputs((shards["train"],), QUIET), chosen, out, silent)
    return out


def rank1(shards: dict[str, Path], model: Path, out: Path) -> float:
    out.mkdir()
    embed_sequences.run(embed_sequences.Inputs(shards["test"], model), FeatureSettings(device="cpu"), out, silent)
    sequences, found = (read_embeddings([out / f"{name}.parquet"]) for name in ("sequences", "recordings"))
    assert len(sequences) == 2 * len(found) == 2 * PEOPLE // 2 * 4
    queries, gallery = queries_and_gallery(found, "without_queries")
    ranking = rank_gallery(queries, gallery, between(queries.vectors, gallery.vectors), 1)
    assert (ranking.candidates == len(gallery)).all(), "no answer is left out"
    return float(per_query(ranking.ranks, ranking.starts).mean(5).cmc[0])


def test_unknown_people_are_told_apart_by_an_encoder_of_their_own_skeleton(
    shards: dict[str, Path], tmp_path: Path
) -> None:
    model = trained(shards, tmp_path / "model")
    encoder, described = load_sequence_encoder(model)
    assert isinstance(encoder, BodyEncoder)
    kind = described_kind(described["kind_of_skeleton"])
    assert kind == read_recordings([shards["test"]]).kind
    assert isinstance(kind, SkeletonType)
    assert (kind.joints, kind.edges) == (WALKER, WALKER_BONES)
    assert all(part.change.abs().sum() > 0 for part in encoder.whitened.values()), "all of it was trained"
    assert rank1(shards, model, tmp_path / "embeddings") > 0.6 > 3 / 6
    said = pq.read_schema(tmp_path / "embeddings" / "recordings.parquet").metadata[SKELETON_KEY].decode()
    assert skeleton_of(said) == kind


def test_a_recording_is_the_mean_of_its_parts_over_all_its_frames(shards: dict[str, Path], tmp_path: Path) -> None:
    model = trained(shards, tmp_path / "model")
    rank1(shards, model, tmp_path / "embeddings")
    encoder, _ = load_sequence_encoder(model)
    assert isinstance(encoder, BodyEncoder)
    recordings = read_recordings([shards["test"]])
    found = read_embeddings([tmp_path / "embeddings" / "recordings.parquet"])
    row = list(found.ids).index(recordings.ids[3])
    frames = torch.from_numpy(np.array(recordings.skeletons[3]))
    assert len(frames) == 11
    clips = torch.stack([frames[0:4], frames[4:8], frames[7:11]])  # 3.5 is rounded to the even 4
    with torch.inference_mode():
        expected = encoder.eval().joined(encoder(clips).mean(0, keepdim=True))[0]
    assert np.allclose(found.vectors[row], expected.numpy(), atol=1e-5)


def test_the_same_settings_make_the_same_bytes_and_an_interrupted_training_too(
    shards: dict[str, Path], tmp_path: Path
) -> None:
    whole = digests(trained(shards, tmp_path / "whole"))
    (tmp_path / "broken").mkdir()

    class Interrupted(Exception):
        pass

    def stop(done: int, total: int, message: str = "") -> None:
        if done > total // 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        skeleton_only.run(skeleton_only.Inputs((shards["train"],), QUIET), BRIEF, tmp_path / "broken", stop)
    assert digests(trained(shards, tmp_path / "broken")) == whole


def test_a_trained_encoder_is_used_as_it_is(shards: dict[str, Path], tmp_path: Path) -> None:
    model = trained(shards, tmp_path / "model")
    still = trained(shards, tmp_path / "still", BRIEF.model_copy(update={"start_from": model, "epochs": 0}))
    first, second = (load_sequence_encoder(folder)[0].state_dict() for folder in (model, still))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_an_encoder_of_a_skeleton_alone_can_be_of_any_kind_too(shards: dict[str, Path], tmp_path: Path) -> None:
    model = trained(shards, tmp_path / "model", BRIEF.model_copy(update={"body": None}))
    assert rank1(shards, model, tmp_path / "embeddings") > 0
    with pytest.raises(WeightsError, match="no skeleton encoder but 'body'"):
        load_skeleton_encoder(trained(shards, tmp_path / "body"))


def test_bodies_without_sides_are_not_mirrored() -> None:
    plain = SkeletonType("plain", tuple("abcdef"), ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5)))
    with pytest.raises(SettingsError, match=r"(?s)no joint's name says left or right.*skeleton_only.flip=0.5"):
        check_kind(plain, BRIEF)
    check_kind(plain, BRIEF.model_copy(update={"flip": 0.0}))


def test_what_does_not_fit_is_told(shards: dict[str, Path], tmp_path: Path) -> None:
    wide = BRIEF.model_copy(update={"skeleton": BRIEF.skeleton.model_copy(update={"eigenvectors": 6})})
    with pytest.raises(SettingsError, match=r"(?s)6 joints has 5 eigenvectors.*eigenvectors=6.*5 or fewer"):
        trained(shards, tmp_path / "wide", wide)
    model = trained(shards, tmp_path / "model")
    described = yaml.safe_load((model / SETTINGS).read_text())
    (model / SETTINGS).write_text(yaml.safe_dump(described | {"kind_of_skeleton": "octopus"}))
    with pytest.raises(WeightsError, match="'octopus', which describes no skeleton"):
        load_sequence_encoder(model)
