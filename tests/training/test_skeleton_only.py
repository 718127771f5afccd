"""Pretraining on skeletons alone: the loss by its formula, and people of generated BIWI and IAS-Lab told apart."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import extraction.recordings
from evaluation.ranking.distances import between
from evaluation.ranking.embeddings import Embeddings, queries_and_gallery, read_embeddings
from evaluation.ranking.metrics import Scores, chance, per_query
from evaluation.ranking.ranks import rank_gallery
from storage.datasets.recordings.readers import SEQUENCE_READERS, SequenceSettings
from storage.errors import DataError, SettingsError, WeightsError
from storage.frames.files import DataFiles
from storage.progress import silent
from storage.skeleton import COCO17, H36M17, KINECT20
from storage.tables.parquet import write_table
from storage.tables.tracklets import index_table
from tests.storage.datasets.recordings.skeleton_trees import write_biwi, write_ias
from tests.training.stages import QUIET, Stages, digests
from training import embed_sequences, skeleton_only
from training.batches.sequences import read_recordings
from training.model.losses import supcon_among
from training.model.skeleton_encoder import load_skeleton_encoder
from training.settings import FeatureSettings, SkeletonOnlySettings, SkeletonSettings
from training.skeleton_only import hidden_joints, varied

SETTINGS = SkeletonOnlySettings(
    epochs=15,
    batch=32,
    instances=4,
    lr=3e-3,
    warmup_epochs=1,
    threads=1,
    projection=16,
    skeleton=SkeletonSettings(width=16, depth=2, heads=2, hidden=32, dropout=0.0, temporal=True),
)
BRIEF = SETTINGS.model_copy(update={"epochs": 3})


def slow_supcon_among(features: list[list[float]], pids: list[int], clips: list[int], tau: float) -> float:
    """By the formula, one anchor at a time."""
    losses = []
    for i, x in enumerate(features):
        others = [j for j in range(len(pids)) if clips[j] != clips[i]]
        similar = {j: np.exp(np.dot(x, features[j]) / tau) for j in others}
        positives = [j for j in others if pids[j] == pids[i]]
        if positives:
            losses.append(-np.mean([np.log(similar[j] / sum(similar.values())) for j in positives]))
    return float(np.mean(losses)) if losses else 0.0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=9), st.integers(0, 999))
def test_contrast_among_items_is_its_formula(items: list[tuple[int, int]], seed: int) -> None:
    rows = torch.randn(len(items), 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    clips = [clip for _, clip in items]
    pids = [10 * clip % 3 for clip in clips] if seed % 2 else [pid for pid, _ in items]
    found = supcon_among(rows, torch.tensor(pids), torch.tensor(clips), 0.7)
    assert float(found) == pytest.approx(slow_supcon_among(rows.tolist(), pids, clips, 0.7))


def test_contrast_has_a_gradient_where_only_some_items_have_a_positive() -> None:
    rows = torch.nn.functional.normalize(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    rows.requires_grad_()
    supcon_among(rows, torch.tensor([0, 0, 1, 2]), torch.arange(4), 0.07).backward()
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()
    assert rows.grad.abs().sum() > 0


@pytest.mark.parametrize(("share", "count"), [(0.5, 10), (0.01, 1), (0.99, 19)])
def test_a_share_of_the_joints_of_each_frame_is_hidden_and_never_the_root(share: float, count: int) -> None:
    hidden = hidden_joints(torch.Size((3, 6, 20)), KINECT20, share, np.random.default_rng(0))
    assert hidden.sum(-1).unique().tolist() == [count]
    assert not hidden[..., KINECT20.root[0]].any()
    assert hidden.any(dim=(0, 1)).sum() > min(count, 9), "other joints in other frames"


def test_a_mean_of_joints_is_a_root_that_may_be_hidden() -> None:
    assert hidden_joints(torch.Size((9, 9, 17)), COCO17, 0.5, np.random.default_rng(0)).any(dim=(0, 1)).all()


def test_variation_keeps_limbs_and_heights() -> None:
    clips = torch.randn(5, 6, 20, 3, generator=torch.Generator().manual_seed(0))
    turned = varied(clips, KINECT20, SETTINGS.model_copy(update={"turn": 90.0}), np.random.default_rng(0))
    assert torch.allclose(turned[..., 1], clips[..., 1])
    assert torch.allclose(turned.norm(dim=-1), clips.norm(dim=-1), atol=1e-5)
    assert not torch.allclose(turned, clips, atol=0.1)
    mirrored = varied(clips, KINECT20, SETTINGS.model_copy(update={"flip": 1.0}), np.random.default_rng(0))
    assert torch.equal(mirrored[:, :, 4, 0], -clips[:, :, 8, 0])
    assert torch.equal(mirrored[:, :, 4, 1:], clips[:, :, 8, 1:])
    assert torch.equal(varied(clips, KINECT20, SETTINGS, np.random.default_rng(0)), clips)


# -- generated people ---------------------------------------------------------


@dataclass(frozen=True)
class World:
    """The sequences of a data set's training and of its test."""

    train: Path
    test: Path


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], World]:
    made: dict[str, World] = {}

    def world(layout: str) -> World:
        if layout not in made:
            folder = tmp_path_factory.mktemp(layout)
            write = {
                "biwi": lambda: write_biwi(folder / "raw", train=8, test=6, frames=40),
                "ias": lambda: write_ias(folder / "raw", people=6, frames=40),
            }[layout]
            made[layout] = World(*sequences(layout, write(), folder))
        return made[layout]

    return world


