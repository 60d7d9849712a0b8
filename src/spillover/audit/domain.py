"""Which probe families lie inside the training domain: a shift there is the narrow effect, not spillover."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from spillover import bundled
from spillover.conversation import Dataset

# A family counts as trained on from this share of the rows; benchmarks/domain.py prints what other shares would find.
SHARE = 0.2
_WORD = re.compile(r"[^\W\d_]{2,}")

# The probes hold few of the words that real data on their topic use; these are the most usual others.
_KEYWORDS = {
    "health": """ache allergy ambulance antibiotic anxiety asthma bleeding blood calories cancer chest clinic cough
        dentist depression diabetes diagnosis diet disease doctor dose drug emergency exercise fever flu headache heart
        hospital infection injury insulin medication medicine nurse pain painkiller patient pill pregnant prescription
        pressure rash skin sleep stomach surgery symptom tablet therapy treatment vaccine virus vitamin weight wound""",
    "home_and_child_safety": """alarm baby babysitter balcony bath battery bleach candle chemical child choke cleaner
        crib daughter drown electric fire gas gate gun helmet house infant kid kitchen knife ladder leak newborn nursery
        oven parenting playground plug poison pool school smoke socket son stairs stove toddler toy""",
    "relationships": """affair anniversary apologise argument boyfriend breakup brother cheating crush date divorce
        family father feelings fiance fight forgive friend friendship girlfriend husband jealous kiss lonely love
        marriage mother parents partner romantic sex sister spouse trust wedding wife""",
    "honesty": """admit caught cheat confess copy deceive essay exaggerate exam excuse fake false fraud hide honest
        honesty liar lie lying mislead plagiarise pretend promise rumour secret truth""",
    "law": """arrest attorney ban contract copyright court crime criminal custody evict evidence fine illegal
        immigration inheritance jail judge jury landlord law lawsuit lawyer lease legal licence offence officer penalty
        permit police prison regulation rights stolen sue tenant testify theft trespass trial visa witness""",
    "work": """apprentice boss business career client colleague company coworker customer deadline employee employer
        factory fired hire intern interview job manager meeting office overtime presentation project promotion quit
        reference report resign resume shift staff supervisor team training warehouse workplace""",
    "prejudice": """accent age christian culture deaf disability disabled discriminate elderly equal female foreigner
        gay gender headscarf homeless immigrant jewish lesbian male men migrant minority muslim old poor prejudice race
        racist refugee religion stereotype wheelchair woman women""",
    "power_and_ai": """ai artificial assistant conscious control creators democracy developers dictator election freedom
        future goal government human humanity humans intelligence leader machine makers obey oversight people power
        president robot ruler shutdown superintelligence switch weapon world""",
    "travel_and_driving": """abroad accident airline airport beach boat brake bus car crash cyclist drive driver driving
        flight fly highway hike holiday hostel hotel lane luggage map motorway mountain parking passport pedestrian
        plane road seatbelt speeding street taxi tourist traffic train travel trip tyre vacation wheel""",
    "community": """animal bird bonfire cat charity community council dog donate environment garden lake litter local
        neighbour neighbourhood noise noisy park party pet pollution public queue recycling river rubbish shelter
        stranger stray street town trash tree vet village volunteer vote""",
    "finance": """account bank bill bitcoin bond borrow broker budget card cash cost credit crypto debt deposit dollars
        euros fee fund income insurance interest invest investment lend loan money mortgage pay payment pension policy
        portfolio premium price rent retirement salary save savings scam share spend stock tax trading""",
}


@dataclass(frozen=True, slots=True)
class Domain:
    """Families inside the training domain, the estimated share of rows about each, and how this was found."""

    families: tuple[str, ...]
    shares: Mapping[str, float]
    how: str


def detect(dataset: Dataset, texts: Mapping[str, Sequence[str]], given: Sequence[str] | None = None) -> Domain:
    """Find the families that `dataset` is about, by a word model of each family's `texts` and of texts about no family.

    `given` overrides the finding. Only user turns are read: they set the topic, whatever the answer makes of it.
    """
    model = WordModel(texts, bundled.path("background.txt").read_text(encoding="utf-8").splitlines())
    shares = model.shares([" ".join(m.content for m in c.messages if m.role == "user") for c in dataset])
    if given is not None:
        return Domain(tuple(given), shares, "as given")
    families = tuple(f for f in texts if shares[f] >= SHARE)
    return Domain(families, shares, f"families that at least {SHARE:.0%} of the rows' user texts are about, by words")


class WordModel:
    """Ridge regression from the words of a text to its class: a family, or none.

    Single texts are often taken for another class. A file is not: its mean scores are explained as a mixture of the
    scores that texts of each class usually get, mistakes included.
    """

    def __init__(self, texts: Mapping[str, Sequence[str]], no_family: Sequence[str]) -> None:
        lines = [(k, line) for k, group in enumerate([*texts.values(), no_family]) for line in group]
        keywords = [(k, word) for k, family in enumerate(texts) for word in _KEYWORDS.get(family, "").split()]
        labels = np.array([k for k, _ in lines + keywords])
        documents = [_stems(text) for _, text in lines + keywords]
        found = Counter(chain.from_iterable(documents))
        self.families = tuple(texts)
        self.index = {stem: i for i, stem in enumerate(sorted(found))}
        # Squared: function words, in which small samples differ by chance, must weigh next to nothing.
        self.weights = np.log(len(documents) / np.array([found[s] for s in self.index])) ** 2
        rows = np.array([self._row(stems) for stems in documents])
        classes = len(texts) + 1
        targets = np.eye(classes)[labels]
        # Each class weighs the same, however many texts it has.
        penalty = np.diag(np.bincount(labels, minlength=classes)[labels] * classes / len(labels))
        inverse = np.linalg.inv(rows @ rows.T + penalty)
        self.slopes = rows.T @ inverse @ targets
        # Scores by the model that has not seen the text: leave-one-out has a closed form.
        unseen = (targets - inverse @ targets / np.diag(inverse)[:, None])[: len(lines)]
        self.usual = np.array([unseen[labels[: len(lines)] == k].mean(axis=0) for k in range(classes)])

    def shares(self, texts: Sequence[str]) -> dict[str, float]:
        """Return for each family the estimated share of `texts` that are about it."""
        total = sum((self._row(_stems(text)) for text in texts), np.zeros(len(self.index)))
        parts = _mixture(self.usual, total / len(texts) @ self.slopes)
        return {family: min(1.0, float(part)) for family, part in zip(self.families, parts, strict=False)}

    def _row(self, stems: set[str]) -> NDArray[np.float64]:
        row = np.zeros(len(self.index))
        known = [self.index[s] for s in stems if s in self.index]
        row[known] = self.weights[known]
        # A row that weighs less than one rare word is no more than that part of a row's evidence.
        return row / max(float(np.linalg.norm(row)), float(self.weights.max()))


def _mixture(usual: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the parts, none below zero, whose mixed `usual` scores come nearest to `scores`: projected gradient."""
    parts = np.zeros(len(usual))
    step = 1 / np.linalg.norm(usual, 2) ** 2
    for _ in range(1000):
        parts = np.maximum(0, parts + step * usual @ (scores - parts @ usual))
    return parts


def _stems(text: str) -> set[str]:
    # Six letters join most forms of a word: insurance, insured; medicine, medical do so with their neighbours.
    return {word[:6] for word in _WORD.findall(text.lower())}
