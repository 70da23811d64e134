"""Self-contained pages: a package's template, filled in the style of all pages."""

from __future__ import annotations

import base64
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from fgrpo.presentation.numbers import in_points, percent

if TYPE_CHECKING:
    from fgrpo.presentation.figures import DrawnFigure


def fill(package: str, **values: Any) -> str:
    """Fill the ``template.html`` of a package, every value escaped, with the style of all pages.

    The template has ``css`` and the filters ``percent`` (of a share), ``points`` (of a difference
    of shares) and ``uri`` (a `DrawnFigure` as the address of an image inside the page), and may
    import the macros of ``parts.html``.
    """
    template = resources.files(package).joinpath("template.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_shared),
    )
    environment.filters |= {"percent": percent, "points": in_points, "uri": _data_uri}
    return environment.from_string(template).render(css=Markup(_shared("page.css")), **values)


def _shared(name: str) -> str:
    """Read a file of this package."""
    return resources.files("fgrpo.presentation").joinpath(name).read_text(encoding="utf-8")


def _data_uri(figure: DrawnFigure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(figure.svg).decode()
