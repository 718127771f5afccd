"""Slow float64 versions of the formulas' parts, by their definitions and with plain loops.

Of a layer they take its weights only: none of its own arithmetic.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
EPSILON = 1e-5  # of layer and batch norms


def array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy().astype(np.float64)


def linear(layer: nn.Module, rows: Array) -> Array:
    """W x + b, row by row."""
    weight = array(layer.weight)
    bias = np.zeros(len(weight)) if layer.bias is None else array(layer.bias)
    return np.array([[weight[o] @ row + bias[o] for o in range(len(weight))] for row in rows])


def layer_norm(layer: nn.Module, rows: Array) -> Array:
    scale, shift = array(layer.weight), array(layer.bias)
    normed = []
    for row in rows:
        mean = sum(row) / len(row)
        variance = sum((entry - mean) ** 2 for entry in row) / len(row)
        normed.append((row - mean) / math.sqrt(variance + EPSILON) * scale + shift)
    return np.array(normed)


def batch_norm(layer: nn.Module, rows: Array, of_the_batch: bool) -> Array:
    """With the batch's own statistics (training) or the running ones (evaluation)."""
    normed, scale, shift = np.zeros_like(rows), array(layer.weight), array(layer.bias)
    for c in range(rows.shape[1]):
        mean, variance = float(layer.running_mean[c]), float(layer.running_var[c])
        if of_the_batch:
            mean = sum(rows[:, c]) / len(rows)
            variance = sum((entry - mean) ** 2 for entry in rows[:, c]) / len(rows)
        for i in range(len(rows)):
            centred = (rows[i, c] - mean) / math.sqrt(variance + EPSILON)
            normed[i, c] = centred * scale[c] + shift[c]
    return normed


def attention(
    part: nn.Module, queries: Array, memory: Array, heads: int, limit: float = math.inf, loud: list[float] | None = None
) -> Array:
    """Multi-head attention, one score at a time, scores clamped to [-limit, limit]; `loud` gathers those beyond it."""
    q, k, v = linear(part.query, queries), linear(part.key, memory), linear(part.value, memory)
    size = q.shape[1] // heads
    mixed = np.zeros_like(q)
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        for i in range(len(q)):
            scores = [q[i, own] @ k[j, own] / math.sqrt(size) for j in range(len(k))]
            if loud is not None:
                loud += [score for score in scores if abs(score) > limit]
            weights = [math.exp(max(-limit, min(limit, score))) for score in scores]
            for j in range(len(k)):
                mixed[i, own] += weights[j] / sum(weights) * v[j, own]
    return linear(part.out, mixed)


def each(function: Callable[[float], float], rows: Array) -> Array:
    """A function of one number, applied to every entry."""
    return np.array([[function(float(entry)) for entry in row] for row in rows])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def relu(x: float) -> float:
    return max(x, 0.0)


def gelu(x: float) -> float:
    """x times the normal distribution's share below it, without the approximation by tanh."""
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def quick_gelu(x: float) -> float:
    return x * sigmoid(1.702 * x)


def log_softmax(scores: Sequence[float]) -> list[float]:
    total = sum(math.exp(score) for score in scores)
    return [math.log(math.exp(score) / total) for score in scores]


def supcon(anchors: Array, others: Array, pids: Sequence[int], tau: float) -> float:
    """`-1/B sum_i 1/|P(i)| sum_{p in P(i)} log softmax_j(a_i . b_j / tau)[p]`."""
    total = 0.0
    for i in range(len(anchors)):
        log_p = log_softmax([float(anchors[i] @ others[j]) / tau for j in range(len(others))])
        positives = [j for j in range(len(others)) if pids[j] == pids[i]]
        total += sum(log_p[p] for p in positives) / len(positives)
    return -total / len(anchors)


def smoothed_cross_entropy(logits: Array, labels: Sequence[int], smoothing: float) -> float:
    """Cross-entropy against (1 - smoothing) at the label and smoothing / K everywhere."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        log_p = log_softmax(list(row))
        for k in range(len(row)):
            total -= ((1 - smoothing) * (k == label) + smoothing / len(row)) * log_p[k]
    return total / len(logits)


def batch_hard_triplet(features: Array, labels: Sequence[int], margin: float) -> float:
    """Mean over anchors of [farthest of its identity - nearest of another + margin]+, Euclidean."""
    total = 0.0
    for i in range(len(features)):
        distances = [math.sqrt(sum((features[i] - features[j]) ** 2)) for j in range(len(features))]
        farthest = max(d for d, label in zip(distances, labels, strict=True) if label == labels[i])
        nearest = min(d for d, label in zip(distances, labels, strict=True) if label != labels[i])
        total += max(0.0, farthest - nearest + margin)
    return total / len(features)
