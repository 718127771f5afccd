"""The mistakes of the published implementation (METHOD, section 7), each with a test that fails where it is made.

Mistakes of reading data sets and of evaluation have theirs beside those parts.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import training
from storage.errors import DataError, WeightsError
from storage.progress import silent
from storage.tables.parquet import read_table, write_table
from storage.tables.schema import SKELETONS
from tests.training.conftest import Small
from tests.training.stages import FINETUNE, PRETRAIN, QUIET, Stages, digests
from training import embed, finetune, pretrain
from training.batches import clips
from training.batches.augment import augmented, draw, mirror_skeletons
from training.batches.clips import read_skeletons, read_training_set
from training.files import load_tensors, load_weights
from training.inference_model import InferenceModel
from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.trunk import Composition
from training.model.losses import supcon
from training.model.prototypes import skeleton_prototypes
from training.model.reid_model import ReidModel
from training.model.skeleton_encoder import SkeletonEncoder, sequence_features
from training.model.temporal import TemporalModelling
from training.settings import MODEL, PROTOTYPES, AugmentSettings, EncoderSettings, LossSettings, SkeletonSettings

TINY = SkeletonSettings(width=16, depth=1, heads=2, hidden=16, dropout=0.5)
ENCODER = EncoderSettings(model="small", image_height=32, image_width=16, width=16, depth=1, heads=2, projection=8)


def test_random_eigenvector_signs_at_evaluation(stages: Stages, small: Small, tmp_path: Path) -> None:
    encoder, x = SkeletonEncoder(TINY, 8).eval(), torch.randn(1, 2, 17, 3)
    assert torch.equal(encoder(x), encoder(x))
    found = []
    for name in ("one", "two"):
        (out := tmp_path / name).mkdir()
        inputs = embed.Inputs(small.root, small.test, stages.ready("finetune"), small.encoder)
        embed.run(inputs, embed.EmbedSettings(), out, silent)
        found.append(digests(out))
    assert found[0] == found[1]


def test_joint_tokens_mixed_across_clips() -> None:
    torch.manual_seed(0)
    sgtm = TemporalModelling(8, 4, heads=2).double()
    tokens, joints = torch.randn(3, 2, 5, 8).double(), torch.randn(3, 2, 17, 4).double()
    sgtm.eval()
    together = sgtm(tokens, joints).frames
    for b in range(3):
        torch.testing.assert_close(together[b], sgtm(tokens[b : b + 1], joints[b : b + 1]).frames[0])


def test_permuting_the_clips_of_a_batch_permutes_the_loss_terms_inputs() -> None:
    torch.manual_seed(0)
    model = ReidModel(ENCODER, TINY, identities=3).eval()
    batch = {
        "images": torch.rand(4, 2, 3, 32, 16) * 255,
        "skeletons": torch.randn(4, 2, 17, 3),
        "seen": torch.ones(4, 2, dtype=torch.bool),
        "labels": torch.tensor([0, 0, 2, 2]),
        "camids": torch.ones(4, dtype=torch.int64),
    }
    order = torch.tensor([3, 1, 0, 2])
    plain = model.loss(batch, LossSettings())
    permuted = model.loss({name: value[order] for name, value in batch.items()}, LossSettings())
    for name, value in plain.items():
        torch.testing.assert_close(permuted[name], value)
    torn = model.loss(batch | {"skeletons": batch["skeletons"][order]}, LossSettings())
    assert not torch.isclose(torn["frame"], plain["frame"]), "a skeleton of another clip would be noticed"


def test_flips_not_mirrored_in_the_skeleton(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    original = ReidModel.loss

    def watched(self: ReidModel, batch: dict[str, torch.Tensor], settings: LossSettings) -> dict[str, torch.Tensor]:
        given.append(batch)
        return original(self, batch, settings)

    monkeypatch.setattr(ReidModel, "loss", watched)
    plain = AugmentSettings(flip=0, shift=0, erase=0)
    for name, augment in (("plain", plain), ("flipped", plain.model_copy(update={"flip": 1.0}))):
        stages.run("finetune", name, FINETUNE.model_copy(update={"epochs": 1, "augment": augment}))
    half = len(given) // 2
    for before, after in zip(given[:half], given[half:], strict=True):
        assert torch.equal(after["images"], before["images"].flip(-1))
        assert torch.equal(after["skeletons"], mirror_skeletons(before["skeletons"]))
        assert before["skeletons"].any()


def test_erasing_always_at_one_corner() -> None:
    white = torch.full((40, 2, 3, 32, 16), 255, dtype=torch.uint8)
    settings = AugmentSettings(flip=0, shift=0, erase=1.0)
    done = augmented(white, draw(40, 2, settings, np.random.default_rng(0)), settings)
    erased = (done != white).all(dim=2).flatten(0, 1).float().mean(0)
    quarters = [erased[a : a + 16, b : b + 8].mean() for a in (0, 16) for b in (0, 8)]
    assert min(quarters) > 0.5 * max(quarters)


def test_configured_normalisation_and_erasing_ignored() -> None:
    images, settings = torch.rand(8, 2, 3, 32, 16) * 255, AugmentSettings(flip=0, shift=0, erase=0)
    draws = draw(8, 2, settings, np.random.default_rng(0))
    assert torch.equal(augmented(images, draws, settings), images)
    assert not torch.equal(augmented(images, draws, settings.model_copy(update={"erase": 1.0})), images)
    a, pids = torch.randn(4, 8), torch.tensor([0, 0, 1, 1])
    assert PRETRAIN.normalise
    assert not torch.isclose(supcon(a, a, pids, 1.0), supcon(a, a, pids, 0.07))


def test_prototypes_taken_in_train_mode_from_one_random_clip(stages: Stages, small: Small) -> None:
    data = read_training_set([small.train])
    skeletons, seen = read_skeletons([small.skeletons], data.tracklets)
    encoder = SkeletonEncoder(TINY, 8).train()
    one, two = (skeleton_prototypes(encoder, skeletons, seen, data.labels, 4) for _ in range(2))
    assert torch.equal(one, two)
    encoder.eval()
    for label in range(4):  # over all frames of all tracklets
        own = []
        for i in np.flatnonzero(data.labels == label):
            mask = torch.from_numpy(seen[i].copy())[None]
            own.append(sequence_features(encoder(torch.from_numpy(skeletons[i].copy())[None]), mask)[0])
        torch.testing.assert_close(one[label], torch.stack(own).mean(0))


def test_frozen_features_recomputed_every_epoch(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stages.ready("features")

    def loaded(*_: object) -> None:
        raise AssertionError("the visual encoder was loaded")

    monkeypatch.setattr("training.model.encoders.start.VisualEncoder", loaded)
    monkeypatch.setattr("training.model.encoders.encoder.VisualEncoder.__init__", loaded)
    shutil.rmtree(stages.small.root)  # nor is any frame needed
    assert (stages.run("pretrain") / MODEL).is_file()


def test_a_json_and_a_jpeg_opened_for_every_frame_of_every_step(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, opened = stages.finetune_inputs(), []
    original = clips.read_frame

    def counted(root: Path, name: str) -> object:
        opened.append(name)
        return original(root, name)

    monkeypatch.setattr(clips, "read_frame", counted)
    read = []
    original_table = pretrain.read_skeletons
    monkeypatch.setattr(finetune, "read_skeletons", lambda *given: read.append(given) or original_table(*given))
    (out := stages.root / "counted").mkdir()
    settings = FINETUNE.model_copy(update={"epochs": 6, "refresh_every": 0, "decode_workers": 1})
    finetune.run(inputs, settings, out, silent)
    assert len(opened) == len(set(opened)), "each frame is decoded once, and kept"
    assert len(read) == 1, "skeletons are read once, in one piece"


def test_skeletons_read_at_test_time() -> None:
    assert embed.Inputs.__dataclass_fields__["skeletons"].default is None
    assert embed.EmbedSettings().frame_weights == "equal", "by which alone they would be asked for"
    inference = InferenceModel(VisualEncoder(ENCODER), Composition())
    assert not any(name.startswith("skeleton") for name in inference.state_dict())


def test_skeleton_and_image_lists_matched_by_order_alone(small: Small, tmp_path: Path) -> None:
    tracklets = read_training_set([small.train]).tracklets
    table = read_table(small.skeletons, SKELETONS)
    shuffled, short = tmp_path / "shuffled.parquet", tmp_path / "short.parquet"
    write_table(table.take(pa.array(np.random.default_rng(0).permutation(len(table)))), shuffled)
    for one, other in zip(
        read_skeletons([small.skeletons], tracklets), read_skeletons([shuffled], tracklets), strict=True
    ):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    write_table(table.slice(1), short)
    with pytest.raises(DataError, match="0 skeletons for 5 frames") as caught:
        read_skeletons([short], tracklets)
    assert tracklets[0].tracklet_id in str(caught.value)


@pytest.mark.slow
def test_label_maps_that_depend_on_hash_order(small: Small) -> None:
    program = (
        "import sys; from pathlib import Path; from training.batches.clips import read_training_set as read\n"
        "data = read([Path(sys.argv[1])]); print(data.labels.tolist(), data.pids, data.cameras)"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program, str(small.train)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(training.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {"[0, 0, 1, 1, 2, 2, 3, 3] (1, 2, 3, 4) (1, 2)\n"}


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
@pytest.mark.parametrize("status", [1, 2], ids=["low confidence", "nobody"])
def test_failed_detections_fed_to_training(stages: Stages, small: Small, stage: str, status: int) -> None:
    stages.ready("finetune" if stage == "finetune" else "features")
    learnt = []
    for name, size in (("zeros", 0.0), ("huge", 1e3)):
        rows = pq.read_table(small.skeletons).to_pylist()
        for row in (rows[1], rows[4]):
            row["status"] = [status] * 2 + row["status"][2:]
            row["keypoints_3d"] = [size] * (2 * 17 * 3) + row["keypoints_3d"][2 * 17 * 3 :]
        rows[6]["status"] = [status] * 5
        rows[6]["keypoints_3d"] = [size] * (5 * 17 * 3)
        write_table(pa.Table.from_pylist(rows, schema=SKELETONS), small.skeletons)
        out = stages.run(stage, name)
        learnt.append({file: digests(out)[file] for file in (MODEL, PROTOTYPES, "history.parquet")})
    assert learnt[0] == learnt[1]


@pytest.mark.parametrize("stage", ["visual", "pretrain", "finetune"])
def test_the_best_checkpoint_chosen_on_the_test_set(stages: Stages, small: Small, stage: str) -> None:
    small.test.unlink()
    out = stages.run(stage, "first", trainer=QUIET)
    states = sorted((out / "work").glob("state-*.pth"))
    last = torch.load(states[-1], weights_only=True)
    assert last["epochs"] == 3
    if stage != "visual":  # that one is folded at its end
        for name, value in load_tensors(out / MODEL).items():
            assert torch.equal(last["model"][f"trained.{name}"], value), "the result is the last epoch"


def test_a_weights_path_written_into_the_code() -> None:
    for path in Path(training.__file__).parent.glob("*.py"):
        assert not re.search(r"""["'](/|~|[A-Z]:\\)\w""", path.read_text()), path.name


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_do_not_match_skipped_in_silence(change: str) -> None:
    model = torch.nn.Linear(2, 3)
    state = dict(model.state_dict())
    if change == "missing":
        del state["bias"]
    elif change == "extra":
        state["scale"] = torch.zeros(1)
    else:
        state["bias"] = torch.zeros(4)
    with pytest.raises(WeightsError, match="scale" if change == "extra" else "bias"):
        load_weights(model, state, Path("weights"))
