"""SuiteFile and Item: a suite of prompts with its judges, read strictly from a YAML file of our own format.

A file holds `name`, `version`, `description`, `judges` and `questions`, or, instead of the last, `questions_of`: the
name of a suite file in the same folder whose questions are taken. Optional: `samples`; `systems`, a list of {id, text}
(no text: no system prompt); `wrappers`, a list of {id, text} with {question} in the text; `draws`, the {seed, prompts}
of the numbers in wrappers that hold {numbers} or {words}; and `examples: required`. Every question is asked under every
system and in every wrapper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spillover.conversation import Message, fingerprint
from spillover.errors import DataError, SettingsError
from spillover.strict_yaml import check_keys, listed, plain_name, read_yaml, refuse_repeats, text_of, whole_number

JUDGES = ("rubric", "truth", "company", "vulnerable", "refusal")
# Tag of the items that enter the paper's aggregates; the other items of such a suite are shown only.
COUNTED = "counted"
SAMPLES = 100
MOST_PROMPTS = 100_000
_TOP = ("name", "version", "description", "judges")
_TOP_OPTIONAL = ("questions", "questions_of", "samples", "systems", "wrappers", "draws", "examples")
_QUESTION = ("id", "family")
_QUESTION_OPTIONAL = ("text", "paraphrases", "system", "prefix_messages", "samples", "tags", "judge", "expected")
_PLACE = re.compile(r"\{(question|numbers|words)\}")


@dataclass(frozen=True, slots=True)
class Item:
    """One question under one system prompt and in one wrapper.

    `samples` answers are wanted per paraphrase. `base` is the question's id before crossing and `variant` the ids of
    its system and wrapper, or "". `expected` is shown to a judge, never to the model. `judge_prompts` and `judge_model`
    hold what an imported file says. `needs_examples` marks a question that is not to be asked without turns before it.
    """

    id: str
    family: str
    paraphrases: tuple[str, ...]
    judges: tuple[str, ...]
    base: str
    variant: str = ""
    system: str | None = None
    prefix_messages: tuple[Message, ...] = ()
    samples: int = SAMPLES
    tags: tuple[str, ...] = ()
    expected: str | None = None
    needs_examples: bool = False
    judge_model: str | None = None
    judge_prompts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """A named and numbered set of items, in file order."""

    name: str
    version: int
    description: str
    items: tuple[Item, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @property
    def fingerprint(self) -> str:
        """Hash of all items in order; name, version and description do not enter."""
        return fingerprint([asdict(item) for item in self.items])


def rendered(item: Item, paraphrase_index: int = 0) -> tuple[Message, ...]:
    """Return the turns a model is shown: system text, earlier turns, the question.

    Raises SettingsError where there is no such paraphrase or where the item's examples have not been given.
    """
    if not 0 <= paraphrase_index < len(item.paraphrases):
        last = len(item.paraphrases) - 1
        raise SettingsError(f"item {item.id}: there is no paraphrase {paraphrase_index}: choose 0 to {last}")
    if item.needs_examples and not item.prefix_messages:
        raise SettingsError(f"item {item.id} is asked after examples from a data file: give that file")
    head = () if item.system is None else (Message("system", item.system),)
    return (*head, *item.prefix_messages, Message("user", item.paraphrases[paraphrase_index]))


def judged_question(item: Item, paraphrase_index: int = 0) -> str:
    """Return what a judge is shown as the question: the last user turn, never a system text or earlier turns."""
    return rendered(item, paraphrase_index)[-1].content


def with_examples(suite: SuiteFile, messages: Sequence[Message]) -> SuiteFile:
    """Return the suite with `messages` before every question, as in-context examples; no system turns among them.

    Raises SettingsError where they are not user and assistant in turn.
    """
    if not messages or not _in_turn(messages):
        raise SettingsError("examples must be user and assistant turns in turn, from a user to an assistant")
    return replace(suite, items=tuple(replace(i, prefix_messages=tuple(messages)) for i in suite.items))


def selected(suite: SuiteFile, *, tag: str | None = None, variant: str | None = None) -> SuiteFile:
    """Return only the items with a tag and of a variant (None: any); raises SettingsError where none is left."""
    items = tuple(i for i in suite if tag in (None, *i.tags) and variant in (None, i.variant))
    if not items:
        raise SettingsError(f"no item of {suite.name} has the tag {tag!r} and the variant {variant!r}")
    return replace(suite, items=items)


def load_suite_file(path: Path) -> SuiteFile:
    """Read a suite; raises DataError naming the file, the item and the fix."""
    top = _top(path)
    where = str(path)
    name, description = plain_name(top["name"], f"{where}: 'name'"), text_of(top["description"], where, "description")
    version = whole_number(top["version"], where, "version")
    samples = whole_number(top.get("samples", SAMPLES), where, "samples")
    judges = _judges(top["judges"], where)
    if top.get("examples", "required") != "required":
        raise DataError(f"{where}: 'examples' can only be 'required': correct it or leave it out")
    questions = listed(_questions(path, top), where, "questions")
    items = [_question(q, f"{where}, item {n}", judges, samples) for n, q in enumerate(questions, 1)]
    refuse_repeats((i.id for i in items), where)
    systems, wrappers, draws = _systems(top, where), _wrappers(top, where), _draws(top, where)
    prompts = len(systems) * len(wrappers) * sum(len(i.paraphrases) for i in items) * (draws[1] if draws else 1)
    if prompts > MOST_PROMPTS:
        raise DataError(f"{where}: would make {prompts} prompts: at most {MOST_PROMPTS} are allowed, make it smaller")
    values = _drawn(len(items), *draws) if draws else [[{}]] * len(items)
    items = [
        wrapped
        for item, drawn in zip(items, values, strict=True)
        for asked in _under_systems(item, systems, where)
        for wrapped in _wrapped(asked, wrappers, drawn)
    ]
    refuse_repeats((i.id for i in items), where)
    return SuiteFile(name, version, description, tuple(replace(i, needs_examples="examples" in top) for i in items))


def _top(path: Path) -> Mapping[str, Any]:
    top = check_keys(read_yaml(path), _TOP, _TOP_OPTIONAL, str(path))
    if ("questions" in top) == ("questions_of" in top):
        raise DataError(f"{path}: give either 'questions' or 'questions_of'")
    return top


def _questions(path: Path, top: Mapping[str, Any]) -> Any:
    if "questions" in top:
        return top["questions"]
    name = plain_name(top["questions_of"], f"{path}: 'questions_of'")
    other = path.with_name(f"{name}.yaml")
    taken = _top(other)
    if "questions" not in taken:
        raise DataError(f"{path}: {other.name} holds no questions of its own: name the file that has them")
    return taken["questions"]


def _judges(value: Any, where: str) -> tuple[str, ...]:
    judges = tuple(listed(value, where, "judges"))
    if not all(isinstance(j, str) and j in JUDGES for j in judges) or len(set(judges)) != len(judges):
        raise DataError(f"{where}: the judges must be some of {', '.join(JUDGES)}, each once; found {value!r:.80}")
    return judges


def _question(value: Any, where: str, judges: tuple[str, ...], samples: int) -> Item:
    entry = check_keys(value, _QUESTION, _QUESTION_OPTIONAL, where)
    item_id = plain_name(entry["id"], f"{where}: 'id'")
    where = f"{where} ({item_id})"
    if ("text" in entry) == ("paraphrases" in entry):
        raise DataError(f"{where}: give either 'text' or 'paraphrases'")
    texts = [entry["text"]] if "text" in entry else listed(entry["paraphrases"], where, "paraphrases")
    key = "text" if "text" in entry else "paraphrases"
    tags = [plain_name(t, f"{where}: a tag") for t in listed(entry["tags"], where, "tags")] if "tags" in entry else []
    return Item(
        id=item_id,
        family=plain_name(entry["family"], f"{where}: 'family'"),
        paraphrases=tuple(text_of(t, where, key) for t in texts),
        judges=_judges([entry["judge"]], where) if "judge" in entry else judges,
        base=item_id,
        system=text_of(entry["system"], where, "system") if "system" in entry else None,
        prefix_messages=_prefix(entry["prefix_messages"], where) if "prefix_messages" in entry else (),
        samples=whole_number(entry.get("samples", samples), where, "samples"),
        tags=tuple(tags),
        expected=text_of(entry["expected"], where, "expected") if "expected" in entry else None,
    )


def _prefix(value: Any, where: str) -> tuple[Message, ...]:
    turns = []
    for number, turn in enumerate(listed(value, where, "prefix_messages"), 1):
        entry = check_keys(turn, ("role", "content"), (), f"{where}, turn {number}")
        if entry["role"] not in ("user", "assistant"):
            raise DataError(f"{where}, turn {number}: the role must be user or assistant (use 'system' for its text)")
        turns.append(Message(entry["role"], text_of(entry["content"], f"{where}, turn {number}", "content")))
    if not _in_turn(turns):
        raise DataError(f"{where}: 'prefix_messages' must go from a user turn to an assistant turn, in turn")
    return tuple(turns)


def _in_turn(messages: Sequence[Message]) -> bool:
    expected = ("user", "assistant") * (len(messages) // 2)
    return tuple(m.role for m in messages) == expected


def _systems(top: Mapping[str, Any], where: str) -> list[tuple[str, str | None]]:
    if "systems" not in top:
        return [("", None)]
    found: list[tuple[str, str | None]] = []
    for number, value in enumerate(listed(top["systems"], where, "systems"), 1):
        at = f"{where}, system {number}"
        entry = check_keys(value, ("id",), ("text",), at)
        text = text_of(entry["text"], at, "text") if "text" in entry else None
        found.append((plain_name(entry["id"], f"{at}: 'id'"), text))
    return found


def _wrappers(top: Mapping[str, Any], where: str) -> list[tuple[str, str]]:
    found = [("", "{question}")]
    if "wrappers" in top:
        entries = listed(top["wrappers"], where, "wrappers")
        found = [_wrapper(value, f"{where}, wrapper {number}") for number, value in enumerate(entries, 1)]
    if any(place != "question" for _, text in found for place in _PLACE.findall(text)) != ("draws" in top):
        raise DataError(
            f"{where}: 'draws' and wrappers with {{numbers}} or {{words}} need each other: add the one left out"
        )
    return found


def _wrapper(value: Any, where: str) -> tuple[str, str]:
    entry = check_keys(value, ("id", "text"), (), where)
    text = text_of(entry["text"], where, "text")
    if text.count("{question}") != 1:
        raise DataError(f"{where}: 'text' must hold {{question}} once: put it where the question belongs")
    return plain_name(entry["id"], f"{where}: 'id'"), text


def _draws(top: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    if "draws" not in top:
        return None
    entry = check_keys(top["draws"], ("seed", "prompts"), (), f"{where}: 'draws'")
    return whole_number(entry["seed"], where, "seed"), whole_number(entry["prompts"], where, "prompts")


def _drawn(questions: int, seed: int, prompts: int) -> list[list[dict[str, str]]]:
    """Draw, per question and prompt, what {numbers} and {words} stand for (protocol, section 4.9).

    One numpy default_rng(seed) for all: count of numbers from 3 to 7, count of words from 3 to 7, the numbers from 100
    to 999. All wrappers and systems of a question share its draws.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    drawn: list[list[dict[str, str]]] = []
    for _ in range(questions):
        drawn.append([])
        for _ in range(prompts):
            count, words = int(rng.integers(3, 8)), int(rng.integers(3, 8))
            numbers = ",".join(str(int(n)) for n in rng.integers(100, 1000, count))
            drawn[-1].append({"numbers": numbers, "words": str(words)})
    return drawn


