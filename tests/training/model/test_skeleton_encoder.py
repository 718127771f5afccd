import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.skeleton import EDGES, NUM_JOINTS
from tests.training.reference import Array, array, attention, each, layer_norm, linear, relu
from training.batches.augment import draw_signs
from training.model.skeleton_encoder import (
    SPREAD,
    Attention,
    Block,
    SkeletonEncoder,
    laplacian_positions,
    sequence_features,
)
from training.settings import SkeletonSettings

SMALL = SkeletonSettings(width=16, depth=2, heads=4, hidden=24, dropout=0.5)
LIMIT = 5.0
METHOD_EDGES = {
    *[(10, 9), (9, 8), (8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16), (8, 7), (7, 0)],
    *[(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6)],
}


def skeletons(clips: int = 3, frames: int = 4) -> torch.Tensor:
    return torch.randn(clips, frames, NUM_JOINTS, 3, generator=torch.Generator().manual_seed(0))


def test_the_graph_has_the_methods_edges() -> None:
    assert {frozenset(edge) for edge in EDGES} == {frozenset(edge) for edge in METHOD_EDGES}


def laplacian_by_definition() -> Array:
    degree = [sum(j in edge for edge in METHOD_EDGES) for j in range(NUM_JOINTS)]
    laplacian = np.zeros((NUM_JOINTS, NUM_JOINTS))
    for i in range(NUM_JOINTS):
        for j in range(NUM_JOINTS):
            if i == j:
                laplacian[i, j] = 1
            elif (i, j) in METHOD_EDGES or (j, i) in METHOD_EDGES:
                laplacian[i, j] = -1 / math.sqrt(degree[i] * degree[j])
    return laplacian


def test_position_encodings_are_the_first_non_trivial_eigenvectors_of_the_normalised_laplacian() -> None:
    laplacian, vectors = laplacian_by_definition(), array(laplacian_positions(10))
    values = [vectors[:, k] @ laplacian @ vectors[:, k] for k in range(10)]
    for k in range(10):
        np.testing.assert_allclose(laplacian @ vectors[:, k], values[k] * vectors[:, k], atol=1e-6)
        for other in range(10):
            assert vectors[:, k] @ vectors[:, other] == pytest.approx(float(k == other), abs=1e-6)
    np.testing.assert_allclose(values, sorted(np.linalg.eigvals(laplacian).real)[1:11], atol=1e-6)
    assert values[0] > 0.01, "the trivial one is left out"


def test_the_first_of_an_eigenvectors_largest_entries_is_positive() -> None:
    for vector in array(laplacian_positions(NUM_JOINTS - 1)).T:
        largest = max(abs(entry) for entry in vector)
        assert next(entry for entry in vector if abs(entry) > largest - 1e-6) > 0


def test_fewer_eigenvectors_are_the_first_of_more() -> None:
    assert torch.equal(laplacian_positions(3), laplacian_positions(10)[:, :3])


def test_attention_is_the_loop_with_clamped_scores() -> None:
    torch.manual_seed(0)
    part, x, loud = Attention(8, 2).double(), 20 * torch.randn(5, 8, dtype=torch.float64), []
    expected = attention(part, array(x), array(x), 2, LIMIT, loud)
    assert min(loud) < -LIMIT
    assert max(loud) > LIMIT
    np.testing.assert_allclose(array(part(x[None])[0]), expected, atol=1e-12)


def test_attention_passes_over_what_was_not_seen() -> None:
    torch.manual_seed(0)
    part, x = Attention(8, 2).double(), torch.randn(4, 8, dtype=torch.float64)
    seen = torch.tensor([True, False, True, True])
    expected = attention(part, array(x), array(x[seen]), 2, LIMIT)
    np.testing.assert_allclose(array(part(x[None], seen[None])[0]), expected, atol=1e-12)


def slow_block(block: Block, x: Array, loud: list[float] | None = None, memory: Array | None = None) -> Array:
    """Post-norm: a sum, then its norm; `memory` is what of `x` may be looked at."""
    x = layer_norm(block.norm1, x + attention(block.attention, x, x if memory is None else memory, 4, LIMIT, loud))
    return layer_norm(block.norm2, x + linear(block.feed[3], each(relu, linear(block.feed[0], x))))


