"""Any vision model of timm: ViTs with their CLS token, CNNs and others with what they pool their map into."""

from typing import Any, cast

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from storage.errors import SettingsError
from training.model.encoders.trunk import PERSON, Composition, Trunk, shifted, through


class TimmTrunk(Trunk):
    """A model by its timm name, its position embedding laid over the grid of our frames.

    Projected tokens are those behind the projection of a model trained with texts (CLIP); of others, the tokens again.

    Args:
        name: a timm name, with its tag or without.
        size: (H, W) of frames, pixels; None: 256 x 128, or the multiples of the patch that are next to it.

    Raises:
        SettingsError: its patches do not fill frames of this size.
    """

    def __init__(self, name: str, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.projects = projects(name)
        settings: dict[str, Any] = {"pretrained": False} | ({} if self.projects else {"num_classes": 0})
        with torch.device("meta"):
            about: Any = timm.create_model(name, **settings)
        if about.pretrained_cfg.get("fixed_input_size"):  # its positions are those of one size
            patch = about.patch_embed.patch_size if hasattr(about, "patch_embed") else (1, 1)
            fitting = tuple(round(side / step) * step for side, step in zip(size or PERSON, patch, strict=True))
            if size not in (None, fitting):
                raise SettingsError(
                    f"patches of {patch[0]} x {patch[1]} pixels ({name}) do not fill frames of {size[0]} x {size[1]}",
                    where="encoder.image_height, encoder.image_width",
                    fix=f"set {fitting[0]} and {fitting[1]}, or leave both out",
                )
            size = settings["img_size"] = fitting
        model: Any = timm.create_model(name, **settings)
        self.size = size or PERSON
        self.mean, self.std = model.pretrained_cfg["mean"], model.pretrained_cfg["std"]
        self.token_width = self.projected_width = model.num_features
        if self.projects:
            self.projected_width = model.head.out_features
            # published models have no bias here; timm adds one of zeros, which would learn
            model.head = nn.Linear(self.token_width, self.projected_width, bias=False)
        else:  # the projected token is CLS once more
            self.ranked_by, self.finetuned = Composition(("cls",)), Composition(("cls", "temporal"))
        self.model = model

    def forward(self, x: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `Trunk.forward`; a ViT's camera is added to CLS before the blocks, another one's to what is pooled."""
        tokens = self._of_vit(x, shift) if self._has_cls() else self._pooled(x, shift)
        return tokens, cast(nn.Linear, self.model.head)(tokens) if self.projects else tokens

    def _has_cls(self) -> bool:
        return isinstance(self.model, VisionTransformer) and self.model.has_class_token

    def _of_vit(self, x: Tensor, shift: Tensor | None) -> Tensor:
        vit = cast(VisionTransformer, self.model)
        tokens = vit.norm_pre(shifted(vit._pos_embed(vit.patch_embed(x)), shift))
        tokens = vit.norm(through(vit.blocks, tokens, self.checkpointing))
        registers = vit.num_prefix_tokens - 1
        return torch.cat([tokens[:, :1], tokens[:, 1 + registers :]], dim=1) if registers else tokens

    def _pooled(self, x: Tensor, shift: Tensor | None) -> Tensor:
        model: Any = self.model
        if self.checkpointing:
            model.set_grad_checkpointing(torch.is_grad_enabled())
        features = model.forward_features(x)
        pooled = model.forward_head(features, pre_logits=True)
        if features.ndim == 4:
            channels_last = features.shape[-1] == self.token_width
            features = features.flatten(1, 2) if channels_last else features.flatten(2).transpose(1, 2)
        else:
            features = features[:, getattr(model, "num_prefix_tokens", 0) :]
        if pooled.shape[-1] != features.shape[-1]:  # some CNNs widen what they have pooled
            pooled = features.mean(dim=1)
        return shifted(torch.cat([pooled[:, None], features], dim=1), shift)


def projects(name: str) -> bool:
    """Whether a model by its timm name ends in the projection that it shares with texts, and not in a classifier."""
    architecture, _, tag = name.partition(".")
    return "clip" in architecture and "_ft_" not in tag and architecture.startswith(("vit_", "eva"))
