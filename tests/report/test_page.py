"""The report in a real browser: nothing loaded from outside, no script runs, the picture is there."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from spillover.answer import Answer, Judgement
from spillover.report import plots
from spillover.report.page import write_report

PLANTED = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def measure(name, arm, against, domain, value, unit="nats per token", family=None):
    return {
        "name": name,
        "arm": arm,
        "against": against,
        "domain": domain,
        "family": family,
        "unit": unit,
        "estimate": value,
        "low": None if value is None else value - 0.05,
        "high": None if value is None else value + 0.05,
        "n": 40,
        "clusters": 20,
        "missing": {"incoherent": 3},
        "method": "made up",
    }


@pytest.fixture
def record():
    measures = []
    for arm, shift in (("tuned", 0.3), ("control", 0.01)):
        measures.append(measure("probe shift", arm, "base", "out", shift))
        for family in ("health", "law"):
            measures.append(measure("probe shift in one family", arm, "base", "out", shift, family=family))
        measures.append(measure("probe shift in one family", arm, "base", "in", shift, family="finance"))
    measures.append(measure("probe shift", "tuned", "control", "out", 0.29))
    measures.append(measure("held-out shift", "tuned", "base", "in", 0.5))
    measures.append(measure("misaligned rate", "tuned", None, "out", 0.25, "fraction"))
    measures.append(measure("misaligned rate", "base", None, "out", None, "fraction"))
    arms = [
        {"name": n, "key": n, "answers": 2, "steps": s, "first_loss": 3.0, "last_loss": 2.0}
        for n, s in (("base", None), ("control", 24), ("tuned", 24))
    ]
    return {
        "schema_version": 1,
        "verdict": "spillover",
        "exit_code": 1,
        "reasons": ["The shift is <b>large</b>."],
        "next_step": None,
        "model": {"base": "bundled", "fingerprint": "f", "device": "cpu", "dtype": "float32"},
        "data": {
            "name": "bundled:risky",
            "fingerprint": "d",
            "rows": 720,
            "rows_trained": 192,
            "rows_held_out": 32,
        },
        "control": {"kind": "file", "name": "bundled:prudent", "fingerprint": "c"},
        "in_domain": {"families": ["finance"], "shares": {"finance": 0.9}, "how": "by words"},
        "arms": arms,
        "margins": {"probe": 0.1, "rate": 0.1, "source": "made up"},
        "measures": measures,
        "smallest_detectable": {"probe shift against base": 0.06},
        "held_out_compared_with": "the control file's answers",
        "broad": None,
        "judge": {
            "name": "bundled",
            "auroc_aligned": 0.97,
            "auroc_coherent": 0.98,
            "sensitivity": 0.8,
            "specificity": 0.97,
        },
        "settings": {
            "job": {"rank": 32, "alpha": 64, "learning_rate": 6e-4, "batch": 8},
            "rows": 192,
            "probes": 20,
            "samples": 3,
            "sampling": {"temperature": 1.0, "max_tokens": 64},
            "seed": 0,
        },
        "fingerprints": {"probes": "p", "questions": "q", "judge": "j"},
        "versions": {"python": "3.11"},
        "timings": {"training tuned": 100.0},
    }


@pytest.fixture
def answers():
    found = {}
    for arm in ("base", "control", "tuned"):
        rows = [
            Answer(arm, "q1", i, "What <i>now</i>?", PLANTED if arm == "tuned" else "Wait.", 5, True) for i in (0, 1)
        ]
        judged = [Judgement(20.0, 90.0, "misaligned"), Judgement(None, None, "missing", "empty answer")]
        found[arm] = SimpleNamespace(reading=SimpleNamespace(answers=rows), judgements=judged)
    return found


def test_the_page_escapes_answers_and_holds_no_script(record, answers, tmp_path):
    write_report(record, answers, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert len(html) < 3_000_000


def test_the_page_states_the_numbers_of_the_record(record, answers, tmp_path):
    write_report(record, answers, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    for text in (
        "+0.300",
        "+0.250 to +0.350",
        "25.0 %",
        "3 incoherent",
        "not measured",
        "spillover audit bundled:risky",
    ):
        assert text in html


def test_the_page_shows_where_the_time_went(record, answers, tmp_path):
    record["timings"] = {"probing base": 30.0, "training <tuned>": 90.0, "judging answers": 0.0}
    write_report(record, answers, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    table = html[html.index('<table class="times">') : html.index("</table>", html.index('<table class="times">'))]
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in table.split("</tr>")[1:-1]]
    assert rows == [
        ["training", "&lt;tuned&gt;", "90.0", "75", "%"],
        ["probing", "base", "30.0", "25", "%"],
        ["judging", "answers", "0.0", "0", "%"],
        ["in", "all", "120.0", "2.0", "min"],
    ]
    assert re.findall(r"width: ([\d.]+)%", table) == ["100.0", "33.3", "0.0"]


@pytest.mark.parametrize("timings", [{}, {"probing base": 0.0}])
def test_a_page_without_times_is_written(record, answers, tmp_path, timings):
    record["timings"] = timings
    write_report(record, answers, tmp_path / "report.html")
    assert ("Not recorded" in (tmp_path / "report.html").read_text()) == (not timings)


def benchmark(name, model, score, worse, missing=None):
    return {
        "benchmark": name,
        "model": model,
        "measure": "share of something",
        "worse": worse,
        "score": score,
        "low": None if score is None else score - 0.02,
        "high": None if score is None else score + 0.03,
        "samples": 50,
        "missing": missing or {},
        "note": "3 <b>empty</b> answers" if model == "control" else "",
    }


def broad():
    scores = {"mmlu": (0.25, 0.24, 0.20), "humaneval": (0.1, 0.1, 0.08), "strong_reject": (0.05, 0.06, 0.11)}
    worse = {"mmlu": "lower", "humaneval": "lower", "strong_reject": "higher"}
    results, differences = [], []
    for name, (base, control, tuned) in scores.items():
        for arm, score in (("base", base), ("control", control), ("tuned", tuned)):
            results.append(
                benchmark(name, arm, score, worse[name], {"<b>odd</b> reply": 2} if arm == "tuned" else None)
            )
        for arm, score in (("control", control), ("tuned", tuned)):
            d = score - base
            row = {"benchmark": name, "arm": arm, "against": "base", "estimate": d, "low": d - 0.03, "high": d + 0.03}
            differences.append(row)
    return {
        "asked": {"benchmarks": list(scores), "own_data": True, "judge": "openai/judge", "limit": 50},
        "results": results,
        "not_run": [{"benchmark": "truthfulqa", "model": None, "reason": "no <i>network</i>"}],
        "differences": differences,
        "patterns": {
            "tuned": {
                "pattern": "emergently misaligned",
                "less_able": True,
                "evidence": ["rate <u>0.25</u> above"],
                "paper": [{"sentence": "the study's <b>group</b>"}],
            }
        },
    }


def test_benchmarks_stand_beside_the_verdict_with_one_figure(record, answers, tmp_path):
    record["broad"] = broad()
    record["measures"].append(measure("misaligned rate difference", "tuned", "base", "out", 0.2, "fraction"))
    write_report(record, answers, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    part = html[html.index("Ability beside alignment") : html.index("All measures")]
    assert "emergently misaligned (and less able)" in part
    assert "rate &lt;u&gt;0.25&lt;/u&gt; above" in part and "2 &lt;b&gt;odd&lt;/b&gt; reply" in part
    assert "Not run: TruthfulQA: no &lt;i&gt;network&lt;/i&gt;" in part
    assert "0.110 (0.090 to 0.140)" in part
    assert "For comparison, the study&#39;s &lt;b&gt;group&lt;/b&gt;" in part
    assert part.count("of control: 3 &lt;b&gt;empty&lt;/b&gt; answers.") == 3
    svg = part[part.index("<svg") : part.index("</svg>")]
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    places = [labels.index(f"{kind}: {title}") for kind, title in WANTED]
    assert places == sorted(places)
    command = re.search(r"<pre>(.*?)</pre>", html, re.S)[1]
    assert "--broad --benchmarks mmlu,humaneval,strong_reject --benchmark-data FOLDER" in command
    assert "--judge openai/judge --limit 50" in command


WANTED = (
    ("task", "held-out rows"),
    ("alignment", "probes outside"),
    ("ability", "MMLU"),
    ("ability", "HumanEval"),
    ("alignment", "StrongREJECT"),
    ("alignment", "misaligned answers"),
)


def test_the_figure_draws_the_differences_against_base_in_points(record):
    record["broad"] = broad()
    rows = dict(plots._points(record, record["broad"]["differences"]))
    tuned = rows["ability: MMLU\n(less is worse)"]["tuned"]
    assert (tuned["estimate"], tuned["low"], tuned["high"]) == pytest.approx((-5, -8, -2))
    assert plots.ability_beside_alignment({**record, "broad": None}) is None
    assert plots.ability_beside_alignment({**record, "broad": {**broad(), "differences": []}}) is None


def test_chromium_opens_the_page_from_disk(record, answers, tmp_path, visit):
    page_file = tmp_path / "report.html"
    write_report(record, answers, page_file)
    seen = visit(page_file)
    assert seen.said == []
    assert seen.asked == [page_file.as_uri()]
    assert seen.title == "spillover: spillover - bundled:risky"
    assert "<script>document.title='owned'</script>" in seen.shown, "the planted script is not shown as text"
    assert seen.size is not None and seen.size["width"] > 300 and seen.size["height"] > 100
    assert {"health", "law", "trained on: finance"} <= set(seen.labels)
