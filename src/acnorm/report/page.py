"""The head, the foot and the common parts of every page, and the way from a template to text."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from acnorm._version import __version__
from acnorm.report import summary

_ENVIRONMENT = Environment(
    loader=PackageLoader("acnorm.report", ""),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_ENVIRONMENT.filters["metric_name"] = summary.metric_name


def page(template: str, **values: Any) -> str:
    """Return a page as text: one file that loads nothing.

    Args:
        template: its name in this folder; it extends base.html.
        values: what it shows.

    Examples:
        >>> page("base.html", name="run").splitlines()[0]
        '<!DOCTYPE html>'
    """
    style = Markup(files("acnorm.report").joinpath("style.css").read_text(encoding="utf-8"))
    return _ENVIRONMENT.get_template(template).render(style=style, version=__version__, **values)
