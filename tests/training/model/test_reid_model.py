from typing import Any

import numpy as np
import pytest
import torch

from tests.training.model_folders import reference_features
from tests.training.reference import array, batch_hard_triplet, batch_norm, linear, smoothed_cross_entropy
from training.finetune import parameter_groups
from training.model.encoders.trunk import Composition
from training.model.reid_model import Features, ReidModel, embedding
from training.settings import EncoderSettings, FinetuneSettings, LossSettings, SkeletonSettings

ENCODER = EncoderSettings(model="small", image_height=32, image_width=16, width=16, depth=1, heads=2, projection=8)
SKELETON = SkeletonSettings(width=16, depth=1, heads=2, hidden=16, dropout=0.0)


@pytest.fixture
def model() -> ReidModel:
    torch.manual_seed(0)
    return ReidModel(ENCODER, SKELETON, identities=3, cameras=(1, 2))


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "images": torch.randint(0, 255, (4, 2, 3, 32, 16), generator=generator).float(),
        "skeletons": torch.randn(4, 2, 17, 3, generator=generator),
        "seen": torch.ones(4, 2, dtype=torch.bool),
        "labels": torch.tensor([0, 0, 2, 2]),
        "camids": torch.tensor([1, 2, 1, 9]),
    }


def test_the_loss_is_the_weighted_sum_of_its_terms(model: ReidModel) -> None:
    model.eval()  # batch norm with running statistics: every forward pass the same
    ones = LossSettings(identity=1, triplet=1, prototype=1, frame=1)
    plain, weighted = model.loss(batch(), ones), model.loss(batch(), LossSettings())
    share = {"identity": 0.25, "triplet": 1.0, "prototype": 1.0, "frame": 0.1625}
    assert set(plain) == {
        *(f"{kind}_{part}" for kind in ("identity", "triplet") for part in ("cls", "projected", "temporal")),
        "prototype",
        "frame",
    }
    for name, value in plain.items():
        torch.testing.assert_close(weighted[name], share[name.split("_")[0]] * value)


@pytest.mark.parametrize("training", [True, False])
def test_every_term_is_its_definition(model: ReidModel, training: bool) -> None:
    model.train(training)
    model.pfu.eval()  # no dropout
    model.sgtm.eval()
    with torch.no_grad():
        model.prototypes_visual.normal_()
        model.prototypes_skeleton.normal_()
        for head in (model.heads["cls"], model.heads["projected"], model.heads["temporal"]):
            head.neck.weight.uniform_(0.5, 1.5)
            head.classifier.weight.normal_()
        model.heads["frame"].weight.uniform_(0.5, 1.5)
    given = batch()
    given["seen"] = torch.tensor([[True, True], [True, False], [False, False], [True, True]])
    pids = given["labels"].tolist()
    tokens, projected = model.encode(given["images"], given["camids"])
    joints = model.skeleton(given["skeletons"], given["seen"])
    guided = model.sgtm(tokens, joints, given["seen"])
    means = {name: np.mean(array(part)[:, :, 0], axis=1) for name, part in (("cls", tokens), ("projected", projected))}
    means["temporal"] = array(guided.clip)

    expected = {}
    for name, feature in means.items():
        head = model.heads[name]
        logits = linear(head.classifier, batch_norm(head.neck, feature, of_the_batch=training))
        expected[f"identity_{name}"] = 0.25 * smoothed_cross_entropy(logits, pids, 0.1)
        expected[f"triplet_{name}"] = batch_hard_triplet(feature, pids, 0.3)
    frames = batch_norm(model.heads["frame"], array(guided.frames).reshape(8, -1), of_the_batch=training)
    logits = linear(model.heads["temporal"].classifier, frames)  # of the clip feature, too
    expected["frame"] = 1.3 / 8 * smoothed_cross_entropy(logits, [pid for pid in pids for _ in range(2)], 0.1)
    v = torch.from_numpy(means["projected"]).float()
    logits = array(model.prototype_logits(model.pfu, v, projected, joints, given["seen"]))
    expected["prototype"] = smoothed_cross_entropy(logits, pids, 0.1)

    found = model.loss(given, LossSettings())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, rel=1e-4), name


