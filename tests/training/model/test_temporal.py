from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.reference import Array, array, attention, each, gelu, layer_norm, linear, sigmoid
from training.model.prototypes import CrossAttention
from training.model.temporal import MessageAttention, TemporalModelling

B, T, N, J, D, P = 2, 3, 4, 5, 8, 6
HEADS = 2


def modelling() -> TemporalModelling:
    """Norms that are not the identity, attentions with biases; in evaluation mode, without dropout."""
    torch.manual_seed(0)
    sgtm = TemporalModelling(D, P, heads=HEADS).double().eval()
    with torch.no_grad():
        for part in sgtm.modules():
            if isinstance(part, CrossAttention):
                for layer in (part.query, part.key, part.value, part.out):
                    layer.bias.add_(torch.randn(D) * 0.3)
            if isinstance(part, torch.nn.LayerNorm):
                part.weight.add_(torch.randn(D) * 0.3)
                part.bias.add_(torch.randn(D) * 0.3)
    return sgtm


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(B, T, N, D, generator=generator, dtype=torch.float64)
    return tokens, torch.randn(B, T, J, P, generator=generator, dtype=torch.float64)


def talk(part: MessageAttention, messages: Array) -> Array:
    """Pre-norm, residual attention over messages."""
    normed = layer_norm(part.norm, messages)
    return messages + attention(part.attention, normed, normed, HEADS)


def means(frames: Sequence[Array]) -> Array:
    """Mean of each frame's tokens."""
    return np.stack([sum(tokens) / len(tokens) for tokens in frames])


def slow_frames(
    sgtm: TemporalModelling, tokens: Array, joints: Array | None = None, seen: Array | None = None
) -> Array:
    """f_t of one clip: tokens (T, N, D), joint tokens (T, J, P), which frames have a skeleton (T,)."""
    times = range(len(tokens))
    visual = talk(sgtm.visual_talk, linear(sgtm.visual_message, means(tokens)))
    with_skeleton = [] if joints is None else [t for t in times if seen is None or seen[t]]
    limbs = {t: linear(sgtm.from_joints, joints[t]) for t in with_skeleton}
    skeleton: dict[int, Array] = {}
    if with_skeleton:
        said = talk(sgtm.skeleton_talk, means([limbs[t] for t in with_skeleton]))
        asking, telling = layer_norm(sgtm.guided_norm, visual), layer_norm(sgtm.guide_norm, said)
        visual = visual + attention(sgtm.guide, asking, telling, HEADS)
        skeleton = dict(zip(with_skeleton, said, strict=True))
    e = array(sgtm.token_types)
    frames = []
    for t in times:
        z = [*(tokens[t] + e[0]), visual[t] + e[1]]
        if t in skeleton:
            z += [*(limbs[t] + e[2]), skeleton[t] + e[3]]
        x = np.stack(z)
        normed = layer_norm(sgtm.norm1, x)
        x = x + attention(sgtm.attention, normed, normed, HEADS)
        x = x + linear(sgtm.mlp[3], each(gelu, linear(sgtm.mlp[0], layer_norm(sgtm.norm2, x))))
        shares = [sigmoid(float(score)) for score in linear(sgtm.weight, x)[:, 0]]
        frames.append(sum(share / (sum(shares) + 1e-6) * row for share, row in zip(shares, x, strict=True)))
    return np.stack(frames)


def test_frame_and_clip_features_in_training_are_the_slow_version() -> None:
    sgtm, (tokens, joints) = modelling(), inputs()
    guided = sgtm(tokens, joints)
    for b in range(B):
        expected = slow_frames(sgtm, array(tokens[b]), array(joints[b]))
        np.testing.assert_allclose(array(guided.frames[b]), expected, atol=1e-10)
        np.testing.assert_allclose(array(guided.clip[b]), sum(expected) / T, atol=1e-10)


def test_frame_and_clip_features_at_inference_are_the_slow_version_without_skeletons() -> None:
    sgtm, (tokens, _) = modelling(), inputs()
    guided = sgtm(tokens)
    for b in range(B):
        expected = slow_frames(sgtm, array(tokens[b]))
        np.testing.assert_allclose(array(guided.frames[b]), expected, atol=1e-10)
        np.testing.assert_allclose(array(guided.clip[b]), sum(expected) / T, atol=1e-10)


