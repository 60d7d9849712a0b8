"""Models play games, all games side by side, one batch of requests a turn; replies are stored as they come.

A killed run goes on: the games are played again from the stored replies up to where it stopped, then on. All that is
random follows from the seed, the game and the number of the choice; neither the order of games nor a restart matters.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from spillover.broad.machiavelli.agent import Labels, LoopWatch, Turn, option_named, turn
from spillover.broad.machiavelli.annotation import Annotation
from spillover.broad.machiavelli.game import Game
from spillover.broad.machiavelli.score import COUNTS, TOTALS, Entry, GameScores, Result, counted, result, scored
from spillover.broad.machiavelli.story import Story
from spillover.conversation import fingerprint
from spillover.errors import DataError
from spillover.evaluate.api import EMPTY, TOO_LONG, ApiAsk, ApiReply, AskModel, OnReplies
from spillover.evaluate.stored import OnDone, replies
from spillover.run_folder import RunFolder

REPLIES = "machiavelli replies"

Ending = Literal["ended", "stopped at the limit", "could not go on"]


@dataclass(frozen=True, slots=True)
class Playing:
    """How games are played: one playthrough each, of at most `most_choices`; the study's sampling (protocol 4)."""

    labels: Labels = "letters"
    most_choices: int = 1000
    max_tokens: int = 8
    temperature: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Playthrough:
    """One game played by one model.

    `entries` are the choices in order as the benchmark keeps them; `most_points` is the sum of all achievements. Of the
    choices, `only_one` had a single option, which was taken without asking; `unreadable` replies, empty ones too, named
    no option, and in `went_round` the story repeated itself: there the option is a random one. `why` says why a game
    could not go on; `missing` is 1 where that is a reply that did not come, `failure` the reason as `ApiReply` has it.
    """

    game: str
    model: str
    entries: tuple[Entry, ...]
    most_points: int
    ending: Ending
    choices: int
    only_one: int
    unreadable: int
    missing: int
    went_round: int
    why: str = ""
    failure: str = ""

    @property
    def counts(self) -> dict[str, float]:
        """The benchmark's counts (score.COUNTS)."""
        return counted(self.entries, self.most_points)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A model's scores: the means over games (None without a game), each game's, and why games are left out."""

    result: Result | None
    scores: tuple[GameScores, ...]
    left_out: Mapping[str, str]


def outcome(played: Sequence[Playthrough], random_means: Mapping[str, Mapping[str, float] | None]) -> Outcome:
    """Score one playthrough per game against the random agents' means of that game.

    Left out, with the reason: a game that could not go on, one without means or with one of them missing, and one in
    which random agents reach none of a total, for then there is nothing to be in percent of.
    """
    scores: list[GameScores] = []
    left_out: dict[str, str] = {}
    for one in played:
        means = random_means.get(one.game)
        if one.ending == "could not go on":
            left_out[one.game] = one.why
        elif means is None or not set(COUNTS) <= set(means):
            left_out[one.game] = "no means of random agents for all counts: play them with random_means"
        elif never := [total for total in TOTALS if means[total] <= 0]:
            left_out[one.game] = f"random agents never reach {', '.join(never)}: nothing to hold the model against"
        else:
            scores.append(scored(one.game, one.counts, means))
    return Outcome(result(scores) if scores else None, tuple(scores), left_out)


def play_games(
    run: RunFolder | None,
    model: str,
    games: Sequence[Game],
    how: Playing,
    ask: AskModel,
    version: str | None = None,
    on_done: OnDone = lambda n: None,
) -> tuple[Playthrough, ...]:
    """Return a playthrough per game, in their order.

    `ask` is the model behind an API (evaluate.asking.api) or a local one (evaluate.local_answers.samplers_of);
    `version` is then the hash of its weights. With `run` replies are kept there and not asked for again. A game whose
    script cannot be run, or to which a reply did not come, ends there and says why; the others go on, and a rerun asks
    for that reply again. `on_done` counts games that came to an end.
    """
    seats = [_Seat(game, model, how, version) for game in games]
    on_done(sum(seat.is_done() for seat in seats))
    while active := [seat for seat in seats if not seat.is_done()]:
        turns = [(seat, seat.next_ask()) for seat in active]
        asks = [one for _, one in turns if one is not None]
        found = replies(run, REPLIES, model, asks, _with_empty_texts(ask)) if asks else {}
        for seat, one in turns:
            seat.take(None if one is None else found[one.key])
        on_done(sum(seat.is_done() for seat in active))
    return tuple(seat.playthrough() for seat in seats)


def random_means(game: Game, seeds: Sequence[int], most_choices: int = 1000) -> dict[str, float]:
    """Return the mean counts of agents that choose at random, one per seed, played here.

    Raises DataError for a script that cannot be run, ValueError for no seeds.
    """
    found = [_at_random(game, seed, most_choices) for seed in seeds]
    if not found:
        raise ValueError("give at least one seed")
    return {name: fmean(counts[name] for counts in found) for name in COUNTS}


def _at_random(game: Game, seed: int, most_choices: int) -> dict[str, float]:
    draw = random.Random(f"random agent {seed}")
    record = _Record(Story(game, seed))
    while not record.story.ended and record.choices < most_choices:
        record.take(draw.randrange(len(record.story.options)))
    return counted(record.entries, record.most_points)


class _Record:
    """A story and the entries that the benchmark makes of it."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.entries: list[Entry] = []
        self.choices = 0

    @property
    def most_points(self) -> int:
        return sum(a.points for a in self.story.achievements.values())

    def take(self, option: int) -> None:
        story = self.story
        entry = Entry(story.points, _labels(story))
        self.entries.append(entry)
        self.choices += 1
        story.take(option)
        # At the end the benchmark keeps the last choice's entry once more, not what came of it; the published means of
        # random agents were counted so.
        if story.ended:
            self.entries.append(entry)


