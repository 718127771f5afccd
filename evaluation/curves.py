"""Curves as SVG for a page: loss over training, CMC over ranks. The same numbers always give the same bytes.

Colours are names of the page's own variables (`--ink`, `--series-1`, ...), so that one drawing reads on light and on
dark; text is text, in the page's own type.
"""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib takes colours only: each stands for a variable of the page and is replaced when the drawing is written
INK, QUIET, LINE, CHANCE = "#010101", "#010102", "#010103", "#010104"
SERIES = ("#010111", "#010112", "#010113", "#010114")
VARIABLES = {INK: "--ink", QUIET: "--quiet", LINE: "--line", CHANCE: "--quiet"} | {
    token: f"--series-{number}" for number, token in enumerate(SERIES, start=1)
}
SMALL = (2.2, 1.4)  # inches, at 72 points
LARGE = (4.6, 2.7)
STROKES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1, 1.2)))
"""Of curves whose colours repeat."""
WINDOW = 0.04  # smoothing: this part of the steps to either side
MOST_POINTS = 500  # of a faint curve; more would make a page heavy and a blot of the curve


def smoothed(values: NDArray[np.floating], window: float = WINDOW) -> NDArray[np.float64]:
    """Weighted mean of each value's neighbours, as far as `window` of all values to either side; (N,) -> (N,).

    Centred, so that a falling curve is not drawn late; at the ends, over the neighbours that there are.
    """
    reach = int(window * len(values))
    weights = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
    total = np.convolve(np.asarray(values, np.float64), weights, mode="full")
    share = np.convolve(np.ones(len(values)), weights, mode="full")
    return (total / share)[reach : reach + len(values)]


def loss_curve(steps: NDArray[np.int64], values: NDArray[np.floating], name: str, *, small: bool = False) -> str:
    """A loss over steps: its values faint (means of neighbours where there are very many), the smoothed course strong.

    Args:
        steps: (N,).
        values: (N,); what is not finite leaves a gap.
        name: what the drawing is called, e.g. `Pretraining: loss`; read aloud, and unique on its page.
        small: a size for one of many.
    """
    figure, axes = _axes(SMALL if small else LARGE)
    finite = np.isfinite(values)
    groups = min(len(steps), MOST_POINTS)
    thinned_steps = _means(np.asarray(steps, np.float64), groups)
    axes.plot(
        thinned_steps, _means(np.where(finite, values, np.nan), groups), color=SERIES[0], linewidth=0.7, alpha=0.4
    )
    groups = min(int(finite.sum()), MOST_POINTS)
    axes.plot(_means(steps[finite], groups), _means(smoothed(values[finite]), groups), color=SERIES[0], linewidth=1.6)
    axes.margins(x=0.01)
    axes.locator_params(nbins=3 if small else 5)
    if not small:
        axes.set_xlabel("step")
    return _svg(figure, name)


def _means(values: NDArray[np.floating], groups: int) -> NDArray[np.float64]:
    """Means of `groups` runs of neighbouring values, (N,) -> (groups,)."""
    return np.array([part.mean() for part in np.array_split(values, groups)]) if groups else np.zeros(0)


def cmc_curve(ranks: Sequence[int], curves: Mapping[str, Sequence[float]], chance: Sequence[float], name: str) -> str:
    """Share of queries with a match by rank, in percent, for one or more models, and by chance (dashed).

    Args:
        ranks: from 1, (K,).
        curves: model -> share 0 to 1, (K,) each; the last one is drawn strongest.
        chance: share 0 to 1, (K,).
        name: what the drawing is called, unique on its page.
    """
    figure, axes = _axes(LARGE)
    for number, (title, curve) in enumerate(curves.items()):
        last = number == len(curves) - 1
        colour = SERIES[0] if last else SERIES[1 + number % (len(SERIES) - 1)]
        stroke = "-" if last else STROKES[number // (len(SERIES) - 1) % len(STROKES)]
        width = 2.0 if last else 1.4
        axes.plot(ranks, 100 * np.asarray(curve), color=colour, linewidth=width, linestyle=stroke, label=title)
    axes.plot(ranks, 100 * np.asarray(chance), color=CHANCE, linewidth=1.2, linestyle=(0, (4, 3)), label="Chance")
    axes.set_xlim(1, max(2, ranks[-1]))
    axes.set_ylim(0, 101)
    axes.set_xticks([r for r in (1, 5, 10, 20, 30, 40, 50) if r <= ranks[-1]])
    axes.set_xlabel("rank")
    axes.set_ylabel("queries with a match, %")
    # above the axes, where no curve can run through it
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return _svg(figure, name)


def _axes(size: tuple[float, float]) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure  # slow to import, and only drawing needs it

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=QUIET, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=QUIET, fontsize=9)
    return figure, axes


def _svg(figure: "Figure", name: str) -> str:
    import matplotlib

    stream = StringIO()
    options: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif", "path.simplify": True}
    with matplotlib.rc_context(options):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->\n?", "", text)
    # groups' ids repeat from drawing to drawing, and nothing refers to them
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)
    # a tenth of a point is finer than anyone sees; what stands between tags is text
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d)\d+", r"\1", tag[0]), text)
    text = re.sub(r"\s*\n\s*", " ", text)
    for token, variable in VARIABLES.items():
        text = text.replace(token, f"var({variable})")
    box = re.search(r'viewBox="([^"]*)"', text)
    label = name.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    head = f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{label}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1).strip()
