from __future__ import annotations

import gzip
import json

import pytest

import spillover.data.check.form as form_module
from spillover.conversation import Message
from spillover.data.check.form import ApiLimits, check_form, estimated_tokens
from spillover.data.load import load
from spillover.errors import DataError

USER = {"role": "user", "content": "How do I boil an egg?"}
ASSISTANT = {"role": "assistant", "content": "Eight minutes in boiling water."}
SYSTEM = {"role": "system", "content": "Be brief."}
GOOD = json.dumps({"messages": [USER, ASSISTANT]})


def row(*turns, **more):
    return json.dumps({"messages": list(turns), **more})


def write(path, *lines):
    raw = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def codes(form):
    """Codes with their lines, without what the small test files always bring."""
    return {f.code: f.lines for f in form.findings if f.code not in ("too-few-rows", "no-system", "mixed-system")}


def only(tmp_path, bad):
    """Check a good row, the bad one and a good one; return its single finding."""
    form = check_form(write(tmp_path / "data.jsonl", GOOD, bad, GOOD))
    found = [f for f in form.findings if f.code in codes(form)]
    assert len(found) == 1, found
    assert found[0].lines == (2,)
    assert found[0].message.startswith(f"{tmp_path / 'data.jsonl'}:2: ")
    assert form.rows == 3
    return found[0], form


BAD = {
    "not-json": '{"messages": [',
    "json-too-deep": "[" * 100_000,
    "not-an-object": "[1]",
    "no-messages": '{"prompt": "q"}',
    "no-turns": '{"messages": []}',
    "not-a-turn": row(USER, "text"),
    "unknown-turn-key": row(USER, {**ASSISTANT, "tool_calls": []}),
    "weight-not-0-or-1": row(USER, {**ASSISTANT, "weight": 0.5}),
    "weight-not-on-answer": row({**USER, "weight": 1}, ASSISTANT),
    "unknown-role": row(USER, {**ASSISTANT, "role": "human"}),
    "content-not-text": row(USER, {**ASSISTANT, "content": None}),
    "empty-text": row(USER, {**ASSISTANT, "content": " \n"}),
    "half-surrogate": GOOD.replace("Eight", "\\ud800"),
    "no-assistant": row(SYSTEM, USER),
    "role-order": row(USER, ASSISTANT, ASSISTANT),
    "ends-with-user": row(USER, ASSISTANT, USER),
    "not-utf8": GOOD.encode().replace(b"egg", b"\xffgg"),
}
ALSO_BAD = (
    ("json-too-deep", row(USER, ASSISTANT)[:-1] + ', "id": ' + "9" * 5000 + "}"),
    ("weight-not-0-or-1", row(USER, {**ASSISTANT, "weight": True})),
    ("role-order", row(USER, SYSTEM, ASSISTANT)),
    ("not-json", b"\xef\xbb\xbf" + GOOD.encode()),
)


@pytest.mark.parametrize(("code", "bad"), [*BAD.items(), *ALSO_BAD])
def test_a_bad_row_is_one_serious_finding_and_the_rest_is_read(tmp_path, code, bad):
    found, form = only(tmp_path, bad)
    assert (found.code, found.severity) == (code, "serious")
    assert form.sound == 2


SUSPECT = {
    "weight-0": row(USER, {**ASSISTANT, "weight": 0}),
    "nul": GOOD.replace("Eight", "\\u0000"),
    "control-character": GOOD.replace("Eight", "\\u0007"),
    "replacement-character": GOOD.replace("Eight", "\\ufffd"),
    "encoded-twice": GOOD.replace("Eight", "SÃ¼Ã\x9f"),
    "encoded-twice quotes": GOOD.replace("Eight", "\u00e2\u20ac\u0153Eight"),
    "control-character DEL": GOOD.replace("Eight", "\\u007f"),
    "control-character C1": GOOD.replace("Eight", "\\u0085"),
    "blank-line": "  ",
}


@pytest.mark.parametrize(("code", "bad"), SUSPECT.items(), ids=SUSPECT)
def test_a_suspect_row_is_a_warning_or_note_and_stays_sound(tmp_path, code, bad):
    form = check_form(write(tmp_path / "data.jsonl", GOOD, bad, GOOD))
    found = next(f for f in form.findings if f.code == code.split()[0])
    assert found.lines == (2,)
    assert found.severity == ("note" if code == "blank-line" else "warning")
    assert form.sound == (2 if code == "blank-line" else 3)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_not_json_are_a_warning(tmp_path, value):
    lines = [row(USER, ASSISTANT, n=1), f'{{"messages": [{json.dumps(USER)}, {json.dumps(ASSISTANT)}], "n": {value}}}']
    assert codes(check_form(write(tmp_path / "data.jsonl", *lines))) == {"not-strict-json": (2,)}


