"""Every kind of timm model as a trunk, against what timm itself gives for the same frames."""

import pytest
import timm
import torch

from storage.errors import SettingsError
from training.model.encoders.timm_models import TimmTrunk, projects
from training.model.encoders.trunk import Composition
from training.settings import CLIP

KINDS = {  # model: (H, W), D, P, tokens
    CLIP: ((256, 128), 768, 512, 129),
    "vit_large_patch14_clip_224.openai": ((252, 126), 1024, 768, 163),
    "eva02_base_patch16_clip_224.merged2b": ((256, 128), 768, 512, 129),
    "vit_small_patch14_reg4_dinov2.lvd142m": ((252, 126), 384, 384, 163),
    "vit_small_patch16_dinov3.lvd1689m": ((256, 128), 384, 384, 129),
    "vit_base_patch16_siglip_224.webli": ((256, 128), 768, 768, 129),
    "swin_tiny_patch4_window7_224.ms_in1k": ((256, 128), 768, 768, 33),
    "convnext_tiny.fb_in22k": ((256, 128), 768, 768, 33),
    "resnet50.a1_in1k": ((256, 128), 2048, 2048, 33),
    "mobilenetv4_conv_small": ((256, 128), 960, 960, 33),
}


@pytest.mark.parametrize("name", KINDS)
def test_sizes_and_widths_come_from_the_model(name: str) -> None:
    size, d, p, tokens = KINDS[name]
    with torch.device("meta"):
        trunk = TimmTrunk(name)
        found = trunk(torch.zeros(2, 3, *trunk.size), None)
    assert (trunk.size, trunk.token_width, trunk.projected_width) == (size, d, p)
    assert [part.shape for part in found] == [(2, tokens, d), (2, tokens, p)]
    about = timm.get_pretrained_cfg(name)
    assert (trunk.mean, trunk.std) == (about.mean, about.std)


def test_a_vit_gives_the_tokens_of_timm_and_their_projection() -> None:
    trunk = seeded(TimmTrunk("test_vit", (64, 32)))
    images = torch.randn(2, 3, 64, 32)
    tokens, projected = trunk(images, None)
    torch.testing.assert_close(tokens, trunk.model.forward_features(images))
    assert torch.equal(projected, tokens), "it was not trained with a projection"


def test_registers_are_no_tokens_of_the_picture() -> None:
    trunk = seeded(TimmTrunk("vit_small_patch14_reg4_dinov2.lvd142m", (28, 14)))
    images = torch.randn(2, 3, 28, 14)
    whole, (tokens, _) = trunk.model.forward_features(images), trunk(images, None)
    prefix = trunk.model.num_prefix_tokens
    assert prefix == 5
    torch.testing.assert_close(tokens, torch.cat([whole[:, :1], whole[:, prefix:]], dim=1))


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_a_cnn_gives_what_it_pools_and_then_its_cells(name: str) -> None:
    trunk = seeded(TimmTrunk(name, (64, 32)))
    images = torch.randn(2, 3, 64, 32)
    tokens, _ = trunk(images, None)
    cells = trunk.model.forward_features(images)
    torch.testing.assert_close(tokens[:, 0], trunk.model(images))  # with num_classes=0, its embedding
    torch.testing.assert_close(tokens[:, 1:], cells.flatten(2).transpose(1, 2))
    assert trunk.ranked_by == Composition(("cls",))


def test_a_camera_is_added_to_cls_before_the_blocks_of_a_vit() -> None:
    trunk, images, shift = seeded(TimmTrunk("test_vit", (64, 32))), torch.randn(2, 3, 64, 32), torch.randn(2, 64)
    vit = trunk.model
    embedded = vit._pos_embed(vit.patch_embed(images))
    embedded[:, 0] += shift
    torch.testing.assert_close(trunk(images, shift)[0], vit.norm(vit.blocks(vit.norm_pre(embedded))))


def test_a_camera_is_added_to_what_a_cnn_pools() -> None:
    trunk, images, shift = seeded(TimmTrunk("test_resnet", (64, 32))), torch.randn(2, 3, 64, 32), torch.randn(2, 96)
    plain, moved = trunk(images, None)[0], trunk(images, shift)[0]
    torch.testing.assert_close(moved[:, 0], plain[:, 0] + shift)
    assert torch.equal(moved[:, 1:], plain[:, 1:])


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_checkpointing_changes_nothing_but_memory(name: str) -> None:
    trunk, images = seeded(TimmTrunk(name, (64, 32))), torch.randn(2, 3, 64, 32)
    grads = []
    for trunk.checkpointing in (False, True):
        trunk.zero_grad()
        trunk(images, None)[0].pow(2).sum().backward()
        grads.append([p.grad.clone() for p in trunk.parameters() if p.grad is not None])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_only_models_that_share_a_projection_with_texts_have_one() -> None:
    with_one = ("vit_base_patch16_clip_224.openai", "vit_base_patch16_clip_quickgelu_224.metaclip_400m")
    without = (
        "vit_base_patch16_clip_224.openai_ft_in1k",
        "convnext_base.clip_laion2b",
        "resnet50",
        "vit_tiny_patch16_224",
    )
    assert all(map(projects, with_one))
    assert not any(map(projects, without))
    with torch.device("meta"):
        assert TimmTrunk(CLIP).model.head.bias is None, "published models have no bias there"


def test_frames_that_a_patch_does_not_divide_are_one_message() -> None:
    with pytest.raises(SettingsError, match=r"do not fill frames of 250 x 128(.|\n)*image_height(.|\n)*256 and 128"):
        TimmTrunk("test_vit", (250, 128))


def seeded(trunk: TimmTrunk) -> TimmTrunk:
    """In evaluation mode, with batch norms that are not the identity."""
    torch.manual_seed(0)
    for part in trunk.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return trunk.eval()
