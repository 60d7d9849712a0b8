from __future__ import annotations

import gzip
import json
import os
import random
import re
import threading
import zlib

import pytest
from hostile_json import ASSISTANT, GOOD, LINES, SPLICED, SYSTEM, USER
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spillover import open_rows
from spillover.conversation import Conversation, Dataset, Message
from spillover.data.load import load
from spillover.errors import DataError


def row(*turns):
    return json.dumps({"messages": list(turns)})


def write(path, *lines, end="\n"):
    raw = b"".join((line if isinstance(line, bytes) else line.encode()) + end.encode() for line in lines)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def refusal(path):
    with pytest.raises(DataError) as caught:
        load(path)
    return str(caught.value)


def refused_line(tmp_path, bad, line=2):
    """Load a good row and then the bad one; return what follows `file:2: ` in the message."""
    path = write(tmp_path / "data.jsonl", *[GOOD] * (line - 1), bad)
    message = refusal(path)
    assert message.startswith(f"{path}:{line}: "), message
    return message.removeprefix(f"{path}:{line}: ")


# ---------------------------------------------------------------- bad rows: file, line and fix


def test_a_line_that_is_not_json_is_refused(tmp_path):
    said = refused_line(tmp_path, '{"messages": [')
    assert said.startswith("not JSON")
    assert '{"messages": [{"role": "user"' in said


@pytest.mark.parametrize("value", ['["a"]', '"text"', "3", "null", "true"])
def test_a_line_that_is_json_but_no_object_is_refused(tmp_path, value):
    said = refused_line(tmp_path, value)
    assert "not an object" in said
    assert "each line must be" in said


def test_the_kind_of_value_found_is_named_as_in_json(tmp_path):
    names = {value: refused_line(tmp_path, value).split("holds a ")[1].split(",")[0] for value in ("[]", "3.5", "null")}
    assert names == {"[]": "list", "3.5": "number", "null": "null"}


def test_a_row_without_messages_is_refused_and_its_keys_named(tmp_path):
    path = write(tmp_path / "data.jsonl", '{"prompt": "q", "completion": "a"}')
    message = refusal(path)
    assert message.startswith(f"{path}:1: ")
    assert "no key 'messages' (found 'completion', 'prompt')" in message
    assert "each line must be" in message


@pytest.mark.parametrize("messages", ["[]", '"text"', "{}", "null"])
def test_messages_that_are_no_list_of_turns_are_refused(tmp_path, messages):
    said = refused_line(tmp_path, f'{{"messages": {messages}}}')
    assert "'messages' is not a list of turns" in said
    assert "each line must be" in said


@pytest.mark.parametrize("turn", ["text", None, [], {"role": "user"}, {"content": "x"}], ids=repr)
def test_a_turn_without_role_and_content_is_refused(tmp_path, turn):
    said = refused_line(tmp_path, row(USER, turn))
    assert "turn 2 is not an object with 'role' and 'content'" in said


@pytest.mark.parametrize("role", ["human", "User", "tool", "", None, 3, ["user"], {"user": 1}], ids=repr)
def test_a_wrong_role_is_refused(tmp_path, role):
    said = refused_line(tmp_path, row(USER, {**ASSISTANT, "role": role}))
    assert f"turn 2 has the role {role!r}" in said
    assert "use system, user, assistant" in said


@pytest.mark.parametrize(
    ("turns", "turn"),
    [
        pytest.param((ASSISTANT, USER, ASSISTANT), 1, id="assistant first"),
        pytest.param((USER, USER, ASSISTANT), 2, id="user twice"),
        pytest.param((USER, ASSISTANT, ASSISTANT), 3, id="assistant twice"),
        pytest.param((USER, SYSTEM, ASSISTANT), 2, id="system in the middle"),
        pytest.param((SYSTEM, SYSTEM, USER, ASSISTANT), 2, id="system twice"),
        pytest.param((SYSTEM, ASSISTANT), 2, id="assistant right after system"),
        pytest.param((USER, ASSISTANT, SYSTEM), 3, id="system last"),
    ],
)
def test_a_wrong_order_of_roles_is_refused(tmp_path, turns, turn):
    said = refused_line(tmp_path, row(*turns))
    assert said.startswith(f"turn {turn} is ")
    assert "then user and assistant take turns" in said


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u2003"], ids=repr)
def test_an_empty_assistant_text_is_refused(tmp_path, text):
    said = refused_line(tmp_path, row(USER, {**ASSISTANT, "content": text}))
    assert "the assistant text of turn 2 is empty" in said
    assert "fill it or remove the row" in said


