"""What METHOD calls a default or an option is a setting, and every option changes what it should."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from storage.progress import silent
from tests.training.stages import FINETUNE, PRETRAIN, Stages, digests
from training import finetune
from training.files import load_tensors
from training.model.prototypes import PrototypeFusionUpdater
from training.model.reid_model import ReidModel
from training.model.skeleton_encoder import SkeletonEncoder, load_skeleton_encoder
from training.settings import (
    HISTORY,
    MODEL,
    PROTOTYPES,
    AugmentSettings,
    EmbedSettings,
    EncoderSettings,
    FinetuneSettings,
    LossSettings,
    PretrainSettings,
    SkeletonSettings,
)


def test_stage_1_has_the_published_defaults() -> None:
    chosen = PretrainSettings()
    assert (chosen.epochs, chosen.batch, chosen.clip_length) == (120, 64, 8)
    assert (chosen.lr, chosen.weight_decay) == (3.5e-4, 1e-4)
    assert (chosen.warmup_epochs, chosen.warmup_lr, chosen.final_lr) == (5, 1e-5, 1e-6)
    assert (chosen.normalise, chosen.temperature) == (True, 0.07)
    assert chosen.sampler == "identities"
    assert chosen.flip == 0, "no image augmentation"
    sgt = SkeletonSettings()
    assert (sgt.width, sgt.depth, sgt.heads, sgt.hidden, sgt.dropout) == (512, 10, 8, 1024, 0.3)
    assert (sgt.eigenvectors, sgt.temporal) == (10, False)


def test_stage_2_has_the_published_defaults() -> None:
    chosen = FinetuneSettings()
    assert (chosen.epochs, chosen.identities, chosen.instances, chosen.clip_length) == (80, 4, 4, 8)
    assert (chosen.lr, chosen.bias_lr, chosen.head_lr, chosen.weight_decay) == (5e-6, 2, 10, 1e-4)
    assert (chosen.warmup_epochs, chosen.warmup_factor) == (10, 0.1)
    assert (chosen.milestones, chosen.gamma) == ((30, 50, 70), 0.1)
    assert (chosen.refresh_every, chosen.freeze_skeleton, chosen.camera_side) == (0, False, True)
    losses = LossSettings()
    assert (losses.identity, losses.triplet, losses.prototype, losses.frame) == (0.25, 1.0, 1.0, 0.1625)
    assert (losses.smoothing, losses.margin) == (0.1, 0.3)
    augment = AugmentSettings()
    assert (augment.flip, augment.erase, augment.shift, augment.colour) == (0.5, 0.5, 0, 0)
    assert chosen.sampler == "random"


def test_the_models_have_the_published_sizes() -> None:
    encoder = EncoderSettings()
    with torch.device("meta"):
        model = ReidModel(encoder, SkeletonSettings(), 625, (1, 2, 3, 4, 5, 6))
        tokens, projected = model.visual(torch.zeros(2, 3, 256, 128))
        pfu = PrototypeFusionUpdater(512)
    trunk = model.visual.trunk
    assert trunk.size == (256, 128)
    assert (trunk.token_width, trunk.projected_width) == (768, 512)
    assert [round(x, 4) for x in trunk.mean] == [0.4815, 0.4578, 0.4082]
    assert [round(x, 4) for x in trunk.std] == [0.2686, 0.2613, 0.2758]
    assert (tokens.shape, projected.shape) == ((2, 129, 768), (2, 129, 512))
    assert len(pfu.layers) == 2
    assert {(layer.among.heads, layer.drop.p, layer.mlp[0].out_features) for layer in pfu.layers} == {(8, 0.1, 2048)}
    assert model.heads["temporal"].classifier.bias is None


@pytest.mark.parametrize(
    "change",
    [
        {"normalise": False, "temperature": 1.0},
        {"sampler": "uniform"},
        {"skeletons": "shuffled"},
        {"skeleton": PRETRAIN.skeleton.model_copy(update={"temporal": True, "depth": 2})},
    ],
    ids=lambda change: ",".join(change),
)
def test_each_option_of_stage_1_trains_and_changes_what_is_learnt(stages: Stages, change: dict[str, object]) -> None:
    default = stages.run("pretrain")
    other = stages.run("pretrain", "other", PRETRAIN.model_copy(update=change))
    assert digests(other)["model.safetensors"] != digests(default)["model.safetensors"]


@pytest.mark.parametrize(
    "change",
    [
        {"freeze_skeleton": True},
        {"refresh_every": 0},
        {"camera_side": False},
        {"use_sgtm": False},
        {"use_pfu": False},
        {"sampler": "complete"},
        {"skeletons": "shuffled"},
        {"use_skeletons": False},
    ],
    ids=lambda change: ",".join(change),
)
def test_each_option_of_stage_2_trains_and_changes_what_is_learnt(stages: Stages, change: dict[str, object]) -> None:
    default = stages.run("finetune")
    other = stages.run("finetune", "other", FINETUNE.model_copy(update=change))
    assert digests(other)["model.safetensors"] != digests(default)["model.safetensors"]


def test_without_epochs_the_skeleton_encoder_keeps_the_weights_that_training_starts_from(stages: Stages) -> None:
    settings = PRETRAIN.model_copy(update={"epochs": 0})
    out = stages.run("pretrain", "untrained", settings)
    width = load_skeleton_encoder(out)[1]["projection"]
    torch.manual_seed(settings.seed)
    expected = SkeletonEncoder(settings.skeleton, width).state_dict()
    found = load_tensors(out / MODEL)
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert load_tensors(out / PROTOTYPES)["skeleton"].isfinite().all()
    assert not (out / HISTORY).exists(), "there is none to draw"


def test_stage_2_without_skeletons_needs_none_to_be_there(stages: Stages) -> None:
    settings = FINETUNE.model_copy(update={"use_skeletons": False, "epochs": 1})
    there = stages.run("finetune", "there", settings)
    out = stages.root / "finetune" / "not there"
    out.mkdir(parents=True)
    inputs = replace(stages.finetune_inputs(), skeletons=(), pretrained=None)
    finetune.run(inputs, settings, out, silent)
    assert digests(out) == digests(there)


def test_a_frozen_skeleton_encoder_stays_as_it_was_pretrained_and_another_learns(stages: Stages) -> None:
    before = load_tensors(stages.ready("pretrain") / MODEL)
    frozen = stages.run("finetune", "frozen", FINETUNE.model_copy(update={"freeze_skeleton": True}))
    trained = stages.run("finetune", "trained")
    for name, value in before.items():
        assert torch.equal(load_tensors(frozen / MODEL)[f"skeleton.{name}"], value)
    changed = [n for n, v in before.items() if not torch.equal(load_tensors(trained / MODEL)[f"skeleton.{n}"], v)]
    assert changed


def test_embeddings_can_be_made_either_way() -> None:
    assert {EmbedSettings(sampling=way).sampling for way in ("rrs", "dense")} == {"rrs", "dense"}


def test_contrast_of_normalised_features_does_not_depend_on_their_size() -> None:
    from training.model.losses import supcon

    a, b, pids = torch.randn(4, 8), torch.randn(4, 8), torch.tensor([0, 0, 1, 1])
    one = supcon(F.normalize(a, dim=1), F.normalize(b, dim=1), pids, 0.07)
    large = supcon(F.normalize(9 * a, dim=1), F.normalize(b, dim=1), pids, 0.07)
    torch.testing.assert_close(one, large)
