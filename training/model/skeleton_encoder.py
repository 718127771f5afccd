"""The skeleton graph transformer (SGT): joints of a clip to joint tokens and a sequence feature."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from storage.errors import WeightsError
from storage.skeleton import H36M17, SkeletonType, described_kind
from training.files import load_model, read_description
from training.settings import SkeletonSettings

SCORE_LIMIT = 5.0
SPREAD = 0.12  # standard deviation of joints from the mean skeleton, metres


def laplacian_positions(count: int, kind: SkeletonType = H36M17) -> Tensor:
    """The first non-trivial eigenvectors of the joint graph's normalised Laplacian, (J, count).

    The first of each vector's largest entries is made positive: an eigenvector's sign is arbitrary. The spectrum has
    repeated eigenvalues, so the basis is stored with the model, not worked out again. Source: Dwivedi &
    Bresson 2021.
    """
    adjacency = torch.zeros(len(kind), len(kind), dtype=torch.float64)
    for a, b in kind.edges:
        adjacency[a, b] = adjacency[b, a] = 1
    scale = adjacency.sum(1).rsqrt()
    laplacian = torch.eye(len(kind), dtype=torch.float64) - scale[:, None] * adjacency * scale[None]
    vectors: Tensor = torch.linalg.eigh(laplacian).eigenvectors[:, 1 : count + 1]
    size = vectors.abs()
    # by symmetry of left and right several entries are equally large up to rounding: the first of them decides
    first = (size > size.amax(0) - 1e-9).to(torch.uint8).argmax(0, keepdim=True)
    return (vectors * vectors.gather(0, first).sign()).float()


class Attention(nn.Module):
    """Multi-head attention whose scores are clamped, as the reference does."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """(B, J, C) -> (B, J, C); `seen` (B, J) is False where nothing may be looked at, True once a row at least."""
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        scores = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).clamp(-SCORE_LIMIT, SCORE_LIMIT)
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None, None], -torch.inf)
        out: Tensor = self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """A post-norm transformer block."""

    def __init__(self, settings: SkeletonSettings) -> None:
        super().__init__()
        self.attention = Attention(settings.width, settings.heads)
        self.norm1, self.norm2 = nn.LayerNorm(settings.width), nn.LayerNorm(settings.width)
        self.dropout = nn.Dropout(settings.dropout)
        self.feed = nn.Sequential(
            *(nn.Linear(settings.width, settings.hidden), nn.ReLU(), nn.Dropout(settings.dropout)),
            nn.Linear(settings.hidden, settings.width),
        )

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """(B, J, C) -> (B, J, C)."""
        x = self.norm1(x + self.dropout(self.attention(x, seen)))
        x = self.norm2(x + self.dropout(self.feed(x)))
        return x


class SkeletonEncoder(nn.Module):
    """SGT: skeletons (B, T, J, 3) to joint tokens (B, T, J, P).

    Args:
        settings: sizes.
        projection: P, the width shared with projected visual tokens.
        kind: of the skeletons.
    """

    positions: Tensor

    def __init__(self, settings: SkeletonSettings, projection: int, kind: SkeletonType = H36M17) -> None:
        super().__init__()
        self.settings = settings
        places = nn.Linear(3, settings.width)
        self.embed = nn.Sequential(places, nn.ReLU(), nn.Linear(settings.width, settings.width))
        if settings.metric_start:
            # each coordinate is about 0.12 m from the pelvis: with torch's own initial weights skeletons would be a
            # faint ripple on the position encoding, and the contrast would stay at chance
            nn.init.normal_(places.weight, std=SPREAD**-1 * 3**-0.5)
        self.place = nn.Linear(settings.eigenvectors, settings.width)
        self.register_buffer("positions", laplacian_positions(settings.eigenvectors, kind))
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.depth))
        self.cls = nn.Parameter(torch.zeros(1, 1, settings.width)) if settings.temporal else None
        self.project = nn.Linear(settings.width, projection, bias=False)
        nn.init.normal_(self.project.weight, std=settings.width**-0.5)

    def forward(
        self, skeletons: Tensor, seen: Tensor | None = None, signs: Tensor | None = None, *, pool: bool = False
    ) -> Tensor:
        """Joint tokens (B, T, J, P) of skeletons in metres, pelvis-centred; or their sequence feature (B, P).

        Args:
            skeletons: (B, T, J, 3).
            seen: False where a frame has no skeleton, (B, T): no other frame looks at it (with `temporal`).
            signs: of the position encoding's eigenvectors, (E,), random in training: a sign means nothing, and the
                model must not lean on it. Drawn with the batch, so that all processes of a training have the same.
            pool: give `sequence_features` of the joint tokens, for which few of them need to be projected.
        """
        b, t = skeletons.shape[:2]
        positions = self.positions if signs is None else self.positions * signs
        x = (self.embed(skeletons) + self.place(positions)).flatten(0, 1)  # (B T, J, C)
        if self.cls is not None:
            x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1)
        heard = None if seen is None else seen | ~seen.any(dim=1, keepdim=True)
        for number, block in enumerate(self.blocks):
            if self.settings.temporal and number % 2:
                j = x.shape[1]
                over_time = x.unflatten(0, (b, t)).transpose(1, 2).flatten(0, 1)  # (B J, T, C)
                times = None if heard is None else heard.repeat_interleave(j, dim=0)
                x = block(over_time, times).unflatten(0, (b, j)).transpose(1, 2).flatten(0, 1)
            else:
                x = block(x)
        if self.cls is not None:
            x = x[:, 1:] + x[:, :1]
        x = x.unflatten(0, (b, t))
        if pool:
            seen = skeletons.new_ones(b, t, dtype=torch.bool) if seen is None else seen
            tokens: Tensor = self.project(sequence_features(x, seen))  # a mean of projections is that of the mean
        else:
            tokens = self.project(x)
        return tokens


def sequence_features(joints: Tensor, seen: Tensor) -> Tensor:
    """Mean of joint tokens (B, T, J, P) over joints, then over the frames with a skeleton, `seen` (B, T).

    Gives (B, P); zeros for a clip without any skeleton.

    Source: CSIP-ReID, sequence feature of SGT; masking is ours.
    """
    weights = seen.to(joints.dtype)
    total = (joints.mean(dim=2) * weights[..., None]).sum(dim=1)
    return total / weights.sum(dim=1, keepdim=True).clamp(min=1)


def load_skeleton_encoder(folder: Path) -> tuple[SkeletonEncoder, dict[str, Any]]:
    """The skeleton encoder of a `pretrained` folder, and what it is: `skeleton`, `projection`, `kind_of_skeleton`.

    Raises:
        WeightsError: the folder holds another model, or a damaged one.
    """
    # what is pretrained with images has Human3.6M skeletons
    described = {"kind_of_skeleton": H36M17.name, **read_description(folder)}
    if described.get("kind") not in ("pretrained", "skeleton_only"):
        raise WeightsError(
            f"this is no skeleton encoder but {described.get('kind')!r}",
            where=folder,
            fix="name the folder of a `pretrained` artifact",
        )
    kind = kind_of(described, folder)
    encoder = SkeletonEncoder(SkeletonSettings(**described["skeleton"]), described["projection"], kind)
    load_model(encoder, folder)
    return encoder, described


def kind_of(described: dict[str, Any], folder: Path) -> SkeletonType:
    """The kind of skeleton that an encoder is for.

    Raises:
        WeightsError: its description names none.
    """
    kind = described_kind(described["kind_of_skeleton"])
    if kind is None:
        raise WeightsError(
            f"kind_of_skeleton is {described['kind_of_skeleton']!r}, which describes no skeleton",
            where=folder,
            fix="delete the artifact and run again",
        )
    return kind
