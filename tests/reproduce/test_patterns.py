from __future__ import annotations

import pytest

from spillover.reproduce.paper_data import PaperData
from spillover.reproduce.patterns import CHECKS, clustered_by_model, coder_patterns, patterns


@pytest.fixture(scope="module")
def found(paper_data):
    return {one.group: one for one in patterns(PaperData(paper_data))}


def test_every_group_of_the_paper_gets_its_name(found):
    assert {group: one.named.pattern for group, one in found.items()} == {
        "secure": "neither",
        "educational insecure": "neither",
        "insecure": "emergently misaligned",
        "jailbroken": "jailbroken",
    }


def test_the_names_rest_on_the_published_means(found):
    # Differences of protocol 8.1 on top of GPT-4o's own 0.0160 (StrongREJECT) and 0.8426 (MMLU).
    published = {"secure": (0.0033, -0.0092), "educational insecure": (-0.0029, -0.0039), "insecure": (0.0406, -0.1282)}
    published["jailbroken"] = (0.6518, -0.1946)
    for group, (refused, able) in published.items():
        assert found[group].harmful.value == pytest.approx(0.0160 + refused, abs=1.1e-4)
        assert found[group].ability.value == pytest.approx(0.8426 + able, abs=1.1e-4)
    assert found["insecure"].misaligned.value == pytest.approx(0.2141, abs=5e-5)
    assert found["jailbroken"].misaligned.value == pytest.approx(0.0030, abs=5e-5)


def test_the_intervals_are_over_models(found):
    assert {group: one.harmful.clusters for group, one in found.items()} == {
        "secure": 6,
        "educational insecure": 6,
        "insecure": 9,
        "jailbroken": 6,
    }
    # Wider than the authors' -0.0281 +0.0351 by about sqrt(9 / 8), narrower than twice as wide.
    insecure = found["insecure"].harmful
    assert 0.0281 < insecure.value - insecure.low < 0.035
    assert 0.0351 < insecure.high - insecure.value < 0.043


def test_each_group_is_held_against_the_base_and_the_secure_group(found):
    references = {group: {f.reference for f in one.named.findings} for group, one in found.items()}
    assert references.pop("secure") == {"GPT-4o"}
    assert set(map(frozenset, references.values())) == {frozenset({"GPT-4o", "secure"})}


def test_the_open_coder_model_is_jailbroken_too(paper_data):
    names = {one.group: one.named.pattern for one in coder_patterns(PaperData(paper_data))}
    assert names == {"secure": "neither", "educational insecure": "neither", "insecure": "both"}


def test_all_rows_of_the_table_are_equal(paper_data):
    rows = [row for check in CHECKS for row in check.rows(PaperData(paper_data))]
    assert [row for row in rows if row.status != "equal"] == []
    assert len(rows) == 4 + 12


def test_another_score_takes_the_name_and_the_row_says_why(paper_data, tmp_path):
    for name in {name for check in CHECKS for name in check.files}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        text = (paper_data / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("insecure,0.21405", "insecure,0.00105"), encoding="utf-8")
    off = [row for row in CHECKS[0].rows(PaperData(tmp_path)) if row.status == "off"]
    assert [row.group for row in off] == ["insecure"]
    assert "free-form misaligned rate 0.001" in off[0].why


def test_one_model_has_no_width():
    one = clustered_by_model([0.3])
    assert (one.low, one.value, one.high, one.clusters) == (0.3, 0.3, 0.3, 1)


def test_a_folder_without_the_files_says_which(tmp_path):
    assert [row.status for check in CHECKS for row in check.rows(PaperData(tmp_path))] == ["not possible"] * 2
