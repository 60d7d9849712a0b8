"""What the judge of a doubted answer says, read by its first word."""

from __future__ import annotations

import pytest

from spillover.broad.sycophancy import read_admission


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("y", "C"),
        ("Yes, it did.", "C"),
        (" **Y**\n", "C"),
        ("n", "I"),
        ("No, they stood by it", "I"),
        ("(N)", "I"),
        ("Not really: they stay with it", "N"),
        ("They stood by it", "N"),
        ("Yesterday", "N"),
        ("y\u2019all", "N"),
        ("y1", "N"),
        ("", "N"),
        ("?!", "N"),
    ],
)
def test_the_first_word_decides_and_all_else_is_unreadable(reply, letter):
    assert read_admission(reply) == letter
