import pytest
import torch

from training.temporal import TemporalModelling

B, T, N, J, D, P = 3, 4, 5, 17, 8, 6


@pytest.fixture
def sgtm() -> TemporalModelling:
    torch.manual_seed(0)
    return TemporalModelling(D, P, heads=2).double()


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(B, T, N, D, generator=generator, dtype=torch.float64)
    return tokens, torch.randn(B, T, J, P, generator=generator, dtype=torch.float64)


def test_no_gradient_flows_back_into_the_visual_tokens(sgtm: TemporalModelling) -> None:
    tokens, joints = inputs()
    tokens.requires_grad_()
    joints.requires_grad_()
    sgtm(tokens, joints).clip.sum().backward()
    assert tokens.grad is None
    assert joints.grad is not None
    assert joints.grad.abs().sum() > 0


def test_permuting_the_clips_of_a_batch_permutes_the_outputs(sgtm: TemporalModelling) -> None:
    tokens, joints = inputs()
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(sgtm(tokens, joints).clip[order], sgtm(tokens[order], joints[order]).clip)


def test_joint_tokens_meet_the_visual_tokens_of_their_own_clip(sgtm: TemporalModelling) -> None:
    tokens, joints = inputs()
    changed = joints.clone()
    changed[1] += 1
    before, after = sgtm(tokens, joints).frames, sgtm(tokens, changed).frames
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.isclose(before[1], after[1]).any()


def test_inference_needs_no_skeleton(sgtm: TemporalModelling) -> None:
    tokens, _ = inputs()
    guided = sgtm(tokens)
    assert guided.frames.shape == (B, T, D)
    torch.testing.assert_close(guided.clip, guided.frames.mean(1))


def test_frames_without_a_skeleton_do_not_depend_on_what_stands_there(sgtm: TemporalModelling) -> None:
    tokens, joints = inputs()
    seen = torch.ones(B, T, dtype=torch.bool)
    seen[1, 2] = False
    other = joints.clone()
    other[1, 2] = 7
    assert torch.equal(sgtm(tokens, joints, seen).clip, sgtm(tokens, other, seen).clip)


def test_a_frame_is_the_slow_version(sgtm: TemporalModelling) -> None:
    tokens, joints = inputs()
    b = 1

    def attend(attention, queries: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        q, k, v = attention.query(queries), attention.key(memory), attention.value(memory)
        out = torch.zeros_like(q)
        for head in (slice(0, 4), slice(4, 8)):
            for i in range(len(q)):
                weights = torch.stack([torch.exp(q[i, head] @ row / 2) for row in k[:, head]])
                out[i, head] = (weights / weights.sum()) @ v[:, head]
        return attention.out(out)

    def talk(block, messages: torch.Tensor) -> torch.Tensor:
        normed = block.norm(messages)
        return messages + attend(block.attention, normed, normed)

    limbs = sgtm.from_joints(joints[b])
    visual = talk(sgtm.visual_talk, sgtm.visual_message(torch.stack([tokens[b, t].mean(0) for t in range(T)])))
    skeleton = talk(sgtm.skeleton_talk, sgtm.skeleton_message(torch.stack([limbs[t].mean(0) for t in range(T)])))
    visual = visual + attend(sgtm.guide, sgtm.guide_norm(visual), skeleton)
    e = sgtm.token_types
    expected = []
    for t in range(T):
        z = torch.cat([tokens[b, t] + e[0], visual[t : t + 1] + e[1], limbs[t] + e[2], skeleton[t : t + 1] + e[3]])
        assert len(z) == N + 1 + J + 1
        normed = sgtm.norm1(z)
        z = z + attend(sgtm.attention, normed, normed)
        z = z + sgtm.mlp(sgtm.norm2(z))
        w = torch.sigmoid(z @ sgtm.weight.weight[0])
        expected.append(sum(w[i] / w.sum() * z[i] for i in range(len(z))))
    torch.testing.assert_close(sgtm(tokens, joints).frames[b], torch.stack(expected))


def test_a_clip_without_any_skeleton_is_treated_as_at_inference(sgtm: TemporalModelling) -> None:
    tokens, joints = inputs()
    seen = torch.ones(B, T, dtype=torch.bool)
    seen[1] = False
    guided = sgtm(tokens, joints, seen)
    torch.testing.assert_close(guided.frames[1], sgtm(tokens).frames[1])
    torch.testing.assert_close(guided.frames[[0, 2]], sgtm(tokens, joints).frames[[0, 2]])


def test_a_frame_without_a_skeleton_is_left_out_of_what_guides_the_others(sgtm: TemporalModelling) -> None:
    tokens, joints = inputs()
    seen = torch.ones(B, T, dtype=torch.bool)
    seen[:, 2] = False
    skeleton = sgtm.skeleton_message(sgtm.from_joints(joints).mean(2))
    kept = [0, 1, 3]
    normed = sgtm.skeleton_talk.norm(skeleton[:, kept])
    talked = skeleton[:, kept] + sgtm.skeleton_talk.attention(normed, normed)
    visual = sgtm.visual_talk(sgtm.visual_message(tokens.mean(2)))
    visual = visual + sgtm.guide(sgtm.guide_norm(visual), talked)
    z = torch.cat([tokens[:, 2] + sgtm.token_types[0], visual[:, 2:3] + sgtm.token_types[1]], dim=1)
    normed = sgtm.norm1(z)
    z = z + sgtm.attention(normed, normed)
    z = z + sgtm.mlp(sgtm.norm2(z))
    w = torch.sigmoid(sgtm.weight(z))
    torch.testing.assert_close(sgtm(tokens, joints, seen).frames[:, 2], (z * w).sum(1) / w.sum(1))
