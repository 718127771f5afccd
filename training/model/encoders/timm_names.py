"""Weights in any naming that timm can convert, made a timm model's own: names, positions, head, no key unaccounted for.

What timm knows of other people's names stays in timm: it is asked through the `checkpoint_filter_fn` of the model's own
module. What it does not know is brought into names that it knows by `clip_names`.
"""

import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from storage.errors import WeightsError
from training.model.encoders.clip_names import counted, in_short, visual_tower
from training.model.encoders.positions import over_its_grid

Positions = Literal["bicubic", "bilinear"]

REMADE = re.compile(r"pos|patch|conv1|cls_token|rel")
"""What timm may interpolate or add up, so that it lies in other memory afterwards: not to be taken for left out."""

POSITIONS = re.compile(r"pos_embed$|positional_emb")
PATCH = ("patch_embed.proj.weight", "visual.conv1.weight")
WIDTHS = {192: "ViT-Ti", 384: "ViT-S", 768: "ViT-B", 1024: "ViT-L", 1280: "ViT-H"}
FAMILIES = (
    (r"conv2\.0\.conv2[ab]\.", "OSNet's"),
    (r"layer1\.0\.conv1\.weight", "a ResNet's"),
    (r"stages\.\d\.(blocks\.)?\d\.(conv_dw|dwconv)", "a ConvNeXt's"),
    (r"layers\.\d\.blocks\.\d\.attn\.", "a Swin transformer's"),
    (r"keypoint_head\.|head\.(final_layer|gau)\.|backbone\.stage\d", "a pose estimator's"),
    (r"vision_model\.|encoder\.layers?\.\d+\.", "an encoder's in the naming of transformers, and no CLIP's"),
    (r"st_gcn|skeleton_encoder", "a skeleton encoder's"),
    (r"blocks\.\d+\.attn\.qkv\.", "a vision transformer's"),
)
"""How names of a known family look; the first that fits the file and not the model is said."""


