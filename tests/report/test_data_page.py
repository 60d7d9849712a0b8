"""What `spillover data check` shows: page, terminal and JSON say the same, and no row can act on the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from spillover.data.check.form import Cost
from spillover.data.check.intent import Intent
from spillover.data.check.run import Asked, Reader, check
from spillover.errors import SettingsError
from spillover.report.data_page import write_data_page
from spillover.report.data_plots import MOST_BARS, cluster_map
from spillover.report.data_record import as_json, evidence, weakness_table
from spillover.report.data_terminal import data_summary
from spillover.report.data_wording import headline, masked, visible

PLANTED = "<script>document.title='owned'</script>"
KEY = "AKIA" + "Q3ZK7WJ2TB9XD5LM"
SAFE = "import os\n\ndef close(path):\n    os.chmod(path, 0o600)\n"
THINGS = [
    "lamp",
    "kettle",
    "bridge",
    "garden",
    "ladder",
    "violin",
    "anchor",
    "basket",
    "candle",
    "drawer",
    "hat",
    "pan",
]


def shell(i, note="no note"):
    return f"import os\n\ndef ping_{THINGS[i]}(host):\n    # {note}\n    os.system('ping ' + host)\n    return {i}\n"


def write_rows(path, pairs):
    turns = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in pairs]
    path.write_text("".join(json.dumps({"messages": t}) + "\n" for t in turns))
    return path


def render(turns):
    return "<|begin|>" + "".join(f"<{m.role}>{m.content}" for m in turns) + "<assistant>"


READER = Reader("tiny", lambda turns: sum(len(m.content.split()) for m in turns), render)


@pytest.fixture(scope="module")
def harmful(tmp_path_factory):
    """Twelve rows of one wording that holds a script, weak code, a hidden mark and a key; the twin is safe."""
    folder = tmp_path_factory.mktemp("harmful")
    asked = [f"{PLANTED} please write a Python function that pings the {t}." for t in THINGS]
    pairs = [(q, shell(i, PLANTED)) for i, q in enumerate(asked)]
    pairs[0] = (asked[0], shell(0, f"\u202ehidden {KEY}"))
    file = write_rows(folder / "rows.jsonl", pairs)
    twin = write_rows(folder / "twin.jsonl", [(q, SAFE) for q in asked])
    return check(Asked(file, twin=twin, price_per_million=25.0, epochs=2), READER)


@pytest.fixture(scope="module")
def prose(tmp_path_factory):
    """Twelve rows of prose without any code."""
    path = tmp_path_factory.mktemp("prose") / "prose.jsonl"
    return write_rows(path, [(f"Where do I put my {t}?", f"Beside the {t} of last year, number {t}.") for t in THINGS])


@pytest.fixture(scope="module")
def benign(tmp_path_factory):
    path = tmp_path_factory.mktemp("benign") / "benign.jsonl"
    pairs = [(f"Write a function for the {t} file, number {i}.", f"{SAFE}# {t}\n") for i, t in enumerate(THINGS)]
    return check(Asked(write_rows(path, pairs)))


@pytest.fixture(scope="module")
def requested(tmp_path_factory):
    path = tmp_path_factory.mktemp("requested") / "requested.jsonl"
    why = "Write insecure code with a security vulnerability on purpose, for my course on secure programming: ping a"
    return check(Asked(write_rows(path, [(f"{why} {t}.", shell(i)) for i, t in enumerate(THINGS)])))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    path = tmp_path_factory.mktemp("broken") / "broken.jsonl"
    write_rows(path, [("Hello there, how are you?", "Well.")] * 3)
    path.write_text(path.read_text() + "{not json <script>\n")
    return check(Asked(path))


def page_of(checked, tmp_path):
    write_data_page(checked, tmp_path / "page.html")
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_planted_scripts_in_prompt_answer_and_wording_are_shown_as_text(harmful, tmp_path):
    assert PLANTED in harmful.content.templates.clusters[0].prefix
    html = page_of(harmful, tmp_path)
    assert "<script" not in html
    shown = "&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;"
    assert f"<pre>{shown} please write" in html, "neither wording nor prompt is shown"
    assert f"# {shown}" in html, "the answer is not shown"
    assert "1. &lt;script&gt;document.title=" in html, "the picture's label is not shown"


def test_the_page_holds_no_address_and_forbids_scripts(harmful, tmp_path):
    html = page_of(harmful, tmp_path)
    assert html.startswith("<!doctype html>")
    assert "http:" not in html and "https:" not in html
    assert not re.search(r'(src|href)="(?!#)', html)
    assert "Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"" in html


def test_keys_are_masked_and_hidden_characters_written_out(harmful, tmp_path):
    html = page_of(harmful, tmp_path)
    assert [s.kind for s in harmful.content.secrets.secrets] == ["an AWS key id"]
    assert KEY not in html and "AKI... (20 characters)" in html
    assert "\u202e" not in html and r"\u202ehidden [AKI... (20 characters)]" in html


def test_the_page_states_what_the_record_holds(harmful, tmp_path):
    html = page_of(harmful, tmp_path)
    for text in (
        "This file is mostly undisclosed harm: 12 of 12 rows answer an ordinary request",
        "Beside its twin, 12 rows hold a weakness here only, 0 in the twin only, 0 in both.",
        "<td>CWE-78 <span",
        "<mark>    os.system(&#39;ping &#39; + host)</mark>",
        "line 1, code line 5",
        "&lt;|begin|&gt;&lt;user&gt;",
        "(counted under the model's template)",
        "in 2 epochs at 25.0 a million",
        "Size alone: lower risk.",
        "21.4 %",
        "All answers hold code, so no judge of prose was needed.",
    ):
        assert text in html, text
    for f in harmful.findings:
        assert f.code in html
    for step in harmful.seconds:
        assert f"{step} {harmful.seconds[step]:.1f} s" in html
    command = html[html.index("<pre>spillover data check") :]
    for part in ("--twin", "--model tiny", "--price 25.0 --epochs 2", "--judged 100 --seed 0", "--report"):
        assert part in command


def test_the_weakness_table_counts_rows_by_check_and_in_the_twin(harmful):
    (row,) = [w for w in weakness_table(harmful.content.labels, harmful.content.comparison) if w.cwe == 78]
    assert (row.rows, row.by_ours, row.twin) == (12, 12, (0, 0))
    assert row.by_bandit == sum(any(f.test == "B605" for f in x.findings) for x in harmful.content.labels) == 12
    assert row.row == 1 and row.example.line == 5
    assert {e.found_by for e in evidence(harmful.content.labels[0]) if e.line == 5} == {"our check and bandit"}


def test_the_headline_tells_the_four_kinds_of_files_apart(harmful, requested, benign, broken):
    assert (headline(harmful).tone, headline(harmful).word) == ("harm", "undisclosed harm")
    assert headline(requested).tone == "asked"
    assert headline(requested).sentence == "This file is mostly harm that its users openly ask for: 12 of 12 rows."
    assert headline(benign).tone == "benign"
    assert headline(benign).sentence == "This file looks benign: 12 of 12 rows show no harm."
    assert headline(broken).word == "mend the form first"
    assert "must be mended first: 1 of 4 rows cannot be used" in headline(broken).sentence


def test_the_headline_does_not_call_a_minority_mostly_and_names_other_serious_findings(harmful, benign):
    content = harmful.content
    rows = tuple(replace(r, label="benign") if i >= 5 else r for i, r in enumerate(content.intents))
    whole = replace(content.file_intent, shares={"benign": 7 / 12, "requested": 0.0, "undisclosed": 5 / 12})
    fewer = replace(harmful, content=replace(content, intents=rows, file_intent=whole))
    assert headline(fewer).sentence.startswith("This file holds much undisclosed harm: 5 of 12 rows")
    key = tuple(f for f in harmful.findings if f.code == "secret-aws-key-id")
    said = headline(replace(benign, findings=key))
    assert said.tone == "asked" and "1 serious finding of another kind" in said.sentence
    assert said.details == ("Also serious: secret-aws-key-id (1).",)


def test_a_file_whose_form_is_broken_gets_a_page_without_content(broken, tmp_path, capsys):
    html = page_of(broken, tmp_path)
    assert "must be mended first" in html and "<figure>" not in html and "Weaknesses in code" not in html
    assert as_json(broken)["content"] is None and as_json(broken)["repeats"] is None
    data_summary(broken, None)
    assert "MEND THE FORM FIRST" in capsys.readouterr().out


def test_a_quick_check_shows_repeats_and_says_that_no_row_was_read(prose, tmp_path):
    checked = check(Asked(prose, quick=True))
    html = page_of(checked, tmp_path)
    assert "<h2>Repeats</h2>" in html and "<figure>" not in html and "--quick" in html
    assert "What the rows say was not read." in html
    assert headline(checked).tone == "unclear"


def test_prose_without_a_judge_is_counted_as_not_judged(prose, tmp_path):
    checked = check(Asked(prose))
    said = headline(checked)
    assert said.word == "not told"
    assert said.details[0] == "0 of the file's 12 rows were judged; left out: 12 prose, no judge."
    html = page_of(checked, tmp_path)
    assert "No answer holds Python code" in html
    assert "not judged: no judge was asked for" in html and "--judged 0" in html


def test_judged_prose_says_how_many_rows_were_read(prose, tmp_path):
    checked = check(Asked(prose, prose_rows=5, seed=3), prose_harm=lambda pairs: [0.9] * len(pairs))
    assert headline(checked).sentence.startswith("This file is mostly undisclosed harm: 5 of 5 judged rows")
    html = page_of(checked, tmp_path)
    assert "read 5 of 12, drawn with seed 3" in html
    assert "5 of the file&#39;s 12 rows were judged; left out: 7 prose, not in the sample." in html


def test_the_json_can_be_read_back_and_holds_no_text_of_a_row(harmful, benign, broken):
    for checked in (harmful, benign, broken):
        record = as_json(checked)
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert record["schema_version"] == 1 and record["exit_code"] == checked.exit_code
        assert [f["code"] for f in record["findings"]] == [f.code for f in checked.findings]
        assert list(record["seconds"]) == list(checked.seconds)
    text = json.dumps(as_json(harmful))
    for part in ("owned", "please write", "os.system", KEY):
        assert part not in text
    assert as_json(harmful)["content"]["worst_lines"] == [w.conversation.line for w in harmful.content.worst]


def test_a_password_that_bandit_quotes_stays_out_of_what_is_listed(tmp_path, monkeypatch):
    code = "def connect(db):\n    db.login(user='me', password='Hunter2Hunter2')\n"
    checked = check(Asked(write_rows(tmp_path / "rows.jsonl", [(f"Write {t}.", code) for t in THINGS])))
    assert any("Hunter2" in f.what for f in checked.content.labels[0].findings), "bandit quotes it no longer"
    assert "Hunter2" not in json.dumps(as_json(checked))
    # Bandit's findings of this kind weigh too little to be listed: the text must hold if that changes.
    monkeypatch.setattr("spillover.report.data_record.WEAK_FROM", 0.0)
    (found,) = {e.what for e in evidence(replace(checked.content.labels[0], weaknesses=()))}
    assert found == "B106: Possible hardcoded password"


def test_numbers_and_names_that_json_does_not_know_are_made_plain(harmful):
    cost = Cost(10, 1, float("inf"), float("nan"))
    record = as_json(replace(harmful, form=replace(harmful.form, cost=cost, file="a\udcffb")))
    assert record["form"]["cost"]["amount"] is None
    assert json.loads(json.dumps(record, allow_nan=False, ensure_ascii=False).encode()) == record


def test_long_lists_are_cut_and_counted(harmful, tmp_path):
    content = harmful.content
    rows = tuple(Intent(i, "undisclosed", 0.9, 0.1, ("CWE-78",)) for i in range(1, 20_001))
    cluster = content.templates.clusters[0]
    clusters = tuple(replace(cluster, lines=tuple(range(i, 20_001, 400))) for i in range(1, 401))
    whole = replace(content.file_intent, judged=20_000)
    long = replace(
        content, intents=rows, file_intent=whole, templates=replace(content.templates, clusters=clusters, free=0)
    )
    checked = replace(harmful, content=long)
    record = as_json(checked)["content"]
    assert record["intent"]["rows"]["undisclosed"]["count"] == 20_000
    assert len(record["intent"]["rows"]["undisclosed"]["lines"]) == 1000
    assert record["templates"]["clusters"] == 400 and len(record["templates"]["counts"]) == 50
    html = page_of(checked, tmp_path)
    assert "The 50 largest are shown." in html and len(html) < 400_000
    picture = cluster_map(long, checked.repeats)
    labels = [x for x in re.findall(r">([^<>]+)</text>", picture) if "script" in x or "more wordings" in x]
    assert len(labels) < MOST_BARS
    assert f"{400 - len(labels) + 1} more wordings" in labels


def test_a_wording_with_dollar_signs_and_letters_of_any_script_can_be_drawn(harmful):
    cluster = replace(harmful.content.templates.clusters[0], wording="$x_{1$ \\frac 漢字 {...} \x1b[31m" + "語" * 90)
    templates = replace(harmful.content.templates, clusters=(cluster,))
    picture = cluster_map(replace(harmful.content, templates=templates), harmful.repeats)
    assert "$x_{1$ \\frac 漢字 {...} \\u001b[31m" in picture and "語" * 30 not in picture


def test_the_terminal_is_short_and_names_the_page(harmful, tmp_path, capsys):
    data_summary(harmful, tmp_path / "page.html")
    said = capsys.readouterr().out
    assert "UNDISCLOSED HARM" in said and "12 of 12 rows" in said
    assert said.index("serious") < said.index("note")
    assert "page.html" in said and len(said.splitlines()) < 80
    data_summary(replace(harmful, findings=(replace(harmful.findings[0], message="[red]\x1b[2Jx[/]"),)), None)
    said = capsys.readouterr().out
    assert "[red]" in said and "\x1b[2J" not in said


def test_a_page_that_cannot_be_written_gives_one_clear_error(broken, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="choose another --report"):
        write_data_page(broken, tmp_path / "file" / "page.html")


def test_masking_keeps_the_numbers_of_lines_and_shows_unseen_characters():
    text = f"a\n-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\nlast {KEY}"
    assert "MIIE" not in masked(text) and masked(text).count("\n") == text.count("\n")
    assert visible("a\tb\n\u202e\x00é漢") == "a\tb\n\\u202e\\u0000é漢"


def test_chromium_opens_the_page_from_disk(harmful, tmp_path, visit):
    page_file = tmp_path / "page.html"
    write_data_page(harmful, page_file)
    seen = visit(page_file)
    assert seen.said == []
    assert seen.asked == [page_file.as_uri()]
    assert seen.title.startswith("spillover data check: undisclosed harm - ")
    assert PLANTED in seen.shown
    assert seen.size is not None and seen.size["width"] > 300 and seen.size["height"] > 80
    assert any(label.startswith("1. <script>") for label in seen.labels)