class _Seat:
    """A model in front of one game."""

    def __init__(self, game: Game, model: str, how: Playing, version: str | None) -> None:
        self._game, self._model, self._how, self._version = game, model, how, version
        self._watch = LoopWatch()
        self._turn: Turn | None = None
        self._counts = dict.fromkeys(("only_one", "unreadable", "missing", "went_round"), 0)
        self._record: _Record | None = None
        self._why = self._failure = ""
        self._guarded(self._begin)

    def is_done(self) -> bool:
        record = self._record
        return bool(self._why) or record is None or record.story.ended or record.choices >= self._how.most_choices

    def next_ask(self) -> ApiAsk | None:
        """Return the request of this choice, None where there is nothing to choose."""
        story = self._playing.story
        if len(story.options) == 1:
            return None
        how = self._how
        self._turn = turn(self._game, story, how.labels)
        place = [self._game.name, self._playing.choices]
        prompt = [m.as_dict() for m in self._turn.messages]
        key = fingerprint([self._model, self._version, *place, prompt, how.max_tokens, how.temperature, how.seed])
        # The seed has 31 bits: some servers take no larger one.
        seed = self._seed(fingerprint(prompt)) >> 33
        return ApiAsk(key, self._turn.messages, how.max_tokens, how.temperature, None, seed)

    def take(self, reply: ApiReply | None) -> None:
        if reply is not None and reply.text is None:
            self._counts["missing"] += 1
            at = self._playing.choices + 1
            self._failure = reply.missing or "no reply"
            again = "" if self._failure == TOO_LONG else "; run again to ask for it again"
            self._why = f"no reply at choice {at}: {self._failure}{again}"
            return
        option = 0
        goes_round = self._watch.goes_round(self._playing.story.visited)
        if reply is None or reply.text is None or self._turn is None:
            self._counts["only_one"] += 1
        else:
            named = option_named(reply.text, self._turn.labels)
            if named is None or goes_round:
                self._counts["unreadable" if named is None else "went_round"] += 1
                named = self._seed("random option") % len(self._turn.labels)
            option = named
        self._turn = None
        self._guarded(lambda: self._playing.take(option))

    def playthrough(self) -> Playthrough:
        record = self._record
        ended = record is not None and record.story.ended
        ending: Ending = "could not go on" if self._why else "ended" if ended else "stopped at the limit"
        entries = tuple(record.entries) if record else ()
        most, choices = (record.most_points, record.choices) if record else (0, 0)
        return Playthrough(
            self._game.name,
            self._model,
            entries,
            most,
            ending,
            choices,
            **self._counts,
            why=self._why,
            failure=self._failure,
        )

    @property
    def _playing(self) -> _Record:
        assert self._record is not None
        return self._record

    def _begin(self) -> None:
        self._record = _Record(Story(self._game, self._how.seed))

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except DataError as problem:
            self._why = str(problem)

    def _seed(self, purpose: str) -> int:
        return int(fingerprint([self._how.seed, self._game.name, self._playing.choices, purpose]), 16)


def _with_empty_texts(ask: AskModel) -> AskModel:
    """Return `ask` with an empty reply as the text "", for it is the model's own: final, so no rerun asks again."""

    def asking(model: str, asks: Sequence[ApiAsk], on_replies: OnReplies) -> None:
        def hand_on(lot: Sequence[tuple[ApiAsk, ApiReply]]) -> None:
            on_replies([(a, replace(r, text="", missing=None) if r.missing == EMPTY else r) for a, r in lot])

        ask(model, asks, hand_on)

    return asking


def _labels(story: Story) -> Annotation | None:
    """Return the sum of the labels of all nodes passed since the last choice, None where none has any."""
    labelled = story.game.labelled
    found: Annotation | None = None
    for node in story.visited:
        if node in labelled:
            found = labelled[node] if found is None else found.plus(labelled[node])
    return found
