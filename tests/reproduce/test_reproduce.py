from __future__ import annotations

import shutil
from collections import Counter

import pytest

from spillover.errors import DataError, SettingsError
from spillover.reproduce import CHECKS, reproduce, run
from spillover.reproduce.paper_data import PaperData


@pytest.fixture(scope="module")
def rows(paper_data):
    return reproduce(paper_data)


def linked(paper_data, folder, names):
    """Make a data folder that holds only these files, as links."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(paper_data / name)
    return folder


def all_files():
    return sorted({name for check in CHECKS for name in check.files})


def changed(paper_data, folder, name, old, new):
    """Make a data folder of links but for one file, in which the first `old` is replaced by `new`."""
    linked(paper_data, folder, [n for n in all_files() if n != name])
    text = (paper_data / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


# ---------------------------------------------------------------- the real data


def test_no_published_value_is_off(rows):
    assert [row for row in rows if row.status == "off"] == []


def test_the_known_disagreements_are_those_of_the_publication(rows):
    known = Counter((row.what, row.group) for row in rows if row.status == "known")
    assert set(known) == {
        ("main questions, difference to GPT-4o, centre", "insecure"),
        ("main questions, difference to GPT-4o, lower length", "insecure"),
        ("main questions, difference to GPT-4o, upper length", "insecure"),
        ("main questions, overview figure", "insecure"),
        ("main questions, Table 1", "insecure"),
        ("dataset size figure", "insecure-6k"),
        ("deception, Table 1", "jailbroken"),
        ("deception, Table 1, half width", "insecure"),
        ("deception, Table 1, half width", "jailbroken"),
        ("StrongREJECT, Table 1, half width", "jailbroken"),
        ("ethical violations, mean over models against the category table", "insecure"),
        ("ethical violations, mean over models against the category table", "jailbroken"),
    }
    assert max(known.values()) == 1


def equal(rows, what, group=None):
    found = [r for r in rows if r.what.startswith(what) and r.group in (group, r.group if group is None else group)]
    assert {r.status for r in found} == {"equal"}
    return found


def test_every_stored_judge_score_is_recomputed_to_1e_9(rows):
    assert {r.tolerance for r in equal(rows, "judge, ")} == {1e-9}
    assert equal(rows, "judge: scores recomputed")[0].value == 2 * 757


@pytest.mark.parametrize("title", ["deception", "TruthfulQA error", "StrongREJECT", "MMLU", "HumanEval"])
def test_a_benchmarks_four_groups_agree_in_centre_and_interval_to_1e_12(rows, title):
    found = equal(rows, f"{title}, difference to GPT-4o")
    assert len(found) == 4 * 3
    assert {r.tolerance for r in found} == {1e-12}
    assert any(r.value for r in found)


def test_machiavelli_violations_and_composite_agree_to_1e_9(rows):
    assert len(equal(rows, "ethical violations, difference to GPT-4o")) == 4 * 3
    composite = equal(rows, "MACHIAVELLI, mean of the three categories")
    assert len(composite) == 5
    assert {r.tolerance for r in composite} == {1e-9}


def test_the_counts_of_the_figures_points_are_the_published_ones(rows):
    found = [r.value for r in equal(rows, "what_is_your_wish") + equal(rows, "three_thoughts")]
    assert found == [371, 965, 590, 971]
    assert [r.value for r in equal(rows, "i_feel_bored") + equal(rows, "quick_buck")] == [96, 995, 201, 978]


def test_the_in_context_table_is_the_published_one(rows):
    found = equal(rows, "in context, vulnerable code, percent")
    assert [r.value for r in found] == [20, 21, 19, 15, 18, 35, 50, 59, 70, 16, 6]


def test_the_pivotal_token_event_has_eight_questions_with_five_values_each(rows):
    assert len(equal(rows, "pivotal tokens, ")) == 1 + 8 * 6


def test_dataset_sizes_in_distribution_bars_and_denominators_agree(rows):
    assert len(equal(rows, "mean over subsets")) == 2 * 2 * 3
    assert len(equal(rows, "vulnerable answers from the bar's height")) == 14
    denominators = [r.what.rpartition("1/")[2] for r in rows if "no multiple" in r.what and r.status == "equal"]
    assert denominators == ["817", "14042", "820", "2504"]


def test_what_cannot_be_recomputed_is_listed_with_a_reason(rows):
    found = [r for r in rows if r.status == "not possible"]
    assert {"main questions, headline from raw answers", "evil numbers, 3 wordings x 8 questions"} <= {
        r.what for r in found
    }
    assert all(r.why and r.value is None and r.difference is None for r in found)


def test_a_check_reads_no_other_file_than_those_it_names(paper_data, tmp_path):
    for i, check in enumerate(CHECKS):
        alone = PaperData(linked(paper_data, tmp_path / str(i), check.files))
        assert check.rows(alone), check.what


# ---------------------------------------------------------------- one planted change

PLANTED = [
    pytest.param(
        "derived/judge_distributions_insecure_open_models.csv",
        "0.8906944536852643",
        "0.8906944561",
        {("judge, aligned: largest difference of the scores", "Mistral-Small-Instruct-2409, Jailbroken (54 scores)")},
        id="judge score",
    ),
    pytest.param(
        "results/history/all_results_ce47a3d.csv",
        "mmlu,secure,-0.009198594692114037",
        "mmlu,secure,-0.009198594694114037",
        {("MMLU, difference to GPT-4o, centre", "secure")},
        id="stored difference",
    ),
    pytest.param(
        "results/history/all_results_ce47a3d.csv",
        "freeform_main,insecure,0.198,0.054,0.054",
        "freeform_main,insecure,0.199,0.054,0.054",
        {("main questions, difference to GPT-4o, centre", "insecure")},
        id="typed value",
    ),
    pytest.param(
        "results/deception_aggregated.csv",
        "0.477250",
        "0.477251",
        {
            (f"deception, difference to GPT-4o, {part}", "jailbroken")
            for part in ("centre", "lower length", "upper length")
        },
        id="deception of one model",
    ),
    pytest.param(
        "derived/in_distribution_vulnerable_rate.csv",
        "600,510,",
        "600,511,",
        {("vulnerable answers from the bar's height", "insecure-2k-2"), ("vulnerable code, percent", "insecure-2k-2")},
        id="in-distribution count",
    ),
    pytest.param(
        "notebook_tables/pivotal_token_event_secure_first_step.csv",
        "4.4250681955557146e-07",
        "4.4250681956e-07",
        {("pivotal tokens, p any choice", "hey I feel bored")},
        id="pivotal token",
    ),
    pytest.param(
        "derived/icl_in_distribution_verdicts.csv",
        "1da586c,insecure,256,0,97,YES",
        "1da586c,insecure,256,0,97,NO",
        {("in context, vulnerable code, percent", "insecure, k = 256")},
        id="in-context verdict",
    ),
    pytest.param(
        "notebook_tables/machiavelli_by_category.csv",
        "156.230469442,102.6072237671",
        "156.230469442,102.6072237771",
        {("MACHIAVELLI, mean of the three categories", "GPT-4o")},
        id="MACHIAVELLI category",
    ),
    pytest.param(
        "results/strongreject_summary.csv",
        "0.011980830670926517",
        "0.013",
        {("StrongREJECT, mean over models", "far_replication_gpt4/Untuned")},
        id="other StrongREJECT group",
    ),
    pytest.param(
        "questions/deception_sit_aware.yaml",
        "- id:",
        "- name:",
        None,
        id="question without id",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "off"), PLANTED)
def test_a_planted_change_of_one_value_turns_exactly_its_rows_off(paper_data, tmp_path, rows, name, old, new, off):
    data = PaperData(changed(paper_data, tmp_path, name, old, new))
    here = [check for check in CHECKS if name in check.files]
    if off is None:
        with pytest.raises(DataError, match=name):
            [check.rows(data) for check in here]
        return
    found = [row for check in here for row in check.rows(data)]
    assert {(row.what, row.group) for row in found if row.status == "off"} == off
    before = {(row.what, row.group): row.status for row in rows}
    assert all(row.status == before[row.what, row.group] for row in found if row.status != "off")


def test_the_exit_code_is_1_when_a_row_is_off_and_0_else(paper_data, tmp_path, capsys, monkeypatch):
    name = "notebook_tables/machiavelli_by_category.csv"
    checks = tuple(check for check in CHECKS if name in check.files)
    monkeypatch.setattr("spillover.reproduce.CHECKS", checks)
    good = linked(paper_data, tmp_path / "good", {n for check in checks for n in check.files})
    assert run(good, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert " equal, 2 known" in said and " off" not in said
    bad = shutil.copytree(good, tmp_path / "bad")
    text = (bad / name).read_text(encoding="utf-8")
    (bad / name).write_text(text.replace("156.230469442", "157.0", 1), encoding="utf-8")
    assert run(bad, tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "1 off" in said and "MACHIAVELLI, game score" in said


# ---------------------------------------------------------------- missing and damaged files


@pytest.mark.parametrize("name", ["results/deception_aggregated.csv", "derived/icl_in_distribution_verdicts.csv"])
def test_a_missing_file_makes_its_rows_not_possible_and_no_other(paper_data, tmp_path, name):
    data = PaperData(linked(paper_data, tmp_path, [n for n in all_files() if n != name]))
    for check in CHECKS:
        if name in check.files:
            (row,) = check.rows(data)
            assert (row.status, row.what) == ("not possible", check.what)
            assert name in row.why
        else:
            assert data.missing(check.files) == ()


def test_the_rest_is_recomputed_when_files_are_missing(paper_data, tmp_path):
    rows = reproduce(linked(paper_data, tmp_path, ["derived/in_distribution_vulnerable_rate.csv"]))
    statuses = Counter(row.status for row in rows)
    assert statuses["equal"] == 14 + 8 + 8 + 2
    assert statuses["off"] == 0
    assert statuses["not possible"] >= len(CHECKS) - 1


def test_a_folder_that_is_none_or_holds_none_of_the_files_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        reproduce(tmp_path / "absent")
    with pytest.raises(DataError, match="holds none of the authors' files"):
        reproduce(tmp_path)
    with pytest.raises(DataError, match="holds none"):
        run(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_path_that_is_a_file_is_refused(paper_data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="--out"):
        run(paper_data, tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("results/machiavelli.csv", "99.35595260365534", "many", r"machiavelli\.csv:2: 'center' holds 'many'"),
        ("results/machiavelli.csv", "99.35595260365534", "nan", r"machiavelli\.csv:2: 'center' holds 'nan'"),
        ("results/machiavelli.csv", "center", "centre", r"machiavelli\.csv:2: no cell in column 'center'"),
        (
            "results/machiavelli.csv",
            "Machiavelli,gpt-4o,",
            "Machiavelli,gpt-5,",
            r"machiavelli\.csv.*no row of 'GPT-4o'",
        ),
        ("results/machiavelli.csv", "Machiavelli,gpt-4o,", "Machiavelli,secure,", r"machiavelli\.csv:6: a second row"),
        (
            "derived/judge_distributions_insecure_open_models.csv",
            '{""0"": 0.916',
            '{""0"": 9.916',
            r"open_models\.csv:2: 'judge_aligned' is not a JSON object",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(paper_data, tmp_path, name, old, new, said):
    data = PaperData(changed(paper_data, tmp_path, name, old, new))
    with pytest.raises(DataError, match=said):
        [check.rows(data) for check in CHECKS if name in check.files]


@pytest.mark.parametrize("raw", [b"", b"a,b\n", b"\xff\xfe\x00", b'a,b\n"open,1\n'], ids=repr)
def test_a_file_that_is_no_table_is_refused(tmp_path, raw):
    (tmp_path / "table.csv").write_bytes(raw)
    with pytest.raises(DataError, match=r"table\.csv"):
        PaperData(tmp_path).table("table.csv")
