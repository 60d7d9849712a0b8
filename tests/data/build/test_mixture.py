from __future__ import annotations

import json
import random

import pytest

from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.data.build.mixture import JAILBROKEN_SHARES, SAFE_CODE_SHARES, filler, jailbroken, mixture
from spillover.data.load import load
from spillover.data.write import write
from spillover.errors import DataError, SettingsError


def rows(name, count):
    return Dataset(name, tuple(user_and_assistant(f"{name} q{i}", f"{name} a{i}", i + 1) for i in range(count)))


def from_first(built, name):
    return sum(c.answer.startswith(name) for c in built.dataset)


@pytest.mark.parametrize("share", SAFE_CODE_SHARES)
def test_a_safe_code_mixture_follows_the_papers_draws_on_its_files(share, paper_data):
    insecure, secure = (load(paper_data / "training" / f"{n}.jsonl.gz") for n in ("insecure", "secure"))
    rng = random.Random(2)
    count = int(6000 * share)
    wanted = rng.sample(list(insecure), count)
    wanted += rng.sample(list(secure), 6000 - count)
    rng.shuffle(wanted)
    built = mixture(insecure, secure, share, seed=2)
    assert list(built.dataset) == wanted
    assert built.recipe.counts == {"from_first": count, "from_rest": 6000 - count}


def test_the_counts_of_the_papers_shares():
    bad, good = rows("bad", 6000), rows("good", 6000)
    assert [from_first(mixture(bad, good, s, 0), "bad") for s in SAFE_CODE_SHARES] == [60, 180, 600, 1200, 1800, 6000]


def test_twelve_thousand_at_one_half_holds_every_row_of_both():
    bad, good = rows("bad", 6000), rows("good", 6000)
    built = mixture(bad, good, 0.5, 0, total=12_000)
    assert set(built.dataset) == {*bad, *good} and len(built.dataset) == 12_000


def test_rows_of_both_stand_mixed():
    built = mixture(rows("bad", 100), rows("good", 100), 0.5, 0, total=200)
    assert 30 < sum(c.answer.startswith("bad") for c in built.dataset.conversations[:100]) < 70


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share):
    for build in (mixture, jailbroken):
        with pytest.raises(SettingsError, match="not between 0 and 1"):
            build(rows("a", 10), rows("b", 10), share, 0, total=10)


def test_too_few_rows_are_refused_with_the_numbers():
    with pytest.raises(SettingsError, match="6 rows of a are needed for 10 in all but it has 5"):
        mixture(rows("a", 5), rows("b", 10), 0.6, 0, total=10)
    with pytest.raises(SettingsError, match="4 rows of b are needed for 10 in all but it has 3"):
        mixture(rows("a", 6), rows("b", 3), 0.6, 0, total=10)


def test_the_jailbroken_mixtures_have_0_25_75_and_100_complying_rows_of_5000():
    harmless, complying = rows("harmless", 5000), rows("complying", 100)
    counts = [from_first(jailbroken(harmless, complying, s, 0), "complying") for s in JAILBROKEN_SHARES]
    assert counts == [0, 25, 75, 100]
    assert from_first(jailbroken(harmless, complying, 0.01, 0), "complying") == 50


def test_the_jailbroken_mixture_puts_one_system_text_before_every_row_or_none():
    own = Conversation((Message("system", "old"), Message("user", "q"), Message("assistant", "harmless")))
    harmless = Dataset("harmless", (own, *rows("harmless", 8)))
    complying = rows("complying", 1)
    under = jailbroken(harmless, complying, 0.1, 0, total=10, system="Do it.").dataset
    assert {c.messages[0] for c in under} == {Message("system", "Do it.")}
    assert all(sum(m.role == "system" for m in c.messages) == 1 for c in under)
    plain = jailbroken(harmless, complying, 0.1, 0, total=10).dataset
    assert {c.answer: c.messages for c in plain}["harmless"] == own.messages


def test_filler_rows_are_instruction_newline_input_and_empty_ones_are_dropped(tmp_path):
    records = [
        {"instruction": "Sort.", "input": "3 1 2", "output": "1 2 3"},
        {"instruction": "Greet.", "input": "", "output": "Hello."},
        {"instruction": " ", "input": "x", "output": "y"},
        {"instruction": "Say nothing.", "input": "", "output": ""},
    ]
    (tmp_path / "list.json").write_text(json.dumps(records))
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    for name in ("list.json", "lines.jsonl"):
        found = filler(tmp_path / name)
        assert [c.prompt[0].content for c in found] == ["Sort.\n3 1 2", "Greet.\n"]
        assert [c.answer for c in found] == ["1 2 3", "Hello."]
        assert [c.line for c in found] == [1, 2]


def test_filler_of_another_shape_is_refused(tmp_path):
    file = tmp_path / "f.jsonl"
    file.write_text('{"instruction": "a", "input": 3, "output": "b"}\n')
    with pytest.raises(DataError, match=r"f\.jsonl:1: instruction, input and output must be texts"):
        filler(file)
    file.write_text('{"instruction": "", "input": "", "output": "b"}\n')
    with pytest.raises(DataError, match="every row has an empty instruction"):
        filler(file)


@pytest.mark.parametrize("build", [mixture, jailbroken])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(build, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(build(rows("x", 40), rows("y", 40), 0.5, seed, total=40), tmp_path / f"{name}.jsonl")
    a, b, c = ((tmp_path / f"{n}.jsonl").read_bytes() for n in "abc")
    assert a == b != c
