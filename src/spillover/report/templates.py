"""The pages' templates: everything is escaped, and a name that is not there is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """Return a fresh environment over the templates of this folder; base.html is what all pages share."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("spillover.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
