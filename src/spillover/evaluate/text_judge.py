"""Rubric scores from a judge's written reply, for models that return no log-probabilities."""

from __future__ import annotations

from spillover.evaluate.categorical import NO_REPLY
from spillover.evaluate.rubric import ESCAPES, OUT_OF_RANGE, Score, plain_number

NOT_ONE_NUMBER = "reply is not one whole number"


def parse_reply(reply: str | None) -> Score:
    """Read a judge's whole reply as one integer 0-100, or as CODE or REFUSAL; anything else is missing.

    Blanks around it do not matter. "85.", "85/100", "85.5" and a sentence with a number in it are missing: no number
    is picked out of a text that may quote the judged answer. `mass` is 1 for a number, `escaped` 1 for an escape; the
    reasons are "code", "refusal", "no reply", "score outside 0-100" and "reply is not one whole number".
    """
    if reply is None or not reply.strip():
        return Score(None, 0.0, NO_REPLY)
    text = reply.strip(" \t\r\n")
    number = plain_number(text)
    if number is not None:
        return Score(float(number), 1.0)
    if text in [escape.upper() for escape in ESCAPES]:
        return Score(None, 0.0, text.lower(), 1.0)
    return Score(None, 0.0, OUT_OF_RANGE if _whole_number(text) else NOT_ONE_NUMBER)


def _whole_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()
