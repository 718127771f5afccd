"""A body as lengths and directions: the parts of its embedding, and the whitening that they start from."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from storage.bones import equal_bones
from storage.skeleton import COCO17, KINECT20, SkeletonType
from training.body_settings import BodySettings
from training.model.body_encoder import BONE, BodyEncoder, whitening
from training.settings import SkeletonSettings

GRAPH = SkeletonSettings(width=16, depth=1, heads=2, hidden=16, dropout=0.0)
ALL = BodySettings(lengths=1, directions=2, motion=0.5, graph=0.25)


def bodies(clips: int = 4, frames: int = 5, kind: SkeletonType = KINECT20) -> Tensor:
    return torch.randn(clips, frames, len(kind), 3, generator=torch.Generator().manual_seed(0))


def encoder(chosen: BodySettings = ALL, kind: SkeletonType = KINECT20) -> BodyEncoder:
    torch.manual_seed(0)
    return BodyEncoder(chosen, GRAPH, 8, kind).eval()


def slow_scatter(x: np.ndarray, labels: list[int]) -> np.ndarray:
    """Of rows around their label's mean, one row at a time."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for row, label in zip(x, labels, strict=True):
        own = np.mean([other for other, its in zip(x, labels, strict=True) if its == label], axis=0)
        total += np.outer(row - own, row - own)
    return total / len(x)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=20), st.integers(0, 99))
def test_whitening_makes_a_persons_own_scatter_the_identity(labels: list[int], seed: int) -> None:
    x = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[:, 1] *= 50
    for shrinkage in (1e-9, 0.3):
        found = (x @ whitening(x, torch.tensor(labels), shrinkage)).numpy()
        standardised = (x / x.std(0, unbiased=False)).numpy()
        scatter = slow_scatter(standardised, labels)
        shrunk = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / 3 * np.eye(3)
        values, vectors = np.linalg.eigh(shrunk)
        expected = standardised @ vectors @ np.diag(values**-0.5) @ vectors.T
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)
        if shrinkage < 0.1:
            assert np.allclose(slow_scatter(found, labels), np.eye(3), atol=1e-4)


def test_what_is_constant_says_nothing_and_people_seen_once_leave_standard_deviations() -> None:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 2] = 7 + 1e-7 * x[:, 2]
    once = whitening(x, torch.arange(6), 0.2)
    scale = 1 / x.std(0, unbiased=False)
    assert torch.allclose(once, torch.diag(torch.stack([scale[0], scale[1], torch.zeros_like(scale[2])])))
    assert torch.equal(whitening(x, torch.tensor([0, 0, 0, 1, 1, 1]), 0.2)[2], torch.zeros(3, dtype=torch.float64))


def test_the_parts_are_lengths_and_directions_over_the_frames() -> None:
    clips = bodies(1, 3)
    found = encoder().statistics(clips)
    bones = [[clips[0, t, b] - clips[0, t, a] for a, b in KINECT20.edges] for t in range(3)]
    lengths = torch.tensor([[bone.norm() for bone in frame] for frame in bones])
    directions = torch.stack([torch.stack([bone / bone.norm() for bone in frame]).flatten() for frame in bones])
    assert list(found) == ["lengths", "directions", "motion"]
    assert torch.allclose(found["lengths"][0], lengths.mean(0), atol=1e-6)
    assert torch.allclose(found["directions"][0], directions.mean(0), atol=1e-6)
    assert torch.allclose(found["motion"][0], directions.std(0, unbiased=False), atol=1e-6)


@pytest.mark.parametrize("kind", [KINECT20, COCO17], ids=lambda kind: kind.name)
def test_the_graph_sees_poses_with_equal_bones(kind: SkeletonType) -> None:
    clips = bodies(kind=kind)
    assert np.allclose(encoder(kind=kind).poses(clips).numpy(), equal_bones(clips.numpy(), kind, BONE), atol=1e-5)


def test_similarity_is_the_mean_of_the_parts_by_their_weights() -> None:
    chosen, clips = encoder(), bodies()
    parts = chosen(clips).detach()
    joined = chosen.joined(parts)
    cosines = [torch.nn.functional.cosine_similarity(part[0], part[1], dim=0) for part in chosen.split(parts)]
    expected = sum(w * c for w, c in zip((1, 2, 0.5, 0.25), cosines, strict=True)) / 3.75
    assert torch.allclose(joined.norm(dim=1), torch.ones(4))
    assert float(joined[0] @ joined[1]) == pytest.approx(float(expected), abs=1e-5)


def test_a_ruler_sees_size_and_no_pose_and_directions_the_other_way_round() -> None:
    clips = bodies()
    turned = clips @ torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1))).Q
    ruler = encoder(BodySettings(directions=0))
    compass = encoder(BodySettings(lengths=0, motion=1, graph=1))
    assert torch.allclose(ruler(turned), ruler(clips), atol=1e-5)
    assert not torch.allclose(ruler(1.2 * clips), ruler(clips), atol=0.01)
    assert torch.allclose(compass(1.2 * clips), compass(clips), atol=1e-5)
    assert not torch.allclose(compass(turned), compass(clips), atol=0.01)


def test_a_start_is_a_whitening_and_nothing_is_learnt_yet() -> None:
    chosen, clips, labels = encoder(BodySettings(lengths=0)), bodies(12), torch.arange(12) // 3
    chosen.start([clips[:5], clips[5:]], labels, 0.2)
    seen = chosen.statistics(clips)["directions"]
    expected = (seen - seen.mean(0)) @ whitening(seen.double(), labels, 0.2).float()
    assert torch.allclose(chosen(clips), expected, atol=1e-4)
    assert {name for name, _ in chosen.named_parameters()} == {"whitened.directions.change"}


def test_an_embedding_without_any_part_is_refused() -> None:
    with pytest.raises(ValidationError, match="no part has any weight; set lengths, directions, motion or graph"):
        BodySettings(lengths=0, directions=0)
