"""Whose names weights bear, what of them is used, and what is said where they are another model's."""

import re
from functools import cache

import open_clip.model
import pytest
import timm
import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from storage.errors import WeightsError
from training.model.encoders.timm_names import timm_state

SIZES = {"embed_dim": 64, "depth": 2, "num_heads": 2, "num_classes": 32}
CLIP = "vit_base_patch16_clip_quickgelu_224.openai"
State = dict[str, Tensor]


def timm_clip(size: tuple[int, int] = (64, 32), **changes: object) -> nn.Module:
    return timm.create_model(CLIP, pretrained=False, img_size=size, **{**SIZES, **changes}).eval()


@cache
def tower(size: tuple[int, int] = (64, 32), width: int = 64, layers: int = 2, patch: int = 16) -> State:
    """A random visual tower in OpenAI's names."""
    torch.manual_seed(0)
    vision = {"layers": layers, "width": width, "head_width": 32, "patch_size": patch, "image_size": size}
    text = {"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1}
    state = open_clip.model.CLIP(32, vision, text, quick_gelu=True).state_dict()
    return {name: tensor for name, tensor in state.items() if name.startswith("visual.")}


def timm_named(**changes: object) -> State:
    torch.manual_seed(0)
    return timm_clip(**changes).state_dict()


def published_positions(positions: Tensor, rows: int, columns: int) -> Tensor:
    """As the published code of CLIP-ReID and CSIP-ReID scales them."""
    side = int((len(positions) - 1) ** 0.5)
    grid = positions[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(rows, columns), mode="bilinear")
    return torch.cat([positions[:1], grid.permute(0, 2, 3, 1).reshape(rows * columns, -1)])


def test_positions_of_another_grid_are_interpolated_as_open_clip_does() -> None:
    theirs = {name.removeprefix("visual."): tensor for name, tensor in tower((64, 64)).items()}
    expected = {f"visual.{name}": tensor.clone() for name, tensor in theirs.items()}
    target = open_clip.model.CLIP(32, {"layers": 1, "width": 64, "patch_size": 16, "image_size": (64, 32)}, {})
    open_clip.model.resize_pos_embed(expected, target)
    state, _ = timm_state(theirs, timm_clip())
    torch.testing.assert_close(state["pos_embed"][0], expected["visual.positional_embedding"], rtol=0, atol=1e-6)


def test_positions_of_another_grid_are_interpolated_as_published() -> None:
    state, _ = timm_state(tower((64, 64)), timm_clip(), "bilinear")
    expected = published_positions(tower((64, 64))["visual.positional_embedding"], 4, 2)
    torch.testing.assert_close(state["pos_embed"][0], expected, rtol=0, atol=1e-6)


def test_positions_of_person_frames_serve_frames_of_another_size() -> None:
    made_for = tower((128, 64))
    state, _ = timm_state(made_for, timm_clip((64, 32)), "bilinear")
    positions = made_for["visual.positional_embedding"]
    cells = F.interpolate(positions[1:].reshape(1, 8, 4, -1).permute(0, 3, 1, 2), size=(4, 2), mode="bilinear")
    expected = torch.cat([positions[:1], cells.permute(0, 2, 3, 1).reshape(8, -1)])
    torch.testing.assert_close(state["pos_embed"][0], expected, rtol=0, atol=1e-6)


def test_an_unknown_interpolation_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of bicubic, bilinear"):
        timm_state(tower(), timm_clip(), "nearest")


@pytest.mark.parametrize("prefix", ["", "visual.", "image_encoder."])
def test_a_tower_is_known_behind_any_of_its_prefixes(prefix: str) -> None:
    model = timm_clip()
    state, dropped = timm_state({n.replace("visual.", prefix): tensor for n, tensor in tower().items()}, model)
    model.load_state_dict(state)
    assert not dropped
    assert torch.equal(model.head.weight, tower()["visual.proj"].T)


def test_a_head_without_bias_takes_clips_projection() -> None:
    model = timm_clip()
    model.head = nn.Linear(64, 32, bias=False)
    for weights in (tower(), {**timm_named(), "head.bias": torch.zeros(32)}):
        state, dropped = timm_state(weights, model)
        model.load_state_dict(state)
        assert not dropped


def test_a_head_without_bias_refuses_a_bias_that_is_not_zeros() -> None:
    model = timm_clip()
    model.head = nn.Linear(64, 32, bias=False)
    with pytest.raises(WeightsError, match=r"head\.bias that is not zeros"):
        timm_state({**timm_named(), "head.bias": torch.ones(32)}, model)


@pytest.mark.parametrize(("bias", "named"), [(None, 1), (0.0, 1), (1.0, 2)])
def test_a_model_without_a_head_drops_the_files(bias: float | None, named: int) -> None:
    weights = timm_named()
    del weights["head.bias"]
    if bias is not None:
        weights["head.bias"] = torch.full((32,), bias)
    state, dropped = timm_state(weights, timm_clip(num_classes=0))
    assert "head.weight" not in state
    assert dropped == (["head.weight"] if named == 1 else ["head. (2 tensors)"])
    assert timm_state(tower(), timm_clip(num_classes=0))[1] == ["head.weight"]


def test_what_timm_leaves_out_by_itself_is_named() -> None:
    weights = {**timm_named(), "mask_token": torch.zeros(1, 64)}
    assert timm_state(weights, timm_clip())[1] == ["mask_token"]


def test_the_resnet_of_openai_gives_what_open_clip_gives() -> None:
    torch.manual_seed(0)
    theirs, model = ModifiedResNet([3, 4, 6, 3], 1024, 32, 64).eval(), timm.create_model("resnet50_clip", img_size=64)
    state, dropped = timm_state({f"image_encoder.{n}": tensor for n, tensor in theirs.state_dict().items()}, model)
    model.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    assert not dropped
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), theirs(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "sizes"), [("convnext_atto", {}), ("eva02_tiny_patch14_224", {"img_size": 28})])
def test_other_models_of_timm_load_their_own_names(name: str, sizes: dict[str, int]) -> None:
    torch.manual_seed(0)
    theirs, model = timm.create_model(name, **sizes), timm.create_model(name, **sizes)
    state, dropped = timm_state(theirs.state_dict(), model)
    model.load_state_dict(state)
    assert not dropped
    assert all(torch.equal(tensor, state[key]) for key, tensor in theirs.state_dict().items())