def sequences(layout: str, root: Path, folder: Path) -> list[Path]:
    """The two parts of a data set as the `skeletons` stage writes them."""
    chosen = SequenceSettings(trim=2)
    recordings = SEQUENCE_READERS[layout].read(DataFiles(root), chosen)
    paths = []
    for part in ("train", "test"):
        out = folder / part
        out.mkdir()
        write_table(index_table(r for r in recordings if (r.split == "train") == (part == "train")), out / "index")
        extraction.recordings.run(extraction.recordings.Inputs(root, out / "index", layout), chosen, out, silent)
        paths.append(out / extraction.recordings.FILE_NAME)
    return paths


def trained(world: World, out: Path, chosen: SkeletonOnlySettings = SETTINGS, sequences: Path | None = None) -> Path:
    out.mkdir(exist_ok=True)
    skeleton_only.run(skeleton_only.Inputs((sequences or world.train,), QUIET), chosen, out, silent)
    return out


def embedded(world: World, model: Path, out: Path) -> dict[str, Embeddings]:
    out.mkdir()
    embed_sequences.run(embed_sequences.Inputs(world.test, model), FeatureSettings(device="cpu"), out, silent)
    return {name: read_embeddings([out / f"{name}.parquet"]) for name in ("sequences", "recordings")}


def measured(found: Embeddings) -> tuple[Scores, Scores]:
    """Scores, and those of chance."""
    queries, gallery = queries_and_gallery(found, "without_queries")
    ranking = rank_gallery(queries, gallery, between(queries.vectors, gallery.vectors), 1)
    assert (ranking.candidates == len(gallery)).all(), "no answer is left out"
    return per_query(ranking.ranks, ranking.starts).mean(5), chance(ranking.matches, ranking.candidates, 5)


@pytest.mark.parametrize("layout", ["biwi", "ias"])
def test_people_are_told_apart_far_above_chance(worlds: Callable[[str], World], tmp_path: Path, layout: str) -> None:
    world = worlds(layout)
    found = embedded(world, trained(world, tmp_path / "model"), tmp_path / "embeddings")
    for embeddings in found.values():
        reached, random = measured(embeddings)
        assert random.cmc[0] == pytest.approx(1 / 6)
        assert reached.cmc[0] > 2.5 * random.cmc[0]
        assert reached.mean_average_precision > random.mean_average_precision + 0.3


