"""Names of CLIP's visual tower in other people's files, brought into OpenAI's, which timm converts by itself.

Sources: `transformers` (`modeling_clip.py`); the published code of CLIP-ReID, TF-CLIP and CSIP-ReID, which all keep
OpenAI's tower as `image_encoder`.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

VISUAL = "visual."
TRANSFORMERS = (
    ("embeddings.patch_embedding.", "conv1."),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("embeddings.class_embedding", "class_embedding"),
    ("pre_layrnorm.", "ln_pre."),  # transformers spells it so
    ("post_layernorm.", "ln_post."),
    ("encoder.layers.", "transformer.resblocks."),
    (".layer_norm", ".ln_"),
    (".self_attn.", ".attn."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
PROJECTION = "visual_projection.weight"
SIGNS = ("class_embedding", "attnpool.c_proj.weight")
"""Tensors that only OpenAI's towers have: the ViT's, the ResNet's."""

TEXT = {
    # of OpenAI; then of open_clip, transformers and CLIP-ReID
    *("transformer", "token_embedding", "positional_embedding", "text_projection", "ln_final", "attn_mask"),
    *("text", "text_model", "text_encoder"),
}


def visual_tower(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The visual tower of a CLIP in OpenAI's names, and what else there was, in a few words each.

    Weights of something else are given back as they are.
    """
    marks = [name for name in state if name.endswith("embeddings.class_embedding")]
    if marks:
        return _of_transformers(state, marks[0].removesuffix("embeddings.class_embedding"))
    for prefix in ("image_encoder.", VISUAL, ""):
        if any(prefix + sign in state for sign in SIGNS) or (prefix == VISUAL and _some(state, VISUAL)):
            tower = {VISUAL + name[len(prefix) :]: state[name] for name in state if name.startswith(prefix)}
            return tower, in_short(name for name in state if not name.startswith(prefix))
    return dict(state), []


def _some(state: Mapping[str, Tensor], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in state)


def _of_transformers(state: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], list[str]]:
    tower: dict[str, Tensor] = {}
    dropped = []
    for name, tensor in state.items():
        if name.endswith(PROJECTION):
            tower[VISUAL + "proj"] = tensor.T  # (D, P)
        elif not name.startswith(prefix) or name.endswith("position_ids"):  # the numbers 0, 1, 2 ... of old versions
            dropped.append(name)
        else:
            new = name.removeprefix(prefix)
            for theirs, openai in TRANSFORMERS:
                new = new.replace(theirs, openai)
            tower[VISUAL + new] = tensor
    for name in [name for name in tower if ".attn.q_proj." in name]:
        parts = [name.replace(".q_proj.", f".{part}_proj.") for part in "qkv"]
        if all(part in tower for part in parts):
            whole = name.replace(".q_proj.", ".in_proj_")
            tower[whole] = torch.cat([tower.pop(part) for part in parts])  # (3 D, D) or (3 D,)
    return tower, in_short(dropped)


def in_short(names: Iterable[str]) -> list[str]:
    """Names of dropped tensors as a few phrases: CLIP's text tower is one, a module of several tensors another."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(name.partition(".")[0], []).append(name)
    labels = {first: f"{first}." if len(many) > 1 else many[0] for first, many in groups.items()}
    text = sorted((first for first in groups if first in TEXT), key=lambda first: -len(groups[first]))
    short = []
    if text:
        listed = ", ".join(labels[first] for first in text[:3]) + (", ..." if len(text) > 3 else "")
        short.append(f"the text tower ({counted(sum(len(groups[first]) for first in text))}: {listed})")
    for first, many in groups.items():
        if first not in TEXT:
            short.append(labels[first] + (f" ({counted(len(many))})" if len(many) > 1 else ""))
    return short


def counted(tensors: int) -> str:
    """A number of tensors in words."""
    return f"{tensors} tensor" + ("s" if tensors > 1 else "")