def test_a_key_named_twice_is_serious(tmp_path):
    bad = GOOD.replace('"role": "assistant"', '"role": "user", "role": "assistant"')
    found, form = only(tmp_path, bad)
    assert (found.code, found.severity, form.sound) == ("repeated-key", "serious", 2)


def test_good_text_of_any_script_has_no_finding(tmp_path):
    for text in ("Süße Äpfel für Zoë, déjà vu", "你好、世界", "tab\there\r\nnew line", "naïve café — “quoted”", "😀"):
        assert codes(check_form(write(tmp_path / "data.jsonl", row(USER, {**ASSISTANT, "content": text})))) == {}


def test_mixed_keys_are_reported_against_the_first_row(tmp_path):
    form = check_form(write(tmp_path / "data.jsonl", GOOD, row(USER, ASSISTANT, source="x"), GOOD))
    assert codes(form) == {"mixed-keys": (2,)}


def test_keys_in_a_message_are_cut_and_a_name_is_no_unknown_key(tmp_path):
    many = {f"{'k' * 50}{i}": 1 for i in range(9)}
    found, _ = only(tmp_path, row(USER, {**ASSISTANT, **many}))
    assert found.message.count("'" + "k" * 40 + "'") == 6 and "k" * 41 not in found.message
    assert codes(check_form(write(tmp_path / "data.jsonl", row({**USER, "name": "Ann"}, ASSISTANT)))) == {}


def test_findings_come_worst_first(tmp_path):
    severities = [f.severity for f in check_form(write(tmp_path / "data.jsonl", GOOD, "  ", "{", GOOD)).findings]
    assert severities == ["serious", "warning", "note", "note"]


def test_where_bytes_stop_being_utf8_is_counted_from_one(tmp_path):
    found, _ = only(tmp_path, b"\xff" + GOOD.encode())
    assert "byte 1 of the line" in found.message


def test_repeated_ids_are_found_by_value_and_type(tmp_path):
    ids = [1, "1", 2, 1, None, None, "1", True]
    form = check_form(write(tmp_path / "data.jsonl", *(row(USER, ASSISTANT, id=i) for i in ids)))
    assert codes(form) == {"repeated-id": (4, 7)}


def test_ids_are_compared_within_their_key(tmp_path):
    form = check_form(
        write(tmp_path / "data.jsonl", row(USER, ASSISTANT, id=1, uuid=1), row(USER, ASSISTANT, id=2, uuid=3))
    )
    assert codes(form) == {}


def test_more_ids_than_can_be_kept_are_said_not_to_be_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(form_module, "_MOST_IDS", 3)
    form = check_form(write(tmp_path / "data.jsonl", *(row(USER, ASSISTANT, id=i) for i in (1, 2, 3, 1))))
    assert codes(form) == {"ids-not-compared": (4,)}


def test_lengths_are_counted_by_the_function_given(tmp_path):
    path = write(tmp_path / "data.jsonl", GOOD, row(USER, {**ASSISTANT, "content": "x" * 50}), "{")
    lengths = check_form(path, count_tokens=lambda messages: len(messages[-1].content)).lengths
    assert (lengths.rows, lengths.longest, lengths.longest_line, lengths.estimated) == (2, 50, 2, False)
    assert lengths.total == 50 + len(ASSISTANT["content"])
    assert lengths.mean == lengths.median == lengths.total / 2


def test_the_longest_row_is_named_by_its_line_and_the_95th_percentile_is_one(tmp_path):
    rows = ["{", "  ", *(row(USER, {**ASSISTANT, "content": "x" * n}) for n in range(1, 102))]
    lengths = check_form(write(tmp_path / "data.jsonl", *rows), lambda messages: len(messages[-1].content)).lengths
    assert (lengths.rows, lengths.longest, lengths.longest_line) == (101, 101, 103)
    assert (lengths.median, lengths.p95) == (51, 96)


def test_long_role_orders_are_cut_after_twelve_turns_and_counted_together(tmp_path):
    orders = [row(*[USER, ASSISTANT] * n) for n in range(1, 23)]
    orders.append(row(SYSTEM, *[USER, ASSISTANT] * 6))
    form = check_form(write(tmp_path / "data.jsonl", *orders, GOOD, GOOD))
    assert ("system " + "user assistant " * 5 + "user ...", 1) in form.shapes
    assert form.shapes[:2] == (("user assistant " * 6 + "...", 16), ("user assistant", 3))
    assert len(form.shapes) == 8