def timm_state(
    state: Mapping[str, Tensor], model: nn.Module, positions: str = "bicubic", where: Path | None = None
) -> tuple[dict[str, Tensor], list[str]]:
    """A state dict that a timm model loads strictly, made of weights in any naming that is known.

    Args:
        state: flat, as `read_checkpoint` gives it: names of timm, OpenAI's CLIP or open_clip (text tower and all),
            `transformers`' CLIP, or a training of CLIP-ReID, TF-CLIP or CSIP-ReID.
        model: of `timm.create_model(name, pretrained=False, img_size=...)`. Without a head it gets none; where the head
            has no bias, a file's bias must be zeros; where only the file has none, the model's is zeros.
        positions: how positions of another grid are interpolated: `bicubic` with antialias, as timm does, or `bilinear`
            without, as the published code of CLIP-ReID and CSIP-ReID does.
        where: the file, for messages.

    Returns:
        The state, and what was dropped, in a few words each.

    Raises:
        WeightsError: keys that only one of the two has, or of another shape; says what the weights look like.
    """
    if positions not in get_args(Positions):
        raise ValueError(f"positions is {positions!r}, must be one of {', '.join(get_args(Positions))}")
    tower, dropped = visual_tower(state)
    own = model.state_dict()
    try:
        fitted = _converted(tower, model, positions)
    except (RuntimeError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        # timm takes for granted that the weights are the model's: tensors of another kind fail anywhere in it
        said = (str(error).splitlines() or [""])[0][:100]
        reason = f"timm cannot convert them ({type(error).__name__}: {said})"
        raise _misfit(model, reason, _looks(tower, tower, own, model), where) from error
    left_out = [name for name in _left_out(tower, fitted) if name not in own]
    dropped += in_short(left_out + _fit_heads(fitted, own, model, where))
    wrong = _misfits(fitted, own)
    looks = _looks(tower, fitted, own, model)
    # timm would scale patches of another size; they are another model's
    if wrong or (_patch(own) and _patch(tower) not in (None, _patch(own))):
        some = ", ".join(wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        reason = (
            f"{counted(len(wrong))} {'do' if wrong[1:] else 'does'} not fit, such as {some}"
            if wrong
            else "they were made for other patches"
        )
        # all names are the model's, and only some tables differ: those that are as long as a frame is large
        tables = fitted.keys() == own.keys() and 4 * len(wrong) < len(own)
        raise _misfit(model, reason, looks, where, _own_size(model) if tables else None)
    return fitted, dropped


def _converted(tower: Mapping[str, Tensor], model: nn.Module, positions: str) -> dict[str, Tensor]:
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return dict(tower)
    tower = {
        name: over_its_grid(tensor, model, positions) if POSITIONS.search(name) else tensor
        for name, tensor in tower.items()
    }
    known = inspect.signature(convert).parameters
    wanted = {"interpolation": positions, "antialias": positions == "bicubic"}
    return dict(convert(dict(tower), model, **{name: wanted[name] for name in wanted if name in known}))


def _left_out(tower: Mapping[str, Tensor], fitted: Mapping[str, Tensor]) -> list[str]:
    """What timm knows to be of no use in its models (mask_token, ...): nothing of the result is a view of it."""
    kept = {tensor.data_ptr() for tensor in fitted.values()}
    return [name for name, tensor in tower.items() if tensor.data_ptr() not in kept and not REMADE.search(name)]


def _fit_heads(fitted: dict[str, Tensor], own: Mapping[str, Tensor], model: nn.Module, where: Path | None) -> list[str]:
    """Give the state as much of a head as the model has; the names of what was taken away."""
    gone = []
    heads = _described(model).get("classifier") or "head"
    for head in [heads] if isinstance(heads, str) else heads:
        weight, bias = f"{head}.weight", f"{head}.bias"
        if weight not in own:
            # a norm may lie before the classifier in a head of several parts
            whole = head.rpartition(".")[0] or head
            gone += [name for name in fitted if name.startswith((f"{head}.", f"{whole}.")) and name not in own]
        elif bias in own and weight in fitted and bias not in fitted:
            fitted[bias] = torch.zeros(len(fitted[weight]))
        elif bias not in own and bias in fitted:
            if fitted[bias].any():
                raise WeightsError(
                    f"the weights have a {bias} that is not zeros, and the model's projection has no bias",
                    where=where,
                    fix="give CLIP's own weights, whose projection has none, or name another model",
                )
            del fitted[bias]
    # the bias of zeros that timm makes for CLIP's projection was nothing of the file's
    return [name for name in gone if fitted.pop(name).any() or not name.endswith(".bias")]


def _misfits(fitted: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    wrong = []
    for name in [*own, *(name for name in fitted if name not in own)]:
        if name not in fitted:
            wrong.append(f"{name} (missing)")
        elif name not in own:
            wrong.append(f"{name} (unknown to the model)")
        elif fitted[name].shape != own[name].shape:
            wrong.append(f"{name} ({_size(fitted[name])}, the model has {_size(own[name])})")
        elif fitted[name].is_floating_point() != own[name].is_floating_point():
            wrong.append(f"{name} ({fitted[name].dtype}, the model has {own[name].dtype})")
    return wrong


def _looks(
    tower: Mapping[str, Tensor], fitted: Mapping[str, Tensor], own: Mapping[str, Tensor], model: nn.Module
) -> list[str]:
    """What weights that do not fit look like."""
    for pattern, whose in FAMILIES:
        if any(re.search(pattern, name) for name in tower) and not any(re.search(pattern, name) for name in own):
            return [f"these are {whose}"]
    looks = []
    their_patch, our_patch = _patch(tower), _patch(own)
    if their_patch and our_patch:
        (width, *patch), (own_width, *own_patch) = their_patch, our_patch
        if width != own_width:
            guess = f": {WIDTHS[width]}?" if width in WIDTHS else ""
            looks.append(f"width {width}, the model has {own_width}{guess}")
        if patch != own_patch:
            looks.append(
                f"patches of {' x '.join(map(str, patch))} pixels, the model's are {own_patch[0]} x {own_patch[1]}"
            )
    depth, own_depth = _depth(fitted), _depth(own)
    if depth != own_depth and depth and own_depth:
        looks.append(f"{depth} blocks, the model has {own_depth}")
    if "head.weight" in own and "head.weight" not in fitted and fitted is not tower:
        looks.append("no projection")
    positions = next((tensor for name, tensor in tower.items() if POSITIONS.search(name)), None)
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    if fitted is tower and positions is not None and grid:
        odd = f"positions of {positions.shape[-2]} tokens, of no square grid nor of one twice as high as wide"
        looks.append(f"{odd}; the model's is {grid}")
    return looks


def _patch(state: Mapping[str, Tensor]) -> tuple[int, int, int] | None:
    """Width, height and width of a patch."""
    for name, tensor in state.items():
        if name.endswith(PATCH) and tensor.ndim == 4:
            return tensor.shape[0], tensor.shape[2], tensor.shape[3]
    return None


def _depth(state: Mapping[str, Tensor]) -> int:
    return len({found[1] for name in state if (found := re.search(r"\bblocks\.(\d+)\.", name))})


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def _own_size(model: nn.Module) -> tuple[int, int] | None:
    """Frames that a model's weights were trained on, (H, W), pixels."""
    size = _described(model).get("input_size")
    return (size[1], size[2]) if size else None


def _misfit(
    model: nn.Module, reason: str, looks: list[str], where: Path | None, size: tuple[int, int] | None = None
) -> WeightsError:
    name = _described(model).get("architecture") or type(model).__name__
    return WeightsError(
        f"these weights are not {name}: {reason}" + (f" [{'; '.join(looks)}]" if looks else ""),
        where=where,
        fix="name the model that they are of, or give weights of this one"
        + (
            f"; if they are, it has tables that fit frames of one size: set encoder.image_height={size[0]} and "
            f"encoder.image_width={size[1]}"
            if size
            else ""
        ),
    )


def _described(model: nn.Module) -> dict[str, Any]:
    return dict(getattr(model, "pretrained_cfg", None) or {})
