"""Files in every layout that people have, compared with the library that each layout comes from."""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip.model
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from storage.errors import WeightsError
from training.model.encoders.checkpoint import load_pretrained, read_checkpoint

WIDTH, DEPTH, HEADS, PROJECTION = 64, 2, 2, 32
TALL = (64, 32)  # 4 x 2 patches
State = dict[str, Tensor]
Layout = Callable[[State, nn.Module, Path], Path]


def timm_clip(size: tuple[int, int] = TALL, **changes: object) -> nn.Module:
    sizes = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "num_classes": PROJECTION}
    name = "vit_base_patch16_clip_quickgelu_224.openai"
    return timm.create_model(name, pretrained=False, img_size=size, **{**sizes, **changes}).eval()


def shaken(model: nn.Module) -> nn.Module:
    """With random values also where models begin with zeros and ones."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
    return model.eval()


def openai_clip(size: tuple[int, int] = TALL) -> open_clip.model.CLIP:
    vision = {"layers": DEPTH, "width": WIDTH, "head_width": WIDTH // HEADS, "patch_size": 16, "image_size": size}
    text = {"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1}
    clip = shaken(open_clip.model.CLIP(PROJECTION, vision, text, quick_gelu=True))
    clip.text_projection.data.mul_(2)
    return clip


def transformers_config() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        image_size=64,
        patch_size=16,
        projection_dim=PROJECTION,
        hidden_act="quick_gelu",
    )


@torch.no_grad()
def cls_tokens(model: nn.Module, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """CLS before projection and after it, as a library works them out."""
    images = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    if isinstance(model, CLIPVisionModelWithProjection | CLIPModel):
        inner = model.vision_model(images).pooler_output
        return inner, model.visual_projection(inner)
    if isinstance(model, open_clip.model.CLIP):
        projection, model.visual.proj = model.visual.proj, None
        inner = model.visual(images)
        model.visual.proj = projection
        return inner, model.visual(images)
    inner = model.forward_features(images)[:, 0]
    return inner, model.head(inner)


def state_dict(state: State, _: nn.Module, path: Path) -> Path:
    torch.save(state, path)
    return path


def safetensors(state: State, _: nn.Module, path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def legacy(state: State, _: nn.Module, path: Path) -> Path:
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


def training(state: State, _: nn.Module, path: Path) -> Path:
    weights = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 60, "optimizer": {"state": {0: torch.ones(3)}}, "state_dict": weights}, path)
    return path


def clip_reid(state: State, _: nn.Module, path: Path) -> Path:
    """As CLIP-ReID, TF-CLIP and CSIP-ReID save: a DataParallel's state dict with all parts of the model."""
    tower = {name.replace("visual.", "image_encoder."): t for name, t in state.items() if name.startswith("visual.")}
    others = {
        "classifier.weight": (5, WIDTH),
        "bottleneck.weight": (WIDTH,),
        "bottleneck.running_mean": (WIDTH,),
        "cv_embed": (6, WIDTH),
        "prompt_learner.cls_ctx": (5, 4, 32),
        "text_encoder.ln_final.weight": (32,),
        "text_encoder.transformer.resblocks.0.ln_1.weight": (32,),
        "skeleton_encoder.proj_ske": (32, 32),
        "TMM.q.weight": (32, 32),
    }
    weights = {f"module.{n}": t for n, t in {**tower, **{n: torch.ones(s) for n, s in others.items()}}.items()}
    torch.save(weights, path)
    return path


def torchscript(_: State, clip: nn.Module, path: Path) -> Path:
    """As OpenAI publishes: half precision, the text tower, three numbers as buffers."""
    for name, number in (("input_resolution", 64), ("context_length", 8), ("vocab_size", 20)):
        clip.__dict__.pop(name, None)
        clip.register_buffer(name, torch.tensor(number))
    example = torch.zeros(1, 3, *TALL), torch.zeros(1, 8, dtype=torch.int64)
    torch.jit.trace(clip, example, check_trace=False).half().save(str(path))
    return path


TEXT = "the text tower (17 tensors: transformer., ln_final., positional_embedding, ...)"
LAYOUTS: dict[str, tuple[Layout, str, list[str]]] = {
    "state dict": (state_dict, "w.pt", [TEXT, "logit_scale"]),
    "safetensors": (safetensors, "w.safetensors", [TEXT, "logit_scale"]),
    "safetensors with another ending": (safetensors, "w.bin", [TEXT, "logit_scale"]),
    "legacy pickle": (legacy, "w.pth", [TEXT, "logit_scale"]),
    "training with module.": (training, "w.pth.tar", [TEXT, "logit_scale"]),
    "CLIP-ReID": (
        clip_reid,
        "w.pth",
        [
            "the text tower (2 tensors: text_encoder.)",
            "TMM.q.weight",
            "bottleneck. (2 tensors)",
            "classifier.weight",
            "cv_embed",
            "prompt_learner.cls_ctx",
            "skeleton_encoder.proj_ske",
        ],
    ),
}


