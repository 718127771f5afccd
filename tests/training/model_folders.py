"""Model folders as the stages write them, of untrained models, in no time; and the embeddings of the models in them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from training.files import load_model, read_description, save_model
from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.start import load_encoder
from training.model.reid_model import Features, ReidModel
from training.settings import EncoderSettings, SkeletonSettings

ENCODER = EncoderSettings(model="small", image_height=32, image_width=16, width=16, depth=1, heads=2, projection=8)
SKELETON = SkeletonSettings(width=16, depth=1, heads=2, hidden=16)


def visual_folder(out: Path, encoder: EncoderSettings = ENCODER) -> Path:
    """As the `visual` stage writes it."""
    model = _stirred(VisualEncoder(encoder))
    out.mkdir(parents=True)
    save_model(model, {"kind": "visual", "encoder": encoder.model_dump(mode="json"), "cameras": []}, out)
    return out


def finetuned_folder(
    out: Path,
    encoder: EncoderSettings = ENCODER,
    cameras: tuple[int, ...] = (1, 2, 6),
    stirred: float = 0.1,
    **parts: bool,
) -> Path:
    """As the `finetuned` stage writes it; `parts` may leave some out: use_sgtm, use_pfu, use_skeletons."""
    parts = {"use_sgtm": True, "use_pfu": True, "use_skeletons": True} | parts
    torch.manual_seed(0)
    skeleton = SKELETON if parts["use_skeletons"] else None
    switches = {"use_sgtm": parts["use_sgtm"], "use_pfu": parts["use_pfu"]}
    model = _stirred(ReidModel(encoder, skeleton, 3, cameras, **switches), stirred)
    described = {
        "encoder": encoder.key_fields(),
        "skeleton": skeleton.key_fields() if skeleton else None,
        "cameras": list(cameras),
    }
    out.mkdir(parents=True)
    save_model(model, {"kind": "finetuned", "identities": 3, **described, **parts}, out)
    return out


@torch.no_grad()
def reference_embeddings(
    folder: Path,
    clips: Tensor,
    camids: Tensor,
    parts: Sequence[str] = ("cls", "projected", "temporal"),
    scale: Callable[[ReidModel, str, Tensor], Tensor] = lambda model, part, feature: feature,
) -> Tensor:
    """Embeddings by the parts of the model that is trained, without what is made for inference."""
    described = read_description(folder)
    encoder = EncoderSettings(**described["encoder"])
    if described["kind"] == "visual":
        parts = load_encoder(folder, encoder).eval()(clips.flatten(0, 1))
        means = [part[:, 0].unflatten(0, clips.shape[:2]).mean(1) for part in parts]
        return torch.cat(means, 1)
    switches = {name: described[name] for name in ("use_sgtm", "use_pfu")}
    skeleton = SkeletonSettings(**described["skeleton"]) if described["skeleton"] else None
    cameras = tuple(described["cameras"])
    model = ReidModel(encoder, skeleton, described["identities"], cameras, **switches)
    load_model(model, folder)
    found = reference_features(model.eval(), clips, camids)._asdict()
    return torch.cat([scale(model, part, found[part]) for part in parts if found[part] is not None], 1)


def reference_features(model: ReidModel, images: Tensor, camids: Tensor | None = None) -> Features:
    """The three features of clips, without skeletons."""
    tokens, projected = model.encode(images, camids)
    temporal = model.sgtm(tokens).clip if model.sgtm is not None else None
    return Features(tokens[:, :, 0].mean(1), projected[:, :, 0].mean(1), temporal)


def _stirred(model: nn.Module, by: float = 0.1) -> nn.Module:
    """With values everywhere that a mistake would show: no zero camera vector, no identity for a batch norm."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator) * by
                tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else tensor + noise)
    return model
