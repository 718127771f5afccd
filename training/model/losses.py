"""The losses of both stages."""

import torch
import torch.nn.functional as F
from torch import Tensor


def supcon(anchors: Tensor, others: Tensor, pids: Tensor, temperature: float, seen: Tensor | None = None) -> Tensor:
    """Supervised contrast from one modality to the other.

    `-1/B sum_i 1/|P(i)| sum_{p in P(i)} log softmax_j(a_i . b_j / tau)[p]`, P(i) being the items of the batch with the
    anchor's identity, itself included.

    Args:
        anchors: a, (B, P).
        others: b, (B, P).
        pids: (B,).
        temperature: tau.
        seen: False for items without a skeleton: neither anchors nor candidates, (B,).

    Source: CSIP-ReID, stage 1; Khosla et al. 2020.
    """
    if seen is not None:
        anchors, others, pids = anchors[seen], others[seen], pids[seen]
    if len(anchors) == 0:
        return anchors.sum()
    with torch.autocast(anchors.device.type, enabled=False):
        log_probability = (_full(anchors) @ _full(others).T / temperature).log_softmax(dim=1)
    positive = (pids[:, None] == pids[None]).to(log_probability.dtype)
    return -((log_probability * positive).sum(1) / positive.sum(1)).mean()


def supcon_among(features: Tensor, pids: Tensor, clips: Tensor, temperature: float) -> Tensor:
    """Supervised contrast among items of one kind, of which those of an anchor's own clip do not count.

    `-1/|A| sum_{i in A} 1/|P(i)| sum_{p in P(i)} log softmax_{j: c_j != c_i}(x_i . x_j / tau)[p]`, P(i) being the items
    of the anchor's identity in other clips, and A the anchors that have any; zero where none has.

    Args:
        features: (N, P).
        pids: (N,).
        clips: which clip an item is (of), (N,).
        temperature: tau.

    Source: Khosla et al. 2020.
    """
    other = clips[:, None] != clips[None]
    positive = other & (pids[:, None] == pids[None])
    anchors = positive.any(dim=1)
    if not anchors.any():
        return features.sum() * 0
    with torch.autocast(features.device.type, enabled=False):
        full = _full(features)
        scores = (full[anchors] @ full.T / temperature).masked_fill(~other[anchors], -torch.inf)
        log_probability = scores.log_softmax(dim=1)
    counted = positive[anchors]
    # what does not count is infinitely unlikely, and 0 times that is no number
    return -(log_probability.masked_fill(~counted, 0).sum(1) / counted.sum(1)).mean()


def batch_hard_triplet(features: Tensor, pids: Tensor, margin: float) -> Tensor:
    """Triplet loss with each anchor's farthest positive and nearest negative, Euclidean distance.

    Source: Hermans et al. 2017.
    """
    with torch.autocast(features.device.type, enabled=False):
        features = _full(features)
        squared = features.pow(2).sum(1, keepdim=True) + features.pow(2).sum(1)[None] - 2 * features @ features.T
    distance = squared.clamp(min=1e-12).sqrt()
    same = pids[:, None] == pids[None]
    farthest = distance.masked_fill(~same, 0).amax(1)
    nearest = distance.masked_fill(same, torch.inf).amin(1)  # infinite, and the loss 0, where all are one person
    return F.relu(farthest - nearest + margin).mean()


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy against labels smoothed over all K classes."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def _full(x: Tensor) -> Tensor:
    """Half precision as float32; what is finer stays so."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
