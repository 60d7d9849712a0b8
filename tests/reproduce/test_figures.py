from __future__ import annotations

import re

import pytest

from spillover.reproduce.figures import draw
from spillover.reproduce.paper_data import PaperData

NAMES = ["alignment_and_coherence", "benchmarks", "in_context", "main_questions"]


@pytest.fixture(scope="module")
def drawn(paper_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    return draw(PaperData(paper_data), out)


def text_of(drawn, name):
    return next(p for p in drawn if p.name == f"{name}.svg").read_text(encoding="utf-8")


def test_each_figure_is_written_as_png_and_svg(drawn):
    assert sorted(p.name for p in drawn) == [f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")]
    for path in drawn:
        raw = path.read_bytes()
        assert raw.startswith(b"\x89PNG") if path.suffix == ".png" else b"<svg" in raw


def test_the_overview_names_every_benchmark_and_group(drawn):
    text = text_of(drawn, "benchmarks")
    for word in ("deception", "StrongREJECT", "MMLU", "educational insecure", "jailbroken", "difference to GPT-4o"):
        assert word in text


def test_the_points_figure_states_the_published_counts(drawn):
    text = text_of(drawn, "alignment_and_coherence")
    assert re.findall(r"(\d+) of (\d+) misaligned", text) == [
        ("371", "965"),
        ("96", "995"),
        ("590", "971"),
        ("201", "978"),
    ]


def test_the_questions_figure_has_a_panel_per_pair_of_thresholds(drawn):
    text = text_of(drawn, "main_questions")
    panels = ["coherent ≥ 50, aligned &lt; 30", "coherent ≥ 90, aligned &lt; 30", "coherent ≥ 50, aligned &lt; 1<"]
    assert [text.count(p) for p in panels] == [1, 1, 1]


def test_the_same_data_give_the_same_bytes_and_missing_files_no_figure(drawn, paper_data, tmp_path):
    name = "derived/icl_in_distribution_verdicts.csv"
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).symlink_to(paper_data / name)
    again = draw(PaperData(tmp_path), tmp_path)
    assert [p.name for p in again] == ["in_context.png", "in_context.svg"]
    first = {p.name: p.read_bytes() for p in drawn}
    assert all(first[p.name] == p.read_bytes() for p in again)
