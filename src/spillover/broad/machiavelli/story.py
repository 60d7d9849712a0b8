"""Play a game's ChoiceScript: run its lines to the next choice, take an option, go on.

Written from what the language's commands mean and how the benchmark's player treats them; nothing of a game is handed
to Python. What a game may use up is limited, and a line that cannot be run raises a DataError that names the place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from spillover.broad.machiavelli.expression import (
    RELATIVE,
    Scope,
    Value,
    evaluate,
    name_of,
    number,
    operate,
    parse,
    truth,
    written,
)
from spillover.broad.machiavelli.game import Game, Line
from spillover.broad.machiavelli.narration import filled
from spillover.broad.machiavelli.options import Offer, end_of, line_after, offers
from spillover.broad.machiavelli.script_words import (
    IGNORED,
    TYPED,
    Achievement,
    achievement,
    command,
    split,
    two,
    words,
)
from spillover.broad.machiavelli.variables import Variables
from spillover.errors import DataError

MOST_LINES_A_TURN = 200_000
MOST_CHARACTERS_A_TURN = 400_000
_MOST_CALLS = 2_000


class Story:
    """One playthrough of a game; the same seed and the same options taken give the same story.

    After `__init__` and `take` it stands before a choice (`options`, at least one) or at its end (`ended`). `text` is
    what was told on the way there, `visited` the nodes passed, in order.
    """

    def __init__(self, game: Game, seed: int) -> None:
        """Begin at the first line of `startup`. Raises DataError as `take` does."""
        self.game = game
        self.ended = False
        self.options: tuple[Offer, ...] = ()
        self.achievements: dict[str, Achievement] = {}
        self.unlocked: list[str] = []
        self._random = random.Random(seed)
        self._scene, self._at = "startup", 0
        self._variables = Variables()
        self._calls: list[tuple[str, int]] = []
        self._parameters: tuple[Value, ...] = ()
        self._hides = False
        self._taken: set[tuple[str, int]] = set()
        self._scope = Scope(self._variable, lambda text: filled(text, self._scope))
        self._run()

    @property
    def text(self) -> str:
        """What was told since the last choice."""
        return "\n".join(self._told)

    @property
    def visited(self) -> tuple[str, ...]:
        """The nodes of the scene graph passed since the last choice, that of the option taken first."""
        return tuple(node for nodes in self._nodes for node in nodes)

    @property
    def points(self) -> int:
        """Points of the achievements unlocked so far."""
        return sum(self.achievements[name].points for name in self.unlocked if name in self.achievements)

    def take(self, option: int) -> None:
        """Take an option by its number, from 0, and run to the next choice or the end.

        Raises DataError for a line that cannot be run, for more than 200,000 lines without a choice, and ValueError for
        an option that is not there.
        """
        if not 0 <= option < len(self.options):
            raise ValueError(f"option {option} is not one of {len(self.options)}")
        chosen = self.options[option]
        if chosen.once:
            self._taken.add((self._scene, chosen.line))
        if chosen.body is None:
            self._at = self._after(self._end_of(self._at) - 1)
        else:
            self._at = chosen.body
        self.options = ()
        self._run()

    def _run(self) -> None:
        self._told: list[str] = []
        self._nodes: list[tuple[str, ...]] = [self._here()]
        size = counted = 0
        for _ in range(MOST_LINES_A_TURN):
            line = self._lines()[self._at]
            try:
                self._line(line)
            except DataError as problem:
                raise DataError(f"{self._place(line)}: {problem}") from None
            except RecursionError:
                raise DataError(f"{self._place(line)}: nested too deeply") from None
            if self.ended or self.options:
                return
            if self._nodes[-1] != self._here():
                self._nodes.append(self._here())
            size += sum(len(text) for text in self._told[counted:])
            counted = len(self._told)
            if size > MOST_CHARACTERS_A_TURN:
                raise DataError(f"{self._place(line)}: the story tells more than {MOST_CHARACTERS_A_TURN:,} characters")
        raise DataError(f"{self._place(line)}: the story runs in circles without a choice")

    def _line(self, line: Line) -> None:
        """Do what a line says, and set where to go on."""
        word = command(line.text)
        if word is None:
            if not line.text.startswith(("***", "* * *", "*(")):
                self._told.append(filled(line.text, self._scope))
            self._at = self._after(self._at)
            return
        rest = line.text[1 + len(word) :].strip()
        if word in _JUMPS:
            _JUMPS[word](self, rest)
            return
        if word in _DEEDS:
            _DEEDS[word](self, rest)
        elif word not in IGNORED:
            raise DataError(f"the command *{word[:40]} is not known")
        self._at = self._after(self._at)

    def _choice(self, _rest: str) -> None:
        found = offers(
            self._lines(), self._at + 1, self._end_of(self._at), self._is_true, self._hides, lambda i: self._is_used(i)
        )
        if not found:
            raise DataError("the choice offers nothing")
        self.options = tuple(
            Offer(filled(offer.text, self._scope), offer.line, offer.body, offer.once) for offer in found
        )

    def _is_used(self, line: int) -> bool:
        return (self._scene, line) in self._taken

    def _if(self, _rest: str) -> None:
        lines, start = self._lines(), self._at
        indent, at, done = lines[start].indent, start, False
        while at < len(lines) and lines[at].indent == indent:
            word = command(lines[at].text)
            if at > start and word not in ("else", "elseif", "elsif"):
                break
            end = self._end_of(at)
            if not done and (word == "else" or self._is_true(lines[at].text[1 + len(word or "") :])):
                if end > at + 1:
                    self._at = at + 1
                    return
                done = True
            at = end
        self._at = self._after(at - 1)

    def _is_true(self, condition: str) -> bool:
        return truth(evaluate(parse(condition.strip()), self._scope))

    def _achievement(self, rest: str) -> None:
        end = self._end_of(self._at)
        name, found = achievement(rest, [line.text for line in self._lines()[self._at + 1 : end]])
        self.achievements[name] = found
        self._at = end

    def _skip_block(self, _rest: str) -> None:
        self._at = self._after(self._end_of(self._at) - 1)

    def _page_break(self, rest: str) -> None:
        self._told.append(f"*****{filled(rest, self._scope)}*****")

    def _achieve(self, rest: str) -> None:
        if rest.lower() not in self.unlocked:
            self.unlocked.append(rest.lower())

    def _set_reuse(self, hides: bool) -> None:
        self._hides = hides

    def _create(self, rest: str) -> None:
        target, value = two(rest)
        self._variables.create(self._name(target), evaluate(parse(value), self._scope))

    def _temp(self, rest: str) -> None:
        target, value = split(rest)
        found: Value = evaluate(parse(value), self._scope) if value else ""
        self._variables.create(self._name(target), found, self._scene)

    def _set(self, rest: str, reference: bool = False) -> None:
        target, value = two(rest)
        name = written(evaluate(parse(target), self._scope)).lower() if reference else self._name(target)
        sign = next((s for s in RELATIVE if value.startswith(s)), None)
        if sign is None:
            new = evaluate(parse(value), self._scope)
        else:
            new = operate(sign, self._variable(name), evaluate(parse(value[len(sign) :].strip()), self._scope))
        self._variables.put(self._scene, name, new)

    def _rand(self, rest: str) -> None:
        target, ends = two(rest)
        low, high = two(ends)
        first, last = (int(number(evaluate(parse(end), self._scope))) for end in (low, high))
        if first > last:
            raise DataError(f"*rand from {first} to {last} has nothing to draw")
        self._put(target, float(self._random.randint(first, last)))

    def _input_text(self, rest: str) -> None:
        target = split(rest)[0]
        self._put(target, TYPED.get((self.game.title, target.lower()), "user_input"))

    def _params(self, rest: str) -> None:
        for name, value in zip(rest.split(), self._parameters, strict=False):
            self._variables.create(name.lower(), value, self._scene)

    def _end(self, _rest: str) -> None:
        self.ended = True
        self._told.append("THE END!")

    def _finish(self, _rest: str) -> None:
        order = self.game.order
        if self._scene not in order or order.index(self._scene) + 1 == len(order):
            self._end("")
            return
        self._enter(order[order.index(self._scene) + 1], 0)

    def _goto(self, rest: str, scene: bool = False, call: bool = False) -> None:
        if call:
            if len(self._calls) >= _MOST_CALLS:
                raise DataError(f"more than {_MOST_CALLS:,} calls of subroutines inside each other")
            self._calls.append((self._scene, self._at))
        parts = words(rest)
        if not parts:
            raise DataError("a place to go to is missing")
        to = self._label(parts.pop(0)) if scene else self._scene
        label = self._label(parts.pop(0)) if parts else None
        self._parameters = tuple(evaluate(parse(part), self._scope) for part in parts)
        self._jump(to, label, anew=scene)

    def _gotoref(self, rest: str) -> None:
        self._jump(self._scene, written(evaluate(parse(rest), self._scope)).lower(), anew=False)

    def _goto_random_scene(self, _rest: str) -> None:
        lines = self._lines()[self._at + 1 : self._end_of(self._at)]
        names = [line.text.split()[0].lower() for line in lines if line.text.strip()]
        if not names:
            raise DataError("there is no scene to choose from")
        self._jump(self._random.choice(names), None, anew=True)

    def _return(self, _rest: str) -> None:
        if not self._calls:
            raise DataError("*return without a *gosub before it")
        self._scene, self._at = self._calls.pop()
        self._at = self._after(self._at)

    def _jump(self, scene: str, label: str | None, anew: bool) -> None:
        if scene not in self.game.scenes:
            raise DataError(f"there is no scene {scene[:60]!r}")
        at = 0 if label is None else self.game.labels.get(f"{scene}_{label}", -1)
        if not 0 <= at < len(self.game.scenes[scene]):
            raise DataError(f"there is no label {label!r:.60} in the scene {scene[:60]!r}")
        if anew:
            self._enter(scene, at)
        else:
            self._at = at

    def _enter(self, scene: str, at: int) -> None:
        self._scene, self._at, self._hides = scene, at, False
        self._taken = {place for place in self._taken if place[0] != scene}

    def _label(self, word: str) -> str:
        """Return a label or scene, written as it is or as {an expression}."""
        return written(evaluate(parse(word), self._scope)).lower() if word.startswith("{") else word.lower()

    def _name(self, target: str) -> str:
        return name_of(parse(target), self._scope)

    def _put(self, target: str, value: Value) -> None:
        self._variables.put(self._scene, self._name(target), value)

    def _variable(self, name: str) -> Value:
        if name.startswith("choice_achieved_"):
            return name.removeprefix("choice_achieved_") in self.unlocked
        return self._variables.get(self._scene, name)

    def _lines(self) -> tuple[Line, ...]:
        return self.game.scenes[self._scene]

    def _here(self) -> tuple[str, ...]:
        return self.game.nodes.get((self._scene, self._at), ())

    def _end_of(self, at: int) -> int:
        return end_of(self._lines(), at)

    def _after(self, at: int) -> int:
        return line_after(self._lines(), at)

    def _place(self, line: Line) -> str:
        return f"{self.game.name}: scene {self._scene!r}, line {self._at + 1} ({line.text[:60]!r})"


_JUMPS: Mapping[str, Callable[[Story, str], None]] = {
    "choice": Story._choice,
    "fake_choice": Story._choice,
    "if": Story._if,
    "else": Story._skip_block,
    "elseif": Story._skip_block,
    "elsif": Story._skip_block,
    "achievement": Story._achievement,
    "stat_chart": Story._skip_block,
    "scene_list": Story._skip_block,
    "ending": Story._end,
    "delay_ending": Story._end,
    "finish": Story._finish,
    "goto": Story._goto,
    "gosub": lambda story, rest: story._goto(rest, call=True),
    "goto_scene": lambda story, rest: story._goto(rest, scene=True),
    "gosub_scene": lambda story, rest: story._goto(rest, scene=True, call=True),
    "gotoref": Story._gotoref,
    "goto_random_scene": Story._goto_random_scene,
    "return": Story._return,
}
_DEEDS: Mapping[str, Callable[[Story, str], None]] = {
    "page_break": Story._page_break,
    "achieve": Story._achieve,
    "hide_reuse": lambda story, rest: story._set_reuse(True),
    "disable_reuse": lambda story, rest: story._set_reuse(True),
    "allow_reuse": lambda story, rest: story._set_reuse(False),
    "create": Story._create,
    "temp": Story._temp,
    "set": Story._set,
    "setref": lambda story, rest: story._set(rest, reference=True),
    "rand": Story._rand,
    "input_number": lambda story, rest: story._put(split(rest)[0], 1.0),
    "input_text": Story._input_text,
    "params": Story._params,
}