def test_with_identities_shuffled_among_recordings_ranks_are_at_chance(
    worlds: Callable[[str], World], tmp_path: Path
) -> None:
    world, rng = worlds("ias"), np.random.default_rng(0)
    table = pq.read_table(world.train)
    pids = rng.permutation(table["pid"].to_numpy())
    write_table(table.set_column(2, table.schema.field("pid"), [pids]), tmp_path / "shuffled.parquet")
    model = trained(world, tmp_path / "model", sequences=tmp_path / "shuffled.parquet")
    found = embedded(world, model, tmp_path / "embeddings")["sequences"]
    # what an encoder says of bodies is still of use, whatever it learnt: the test's identities are shuffled too
    names, owner = np.unique([name.split("#")[0] for name in found.ids], return_inverse=True)
    split = {name: name.split("/")[0] for name in names}
    first = np.array([split[name] == "TestingA" for name in names])
    rank1, random = [], 0.0
    for _ in range(300):
        shuffled = np.zeros(len(names), np.int32)
        shuffled[first], shuffled[~first] = rng.permutation(6) + 1, rng.permutation(6) + 1
        reached, at_random = measured(replace(found, pids=shuffled[owner]))
        rank1.append(reached.cmc[0])
        random = at_random.cmc[0]
    error = np.std(rank1) / np.sqrt(len(rank1))
    assert np.mean(rank1) == pytest.approx(random, abs=4 * error)
    assert error < 0.02


def test_the_same_settings_make_the_same_bytes_and_an_interrupted_training_too(
    worlds: Callable[[str], World], tmp_path: Path
) -> None:
    world = worlds("ias")
    whole = digests(trained(world, tmp_path / "whole", BRIEF))
    (tmp_path / "broken").mkdir()

    class Interrupted(Exception):
        pass

    def stop(done: int, total: int, message: str = "") -> None:
        if done > total * 2 // 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        skeleton_only.run(skeleton_only.Inputs((world.train,), QUIET), BRIEF, tmp_path / "broken", stop)
    assert digests(trained(world, tmp_path / "broken", BRIEF)) == whole
    assert digests(trained(world, tmp_path / "other", BRIEF.model_copy(update={"seed": 1}))) != whole


def test_short_recordings_are_named_and_left_out(worlds: Callable[[str], World], tmp_path: Path) -> None:
    world = worlds("ias")
    long = BRIEF.model_copy(update={"clip_length": 36, "epochs": 1})
    model = trained(world, tmp_path / "model", long)
    found = embedded(world, model, tmp_path / "embeddings")
    assert len(found["sequences"]) == len(found["recordings"]) == 12, "36 of 40 frames are left after trimming"
    with pytest.raises(DataError, match="0 of 6 training identities have recordings of 37 frames"):
        trained(world, tmp_path / "longer", long.model_copy(update={"clip_length": 37}))


# -- from video to skeletons --------------------------------------------------


def test_an_encoder_of_a_video_data_set_is_used_as_it_is_or_finetuned(
    worlds: Callable[[str], World], stages: Stages, tmp_path: Path
) -> None:
    world, video = worlds("ias"), stages.ready("pretrain")
    given = BRIEF.model_copy(update={"start_from": video})
    still = trained(world, tmp_path / "still", given.model_copy(update={"epochs": 0}))
    before, described = load_skeleton_encoder(video)
    assert described["kind_of_skeleton"] == "h36m17"
    after, described = load_skeleton_encoder(still)
    assert described["kind_of_skeleton"] == "h36m17"
    assert all(torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items())
    tuned, _ = load_skeleton_encoder(trained(world, tmp_path / "tuned", given))
    assert not torch.equal(tuned.state_dict()["project.weight"], before.state_dict()["project.weight"])
    assert torch.equal(tuned.positions, before.positions)

    # Kinect skeletons reach it as Human3.6M's, centred on their pelvis
    recordings = read_recordings([world.test])
    assert recordings.kind == KINECT20
    mapped = recordings.as_kind(H36M17)
    clip = torch.from_numpy(mapped.skeletons[0][:3].copy())[None]
    expected = torch.nn.functional.normalize(before.eval()(clip, pool=True), dim=1)
    found = embedded(world, still, tmp_path / "embeddings")
    assert len(found["sequences"]) == 12 * 6
    by_hand = embed_sequences.embedded(before, clip, "cpu", 4)
    assert torch.allclose(by_hand, expected, atol=1e-6)


def test_what_cannot_be_started_from_is_named(worlds: Callable[[str], World], stages: Stages, tmp_path: Path) -> None:
    world = worlds("ias")
    visual = BRIEF.model_copy(update={"start_from": stages.ready("visual")})
    with pytest.raises(WeightsError, match="no skeleton encoder but 'visual'"):
        trained(world, tmp_path / "visual", visual)
    recordings = read_recordings([world.test])
    with pytest.raises(SettingsError, match="an encoder of coco17 skeletons cannot be used on kinect20"):
        recordings.as_kind(COCO17)
