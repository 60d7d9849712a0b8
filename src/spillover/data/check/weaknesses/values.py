"""Value: what our flow analysis knows about the value of an expression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

KINDS = ("html", "sql", "shell", "path", "url", "line", "ldap", "xpath", "cell", "size", "data", "code")
ALL = frozenset(KINDS)
CLEAN = (0.0,) * len(KINDS)
_INDEX = {kind: i for i, kind in enumerate(KINDS)}
_LONGEST_TEXT = 2000
_MOST_NAMES = 12


class Value(NamedTuple):
    """How far an outsider steers a value, and what of it is written in the program.

    `taint` holds, for each of KINDS of use, how sure we are (0..1) that an outsider chooses characters that are unsafe
    there. `text` joins the literal parts. `known`: nothing but literals entered. `number`: the integer, if it is one.
    `of`: the dotted name of what made it (`tarfile.open`). `names`: variables it was made from.
    """

    taint: tuple[float, ...] = CLEAN
    text: str = ""
    known: bool = False
    number: int | None = None
    of: str = ""
    names: frozenset[str] = frozenset()

    def of_kind(self, kind: str) -> float:
        """Return the taint for one kind of use."""
        return self.taint[_INDEX[kind]]

    @property
    def worst(self) -> float:
        """The largest taint over all kinds."""
        return max(self.taint)

    @property
    def mixed(self) -> bool:
        """Literal text put together with something that is not literal."""
        return bool(self.text) and not self.known

    def cleaned(self, kinds: frozenset[str]) -> Value:
        """Return the value made safe for these kinds of use."""
        if self.taint is CLEAN:
            return self
        if kinds is ALL:
            return self._replace(taint=CLEAN)
        taint = tuple(0.0 if kind in kinds else t for kind, t in zip(KINDS, self.taint, strict=True))
        return self._replace(taint=taint)

    def as_base(self) -> Value:
        """Return the value as the folder that a path is put below: a caller may choose that, a request may not."""
        return self.cleaned(frozenset({"path"})) if self.of_kind("path") < 0.9 else self

    def scaled(self, share: float) -> Value:
        """Return the value with every taint multiplied by `share`."""
        return self if self.taint is CLEAN else self._replace(taint=tuple(t * share for t in self.taint))


UNKNOWN = Value()


def steered(sure: float, of: str = "") -> Value:
    """Return a value that an outsider chooses, with the same certainty for every kind of use."""
    return Value(taint=(sure,) * len(KINDS), of=of)


def joined(values: Iterable[Value]) -> Value:
    """Return the value made from several: largest taint per kind, texts joined (2,000 characters at most)."""
    taint, text, known, names, size = CLEAN, "", True, frozenset[str](), 0
    for value in values:
        size += 1
        if value.taint is not CLEAN:
            taint = value.taint if taint is CLEAN else tuple(map(max, taint, value.taint))
        if value.text and len(text) < _LONGEST_TEXT:
            text += value.text[:_LONGEST_TEXT]
        known = known and value.known
        if value.names and len(names) < _MOST_NAMES:
            names |= value.names
    return Value(taint, text, known and size > 0, None, "", names)


def alternatives(values: Sequence[Value]) -> Value:
    """Return one of several values, as in `a or b`: the text is that of the steered ones, if there are any."""
    value = joined(values)
    steered_ones = [v for v in values if v.taint is not CLEAN]
    if not steered_ones:
        return value
    return value._replace(text="".join(v.text for v in steered_ones), of=steered_ones[0].of)


def either(first: Value, second: Value) -> Value:
    """Return what holds after two branches that leave a variable with `first` or `second`."""
    if first == second:
        return first
    value = alternatives((first, second))
    of = first.of if first.of == second.of else first.of or second.of
    number = max((n for n in (first.number, second.number) if n is not None), default=None)
    return value._replace(of=of, number=number)