@pytest.mark.parametrize(("write", "name", "dropped"), LAYOUTS.values(), ids=LAYOUTS)
def test_openai_names_give_what_open_clip_gives(write: Layout, name: str, dropped: list[str], tmp_path: Path) -> None:
    clip, model = openai_clip(), timm_clip()
    assert load_pretrained(model, write(clip.state_dict(), clip, tmp_path / name)) == dropped
    for ours, theirs in zip(cls_tokens(model, TALL), cls_tokens(clip, TALL), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_archive_in_half_precision_is_read_in_full(tmp_path: Path) -> None:
    clip, model = openai_clip(), timm_clip()
    path = torchscript({}, clip, tmp_path / "ViT-B-16.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dropped = load_pretrained(model, path)
    text = "the text tower (18 tensors: transformer., ln_final., attn_mask, ...)"  # a trace keeps the mask, too
    assert set(dropped) == {text, "logit_scale", "input_resolution", "context_length", "vocab_size"}
    for ours, theirs in zip(cls_tokens(model, TALL), cls_tokens(clip.half().float(), TALL), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("write", [state_dict, safetensors, legacy])
def test_half_precision_becomes_float32(write: Layout, tmp_path: Path) -> None:
    halves = {"a": torch.tensor([0.1]).half(), "b": torch.tensor([0.1]).bfloat16(), "n": torch.tensor(3)}
    state = read_checkpoint(write(halves, nn.Identity(), tmp_path / "w.pt"))
    assert {name: tensor.dtype for name, tensor in state.items()} == {
        "a": torch.float32,
        "b": torch.float32,
        "n": torch.int64,
    }
    assert state["a"] == halves["a"].float()


@pytest.mark.parametrize("inner", ["", "vision_model."])
@pytest.mark.parametrize("write", [state_dict, safetensors])
def test_names_of_transformers_give_what_transformers_gives(write: Layout, inner: str, tmp_path: Path) -> None:
    theirs = shaken(CLIPVisionModelWithProjection(transformers_config()))
    state = {inner + name if name.startswith("vision") else name: t for name, t in theirs.state_dict().items()}
    state[f"{inner}vision_model.embeddings.position_ids"] = torch.arange(17)[None]  # of old versions
    model = timm_clip((64, 64))
    dropped = load_pretrained(model, write(state, theirs, tmp_path / "w"))
    assert dropped == [f"{inner}vision_model.embeddings.position_ids"]
    for one, other in zip(cls_tokens(model, (64, 64)), cls_tokens(theirs, (64, 64)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_a_vision_model_of_transformers_alone_has_no_prefix(tmp_path: Path) -> None:
    theirs, model = shaken(CLIPVisionModelWithProjection(transformers_config())), timm_clip((64, 64), num_classes=0)
    assert load_pretrained(model, state_dict(theirs.vision_model.state_dict(), theirs, tmp_path / "w.pt")) == []
    inner, _ = cls_tokens(theirs, (64, 64))
    torch.testing.assert_close(cls_tokens(model, (64, 64))[0], inner, rtol=0, atol=1e-5)


def test_a_whole_clip_as_transformers_saves_it_loses_its_text_tower_only(tmp_path: Path) -> None:
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**text, "vocab_size": 20, "projection_dim": PROJECTION},
        vision_config=transformers_config().to_dict(),
        projection_dim=PROJECTION,
    )
    theirs, model = shaken(CLIPModel(config)), timm_clip((64, 64))
    theirs.save_pretrained(tmp_path)
    dropped = load_pretrained(model, tmp_path / "model.safetensors")
    assert [phrase.split(" (")[0] for phrase in dropped] == ["the text tower", "logit_scale"]
    for one, other in zip(cls_tokens(model, (64, 64)), cls_tokens(theirs, (64, 64)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("with_bias", [True, False])
def test_names_of_timm_give_the_same_model(with_bias: bool, tmp_path: Path) -> None:
    theirs, model = shaken(timm_clip()), timm_clip()
    theirs.head.bias.data.zero_()
    state = {name: tensor for name, tensor in theirs.state_dict().items() if with_bias or name != "head.bias"}
    assert load_pretrained(model, safetensors(state, theirs, tmp_path / "model.safetensors")) == []
    for one, other in zip(cls_tokens(model, TALL), cls_tokens(theirs, TALL), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("container", ["state_dict", "model", "model_state_dict", "model_ema"])
def test_a_container_is_opened_and_plain_data_beside_it_is_left(container: str, tmp_path: Path) -> None:
    beside = {"epoch": 3, "args": argparse.Namespace(lr=0.1), "rank1": np.float64(0.9), "scheduler": {"step": 2}}
    torch.save({**beside, container: {"a": torch.ones(2), "version": "1"}}, tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").keys() == {"a"}


def test_what_a_file_lacks_is_said_with_its_place(tmp_path: Path) -> None:
    torch.save({"blocks.0.norm1.weight": torch.ones(WIDTH)}, tmp_path / "w.pth")
    with pytest.raises(
        WeightsError, match=r"these weights are not vit_base_patch16_clip.* tensors do not fit"
    ) as error:
        load_pretrained(timm_clip(), tmp_path / "w.pth")
    assert error.value.where == str(tmp_path / "w.pth")
    assert error.value.fix


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "backbone.", "module.model."])
def test_a_wrappers_prefix_before_every_name_is_none_of_the_models(prefix: str, tmp_path: Path) -> None:
    model = timm.create_model("test_vit", num_classes=0)
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "wrapped.pth")
    other = timm.create_model("test_vit", num_classes=0)
    load_pretrained(other, tmp_path / "wrapped.pth")
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_what_lies_beside_the_weights_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = {"x": torch.ones(2)}
    torch.save({"state_dict": state, "state_dict_ema": {"x": torch.zeros(2)}, "epoch": 3}, tmp_path / "a.pth")
    with caplog.at_level("INFO", "csip.training"):
        assert torch.equal(read_checkpoint(tmp_path / "a.pth")["x"], state["x"])
    assert "a.pth: state_dict is read; beside it, and left out: state_dict_ema, epoch" in caplog.messages
