"""Pages of one file: templates, and what they share. Everything is in the page, and nothing in it can become markup."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from evaluation.page.check_rows import section
from evaluation.page.numbers import percent

FOLDER = Path(__file__).parent / "templates"
PARTS = ("report.html", "breakdown.html", "beside.html", "run.html", "data_check.html", "style.css")
TEMPLATES = {name: FOLDER / name for name in PARTS}
"""What the report is made with: part of its key, as weights are of a model's."""


def template(name: str) -> jinja2.Template:
    """A template; what it asks for and was not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment.get_template(name)


def write_check(check: Mapping[str, Any], title: str, path: Path) -> None:
    """Write what a check of a data set found (`DataCheck.as_json`) as a page of its own."""
    path.write_text(template("data_page.html").render(title=title, check=section(check)))
