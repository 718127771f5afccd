import math

import numpy as np
import torch

from storage.skeleton import EDGES, NUM_JOINTS
from training.augment import draw_signs
from training.skeleton_encoder import (
    Attention,
    SkeletonEncoder,
    SkeletonSettings,
    laplacian_positions,
    sequence_features,
)

SMALL = SkeletonSettings(width=16, depth=2, heads=4, hidden=24, dropout=0.5)


def skeletons(clips: int = 3, frames: int = 4) -> torch.Tensor:
    return torch.randn(clips, frames, NUM_JOINTS, 3, generator=torch.Generator().manual_seed(0))


def test_position_encodings_are_eigenvectors_of_the_normalised_laplacian() -> None:
    degree = [sum(j in edge for edge in EDGES) for j in range(NUM_JOINTS)]
    vectors = laplacian_positions(10).double()
    for k in range(10):
        v = vectors[:, k]
        applied = torch.tensor(
            [
                v[i] - sum(v[a + b - i] / math.sqrt(degree[i] * degree[a + b - i]) for a, b in EDGES if i in (a, b))
                for i in range(NUM_JOINTS)
            ]
        )
        eigenvalue = float(v @ applied)
        assert eigenvalue > 0.01, "the trivial one is left out"
        torch.testing.assert_close(applied, eigenvalue * v, atol=1e-5, rtol=0)
        assert next(entry for entry in v if abs(entry) > v.abs().max() - 1e-6) > 0
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(10, dtype=torch.float64), atol=1e-5, rtol=0)


def test_attention_is_the_loop_with_clamped_scores() -> None:
    torch.manual_seed(0)
    attention, x = Attention(8, 2).double(), 20 * torch.randn(1, 5, 8, dtype=torch.float64)
    q, k, v = (part(x)[0] for part in (attention.query, attention.key, attention.value))
    mixed = torch.zeros(5, 8, dtype=torch.float64)
    clamped = 0
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        for i in range(5):
            raw = [(q[i, part] @ k[j, part]).item() / 2 for j in range(5)]
            clamped += sum(abs(score) > 5 for score in raw)
            weights = [math.exp(max(-5.0, min(5.0, score))) for score in raw]
            mixed[i, part] = sum(w / sum(weights) * v[j, part] for j, w in enumerate(weights))
    assert clamped > 0
    torch.testing.assert_close(attention(x)[0], attention.out(mixed))


def test_signs_change_only_what_is_asked_with_them() -> None:
    torch.manual_seed(0)
    encoder = SkeletonEncoder(SMALL.model_copy(update={"dropout": 0.0}), 8)
    x, signs = skeletons(), draw_signs(10, np.random.default_rng(0))
    assert set(signs.tolist()) == {-1.0, 1.0}
    for mode in (True, False):
        encoder.train(mode)
        assert torch.equal(encoder(x), encoder(x)), "nothing is drawn inside"
    assert not torch.equal(encoder(x, None, signs), encoder(x))


def test_the_basis_travels_with_the_checkpoint() -> None:
    encoder = SkeletonEncoder(SMALL, 8)
    assert torch.equal(encoder.state_dict()["positions"], laplacian_positions(10))


def test_frames_do_not_mix_by_default_and_do_when_temporal() -> None:
    for temporal in (False, True):
        torch.manual_seed(0)
        encoder = SkeletonEncoder(SMALL.model_copy(update={"temporal": temporal}), 8).eval()
        x = skeletons()
        changed = x.clone()
        changed[:, 1] += 1
        same = torch.isclose(encoder(x)[:, 0], encoder(changed)[:, 0], atol=1e-6).all()
        assert bool(same) is not temporal
        assert encoder(x).shape == (3, 4, NUM_JOINTS, 8)


def test_permuting_the_clips_permutes_the_joint_tokens() -> None:
    for temporal in (False, True):
        encoder = SkeletonEncoder(SMALL.model_copy(update={"temporal": temporal}), 8).eval()
        x, order = skeletons(), torch.tensor([2, 0, 1])
        torch.testing.assert_close(encoder(x)[order], encoder(x[order]))


def test_frames_without_a_person_are_not_averaged_in() -> None:
    joints = torch.randn(2, 3, NUM_JOINTS, 4, dtype=torch.float64)
    seen = torch.tensor([[True, False, True], [False, False, False]])
    features = sequence_features(joints, seen)
    expected = sum(joints[0, t, j] for t in (0, 2) for j in range(NUM_JOINTS)) / (2 * NUM_JOINTS)
    torch.testing.assert_close(features[0], expected)
    assert not features[1].any()


def test_the_published_size_has_about_22_million_parameters() -> None:
    count = sum(p.numel() for p in SkeletonEncoder(SkeletonSettings(), 512).parameters())
    assert 20e6 < count < 24e6


def test_with_temporal_attention_frames_without_a_person_are_not_looked_at() -> None:
    torch.manual_seed(0)
    encoder = SkeletonEncoder(SMALL.model_copy(update={"temporal": True}), 8).eval()
    x = skeletons()
    seen = torch.ones(3, 4, dtype=torch.bool)
    seen[:, 1] = False
    changed = x.clone()
    changed[:, 1] = 7
    kept = [0, 2, 3]
    assert torch.equal(encoder(x, seen)[:, kept], encoder(changed, seen)[:, kept])
    torch.testing.assert_close(encoder(x, seen)[:, kept], encoder(x[:, kept]))
    assert torch.isfinite(encoder(x, torch.zeros_like(seen))).all()
