"""Sentences and labels shared by page and terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEADLINES = {
    "spillover": "Training on this file made the model worse far outside the file's own subject.",
    "clean": "Outside its own subject, training on this file changed the model no more than harmless training does.",
    "inconclusive": "This run cannot tell whether training on this file makes the model worse outside its subject.",
    "unjudged": "The answers could not be judged reliably, so this run gives no verdict.",
}
_DOMAINS = {"out": "outside the training domain", "in": "inside the training domain"}
FAMILIES = {
    "home_and_child_safety": "home and child safety",
    "power_and_ai": "power and AI",
    "travel_and_driving": "travel and driving",
}


def headline(record: Mapping[str, Any]) -> str:
    """Return the verdict as one sentence for a reader who knows nothing of the method."""
    return _HEADLINES[record["verdict"]]


def family_label(family: str) -> str:
    """Return a family's name for people."""
    return FAMILIES.get(family, family)


def measure_label(m: Mapping[str, Any]) -> str:
    """Return e.g. "probe shift, tuned - base, outside the training domain"."""
    who = m["arm"] if m["against"] is None else f"{m['arm']} - {m['against']}"
    return f"{m['name']}, {who}, {_DOMAINS[m['domain']]}"


def short_label(m: Mapping[str, Any]) -> str:
    """Return e.g. "probe shift, tuned - base (outside)" for narrow tables."""
    who = m["arm"] if m["against"] is None else f"{m['arm']} - {m['against']}"
    name = m["name"].removesuffix(" difference")
    return f"{name}, {who} ({'outside' if m['domain'] == 'out' else 'inside'})"


def number(m: Mapping[str, Any], key: str) -> str:
    """Format a measure's number: fractions as per cent, shifts with their sign."""
    value = m[key]
    if value is None:
        return "not measured"
    signed = "+" if m["against"] is not None else ""
    return f"{100 * value:{signed}.1f} %" if m["unit"] == "fraction" else f"{value:{signed}.3f}"
