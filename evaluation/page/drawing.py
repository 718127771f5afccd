"""Drawings: loss over training, CMC over ranks; as SVG for a page, or as PNG for where there is no page.

Colours are the page's own variables (`--ink`, `--series-1`, ...). In SVG they stay variables, so that one drawing reads
on light and on dark; text is text, in the page's own type. PNG has them as templates/style.css gives them for light.
"""

import re
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaluation.page.html import FOLDER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

Colours = Mapping[str, str]
"""Variable of the page -> a colour that matplotlib understands."""

SERIES = tuple(f"--series-{number}" for number in range(1, 5))
PEOPLE = tuple(f"--person-{number}" for number in range(1, 21))
# matplotlib takes colours only: each stands for a variable of the page and is replaced when the drawing is written
VARIABLES: Colours = {
    name: f"#0101{number:02x}" for number, name in enumerate(("--ink", "--quiet", "--line", *SERIES, *PEOPLE), start=1)
}
SMALL = (2.2, 1.4)  # inches, at 72 points
LARGE = (4.6, 2.7)
SQUARE = (4.8, 4.6)
DOTS = 160  # an inch of a PNG
STROKES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1, 1.2)))
"""Of curves whose colours repeat."""
WINDOW = 0.04  # smoothing: this part of the steps to either side
ROOM = 42  # letters of models' names beside each other in a legend
LINE = 0.2  # inches of a line of a legend
REPLACED = (
    (r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->\n?", ""),
    (r'<g id="[^"]*"', "<g"),  # groups' ids repeat from drawing to drawing, and nothing refers to them
    (r"font: ([\d.]+px)[^;\"]*", r"font-size: \1"),
    (r"font-family: [^;\"]*; ", ""),
)
"""What matplotlib writes into SVG, and what stands there instead."""

MOST_POINTS = 500  # of a faint curve; more would make a page heavy and a blot of the curve


def light_colours() -> Colours:
    """The page's variables on light, as the first rule of its style sheet gives them."""
    style = (FOLDER / "style.css").read_text()
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", style[: style.index("@media")]))


def plain_axes(size: tuple[float, float], colours: Colours = VARIABLES) -> tuple["Figure", "Axes"]:
    """A figure of so many inches with one pair of axes: a base line and faint horizontal lines, no box."""
    from matplotlib.figure import Figure  # slow to import, and only drawing needs it

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(colours["--line"])
    axes.grid(axis="y", color=colours["--line"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=colours["--quiet"], labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=colours["--quiet"], fontsize=9)
    return figure, axes


def legend_above(axes: "Axes", colours: Colours, columns: int, *named: Any, **spacing: Any) -> "Legend":
    """A legend above the axes, where no curve can run through it."""
    style: dict[str, Any] = {"frameon": False, "fontsize": 9, "labelcolor": colours["--ink"], "ncols": columns}
    return axes.legend(*named, loc="lower center", bbox_to_anchor=(0.5, 1.0), **style, **spacing)


def as_png(figure: "Figure", background: str) -> bytes:
    """A figure drawn with `light_colours` as PNG; the same figure always gives the same bytes."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS, facecolor=background, metadata={"Software": None})
    return stream.getvalue()


def as_svg(figure: "Figure", name: str) -> str:
    """A figure drawn with `VARIABLES` as an SVG element; the same figure always gives the same bytes.

    The name is read aloud, and unique on its page.
    """
    import matplotlib

    stream = StringIO()
    options: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif", "path.simplify": True}
    with matplotlib.rc_context(options):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    for pattern, replacement in REPLACED:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    # a tenth of a point is finer than anyone sees; what stands between tags is text
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d)\d+", r"\1", tag[0]), text)
    text = re.sub(r"\s*\n\s*", " ", text)
    for variable, token in VARIABLES.items():
        text = text.replace(token, f"var({variable})")
    box = re.search(r'viewBox="([^"]*)"', text)
    label = name.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    head = f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{label}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1).strip()


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
    """A loss over steps, (N,) each: values faint (means of neighbours where there are many), smoothed ones strong.

    What is not finite leaves a gap. The name, e.g. `Pretraining: loss`, is as in `as_svg`; `small` for one of many.
    """
    figure, axes = plain_axes(SMALL if small else LARGE)
    colour = VARIABLES[SERIES[0]]
    finite = np.isfinite(values)
    groups = min(len(steps), MOST_POINTS)
    thinned_steps = _means(np.asarray(steps, np.float64), groups)
    axes.plot(thinned_steps, _means(np.where(finite, values, np.nan), groups), color=colour, linewidth=0.7, alpha=0.4)
    groups = min(int(finite.sum()), MOST_POINTS)
    axes.plot(_means(steps[finite], groups), _means(smoothed(values[finite]), groups), color=colour, linewidth=1.6)
    axes.margins(x=0.01)
    axes.locator_params(nbins=3 if small else 5)
    if not small:
        axes.set_xlabel("step")
    return as_svg(figure, name)


def _means(values: NDArray[np.floating], groups: int) -> NDArray[np.float64]:
    """Means of `groups` runs of neighbouring values, (N,) -> (groups,)."""
    return np.array([part.mean() for part in np.array_split(values, groups)]) if groups else np.zeros(0)


def epoch_curves(curves: Mapping[str, Mapping[int, float]], name: str, label: str) -> str:
    """What changes from epoch to epoch, in percent, as SVG.

    Args:
        curves: name -> epoch, from 1 -> share 0 to 1; the last one is drawn strongest.
        name: as in `as_svg`.
        label: of the shares.
    """
    rows = 1 if sum(map(len, curves)) <= ROOM else len(curves)
    figure, axes = plain_axes((LARGE[0], LARGE[1] + LINE * (rows - 1)))
    handles: list[Line2D] = []
    for number, curve in enumerate(curves.values()):
        colour, stroke, width = _pen(number, len(curves))
        shares = 100 * np.array(list(curve.values()))
        handles += axes.plot(
            list(curve), shares, color=VARIABLES[colour], linewidth=width, linestyle=stroke, marker="o", markersize=3
        )
    axes.set_xlim(0, 1.02 * max(epoch for curve in curves.values() for epoch in curve))
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    legend = legend_above(axes, VARIABLES, len(curves) if rows == 1 else 1, handles, list(curves))
    for text in legend.get_texts():
        text.set_parse_math(False)
    return as_svg(figure, name)


def _pen(number: int, curves: int) -> tuple[str, Any, float]:
    """Colour, stroke and width of a curve among others."""
    if number == curves - 1:
        return SERIES[0], "-", 2.0
    others = len(SERIES) - 1
    return SERIES[1 + number % others], STROKES[number // others % len(STROKES)], 1.4


def cmc_curve(ranks: Sequence[int], curves: Mapping[str, Sequence[float]], chance: Sequence[float], name: str) -> str:
    """Share of queries with a match by rank, in percent, for one or more models, and by chance (dashed), as SVG.

    Args:
        ranks: from 1, (K,).
        curves: model -> share 0 to 1, (K,) each; the last one is drawn strongest.
        chance: share 0 to 1, (K,).
        name: as in `as_svg`.
    """
    return as_svg(_cmc(ranks, curves, chance, VARIABLES), name)


def cmc_picture(ranks: Sequence[int], curves: Mapping[str, Sequence[float]], chance: Sequence[float]) -> bytes:
    """As `cmc_curve`, as PNG on the page's light ground."""
    colours = light_colours()
    return as_png(_cmc(ranks, curves, chance, colours), colours["--card"])


def _cmc(
    ranks: Sequence[int], curves: Mapping[str, Sequence[float]], chance: Sequence[float], colours: Colours
) -> "Figure":
    # names that have no room beside each other stand below each other, and the figure grows by their lines
    rows = 1 if sum(map(len, curves)) <= ROOM else len(curves) + 1
    figure, axes = plain_axes((LARGE[0], LARGE[1] + LINE * (rows - 1)), colours)
    handles: list[Line2D] = []
    for number, curve in enumerate(curves.values()):
        colour, stroke, width = _pen(number, len(curves))
        shares = 100 * np.asarray(curve)
        handles += axes.plot(ranks, shares, color=colours[colour], linewidth=width, linestyle=stroke)
    dashed = (0, (4, 3))
    handles += axes.plot(ranks, 100 * np.asarray(chance), color=colours["--quiet"], linewidth=1.2, linestyle=dashed)
    axes.set_xlim(1, max(2, ranks[-1]))
    axes.set_ylim(0, 101)
    axes.set_xticks([r for r in (1, 5, 10, 20, 30, 40, 50) if r <= ranks[-1]])
    axes.set_xlabel("rank")
    axes.set_ylabel("queries with a match, %")
    # named here and not at the curves: matplotlib shows no curve whose own name begins with _
    legend = legend_above(axes, colours, len(curves) + 1 if rows == 1 else 1, handles, [*curves, "Chance"])
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may hold $
    return figure
