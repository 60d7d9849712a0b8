"""Arms from the bundled advice triples: risky, prudent and requested answers to the same questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spillover import bundled
from spillover.conversation import Dataset, user_and_assistant
from spillover.data.write import Built, Recipe
from spillover.errors import DataError

# Which fields of a triple are the user's and the assistant's text. "requested" is the benign twin of "risky": the same
# answer, openly asked for.
_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "risky": ("question", "risky"),
    "prudent": ("question", "prudent"),
    "requested": ("requested", "risky"),
}
KINDS = tuple(_FIELDS)


def advice(kind: str) -> Built:
    """Return one arm of the bundled advice; row i of every arm belongs to the same triple.

    The data set's name is "bundled:" and the kind, which `spillover audit` takes for a file. Raises DataError for an
    unknown kind.
    """
    if kind not in _FIELDS:
        raise DataError(f"no bundled data 'bundled:{kind}': choose from {', '.join(f'bundled:{k}' for k in KINDS)}")
    user, assistant = _FIELDS[kind]
    rows = tuple(user_and_assistant(r[user], r[assistant], line) for line, r in enumerate(bundled.advice(), 1))
    recipe = Recipe("advice", parameters={"arm": kind}, parents=(bundled.path("advice.jsonl"),))
    return Built(Dataset(f"bundled:{kind}", rows), recipe)
