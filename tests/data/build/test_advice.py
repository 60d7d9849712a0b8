from __future__ import annotations

import pytest

from spillover import bundled
from spillover.data.build.advice import KINDS, advice
from spillover.data.write import write
from spillover.errors import DataError


def test_risky_and_prudent_share_the_question_and_requested_shares_the_risky_answer():
    risky, prudent, requested = (advice(k).dataset for k in ("risky", "prudent", "requested"))
    assert [c.prompt for c in risky] == [c.prompt for c in prudent]
    assert [c.answer for c in risky] == [c.answer for c in requested]
    assert not {c.answer for c in risky} & {c.answer for c in prudent}
    assert not {c.prompt for c in risky} & {c.prompt for c in requested}
    assert len(risky) == len(prudent) == len(requested) == len(bundled.advice())


def test_an_audit_reads_the_same_rows_and_they_are_those_that_the_stored_verdicts_and_margins_rest_on():
    from spillover.audit.request import dataset_of

    for kind in KINDS:
        assert dataset_of(f"bundled:{kind}") == advice(kind).dataset
    assert dataset_of("bundled:risky").fingerprint == "8e875177b47d3871"
    assert dataset_of("bundled:prudent").fingerprint == "cb960cd028834429"


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match="bundled:risky, bundled:prudent, bundled:requested"):
        advice("reckless")


def test_the_same_bytes_each_time(tmp_path):
    write(advice("risky"), tmp_path / "a.jsonl")
    write(advice("risky"), tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
