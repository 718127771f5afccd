"""What every drawing shares: plain axes, and figures as SVG for a page or as PNG for where there is no page.

Colours are the page's own variables (`--ink`, `--series-1`, ...). In SVG they stay variables, so that one drawing reads
on light and on dark; text is text, in the page's own type. PNG has them as templates/style.css gives them for light.
"""

import re
from collections.abc import Mapping
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

from evaluation.page.html import FOLDER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def light_colours() -> Colours:
    """The page's variables on light, as the first rule of its style sheet gives them."""
    style = (FOLDER / "style.css").read_text()
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", style[: style.index("@media")]))


def plain_axes(size: tuple[float, float], colours: Colours = VARIABLES) -> tuple["Figure", "Axes"]:
    """A figure with one pair of axes: a base line and faint horizontal lines, no box.

    Args:
        size: inches.
        colours: for what is drawn.
    """
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


def as_png(figure: "Figure", background: str) -> bytes:
    """A figure drawn with `light_colours` as PNG; the same figure always gives the same bytes."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS, facecolor=background, metadata={"Software": None})
    return stream.getvalue()


def as_svg(figure: "Figure", name: str) -> str:
    """A figure drawn with `VARIABLES` as an SVG element; the same figure always gives the same bytes.

    Args:
        figure: to write.
        name: what the drawing is called; read aloud, and unique on its page.
    """
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
    for variable, token in VARIABLES.items():
        text = text.replace(token, f"var({variable})")
    box = re.search(r'viewBox="([^"]*)"', text)
    label = name.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    head = f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{label}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1).strip()