def test_prototype_logits_are_similarities_to_each_clips_own_prototypes(model: ReidModel) -> None:
    model.eval()
    v, projected, joints = torch.randn(2, 8), torch.randn(2, 3, 5, 8), torch.randn(2, 3, 17, 8)
    seen = torch.tensor([[True, True, False], [True, True, True]])
    logits = model.prototype_logits(model.pfu, v, projected, joints, seen)
    fused = model.pfu.fuse(model.prototypes_visual, model.prototypes_skeleton)
    for b, frames in ((0, [0, 1]), (1, [0, 1, 2])):
        memory = torch.cat([projected[b].mean(0), joints[b, frames].mean(0)])
        updated = model.pfu(fused, memory[None])[0]
        torch.testing.assert_close(logits[b], torch.stack([v[b] @ updated[k] for k in range(3)]))


def test_permuting_the_clips_of_a_batch_permutes_the_embeddings(model: ReidModel) -> None:
    model.eval()
    images, camids, order = batch()["images"], batch()["camids"], torch.tensor([3, 1, 0, 2])
    torch.testing.assert_close(
        embedding(reference_features(model, images, camids), Composition(), {})[order],
        embedding(reference_features(model, images[order], camids[order]), Composition(), {}),
    )


def test_the_embedding_is_the_three_features_as_they_are() -> None:
    parts = Features(torch.randn(2, 4), torch.randn(2, 3), torch.randn(2, 4))
    assert torch.equal(embedding(parts, Composition(), {}), torch.cat(list(parts), 1))


def test_a_camera_not_seen_in_training_adds_nothing(model: ReidModel) -> None:
    model.eval()
    with torch.no_grad():
        model.visual.camera_vectors.normal_()
    images = batch()["images"][:1]
    unknown, none = reference_features(model, images, torch.tensor([9])), reference_features(model, images)
    known = reference_features(model, images, torch.tensor([1]))
    assert torch.equal(unknown.cls, none.cls)
    assert not torch.isclose(known.cls, none.cls).all()


def test_temporal_modelling_sends_no_gradient_to_the_visual_encoder(model: ReidModel) -> None:
    only = LossSettings(identity=0, triplet=0, prototype=0, frame=1)
    sum(model.loss(batch(), only).values()).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.visual.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.skeleton.parameters())


@pytest.mark.parametrize("left_out", [{"use_sgtm": False}, {"use_pfu": False}, {"skeleton": None}])
def test_each_part_can_be_left_out(left_out: dict[str, Any]) -> None:
    model = ReidModel(ENCODER, **{"skeleton": SKELETON, "identities": 3} | left_out)
    loss = sum(model.loss(batch(), LossSettings()).values())
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("freeze_norms", [True, False])
def test_batch_norms_of_the_visual_encoder_keep_their_statistics_unless_they_are_to_learn(freeze_norms: bool) -> None:
    encoder = EncoderSettings(model="osnet_x0_25", image_height=64, image_width=32)
    model = ReidModel(encoder, SKELETON, 3, freeze_norms=freeze_norms).train()
    norm = next(part for part in model.visual.modules() if isinstance(part, torch.nn.BatchNorm2d))
    before = norm.running_mean.clone()
    model.encode(torch.randn(2, 2, 3, 64, 32), None)
    assert torch.equal(norm.running_mean, before) is freeze_norms


def test_every_parameter_learns_at_the_rate_of_its_part(model: ReidModel) -> None:
    settings = FinetuneSettings(lr=1e-3, bias_lr=2, head_lr=10, classifier_lr=3)
    rate = {id(p): group["lr"] for group in parameter_groups(model, settings) for p in group["params"]}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert id(parameter) not in rate
            continue
        expected = 1e-3
        if name.startswith(("heads.cls", "heads.projected")) or name in (
            "heads.temporal.neck.weight",
            "heads.frame.weight",
        ):
            expected *= 3
        elif not name.startswith(("visual.", "skeleton.")):
            expected *= 10
        expected *= 2 if name.endswith("bias") else 1
        assert rate[id(parameter)] == pytest.approx(expected), name


def test_a_frozen_skeleton_encoder_has_no_dropout_and_no_random_signs(model: ReidModel) -> None:
    def terms(signs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)  # of the dropout elsewhere
        return model.loss(batch() | signs, LossSettings())

    turned = {"signs": -torch.ones(10)}
    model.skeleton.requires_grad_(False)
    model.train()
    plain, signed = terms({}), terms(turned)
    assert all(torch.equal(plain[name], signed[name]) for name in plain)
    model.skeleton.requires_grad_(True)
    model.train()
    signed = terms(turned)
    assert any(not torch.equal(plain[name], signed[name]) for name in plain)
