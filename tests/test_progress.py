from __future__ import annotations

import pytest

from spillover import progress as module
from spillover.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Time that only moves when told to."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def test_a_stage_does_not_count_the_stages_inside_it(clock):
    progress = Progress(quiet=True)
    with progress.stage("outer", 0):
        clock(1)
        with progress.stage("inner", 0):
            clock(10)
            with progress.stage("innermost", 0):
                clock(100)
        clock(2)
        with progress.stage("inner", 0):
            clock(20)
    with progress.stage("after", 0):
        clock(5)
    assert progress.seconds == {"innermost": 100, "inner": 30, "outer": 3, "after": 5}


def test_a_stage_that_fails_is_timed_too(clock):
    progress = Progress(quiet=True)
    with pytest.raises(KeyError), progress.stage("outer", 0), progress.stage("inner", 0):
        clock(4)
        raise KeyError
    assert progress.seconds == {"inner": 4, "outer": 0}