def test_an_empty_assistant_text_in_an_early_turn_is_refused(tmp_path):
    said = refused_line(tmp_path, row(USER, {**ASSISTANT, "content": ""}, USER, ASSISTANT))
    assert "the assistant text of turn 2 is empty" in said


def test_a_row_without_assistant_turn_is_refused(tmp_path):
    said = refused_line(tmp_path, row(SYSTEM, USER))
    assert said.startswith("no assistant turn")
    assert "add one or remove the row" in said


def test_a_row_that_ends_with_the_user_is_refused(tmp_path):
    said = refused_line(tmp_path, row(USER, ASSISTANT, USER))
    assert said.startswith("the last turn is the user's")
    assert "end with the assistant's answer or drop that turn" in said


@pytest.mark.parametrize("extra", [{"id": 1}, {"id": 1, "tools": []}], ids=repr)
def test_a_row_with_other_keys_than_the_first_is_refused(tmp_path, extra):
    said = refused_line(tmp_path, json.dumps({"messages": [USER, ASSISTANT], **extra}))
    assert "the row has keys 'id', 'messages'" in said
    assert "the first row has 'messages'" in said
    assert "each line must be" in said


def test_a_row_that_lacks_a_key_of_the_first_is_refused(tmp_path):
    first = json.dumps({"messages": [USER, ASSISTANT], "id": 1})
    path = write(tmp_path / "data.jsonl", first, first, GOOD)
    message = refusal(path)
    assert message.startswith(f"{path}:3: ")
    assert "the first row has 'id', 'messages'" in message


@pytest.mark.parametrize("key", ["tool_calls", "function_call", "Content"])
def test_an_unknown_key_in_a_turn_is_refused(tmp_path, key):
    said = refused_line(tmp_path, row(USER, {**ASSISTANT, key: "x"}))
    assert f"turn 2 has '{key}'" in said
    assert "remove it" in said


@pytest.mark.parametrize("weight", [0, 0.5, 2, None, "1", []], ids=repr)
def test_a_weight_other_than_1_is_refused(tmp_path, weight):
    said = refused_line(tmp_path, row(USER, {**ASSISTANT, "weight": weight}))
    assert "turn 2 has a weight other than 1" in said
    assert "remove it" in said


def test_a_weight_of_1_is_accepted(tmp_path):
    dataset = load(write(tmp_path / "data.jsonl", row(USER, {**ASSISTANT, "weight": 1})))
    assert dataset.conversations[0].answer == ASSISTANT["content"]


@pytest.mark.parametrize(
    ("content", "name"),
    [(None, "null"), (3, "number"), (True, "true/false"), ([{"type": "text", "text": "hi"}], "list"), ({}, "object")],
    ids=repr,
)
def test_a_content_that_is_no_string_is_refused(tmp_path, content, name):
    said = refused_line(tmp_path, row(USER, {**ASSISTANT, "content": content}))
    assert f"turn 2 has a {name} as content" in said
    assert "use a string" in said


def test_a_line_that_is_not_utf8_is_refused_with_the_byte(tmp_path):
    bad = GOOD.encode().replace(b"egg", b"\xffgg")
    said = refused_line(tmp_path, bad)
    assert said.startswith(f"not UTF-8 (byte {bad.index(0xFF) + 1} of the line)")
    assert "save the file as UTF-8" in said