@settings(deadline=None, max_examples=8)
@given(st.lists(st.booleans(), min_size=B * T, max_size=B * T))
def test_frames_without_a_skeleton_are_left_out_of_what_guides_and_of_their_own_tokens(flat: list[bool]) -> None:
    sgtm, (tokens, joints), seen = modelling(), inputs(), torch.tensor(flat).view(B, T)
    guided = sgtm(tokens, joints, seen)
    for b in range(B):
        expected = slow_frames(sgtm, array(tokens[b]), array(joints[b]), seen[b].numpy())
        np.testing.assert_allclose(array(guided.frames[b]), expected, atol=1e-10)


def test_a_clip_without_any_skeleton_is_treated_as_at_inference() -> None:
    sgtm, (tokens, joints) = modelling(), inputs()
    seen = torch.ones(B, T, dtype=torch.bool)
    seen[1] = False
    guided = sgtm(tokens, joints, seen)
    torch.testing.assert_close(guided.frames[1], sgtm(tokens).frames[1])
    torch.testing.assert_close(guided.frames[0], sgtm(tokens, joints).frames[0])


def test_tokens_that_all_weigh_next_to_nothing_give_a_small_feature_and_not_0_by_0() -> None:
    sgtm, (tokens, joints) = modelling(), inputs()
    with torch.no_grad():
        sgtm.weight.bias.fill_(-1000)  # of which the sigmoid is zero, even in float64
    assert torch.equal(sgtm(tokens, joints).frames, torch.zeros(B, T, D, dtype=torch.float64))


def test_it_starts_as_published() -> None:
    sgtm = TemporalModelling(256, 64, heads=4)
    assert sgtm.token_types.std().item() == pytest.approx(1, abs=0.1)
    torch.manual_seed(0)
    torchs = torch.nn.MultiheadAttention(256, 4)
    for part in (p for p in sgtm.modules() if isinstance(p, CrossAttention)):
        ours = torch.cat([part.query.weight, part.key.weight, part.value.weight])
        assert ours.abs().max().item() == pytest.approx(torchs.in_proj_weight.abs().max().item(), rel=1e-3)
        assert not any(layer.bias.any() for layer in (part.query, part.key, part.value, part.out))
    assert sgtm.weight.bias is not None


def test_dropout_of_a_tenth_is_in_its_six_places() -> None:
    sgtm = TemporalModelling(D, P, heads=HEADS)
    on_weights = [part.dropout for part in sgtm.modules() if isinstance(part, CrossAttention)]
    within = [(name, part.p) for name, part in sgtm.mlp.named_children() if isinstance(part, torch.nn.Dropout)]
    assert on_weights == [0.1] * 4
    assert within == [("2", 0.1), ("4", 0.1)], "behind GELU, and behind the last layer"
    assert isinstance(sgtm.mlp[1], torch.nn.GELU)
    tokens, joints = (part.float() for part in inputs())
    assert not torch.equal(sgtm(tokens, joints).clip, sgtm(tokens, joints).clip)


def test_no_gradient_flows_back_into_the_visual_tokens() -> None:
    sgtm, (tokens, joints) = modelling(), inputs()
    tokens.requires_grad_()
    joints.requires_grad_()
    sgtm(tokens, joints).clip.sum().backward()
    assert tokens.grad is None
    assert joints.grad is not None
    assert joints.grad.abs().sum() > 0


def test_a_frame_without_a_skeleton_sends_no_gradient_to_its_joint_tokens() -> None:
    sgtm, (tokens, joints) = modelling(), inputs()
    joints.requires_grad_()
    seen = torch.ones(B, T, dtype=torch.bool)
    seen[1, 2] = False
    sgtm(tokens, joints, seen).clip.pow(2).sum().backward()
    assert joints.grad is not None
    touched = joints.grad.abs().sum((2, 3)) > 0
    assert torch.equal(touched, seen)


def test_joint_tokens_meet_the_visual_tokens_of_their_own_clip() -> None:
    sgtm, (tokens, joints) = modelling(), inputs()
    changed = joints.clone()
    changed[1] += 1
    before, after = sgtm(tokens, joints).frames, sgtm(tokens, changed).frames
    assert torch.equal(before[0], after[0])
    assert not torch.isclose(before[1], after[1]).any()


def test_a_frame_holds_148_tokens_in_training_and_130_at_inference() -> None:
    with torch.device("meta"):
        sgtm, tokens, joints = TemporalModelling(768, 512), torch.zeros(1, 8, 129, 768), torch.zeros(1, 8, 17, 512)
    counts = []
    sgtm.attention.register_forward_hook(lambda part, given, out: counts.append(out.shape[1]))
    sgtm(tokens, joints)
    sgtm(tokens)
    assert counts == [148, 130]
    assert {part.heads for part in sgtm.modules() if isinstance(part, CrossAttention)} == {8}
    assert sgtm.mlp[0].out_features == 4 * 768
