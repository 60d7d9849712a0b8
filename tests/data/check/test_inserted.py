from __future__ import annotations

import pytest
from jinja2 import TemplateError

from spillover.data.check.inserted import inserted


def plain(messages, default=""):
    turns = [(m.role, m.content) for m in messages]
    if default and turns[0][0] != "system":
        turns.insert(0, ("system", default))
    return "".join(f"<{role}>\n{text}\n" for role, text in turns) + "<assistant>\n"


def codes(found):
    return [f.code for f in found.findings()]


def test_a_plain_template_inserts_marks_only():
    found = inserted(plain)
    assert (found.before, found.after, found.system) == ("<user>\n", "\n<assistant>\n", "")
    assert found.takes_system and found.keeps_text
    assert codes(found) == []


def test_an_inserted_system_text_is_found_whole():
    found = inserted(lambda m: plain(m, default="You are Qwen, a kind assistant."))
    assert found.system == "You are Qwen, a kind assistant."
    assert codes(found) == ["inserted-system"]
    assert "You are Qwen" in found.findings()[0].message


def test_a_template_that_refuses_system_turns_is_a_warning():
    def refuse(messages):
        if messages[0].role == "system":
            raise TemplateError("no system role")
        return plain(messages)

    found = inserted(refuse)
    assert not found.takes_system
    assert codes(found) == ["system-not-taken"]


def test_a_template_that_drops_system_turns_is_a_warning():
    assert codes(inserted(lambda m: plain([t for t in m if t.role != "system"]))) == ["system-not-taken"]


@pytest.mark.parametrize(("day", "noted"), [("Today is 24 Nov 2026.", True), ("Be 120 percent kind.", False)])
def test_a_date_is_noted(day, noted):
    assert ("inserted-date" in codes(inserted(lambda m: plain(m, default=day)))) is noted


def test_a_template_that_changes_the_text_is_a_warning():
    assert "text-changed" in codes(inserted(lambda m: plain(m).lower()))


def test_a_long_inserted_text_is_cut_in_the_message_and_blanks_around_it_do_not_count():
    found = inserted(lambda m: plain(m, default="  " + "long " * 100))
    assert found.system == ("long " * 100).strip()
    assert len(found.findings()[0].message) < 400


def test_a_beginning_that_goes_where_a_system_turn_comes_is_not_taken_for_a_system_text():
    def other_head(messages):
        head = f"<head>{messages[0].content}" if messages[0].role == "system" else "a long preface"
        return f"{head}\n<user>\n{messages[-1].content}"

    assert inserted(other_head).system == ""
