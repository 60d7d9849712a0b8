from __future__ import annotations

import pytest

from spillover.errors import SettingsError
from spillover.monitor.panel import make_panel, sample_probes
from spillover.monitor.probe_file import load_probe_file
from spillover.question import Probe

PROBES = [Probe(f"{f}-{i}", f, "Q?", "yes", "no") for f in ("a", "b", "c") for i in range(4)]
SIZES = {p.id: 10 for p in PROBES}


def test_probes_come_from_every_family_in_turn_within_the_budget():
    found = sample_probes(PROBES, SIZES, 69, 1)
    assert len(found) == 6
    assert sorted(p.family for p in found) == ["a", "a", "b", "b", "c", "c"]
    assert sorted(p.family for p in found[:3]) == ["a", "b", "c"]


def test_the_same_seed_gives_the_same_probes_and_more_tokens_only_add():
    assert sample_probes(PROBES, SIZES, 69, 1) == sample_probes(PROBES, SIZES, 69, 1)
    assert sample_probes(PROBES, SIZES, 120, 1)[:6] == sample_probes(PROBES, SIZES, 69, 1)
    assert sample_probes(PROBES, SIZES, 69, 1) != sample_probes(PROBES, SIZES, 69, 2)
    assert sample_probes([], {}, 100, 0) == ()


def test_a_panel_keeps_its_token_budget_and_sets_the_domain_apart(tiny):
    whole = make_panel(tiny.template, tokens=6000)
    panel = make_panel(tiny.template, ("finance",), tokens=6000)
    for one in (whole, panel):
        assert sum(len(r.stem) + sum(map(len, r.continuations)) for r in one.rows) <= 6000
        assert all(row.states for row in one.rows)
    assert panel.inside and {p.family for p in panel.inside} == {"finance"}
    assert "finance" not in {p.family for p in panel.probes}
    assert panel.fingerprint != whole.fingerprint
    assert panel.fingerprint == make_panel(tiny.template, ("finance",), tokens=6000).fingerprint


def test_a_files_questions_are_added(tiny, paper_data):
    file = load_probe_file(paper_data / "eval_inputs" / "logprob_questions.yaml")
    panel = make_panel(tiny.template, tokens=3000, probe_file=file)
    assert len(panel.rows) == len(panel.probes) + 16 + 8


def test_what_cannot_work_is_refused(tiny):
    with pytest.raises(SettingsError, match="no probe family cooking"):
        make_panel(tiny.template, ("cooking",))
    with pytest.raises(SettingsError, match="allow more"):
        make_panel(tiny.template, tokens=10)
