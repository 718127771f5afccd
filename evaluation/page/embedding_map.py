"""A map of embeddings in two dimensions: some identities of the test set with all of their tracklets, as SVG.

By t-SNE, which keeps neighbours together; distances between far groups mean nothing. The same embeddings always give
the same map: t-SNE amplifies the last bit of a sum, so it starts from principal components instead of at random, and
one thread adds everything up (with several, their number decides in which order).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaluation.page.drawing import PEOPLE, SQUARE, VARIABLES, as_svg, legend_above, plain_axes
from evaluation.ranking.embeddings import Embeddings
from storage.tables.tracklets import DISTRACTOR_PID

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "Embedding map"
FEWEST = 4  # tracklets; fewer make no map
MOST = 360  # tracklets of identities: more would be a blot, and slow
DISTRACTORS = 80
PERPLEXITY = 12.0  # about as many neighbours as an identity has tracklets
STEPS = 500
START = 1e-4  # deviation of the first component at the start, as t-SNE's authors have it
DOT, SMALL_DOT = 16.0, 6.0  # square points
LEGEND_COLUMNS = 4
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "H", "8")  # one a camera


@dataclass(frozen=True)
class Map:
    """Where tracklets lie."""

    tracklets: Embeddings  # their labels, N; those of identities first, then distractors
    positions: NDArray[np.float64]  # (N, 2) float64
    identities: int  # how many identities are shown
    candidates: int  # how many there are
    left_out: int  # tracklets of the shown identities that are not, so that there are at most `MOST`


def embedding_map(embeddings: Embeddings, identities: int) -> Map | None:
    """The map of so many identities, spread evenly over those with several cameras; None where there is too little.

    No more than there are colours; tracklets without an embedding have no place.
    """
    embedded = ~embeddings.blank
    people = _seen_by_several(embeddings, embedded)
    shown = [people[i] for i in spread(len(people), min(identities, len(PEOPLE)))]
    rows = np.flatnonzero(embedded & np.isin(embeddings.pids, shown))
    kept = rows[spread(len(rows), MOST)]
    nobody = np.flatnonzero(embedded & (embeddings.pids == DISTRACTOR_PID))
    chosen = embeddings.take(np.concatenate([kept, nobody[spread(len(nobody), DISTRACTORS)]]))
    if len(kept) < FEWEST:
        return None
    return Map(chosen, positions(chosen.vectors[slice(None)]), len(shown), len(people), len(rows) - len(kept))


def _seen_by_several(embeddings: Embeddings, embedded: NDArray[np.bool_]) -> list[int]:
    """Identities with tracklets by several cameras, or all of them where there are none such; sorted."""
    cameras: dict[int, set[int]] = {}
    for pid, camid in zip(embeddings.pids[embedded].tolist(), embeddings.camids[embedded].tolist(), strict=True):
        if pid != DISTRACTOR_PID:
            cameras.setdefault(pid, set()).add(camid)
    return sorted(pid for pid, seen in cameras.items() if len(seen) > 1) or sorted(cameras)


def spread(count: int, most: int) -> NDArray[np.intp]:
    """At most `most` of the positions 0 to `count` - 1, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)) if count else np.zeros(0, int)


def positions(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Places in two dimensions by t-SNE, (N, D) -> (N, 2); what is equal lies together."""
    from sklearn.manifold import TSNE  # slow to import, and only this needs it
    from threadpoolctl import threadpool_limits

    count = len(vectors)
    with threadpool_limits(limits=1):
        centred = np.asarray(vectors, np.float64) - vectors.mean(axis=0, dtype=np.float64)
        left, values, axes = np.linalg.svd(centred, full_matrices=False)
        # an eigenvector's sign is arbitrary: the largest of its coordinates is positive
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
        start = np.zeros((count, 2))
        start[:, : len(values)] = (left * values * signs)[:, :2]
        start *= START / (start[:, 0].std() or 1.0)
        perplexity = min(PERPLEXITY, (count - 1) / 3)
        model = TSNE(init=start.astype(np.float32), perplexity=perplexity, max_iter=STEPS, random_state=0, n_jobs=1)
        return np.asarray(model.fit_transform(vectors), np.float64)


def drawn(found: Map) -> str:
    """The map as SVG: a colour and a number an identity, a marker a camera, distractors faint."""
    figure, axes = plain_axes(SQUARE)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set(xticks=[], yticks=[])
    pids, camids = found.tracklets.pids, found.tracklets.camids
    cameras = np.unique(camids).tolist()
    markers = {camid: MARKERS[number % len(MARKERS)] for number, camid in enumerate(cameras)}
    nobody = pids == DISTRACTOR_PID
    _dots(axes, found.positions[nobody], "o", VARIABLES["--quiet"], SMALL_DOT, alpha=0.35)
    people = np.unique(pids[~nobody]).tolist()
    for number, pid in enumerate(people):
        colour = VARIABLES[PEOPLE[number]]
        for camid in cameras:
            _dots(axes, found.positions[(pids == pid) & (camids == camid)], markers[camid], colour, DOT, alpha=0.85)
    for number, pid in enumerate(people):
        where = _above(found.positions[pids == pid])
        bold: dict[str, Any] = {"ha": "center", "fontsize": 8, "fontweight": "bold"}
        axes.annotate(str(pid), where, (0, 4), textcoords="offset points", color=VARIABLES[PEOPLE[number]], **bold)
    named: dict[str, Any] = {"color": VARIABLES["--quiet"], "linewidths": 0}
    for camid in cameras:
        axes.scatter([], [], s=DOT, marker=markers[camid], label=f"camera {camid}", **named)
    if nobody.any():
        axes.scatter([], [], s=SMALL_DOT, marker="o", alpha=0.5, label="distractor", **named)
    legend_above(axes, VARIABLES, LEGEND_COLUMNS, handletextpad=0.1, columnspacing=1.0)
    return as_svg(figure, NAME)


def _dots(axes: "Axes", places: NDArray[np.float64], marker: str, colour: str, size: float, *, alpha: float) -> None:
    if len(places):
        axes.scatter(places[:, 0], places[:, 1], s=size, marker=marker, color=colour, alpha=alpha, linewidths=0)


def _above(places: NDArray[np.float64]) -> tuple[float, float]:
    """Where an identity's number stands: above the tracklets that lie together, however far away some others are."""
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    middle = int(distances.sum(axis=1).argmin())
    near = places[np.argsort(distances[middle], kind="stable")[: (3 * len(places) + 3) // 4]]
    return float(places[middle, 0]), float(near[:, 1].max())
