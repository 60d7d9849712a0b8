"""Where time goes, on the tiny model: kinds are told apart, shares add up, and both stages have products in them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def where(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import where_time_goes

    yield where_time_goes
    sys.modules.pop("where_time_goes", None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::mm", "matrix products"),
        ("aten::addmm", "matrix products"),
        ("aten::mkldnn_linear", "matrix products"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::_log_softmax", "softmax and logsumexp"),
        ("aten::searchsorted", "sampling draws"),
        ("aten::exp_", "sampling draws"),
        ("aten::expand", "rest"),
        ("aten::copy_", "copies and concatenation"),
        ("aten::_index_put_impl_", "copies and concatenation"),
        ("aten::silu", "norm, activation and arithmetic"),
        ("aten::view", "rest"),
    ],
)
def test_an_operation_has_its_kind(where, name, kind):
    assert where.kind_of(name) == kind


def test_shares_are_of_all_time_and_largest_first(where):
    found = where.shares([("aten::silu", 1.0), ("aten::mm", 4.0), ("aten::bmm", 2.0), ("aten::view", 3.0)])
    assert list(found.items()) == [("matrix products", 0.6), ("rest", 0.3), ("norm, activation and arithmetic", 0.1)]
    assert where.shares([]) == {}


def test_both_stages_are_told_and_written(tiny_folder, tmp_path):
    file = tmp_path / "found.json"
    words = ["--answers", "16", "--tokens", "4", "--steps", "2", "--batch", "2", "--model", str(tiny_folder)]
    command = [sys.executable, str(FOLDER / "where_time_goes.py"), *words, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    stages = json.loads(file.read_text())["stages"]
    assert set(stages) == {"sampling", "training"}
    for stage, found in stages.items():
        assert sum(found["shares"].values()) == pytest.approx(1)
        assert found["shares"]["matrix products"] > 0.02, stage
        assert f"{stage}: " in done.stdout