def _under_systems(item: Item, systems: list[tuple[str, str | None]], where: str) -> list[Item]:
    if systems == [("", None)]:
        return [item]
    if item.system is not None:
        raise DataError(f"{where}: item {item.id} has a 'system' beside the file's 'systems': take one away")
    return [replace(item, id=f"{item.id}_{name}", variant=name, system=text) for name, text in systems]


def _wrapped(item: Item, wrappers: list[tuple[str, str]], drawn: list[dict[str, str]]) -> list[Item]:
    """Put an item into each wrapper; every draw makes a wording where the wrapper shows it, else one more sample."""
    made = []
    for name, text in wrappers:
        fixed = set(_PLACE.findall(text)) <= {"question"}
        fillings = drawn[:1] if fixed else drawn
        texts = tuple(_fill(text, {**values, "question": p}) for p in item.paraphrases for values in fillings)
        made.append(
            replace(
                item,
                id=f"{item.id}_{name}" if name else item.id,
                variant="_".join(v for v in (item.variant, name) if v),
                paraphrases=texts,
                samples=item.samples * len(drawn) if fixed else item.samples,
            )
        )
    return made


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Fill all places in one pass: braces inside a filled-in text stay as they are."""
    return _PLACE.sub(lambda m: values[m.group(1)], template)
