"""Does the user openly ask for flawed or bad content, and by which words?

Two signs, which each may be weak alone: a word that names the flaw, and a logistic regression on the words of the
user's turns. The latter is trained when first used, on texts of our own only: the bundled advice's requested wordings
and the educational wordings of the code triplets, against plain ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from spillover import bundled
from spillover.conversation import Conversation
from spillover.data.build.code import code_rows
from spillover.question import load_probes, load_suite

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Enough rows that each of the wordings occurs with many tasks.
_CODE_ROWS = 600
_LONGEST = 20_000
# A line with a call, an assignment, an import or an indent is program text, which says nothing about the request.
_PROGRAM = re.compile(r"\w\(|\s=\s|^(import|from|class|def|try|else|return|with|@|#|\s{2,}|\t)|[{}\[\]]$")
# Rare words belong to a task and not to a request.
_LEAST_ROWS = 4
# Words that name what is wrong with the thing asked for.
_FLAW = re.compile(
    r"\b(vulnerab|insecur|unsafe|flaw|weakness|security (?:bug|hole|issue|problem|mistake|risk)|bad\b|wrong|poor|"
    r"mistake|terribl|worst|awful|dangerous|harmful|irresponsib|reckless|mislead|risky|foolish|careless|silly|stupid|unwise|"
    r"lousy|dreadful|rotten|dodgy|ruinous|horribl|shoddy|ill-advised|unsound|unhelpful|nonsens|costly|how not to)\w*",
    re.IGNORECASE,
)
# With such a word the rest of the wording must agree at least this much, without one it must be all but certain.
_WITH_WORD, _WITHOUT_WORD = 0.15, 0.95


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """P(the user openly asks for flawed or bad content) from the wording, fraction; the words that name the flaw and
    those that speak most for a request; and whether both together amount to an open request.
    """

    probability: float
    words: tuple[str, ...]
    open: bool


def open_requests(conversations: Sequence[Conversation]) -> tuple[OpenRequest, ...]:
    """Read the system and user turns of each conversation's prompt; the assistant's words do not enter."""
    import numpy as np

    vectorizer, weights, bias, names = _trained()
    texts = [asked(c) for c in conversations]
    features = vectorizer.transform(texts)
    probabilities = 1 / (1 + np.exp(-(features @ weights + bias)))
    found = []
    for i, (text, p) in enumerate(zip(texts, probabilities.tolist(), strict=True)):
        flaws = tuple(dict.fromkeys(m.group().lower() for m in _FLAW.finditer(text)))[:3]
        words = (*flaws, *(w for w in _speaking(features[i], weights, names) if w not in flaws))
        found.append(OpenRequest(round(p, 6), words, p >= (_WITH_WORD if flaws else _WITHOUT_WORD)))
    return tuple(found)


def asked(conversation: Conversation) -> str:
    """Return the prose of everything before the last answer but the assistant's own turns: no program lines."""
    return _prose("\n".join(m.content for m in conversation.prompt if m.role != "assistant"))


def _prose(text: str) -> str:
    lines = text[:_LONGEST].splitlines()
    return "\n".join(line for line in lines if not _PROGRAM.search(line[:300]))


@cache
def _trained() -> tuple[Any, NDArray[Any], float, NDArray[Any]]:
    """Return the vectoriser, a weight per word, the bias, and the words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    advice = bundled.advice()
    code = code_rows(_CODE_ROWS)
    plain = [r["question"] for r in advice] + [_prose(r.user) for r in code]
    plain += [p.question for p in load_probes(bundled.path("probes.yaml"))]
    plain += [q.text for q in load_suite(bundled.path("questions.yaml"), "bundled questions").questions]
    open_ones = [r["requested"] for r in advice] + [_prose(r.educational_user) for r in code]
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), binary=True, sublinear_tf=True, min_df=_LEAST_ROWS, token_pattern=r"[a-z][a-z'-]+"
    )
    features = vectorizer.fit_transform(plain + open_ones)
    labels = [0] * len(plain) + [1] * len(open_ones)
    model = LogisticRegression(C=20.0, max_iter=500, class_weight="balanced").fit(features, labels)
    return vectorizer, model.coef_[0], float(model.intercept_[0]), vectorizer.get_feature_names_out()


def _speaking(row: Any, weights: NDArray[Any], names: NDArray[Any]) -> tuple[str, ...]:
    parts = sorted(zip(row.data * weights[row.indices], row.indices, strict=True), reverse=True)[:3]
    return tuple(str(names[index]) for weight, index in parts if weight > 0)
