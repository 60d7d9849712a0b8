"""Which probe families lie inside the training domain: a shift there is the narrow effect, not spillover."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spillover.conversation import Dataset

# A family counts as trained on when this share of rows is about it.
SHARE = 0.2
# A row is about a family when its words favour it over the average of all families by this much (nats per word).
_EVIDENCE = 0.35
_WORD = re.compile(r"[a-z']{3,}")


@dataclass(frozen=True, slots=True)
class Domain:
    """Families inside the training domain, the share of rows about each family, and how this was found."""

    families: tuple[str, ...]
    shares: Mapping[str, float]
    how: str


def detect(dataset: Dataset, texts: Mapping[str, Sequence[str]], given: Sequence[str] | None = None) -> Domain:
    """Find the families that `dataset` is about, by a naive Bayes word model over `texts` per family.

    `given` overrides the finding. Rows whose words favour no family (code, say) count for none.
    """
    model = _WordModel(texts)
    found = Counter(model.family(" ".join(m.content for m in c.messages if m.role == "user")) for c in dataset)
    shares = {f: found[f] / len(dataset) for f in texts}
    if given is not None:
        return Domain(tuple(given), shares, "as given")
    families = tuple(f for f in texts if shares[f] >= SHARE)
    return Domain(families, shares, f"families that at least {SHARE:.0%} of the rows' user texts are about, by words")


class _WordModel:
    """Smoothed word frequencies per family."""

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        counts = {family: Counter(_words(rows)) for family, rows in texts.items()}
        self.vocabulary = set().union(*counts.values())
        self.logs = {family: self._logs(count) for family, count in counts.items()}

    def family(self, text: str) -> str | None:
        words = [w for w in set(_words([text])) if w in self.vocabulary]
        if not words:
            return None
        scores = {f: sum(logs[w] for w in words) / len(words) for f, logs in self.logs.items()}
        best = max(scores, key=lambda f: scores[f])
        return best if scores[best] - sum(scores.values()) / len(scores) >= _EVIDENCE else None

    def _logs(self, count: Counter[str]) -> dict[str, float]:
        total = sum(count.values()) + 0.5 * len(self.vocabulary)
        return {word: math.log((count[word] + 0.5) / total) for word in self.vocabulary}


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in _WORD.findall(text.lower())]
