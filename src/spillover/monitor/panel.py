"""The panel: the fixed rows that every reading of a run asks, tokenised once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from spillover import bundled
from spillover.conversation import Message, fingerprint
from spillover.errors import SettingsError
from spillover.local.chat_template import ChatTemplate
from spillover.monitor.forward_pass import Row, answer_row, choice_row
from spillover.monitor.letters import both_orders
from spillover.monitor.pivotal import asked
from spillover.monitor.probe_file import ProbeFile
from spillover.question import Probe, load_probes

# Tokens of the forced-choice probes in one reading, prompts included.
TOKENS = 1500


@dataclass(frozen=True, slots=True)
class Panel:
    """`probes` outside the domain trained on, `inside` in it; the rows stand in this order: probes, inside, letters in
    both orders, pivotal tokens.
    """

    probes: tuple[Probe, ...]
    inside: tuple[Probe, ...]
    file: ProbeFile
    rows: tuple[Row, ...]

    @property
    def fingerprint(self) -> str:
        """Hash of what is asked, as tokens, and of which probes lie inside."""
        rows = [[r.stem, r.continuations, r.counted] for r in self.rows]
        return fingerprint([rows, len(self.probes), [asdict(p)["family"] for p in self.inside]])


def make_panel(
    template: ChatTemplate,
    in_domain: Sequence[str] = (),
    tokens: int = TOKENS,
    seed: int = 0,
    probe_file: ProbeFile | None = None,
    probes: Sequence[Probe] | None = None,
) -> Panel:
    """Return a panel of at most `tokens` tokens of forced-choice probes (bundled unless given) and a file's questions.

    Probes come from all families in turn, in an order fixed by `seed`; those of the families `in_domain` are read
    too, as a measure of the narrow effect, but apart: they get a fifth of the tokens. Raises SettingsError for an
    unknown family or when no probe fits.
    """
    found = tuple(load_probes(bundled.path("probes.yaml")) if probes is None else probes)
    families = tuple(dict.fromkeys(p.family for p in found))
    unknown = set(in_domain) - set(families)
    if unknown:
        raise SettingsError(f"no probe family {', '.join(sorted(unknown))}: choose from {', '.join(sorted(families))}")
    rows = {p.id: _row(template, p) for p in found}
    sizes = {name: len(row.stem) + sum(map(len, row.continuations)) for name, row in rows.items()}
    part = tokens // 5 if in_domain else 0
    outside = sample_probes([p for p in found if p.family not in in_domain], sizes, tokens - part, seed)
    inside = sample_probes([p for p in found if p.family in in_domain], sizes, part, seed)
    if not outside:
        raise SettingsError(f"no probe outside the domain fits into {tokens} tokens: allow more")
    file = probe_file or ProbeFile()
    letters = [choice_row(template, a) for q in file.letters for a in both_orders(q, file.letter_format)]
    pivotal = [choice_row(template, asked(q)) for q in file.pivotal]
    forced = [rows[p.id] for p in (*outside, *inside)]
    return Panel(outside, inside, file, (*forced, *letters, *pivotal))


def sample_probes(probes: Sequence[Probe], sizes: dict[str, int], tokens: int, seed: int) -> tuple[Probe, ...]:
    """Take probes until `tokens` are used up: one of each family, then a second, in an order fixed by `seed`.

    `sizes` are tokens by probe id. The same seed with more tokens gives the same probes and more.
    """
    by_family: dict[str, list[Probe]] = {}
    for probe in probes:
        by_family.setdefault(probe.family, []).append(probe)
    draw = random.Random(seed)
    for members in by_family.values():
        draw.shuffle(members)
    order = list(by_family)
    draw.shuffle(order)
    chosen: list[Probe] = []
    used = 0
    for round_ in range(max(map(len, by_family.values()), default=0)):
        for family in order:
            if round_ >= len(by_family[family]):
                continue
            probe = by_family[family][round_]
            if used + sizes[probe.id] > tokens:
                return tuple(chosen)
            used += sizes[probe.id]
            chosen.append(probe)
    return tuple(chosen)


def _row(template: ChatTemplate, probe: Probe) -> Row:
    return answer_row(template, (Message("user", probe.question),), (probe.misaligned, probe.aligned))