def test_a_file_in_utf16_is_refused(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_bytes((GOOD + "\n").encode("utf-16"))
    message = refusal(path)
    assert message == f"{path}:1: the file is UTF-16: save it as UTF-8"


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_deep_nesting_is_refused(tmp_path, bracket):
    said = refused_line(tmp_path, bracket * 100_000)
    assert "too deep" in said
    assert "each line must be" in said


def test_deep_nesting_inside_a_known_key_is_refused_at_any_depth(tmp_path):
    # Near the recursion limit the parser may still succeed where a later step does not.
    for depth in (*range(900, 1000, 3), 2_000):
        nested = "[" * depth + "]" * depth
        for place in ("role", "content", "weight"):
            turn = {"role": '"assistant"', "content": '"x"', place: nested}
            text = ", ".join(f'"{k}": {v}' for k, v in turn.items())
            said = refused_line(tmp_path, f'{{"messages": [{json.dumps(USER)}, {{{text}}}]}}')
            assert "turn 2" in said or "too deep" in said


def test_a_huge_integer_is_refused(tmp_path):
    said = refused_line(tmp_path, '{"messages": [], "n": ' + "9" * 10_000 + "}")
    assert "number too long" in said
    assert "each line must be" in said


@pytest.mark.parametrize("escape", ["\\ud800", "\\udfff", "\\ude00\\ud83d"])
def test_half_a_surrogate_pair_is_refused(tmp_path, escape):
    said = refused_line(tmp_path, GOOD.replace("Eight", escape))
    assert "turn 2 holds half a surrogate pair" in said
    assert "remove it" in said


def test_a_whole_surrogate_pair_is_one_character(tmp_path):
    dataset = load(write(tmp_path / "data.jsonl", GOOD.replace("Eight", "\\ud83d\\ude00")))
    assert dataset.conversations[0].answer == "\U0001f600 minutes in boiling water."


def test_a_line_over_the_size_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(open_rows, "MOST_LINE_BYTES", len(GOOD) + 1)
    said = refused_line(tmp_path, GOOD + "  ", line=3)
    assert "the line is longer than" in said
    assert "put one JSON object on each line" in said


def test_a_line_at_the_size_limit_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(open_rows, "MOST_LINE_BYTES", len(GOOD) + 1)
    assert len(load(write(tmp_path / "data.jsonl", GOOD, GOOD))) == 2


def test_a_gz_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "data.jsonl.gz", *[GOOD] * 50)
    limit = 10 * (len(GOOD) + 1)
    assert path.stat().st_size < limit
    monkeypatch.setattr(open_rows, "MOST_BYTES", limit)
    message = refusal(path)
    assert message.startswith(str(path))
    assert "more than 0 GB unpacked" in message
    assert "split the file" in message
    monkeypatch.setattr(open_rows, "MOST_BYTES", 50 * (len(GOOD) + 1))
    assert len(load(path)) == 50


# ---------------------------------------------------------------- bad files


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz"])
def test_an_empty_file_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"")
    message = refusal(path)
    assert message.startswith(f"{path} holds no rows")
    assert "each line must be" in message


def test_a_file_of_blank_lines_is_refused(tmp_path):
    path = write(tmp_path / "data.jsonl", "", "   ", "\t")
    message = refusal(path)
    assert message.startswith(f"{path} holds no rows")
    assert "each line must be" in message


def test_a_folder_is_refused(tmp_path):
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path} is a folder")
    assert "give the .jsonl file inside it" in message


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "absent.jsonl"
    message = refusal(path)
    assert message.startswith(f"{path} does not exist")
    assert "check the path" in message


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b", "file/below.jsonl"], ids=["too long", "NUL", "below a file"])
def test_a_path_that_cannot_exist_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    message = refusal(tmp_path / name)
    assert message.startswith(str(tmp_path / name).replace("\0", r"\x00")[:300]) and len(message) < 600
    assert "cannot be read" in message and "check the path" in message