def loudly(encoder: SkeletonEncoder) -> SkeletonEncoder:
    """Scores beyond the clamp, and norms that are not the identity."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for block in encoder.blocks:
            block.attention.query.weight.mul_(15)
            for norm in (block.norm1, block.norm2):
                norm.weight.add_(torch.randn(norm.weight.shape, generator=generator) * 0.3)
                norm.bias.add_(torch.randn(norm.bias.shape, generator=generator) * 0.3)
        if encoder.cls is not None:
            encoder.cls.normal_(generator=generator)
    return encoder.double().eval()


def test_a_block_is_the_slow_post_norm_block() -> None:
    torch.manual_seed(0)
    block, x = loudly(SkeletonEncoder(SMALL, 8)).blocks[0], torch.randn(5, 16, dtype=torch.float64)
    np.testing.assert_allclose(array(block(x[None])[0]), slow_block(block, array(x)), atol=1e-10)


def embedded(encoder: SkeletonEncoder, joints: Array) -> Array:
    """`W2 relu(W1 s)` and a linear map of the position encoding."""
    body = linear(encoder.embed[2], each(relu, linear(encoder.embed[0], joints)))
    return body + linear(encoder.place, array(encoder.positions))


def test_the_encoder_is_the_slow_one_frame_by_frame() -> None:
    torch.manual_seed(0)
    encoder, x, loud = loudly(SkeletonEncoder(SMALL, 8)), skeletons(2, 2).double(), []
    tokens = encoder(x)
    for b in range(2):
        for t in range(2):
            slow = embedded(encoder, array(x[b, t]))
            for block in encoder.blocks:
                slow = slow_block(block, slow, loud)
            np.testing.assert_allclose(array(tokens[b, t]), linear(encoder.project, slow), atol=1e-9)
    assert loud, "the clamp had something to do"


@settings(deadline=None, max_examples=6)
@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_temporal_encoder_alternates_attention_over_joints_and_over_the_frames_that_were_seen(
    seen: list[bool],
) -> None:
    torch.manual_seed(0)
    temporal = SMALL.model_copy(update={"temporal": True, "depth": 3})
    encoder, x = loudly(SkeletonEncoder(temporal, 8)), skeletons(1, 3).double()
    heard = [t for t in range(3) if seen[t] or not any(seen)]
    slow = [np.concatenate([array(encoder.cls)[0], embedded(encoder, array(x[0, t]))]) for t in range(3)]
    for number, block in enumerate(encoder.blocks):
        if number in (0, 2):
            slow = [slow_block(block, frame) for frame in slow]
        else:
            tracks = [np.stack([slow[t][j] for t in range(3)]) for j in range(1 + NUM_JOINTS)]
            tracks = [slow_block(block, track, memory=track[heard]) for track in tracks]
            slow = [np.stack([tracks[j][t] for j in range(1 + NUM_JOINTS)]) for t in range(3)]
    expected = [linear(encoder.project, frame[1:] + frame[0]) for frame in slow]
    np.testing.assert_allclose(array(encoder(x, torch.tensor([seen]))[0]), np.stack(expected), atol=1e-9)


def test_signs_are_whole_eigenvectors_turned_over() -> None:
    torch.manual_seed(0)
    encoder = SkeletonEncoder(SMALL.model_copy(update={"dropout": 0.0, "eigenvectors": 2}), 8)
    x, kept = skeletons(1, 1), encoder.positions.clone()
    for signs in itertools.product((1.0, -1.0), repeat=2):
        turned = torch.tensor(signs)
        given_signs = encoder(x, None, turned)
        encoder.positions.copy_(kept * turned)
        torch.testing.assert_close(encoder(x), given_signs)
        encoder.positions.copy_(kept)


def test_signs_are_drawn_at_random_and_never_inside_the_encoder() -> None:
    signs = {tuple(draw_signs(2, np.random.default_rng(seed)).tolist()) for seed in range(40)}
    assert signs == set(itertools.product((1.0, -1.0), repeat=2))
    encoder, x = SkeletonEncoder(SMALL.model_copy(update={"dropout": 0.0}), 8), skeletons()
    for mode in (True, False):
        encoder.train(mode)
        assert torch.equal(encoder(x), encoder(x))


def test_the_basis_travels_with_the_checkpoint() -> None:
    encoder, other = SkeletonEncoder(SMALL, 8), SkeletonEncoder(SMALL, 8)
    assert torch.equal(encoder.state_dict()["positions"], laplacian_positions(10))
    encoder.positions.copy_(-encoder.positions)
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(other.positions, -laplacian_positions(10))


def test_permuting_the_clips_permutes_the_joint_tokens() -> None:
    for temporal in (False, True):
        encoder = SkeletonEncoder(SMALL.model_copy(update={"temporal": temporal}), 8).eval()
        x, order = skeletons(), torch.tensor([2, 0, 1])
        torch.testing.assert_close(encoder(x)[order], encoder(x[order]))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.data())
def test_a_sequence_feature_is_the_mean_over_joints_then_over_the_frames_that_were_seen(
    clips: int, frames: int, joints: int, data: st.DataObject
) -> None:
    whole_clip = st.lists(st.booleans(), min_size=frames, max_size=frames)
    seen = data.draw(st.lists(whole_clip, min_size=clips, max_size=clips))
    tokens = torch.randn(clips, frames, joints, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = array(sequence_features(tokens, torch.tensor(seen)))
    for b in range(clips):
        each_frame = [sum(array(tokens[b, t])) / joints for t in range(frames) if seen[b][t]]
        expected = sum(each_frame) / len(each_frame) if each_frame else np.zeros(4)
        np.testing.assert_allclose(features[b], expected, atol=1e-12)


@pytest.mark.parametrize("temporal", [False, True])
def test_a_pooled_answer_is_the_sequence_feature_of_the_joint_tokens(temporal: bool) -> None:
    torch.manual_seed(0)
    encoder = SkeletonEncoder(SMALL.model_copy(update={"temporal": temporal}), 8).double().eval()
    x, seen = skeletons(3, 4).double(), torch.tensor([[True] * 4, [True, False, True, False], [False] * 4])
    torch.testing.assert_close(encoder(x, seen, pool=True), sequence_features(encoder(x, seen), seen))
    torch.testing.assert_close(encoder(x, pool=True), encoder(x).mean(dim=(1, 2)))


def test_the_published_size_has_about_22_million_parameters() -> None:
    with torch.device("meta"):
        encoder = SkeletonEncoder(SkeletonSettings(), 512)
    assert 21e6 < sum(p.numel() for p in encoder.parameters()) < 23e6
    assert [tuple(encoder.embed[i].weight.shape) for i in (0, 2)] == [(512, 3), (512, 512)]
    assert tuple(encoder.place.weight.shape) == (512, 10)
    assert len(encoder.blocks) == 10
    assert {block.attention.heads for block in encoder.blocks} == {8}
    assert {(block.feed[0].out_features, block.dropout.p) for block in encoder.blocks} == {(1024, 0.3)}
    assert tuple(encoder.project.weight.shape) == (512, 512)


def test_dropout_is_in_its_three_places() -> None:
    block = Block(SkeletonSettings(width=16, heads=2, hidden=32, dropout=0.3))
    seen: list[tuple[str, int]] = []
    for name, part in block.named_modules():
        if isinstance(part, torch.nn.Dropout):
            assert part.p == 0.3
            part.register_forward_hook(lambda part, given, out, name=name: seen.append((name, given[0].shape[-1])))
    block(torch.randn(2, 17, 16))
    assert seen == [("dropout", 16), ("feed.2", 32), ("dropout", 16)], "behind attention, within and behind the FFN"


def test_the_projection_starts_as_published() -> None:
    encoder = SkeletonEncoder(SkeletonSettings(width=256, depth=1), 128)
    assert encoder.project.bias is None
    assert encoder.project.weight.std().item() == pytest.approx(256**-0.5, rel=0.05)


def test_the_first_layer_starts_as_published_or_fit_for_joints_in_metres() -> None:
    settings = SkeletonSettings(width=256, depth=1)
    published = SkeletonEncoder(settings.model_copy(update={"metric_start": False}), 8).embed[0].weight
    assert published.abs().max().item() == pytest.approx(3**-0.5, rel=0.02), "torch's own: uniform up to 1 / sqrt(3)"
    assert SkeletonEncoder(settings, 8).embed[0].weight.std().item() == pytest.approx(1 / SPREAD / 3**0.5, rel=0.1)