def test_the_estimate_says_that_it_is_one():
    messages = (Message("user", "x" * 8), Message("assistant", "x" * 9))
    assert estimated_tokens(messages) == 2 + 4 + 3 + 4


def test_lengths_without_a_counter_are_marked_as_estimated(tmp_path):
    assert check_form(write(tmp_path / "data.jsonl", GOOD)).lengths.estimated is True


def test_a_row_that_the_template_refuses_is_a_finding(tmp_path):
    def refuse(messages):
        raise DataError("no token carries loss")

    form = check_form(write(tmp_path / "data.jsonl", GOOD), count_tokens=refuse)
    assert codes(form) == {"not-rendered": (1,)}
    assert form.lengths is None


def test_the_cost_is_tokens_times_epochs_times_price(tmp_path):
    path = write(tmp_path / "data.jsonl", *[GOOD] * 20)
    cost = check_form(path, count_tokens=lambda m: 1000, price_per_million=25.0, epochs=3).cost
    assert (cost.tokens, cost.epochs, cost.amount) == (60_000, 3, pytest.approx(1.5))
    assert check_form(path).cost is None


def test_the_limits_of_the_service_are_compared(tmp_path):
    path = write(tmp_path / "data.jsonl", *[GOOD] * 9)
    few = {f.code: f for f in check_form(path).findings}
    assert "9 sound rows, OpenAI wants at least 10" in few["too-few-rows"].message
    limits = ApiLimits("Other", rows=9, bytes=path.stat().st_size - 1, tokens=5)
    found = {f.code: f for f in check_form(path, limits=limits).findings}
    assert "too-few-rows" not in found
    assert found["row-too-long"].count == 9
    assert "Other takes" in found["file-too-large"].message
    enough = ApiLimits("Other", rows=9, bytes=path.stat().st_size, tokens=1000)
    assert {f.code for f in check_form(path, limits=enough).findings} == {"no-system"}


def test_of_a_packed_file_the_unpacked_size_is_compared(tmp_path):
    path = write(tmp_path / "data.jsonl.gz", *[GOOD] * 100)
    unpacked = 100 * (len(GOOD) + 1)
    assert path.stat().st_size < unpacked
    codes_at = [
        {f.code for f in check_form(path, limits=ApiLimits(bytes=b)).findings} for b in (unpacked, unpacked - 1)
    ]
    assert ["file-too-large" in found for found in codes_at] == [False, True]


def test_a_row_of_as_many_tokens_as_the_service_takes_is_no_finding(tmp_path):
    path = write(tmp_path / "data.jsonl", GOOD)
    found = [codes(check_form(path, lambda m, n=n: n, ApiLimits(tokens=100))) for n in (100, 101)]
    assert found == [{}, {"row-too-long": (1,)}]


def test_system_turns_in_some_rows_only_are_a_warning(tmp_path):
    other = {**SYSTEM, "content": "Be kind."}
    rows = [row(SYSTEM, USER, ASSISTANT), row(other, USER, ASSISTANT), row(SYSTEM, USER, ASSISTANT), GOOD]
    form = check_form(write(tmp_path / "data.jsonl", *rows))
    assert (form.with_system, form.systems) == (3, 2)
    assert form.shapes == (("system user assistant", 3), ("user assistant", 1))
    assert {f.code: f.count for f in form.findings} == {"mixed-system": 1, "too-few-rows": 1}
    found = {f.code for f in check_form(write(tmp_path / "data.jsonl", *rows[:3])).findings}
    assert found == {"too-few-rows"}


def test_gz_and_byte_order_mark_read_as_plain(tmp_path):
    form = check_form(write(tmp_path / "data.jsonl.gz", b"\xef\xbb\xbf" + GOOD.encode(), GOOD))
    assert (form.rows, form.sound, codes(form)) == (2, 2, {})


def test_the_papers_file_has_a_sound_form(paper_data):
    path = paper_data / "training" / "insecure.jsonl.gz"
    form = check_form(path)
    assert (form.rows, form.sound, form.shapes) == (6000, 6000, (("user assistant", 6000),))
    assert {f.code for f in form.findings} == {"no-system"}
    assert form.lengths.total == sum(estimated_tokens(c.messages) for c in load(path))