def osnet() -> State:
    return {"conv1.conv.weight": torch.ones(64, 3, 7, 7), "conv2.0.conv2a.conv1.weight": torch.ones(16, 16, 1, 1)}


def siglip() -> State:
    return {"vision_model.encoder.layers.0.mlp.fc1.bias": torch.ones(8), "vision_model.head.probe": torch.ones(1, 1, 8)}


def without_projection() -> State:
    return {name: tensor for name, tensor in tower().items() if name != "visual.proj"}


def of_another_stride() -> State:
    """Positions of 5 x 3 patches, as CLIP-ReID's are with a stride of 12."""
    return {**tower(), "visual.positional_embedding": torch.ones(16, 64)}


def imagenet() -> State:
    return {**timm_named(), "head.weight": torch.ones(1000, 64), "head.bias": torch.ones(1000)}


ANOTHERS = {
    "width": (lambda: tower(width=192), r"\[width 192, the model has 64: ViT-Ti\?\]"),
    "patch": (lambda: tower(patch=32), r"\[patches of 32 x 32 pixels, the model's are 16 x 16\]"),
    "patch, timm's": (lambda: timm_named(patch_size=8), r"patches of 8 x 8 pixels, the model's are 16 x 16"),
    "depth": (
        lambda: tower(layers=3),
        r"blocks\.2\.norm1\.weight \(unknown to the model\).*\[3 blocks, the model has 2\]",
    ),
    "no projection": (
        without_projection,
        r"such as head\.weight \(missing\), head\.bias \(missing\) \[no projection\]",
    ),
    "classes": (imagenet, r"2 tensors do not fit, such as head\.weight \(1000 x 64, the model has 32 x 64\)"),
    "stride": (of_another_stride, r"timm cannot convert them .*positions of 16 tokens, of no square grid"),
    "osnet": (osnet, r"conv1\.conv\.weight \(unknown.*|, \.\.\. \[these are OSNet's\]"),
    "siglip": (siglip, "these are an encoder's in the naming of transformers, and no CLIP's"),
    "resnet": (lambda: timm.create_model("resnet18").state_dict(), "these are a ResNet's"),
    "extra": (lambda: {**tower(), "visual.extra": torch.ones(1)}, r"1 tensor does not fit, such as extra \(unknown"),
    "whole numbers": (lambda: {**timm_named(), "norm.bias": torch.ones(64).long()}, r"norm\.bias \(torch\.int64, the"),
}


@pytest.mark.parametrize(("make", "message"), ANOTHERS.values(), ids=ANOTHERS)
def test_weights_of_another_model_are_said_to_be(make: object, message: str) -> None:
    with pytest.raises(WeightsError) as error:
        timm_state(make(), timm_clip())
    assert error.value.what.startswith("these weights are not vit_base_patch16_clip_quickgelu_224: ")
    assert re.search(message, error.value.what), error.value.what
    assert "\n" not in error.value.what


def test_a_vision_transformer_is_no_convnext() -> None:
    with pytest.raises(WeightsError, match="these are a vision transformer's"):
        timm_state(timm_named(), timm.create_model("convnext_atto"))


@pytest.mark.parametrize("name", ["levit_128s", "repvit_m0_9"])
def test_the_norms_of_a_head_of_several_parts_go_with_it(name: str) -> None:
    whole = timm.create_model(name, pretrained=False)
    model = timm.create_model(name, pretrained=False, num_classes=0)
    fitted, dropped = timm_state(whole.state_dict(), model)
    model.load_state_dict(fitted)
    assert any(".bn" in line or "head" in line for line in dropped)


def test_tables_that_fit_frames_of_one_size_are_named_with_that_size() -> None:
    whole = timm.create_model("convit_tiny", pretrained=False)
    model = timm.create_model("convit_tiny", pretrained=False, num_classes=0, img_size=(256, 128))
    with pytest.raises(WeightsError) as caught:
        timm_state(whole.state_dict(), model)
    assert "set encoder.image_height=224 and encoder.image_width=224" in str(caught.value.fix)
    other = timm.create_model("convit_small", pretrained=False)
    with pytest.raises(WeightsError) as caught:
        timm_state(other.state_dict(), model)
    assert "image_height" not in str(caught.value.fix), "another model's weights fit no size"
