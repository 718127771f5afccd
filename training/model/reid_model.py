"""The model of stage 2: visual encoder, skeleton encoder, PFU and SGTM with their heads, loss, and embedding."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.looping.distributed import gather
from training.model.encoders.encoder import VisualEncoder
from training.model.encoders.trunk import Composition
from training.model.losses import batch_hard_triplet, smoothed_cross_entropy
from training.model.prototypes import PrototypeFusionUpdater
from training.model.skeleton_encoder import SkeletonEncoder
from training.model.temporal import TemporalModelling
from training.settings import EncoderSettings, LossSettings, Part, Scale, SkeletonSettings


class Features(NamedTuple):
    """The three clip features: CLS before projection (B, D) and after it (B, P), SGTM's clip feature (B, D) or None."""

    cls: Tensor
    projected: Tensor
    temporal: Tensor | None


def neck_of(width: int) -> nn.BatchNorm1d:
    """A BNNeck: a batch norm whose bias stays zero. Source: Luo et al. 2019."""
    neck = nn.BatchNorm1d(width)
    neck.bias.requires_grad_(False)
    return neck


class Head(nn.Module):
    """BNNeck and a bias-free classifier."""

    def __init__(self, width: int, identities: int) -> None:
        super().__init__()
        self.neck = neck_of(width)
        self.classifier = nn.Linear(width, identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) -> logits (B, K)."""
        logits: Tensor = self.classifier(self.neck(x))
        return logits


def embedding(features: Features, made_of: Composition, necks: Mapping[str, nn.Module]) -> Tensor:
    """Features of clips side by side, (B, C); what is ranked is their mean over a tracklet, L2-normalised.

    Args:
        features: of the clips; `temporal` may be None where it is no part.
        made_of: which of them, in which order, and how each is scaled before.
        necks: the BNNeck of each, where they are to be behind it.
    """
    return torch.cat([_scaled(getattr(features, part), part, made_of.scale, necks) for part in made_of.parts], dim=1)


def _scaled(feature: Tensor, part: Part, scale: Scale, necks: Mapping[str, nn.Module]) -> Tensor:
    if scale == "raw":
        return feature
    found: Tensor = F.normalize(feature, dim=1) if scale == "unit" else necks[part](feature)
    return found


def fusion_heads(width: int) -> int:
    """Attention heads of PFU and SGTM."""
    return 8 if width % 8 == 0 else 4


class ReidModel(nn.Module):
    """Everything that stage 2 trains.

    Args:
        encoder: settings of the visual encoder.
        skeleton: settings of the skeleton encoder; None leaves skeletons out of SGTM and PFU, for an ablation.
        identities: K.
        cameras: camera ids with side information.
        use_sgtm, use_pfu: False leaves out, for an ablation, SGTM; PFU and its loss.
        freeze_norms: the visual encoder's batch norms keep their statistics.
        dropout: in PFU and SGTM.
    """

    prototypes_visual: Tensor
    prototypes_skeleton: Tensor

    def __init__(
        self,
        encoder: EncoderSettings,
        skeleton: SkeletonSettings | None,
        identities: int,
        cameras: tuple[int, ...] = (),
        *,
        use_sgtm: bool = True,
        use_pfu: bool = True,
        freeze_norms: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.visual, self.freeze_norms = VisualEncoder(encoder, cameras), freeze_norms
        d, p = self.visual.trunk.token_width, self.visual.trunk.projected_width
        self.sgtm = TemporalModelling(d, p, fusion_heads(d), dropout) if use_sgtm else None
        self.skeleton = SkeletonEncoder(skeleton, p) if skeleton is not None else None
        self.pfu = PrototypeFusionUpdater(p, fusion_heads(p), dropout=dropout) if use_pfu else None
        self.heads = nn.ModuleDict({"cls": Head(d, identities), "projected": Head(p, identities)})
        if use_sgtm:
            self.heads["temporal"] = Head(d, identities)
            self.heads["frame"] = neck_of(d)  # of frames, which then share the clip feature's classifier
        self.register_buffer("prototypes_visual", torch.zeros(identities, p))
        self.register_buffer("prototypes_skeleton", torch.zeros(identities, p))

    def train(self, mode: bool = True) -> "ReidModel":
        """Training mode, but not for what must not change.

        These are a frozen skeleton encoder, whose dropout would be noise, and, unless they are not to be frozen, the
        visual encoder's batch norms, which the few identities of a batch would spoil.
        """
        super().train(mode)
        for part in self.visual.modules() if self.freeze_norms else ():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        if self.skeleton is not None and not any(p.requires_grad for p in self.skeleton.parameters()):
            self.skeleton.eval()
        return self

    def encode(self, images: Tensor, camids: Tensor | None) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, N, D) and projected tokens (B, T, N, P) of clips (B, T, 3, H, W) with one camera each (B,)."""
        b, t = images.shape[:2]
        cameras = None if camids is None else camids.repeat_interleave(t)
        tokens, projected = self.visual(images.flatten(0, 1), cameras)
        return tokens.unflatten(0, (b, t)), projected.unflatten(0, (b, t))

    def embedding(self, images: Tensor, camids: Tensor | None, made_of: Composition) -> Tensor:
        """Embeddings (B, C), not normalised, of clips (B, T, 3, H, W) by one camera each (B,), without skeletons."""
        tokens, projected = self.encode(images, camids)
        temporal = self.sgtm(tokens).clip if self.sgtm is not None and "temporal" in made_of.parts else None
        necks = {name: head.neck for name, head in self.heads.items() if isinstance(head, Head)}
        features = Features(tokens[:, :, 0].mean(1), projected[:, :, 0].mean(1), temporal)
        return embedding(features, made_of, necks)

    def loss(self, batch: Mapping[str, Tensor], settings: LossSettings) -> dict[str, Tensor]:
        """Each weighted term of the loss; their sum is what stage 2 minimises.

        Args:
            batch: this process's clips: images (B, T, 3, H, W), labels (B,) in 0..K-1, camids (B,); of a model with
                skeletons also these (B, T, J, 3), seen (B, T), signs (E,) of SGT's position encoding or none.
            settings: weights of the terms.
        """
        tokens, projected = self.encode(batch["images"], batch["camids"])
        joints, seen = None, None
        if self.skeleton is not None:
            seen = batch["seen"]
            signs = batch.get("signs") if self.skeleton.training else None  # a frozen one is in evaluation mode
            joints = self.skeleton(batch["skeletons"], seen, signs)
        guided = self.sgtm(tokens, joints, seen) if self.sgtm is not None else None
        own = Features(tokens[:, :, 0].mean(1), projected[:, :, 0].mean(1), guided.clip if guided is not None else None)
        # from here on for the whole batch, of which this process may have seen a part
        labels = gather(batch["labels"])
        terms = {}
        for name, part in own._asdict().items():
            if part is None:
                continue
            feature = gather(part.float())
            logits = self.heads[name](feature)
            terms[f"identity_{name}"] = settings.identity * smoothed_cross_entropy(logits, labels, settings.smoothing)
            terms[f"triplet_{name}"] = settings.triplet * batch_hard_triplet(feature, labels, settings.margin)
        if self.pfu is not None:
            logits = gather(self.prototype_logits(self.pfu, own.projected, projected, joints, seen).float())
            terms["prototype"] = settings.prototype * smoothed_cross_entropy(logits, labels, settings.smoothing)
        if guided is not None:
            frames = self.heads["frame"](gather(guided.frames.float()).flatten(0, 1))
            logits = cast(Head, self.heads["temporal"]).classifier(frames)
            each = labels.repeat_interleave(guided.frames.shape[1])
            terms["frame"] = settings.frame * smoothed_cross_entropy(logits, each, settings.smoothing)
        return terms

    def prototype_logits(
        self, pfu: PrototypeFusionUpdater, v: Tensor, projected: Tensor, joints: Tensor | None, seen: Tensor | None
    ) -> Tensor:
        """`logits_bk = <v_b, P'_bk>` with prototypes brought up to date by each clip's memory, (B, K)."""
        memory = projected.mean(dim=1)  # (B, N, P)
        fused, filled = self.prototypes_visual, None
        if joints is not None and seen is not None:
            weights = seen.to(joints.dtype)[:, :, None, None]
            limbs = (joints * weights).sum(1) / weights.sum(1).clamp(min=1)  # (B, J, P)
            memory = torch.cat([memory, limbs], dim=1)
            tokens, somewhere = seen.new_ones(len(seen), projected.shape[2]), seen.any(dim=1, keepdim=True)
            filled = torch.cat([tokens, somewhere.expand(-1, limbs.shape[1])], dim=1)
            fused = pfu.fuse(self.prototypes_visual, self.prototypes_skeleton)
        updated = pfu(fused, memory, filled)  # (B, K, P)
        return torch.einsum("bp,bkp->bk", v, updated)
