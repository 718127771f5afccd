"""An encoder that is given a body as two inputs, how long its bones are and where they point: parts of one embedding.

Bone lengths l_e and unit bone directions d_e of T frames become

    lengths     mean_t l_te                    (E)
    directions  mean_t d_te                    (3E), how somebody holds up
    motion      deviation_t d_te               (3E), how far they move
    graph       SGT over the pose that has these directions and equal bones    (P)

The first three are maps x -> (x - m) W (1 + C). W whitens by the covariance of an identity's sequences around their
mean, as it was among the training people; C is learnt, and starts at 0. So a training begins with what is known to be
good where people are few, and weight decay draws it back there.

Source: within-class covariance normalisation is Hatch et al., Interspeech 2006; the shrinkage is towards a multiple of
the identity (Ledoit and Wolf, 2004), by a share that is a setting.
"""

from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from storage.bones import SHORTEST, paths, tree
from storage.skeleton import SkeletonType
from training.body_settings import BodySettings
from training.model.skeleton_encoder import SkeletonEncoder
from training.settings import SkeletonSettings

BONE = 0.25  # metres, of poses with equal bones: joints are then about as far from their mean as in people
CONSTANT = 1e-5  # metres, or of a direction: what deviates less says nothing


class Whitened(nn.Module):
    """A linear map that starts as the whitening of what people's own sequences differ in.

    Args:
        width: D of the input and the output.
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whitening", torch.eye(width))
        self.change = nn.Parameter(torch.zeros(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        white: Tensor = (x - self.mean) @ self.whitening
        return white + white @ self.change

    @torch.no_grad()
    def start(self, x: Tensor, labels: Tensor, shrinkage: float) -> None:
        """Learn mean and whitening from the sequences of training people, (N, D) and (N,)."""
        self.mean.copy_(x.mean(0))
        self.whitening.copy_(whitening(x.double(), labels, shrinkage))


def whitening(x: Tensor, labels: Tensor, shrinkage: float) -> Tensor:
    """The matrix W (D, D) that makes the scatter of N sequences around their identity's mean the identity matrix.

    Each dimension is first brought to standard deviation 1 over all sequences; one that is constant becomes 0.

    Args:
        x: (N, D), double.
        labels: identities, (N,); one with a single sequence says nothing.
        shrinkage: share of the scatter's mean diagonal that takes the place of the scatter itself, in (0, 1].
    """
    deviation = x.std(0, unbiased=False)
    scale = torch.where(deviation > CONSTANT, 1 / deviation.clamp(min=CONSTANT), 0)
    _, owner = labels.unique(return_inverse=True)
    members = F.one_hot(owner).to(x.dtype)
    means = (members.T @ x) / members.sum(0)[:, None]
    within = (x - means[owner]) * scale
    scatter = within.T @ within / len(x)
    level = scatter.diagonal().mean()
    if level <= 0:  # no identity has two sequences that differ
        return scale.diag()
    scatter = (1 - shrinkage) * scatter + shrinkage * level * torch.eye(len(scatter), dtype=x.dtype)
    values, vectors = torch.linalg.eigh(scatter)
    white: Tensor = scale[:, None] * (vectors * values.rsqrt()) @ vectors.T
    return white


class BodyEncoder(nn.Module):
    """Skeletons (B, T, J, 3) to the parts of an embedding.

    Args:
        settings: the parts and their weights.
        skeleton: sizes of the graph transformer.
        projection: P, its width.
        kind: of the skeletons.
    """

    ends: Tensor
    hung: Tensor
    paths: Tensor
    root: Tensor

    def __init__(self, settings: BodySettings, skeleton: SkeletonSettings, projection: int, kind: SkeletonType) -> None:
        super().__init__()
        widths = {"lengths": len(kind.edges), "directions": 3 * len(kind.edges), "motion": 3 * len(kind.edges)}
        weights = {name: float(getattr(settings, name)) for name in (*widths, "graph")}
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.whitened = nn.ModuleDict({name: Whitened(widths[name]) for name in widths if name in self.weights})
        self.graph = SkeletonEncoder(skeleton, projection, kind) if "graph" in self.weights else None
        self.sizes = [projection if name == "graph" else widths[name] for name in self.weights]
        fixed = {"ends": np.array(kind.edges), "hung": np.array(tree(kind)), "paths": paths(kind)}
        for name, values in {**fixed, "root": np.array(kind.root)}.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def forward(self, skeletons: Tensor, tokens: Tensor | None = None) -> Tensor:
        """The parts side by side as they are, (B, F): their mean over sequences is that of a whole recording.

        Args:
            skeletons: (B, T, J, 3).
            tokens: of the graph transformer, (B, T, J, P), where they are known already.
        """
        found = [self.whitened[name](x) for name, x in self.statistics(skeletons).items()]
        if tokens is not None:
            found.append(tokens.mean(dim=(1, 2)))
        elif self.graph is not None:
            found.append(self.graph(self.poses(skeletons), pool=True))
        return torch.cat(found, dim=1)

    def joined(self, parts: Tensor) -> Tensor:
        """The embeddings (B, F) of `forward`: each part of length 1, times the root of its weight; all of length 1."""
        roots = [weight**0.5 for weight in self.weights.values()]
        weighted = [root * F.normalize(part, dim=1) for root, part in zip(roots, self.split(parts), strict=True)]
        return F.normalize(torch.cat(weighted, dim=1), dim=1)

    def split(self, parts: Tensor) -> tuple[Tensor, ...]:
        """Each part of `forward`, in the order of `weights`."""
        return tuple(torch.split(parts, self.sizes, dim=1))

    def statistics(self, skeletons: Tensor) -> dict[str, Tensor]:
        """What the whitened parts see of skeletons (B, T, J, 3), in the order of `weights`."""
        bones, lengths = _bones(skeletons, self.ends)
        seen = {
            "lengths": lengths.mean(dim=1),
            "directions": bones.mean(dim=1).flatten(1),
            "motion": bones.std(dim=1, unbiased=False).flatten(1),
        }
        return {name: seen[name] for name in self.whitened}

    def poses(self, skeletons: Tensor) -> Tensor:
        """Skeletons with equal bones, (B, T, J, 3), centred on their root: `storage.bones.equal_bones`."""
        joints = self.paths @ (BONE * _bones(skeletons, self.hung)[0])
        return joints - joints[:, :, self.root].mean(dim=2, keepdim=True)

    @torch.no_grad()
    def start(self, clips: Iterable[Tensor], labels: Tensor, shrinkage: float) -> None:
        """Whiten by the sequences of training people.

        Args:
            clips: sequences, some (B, T, J, 3) after the other.
            labels: identities of all of them, (N,).
            shrinkage: see `whitening`.
        """
        seen = [self.statistics(some) for some in clips]
        for name, part in self.whitened.items():
            cast(Whitened, part).start(torch.cat([some[name] for some in seen]), labels, shrinkage)


def _bones(skeletons: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Directions (B, T, E, 3) and lengths (B, T, E) of bones."""
    bones = skeletons[:, :, ends[:, 1]] - skeletons[:, :, ends[:, 0]]
    lengths = bones.norm(dim=-1)
    return bones / lengths.clamp(min=SHORTEST)[..., None], lengths