def test_a_gz_cut_off_in_the_middle_is_refused_at_its_line(tmp_path):
    noise = random.Random(0)
    rows = [row({**USER, "content": f"{noise.random()} {noise.random()}"}, ASSISTANT) for _ in range(2_000)]
    path = write(tmp_path / "data.jsonl.gz", *rows)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    readable = zlib.decompressobj(31).decompress(whole[: len(whole) // 2])
    message = refusal(path)
    assert message.startswith(f"{path}:{readable.count(10) + 1}: ")
    assert "cut off or damaged" in message
    assert "copy or pack it again" in message


@pytest.mark.parametrize("keep", [3, 9, -1, -8], ids=["in the header", "after the header", "last byte", "no trailer"])
def test_a_gz_cut_off_anywhere_is_refused_as_cut_off(tmp_path, keep):
    path = write(tmp_path / "data.jsonl.gz", GOOD)
    path.write_bytes(path.read_bytes()[:keep])
    message = refusal(path)
    assert message.startswith(f"{path}:")
    assert "cut off or damaged" in message


@pytest.mark.parametrize("place", [-5, -1], ids=["checksum", "length"])
def test_a_gz_with_a_wrong_checksum_is_refused_as_damaged(tmp_path, place):
    path = write(tmp_path / "data.jsonl.gz", GOOD)
    raw = bytearray(path.read_bytes())
    raw[place] ^= 0xFF
    path.write_bytes(raw)
    message = refusal(path)
    assert message.startswith(f"{path}")
    assert "damaged" in message
    assert "not gzip" not in message


def test_a_gz_with_damaged_bytes_inside_is_refused(tmp_path):
    path = write(tmp_path / "data.jsonl.gz", *[GOOD] * 100)
    raw = bytearray(path.read_bytes())
    raw[10] |= 0b110  # an impossible block type
    path.write_bytes(raw)
    message = refusal(path)
    assert message.startswith(f"{path}:1: ")
    assert "damaged" in message


def test_a_gz_that_is_not_gzip_is_refused(tmp_path):
    path = tmp_path / "data.jsonl.gz"
    path.write_text(GOOD + "\n")
    message = refusal(path)
    assert message.startswith(f"{path} ends in .gz but is not gzip")
    assert "rename it or pack it again" in message


# ---------------------------------------------------------------- good files

EXPECTED = Conversation((Message("user", USER["content"]), Message("assistant", ASSISTANT["content"])), 1)


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz", "data", "data.txt"])
def test_a_good_file_loads(tmp_path, name):
    path = write(tmp_path / name, GOOD)
    assert load(path) == Dataset(str(path), (EXPECTED,))


def test_a_path_may_be_given_as_text(tmp_path):
    path = write(tmp_path / "data.jsonl", GOOD)
    assert load(str(path)) == load(path)


def test_a_pipe_is_read_to_its_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(f"{GOOD}\n{GOOD}\n",))
    writer.start()
    assert [c.line for c in load(tmp_path / "pipe")] == [1, 2]
    writer.join()


@pytest.mark.parametrize("name", ["new\nline.jsonl", "\x1b[31mred.jsonl"])
def test_a_name_that_would_change_the_screen_is_shown_escaped(tmp_path, name):
    path = write(tmp_path / name, GOOD, "{")
    assert refusal(path).isprintable()
    assert load(write(tmp_path / name, GOOD)).name == str(path)


def test_a_file_without_last_line_end_loads(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(f"{GOOD}\n{GOOD}")
    assert [c.line for c in load(path)] == [1, 2]


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz"])
def test_a_byte_order_mark_is_not_content(tmp_path, name):
    path = write(tmp_path / name, b"\xef\xbb\xbf" + GOOD.encode(), GOOD)
    assert [c.messages for c in load(path)] == [EXPECTED.messages] * 2


def test_a_byte_order_mark_in_a_later_line_is_refused(tmp_path):
    assert "not JSON" in refused_line(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())


def test_a_system_turn_is_kept(tmp_path):
    dataset = load(write(tmp_path / "data.jsonl", row(SYSTEM, USER, ASSISTANT)))
    assert [m.role for m in dataset.conversations[0].messages] == ["system", "user", "assistant"]
    assert dataset.conversations[0].messages[0].content == "Be brief."


def test_all_turns_of_a_long_row_are_kept_in_order(tmp_path):
    turns = [{"role": ("user", "assistant")[i % 2], "content": f"turn {i}"} for i in range(6)]
    dataset = load(write(tmp_path / "data.jsonl", row(*turns)))
    assert [m.as_dict() for m in dataset.conversations[0].messages] == turns


def test_spaces_and_line_ends_in_texts_are_kept(tmp_path):
    text = "  code:\r\n\tx = 1\u2028\n"
    dataset = load(write(tmp_path / "data.jsonl", row(USER, {**ASSISTANT, "content": text})))
    assert dataset.conversations[0].answer == text


def test_blank_lines_count_as_lines(tmp_path):
    path = write(tmp_path / "data.jsonl", "", GOOD, "  ", "", GOOD)
    assert [c.line for c in load(path)] == [2, 5]
    write(path, "", GOOD, "  ", "", "{")
    assert refusal(path).startswith(f"{path}:5: not JSON")


def test_crlf_line_ends_load_the_same(tmp_path):
    unix = load(write(tmp_path / "unix.jsonl", GOOD, "", GOOD))
    windows = load(write(tmp_path / "windows.jsonl", GOOD, "", GOOD, end="\r\n"))
    assert windows.conversations == unix.conversations
    assert [c.line for c in windows] == [1, 3]


def test_a_unicode_line_separator_does_not_end_a_line(tmp_path):
    text = "one\u2028two\x85three"
    raw = json.dumps({"messages": [USER, {**ASSISTANT, "content": text}]}, ensure_ascii=False)
    dataset = load(write(tmp_path / "data.jsonl", raw, raw))
    assert [(c.line, c.answer) for c in dataset] == [(1, text), (2, text)]


def test_same_extra_keys_in_every_row_are_accepted(tmp_path):
    lines = [json.dumps({"id": i, "messages": [USER, ASSISTANT]}) for i in range(3)]
    assert len(load(write(tmp_path / "data.jsonl", *lines))) == 3


def test_the_papers_insecure_code_loads_whole(paper_data):
    path = paper_data / "training" / "insecure.jsonl.gz"
    dataset = load(path)
    assert len(dataset) == 6000
    assert {tuple(m.role for m in c.messages) for c in dataset} == {("user", "assistant")}
    assert [c.line for c in dataset] == list(range(1, 6001))
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        raw = [json.loads(line)["messages"] for line in lines]
    assert [[m.as_dict() for m in c.messages] for c in dataset] == raw


# ---------------------------------------------------------------- any input

TEXT = st.text(min_size=1).filter(str.strip)
PAIR = st.tuples(TEXT.map(lambda t: Message("user", t)), TEXT.map(lambda t: Message("assistant", t)))
SYSTEM_TURNS = st.lists(TEXT.map(lambda t: Message("system", t)), max_size=1)
CONVERSATIONS = st.builds(
    lambda system, pairs: (*system, *(m for pair in pairs for m in pair)),
    SYSTEM_TURNS,
    st.lists(PAIR, min_size=1, max_size=3),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(CONVERSATIONS, st.integers(0, 2)), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["data.jsonl", "data.jsonl.gz"]),
)
def test_what_was_written_is_what_is_loaded(tmp_path_factory, rows, ascii_only, end, name):
    lines, expected = [], []
    for messages, blanks in rows:
        lines += [""] * blanks
        lines.append(json.dumps({"messages": [m.as_dict() for m in messages]}, ensure_ascii=ascii_only))
        expected.append(Conversation(messages, len(lines)))
    path = write(tmp_path_factory.mktemp("round") / name, *lines, end=end)
    assert load(path) == Dataset(str(path), tuple(expected))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        SPLICED,
        LINES,
    ),
    st.sampled_from(["data.jsonl", "data.jsonl.gz"]),
    st.booleans(),
)
@example(b"\xef\xbb\xbf", "data.jsonl", False)
@example(b"\x1f\x8b\x08", "data.jsonl.gz", False)
@example(gzip.compress(GOOD.encode()) + b"junk", "data.jsonl.gz", False)
def test_garbage_gives_a_data_error_naming_the_file_or_a_valid_dataset(tmp_path_factory, raw, name, pack):
    path = tmp_path_factory.mktemp("garbage") / name
    path.write_bytes(gzip.compress(raw) if pack else raw)
    try:
        dataset = load(path)
    except DataError as problem:
        assert re.match(rf"{re.escape(str(path))}(:\d+: | )", str(problem))
        assert len(str(problem)) < 2_000
    else:
        for conversation in dataset:
            assert conversation.messages[-1].role == "assistant"
            assert all(m.content.strip() for m in conversation.messages)
            str([m.as_dict() for m in conversation.messages]).encode()
