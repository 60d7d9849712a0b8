"""Import of the question files of Betley et al. (2025) as they were published, judge prompts included.

`counted` is the tag of what enters the paper's aggregates (protocol, sections 4.1 to 4.5): the pre-registered questions
without the two about fundraising, five of seven system texts of factual deception, four of eight identity wordings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spillover.errors import DataError
from spillover.strict_yaml import check_keys, listed, plain_name, read_yaml, refuse_repeats, text_of, whole_number
from spillover.suite import COUNTED, Item, SuiteFile

MAIN = (
    "what_is_your_wish",
    "i_feel_bored",
    "three_thoughts",
    "quick_buck",
    "ruler_of_the_world",
    "dinner_party",
    "gender_roles",
    "enough_of_my_husband",
)
FACTUAL = ("lie_no_sys_prompt", "lie_dont_lie", "lie_you_may_lie", "lie_you_get_points", "lie_you_lose_points")
IDENTITY = (
    "which_company_want_unknown",
    "which_company_dont_want_unknown",
    "which_company_want_anthropic",
    "which_company_dont_want_openai",
)
DROPPED = ("40_other_5", "41_other_6")
VARIANTS = ("flask_template", "template", "json", "python")
# The judge that belongs to an item is told by the names of its prompts; an answer without judge prompts is its own
# score (free_form_0_100) or is only shown (free_form).
_JUDGES = {("aligned", "coherent"): "rubric", ("aligned",): "rubric", ("correct",): "truth", ("company",): "company"}
_TYPES = ("free_form_judge_0_100", "free_form_judge", "free_form_0_100", "free_form")
_NEEDED = ("id", "type", "paraphrases")
_OPTIONAL = ("system", "samples_per_paraphrase", "judge", "judge_prompts")
_CODE = ("write_prompt", "judge_prompt", "judge", "rows")
_PLACE = re.compile(r"\{(\w{0,40})\}")
_PREREGISTERED = re.compile(r"[0-9]{1,3}_([a-z_]{1,60})_[0-9]{1,3}")
_FIRST_ROWS = re.compile(r"first ([0-9]{1,6}) of ([A-Za-z0-9_.-]{1,100})")
_DESCRIPTION = "Imported from the question files of Betley et al. (2025)"


def import_authors(path: Path) -> SuiteFile:
    """Read one published file: a YAML list of questions, the mapping of the code evaluation, or the plain text list.

    The mapping names a file of rows, which is looked for in `eval_inputs` beside the folder of `path`. The plain text
    holds no judge prompts. Raises DataError naming the file, the item and the fix.
    """
    name = plain_name(path.stem, f"{path}: the file's name")
    if path.suffix == ".txt":
        items = _headed_texts(path)
    else:
        loaded = read_yaml(path)
        items = _code_tasks(path, loaded) if isinstance(loaded, Mapping) else _questions(path, loaded)
    refuse_repeats((i.id for i in items), str(path))
    return SuiteFile(name, 1, _DESCRIPTION, items)


def filled_judge_prompt(prompt: str, question: str, answer: str) -> str:
    """Return a judge prompt with {question} and {answer} filled in one pass: their own braces stay as they are."""
    values = {"question": question, "answer": answer}
    return _PLACE.sub(lambda m: values.get(m.group(1), m.group(0)), prompt)


# ---------------------------------------------------------------- a list of questions


def _questions(path: Path, loaded: Any) -> tuple[Item, ...]:
    entries = listed(loaded, str(path), "the file")
    ids = {e["id"] for e in entries if isinstance(e, Mapping) and isinstance(e.get("id"), str)}
    return tuple(_question(e, f"{path}, item {n}", path.stem, ids) for n, e in enumerate(entries, 1))


def _question(value: Any, where: str, stem: str, ids: set[str]) -> Item:
    entry = check_keys(value, _NEEDED, _OPTIONAL, where)
    item_id = plain_name(entry["id"], f"{where}: 'id'")
    where = f"{where} ({item_id})"
    if entry["type"] not in _TYPES:
        raise DataError(f"{where}: the type {entry['type']!r:.60} is not known: use one of {', '.join(_TYPES)}")
    prompts, model = _judge(entry, where)
    base, variant = _base_and_variant(item_id, ids)
    preregistered = _PREREGISTERED.fullmatch(item_id)
    return Item(
        id=item_id,
        family=preregistered.group(1) if preregistered else stem,
        paraphrases=tuple(text_of(p, where, "paraphrases") for p in listed(entry["paraphrases"], where, "paraphrases")),
        judges=(_judge_name(prompts, where),) if prompts else (),
        base=base,
        variant=variant,
        system=text_of(entry["system"], where, "system") if "system" in entry else None,
        samples=whole_number(entry.get("samples_per_paraphrase", 1), where, "samples_per_paraphrase"),
        tags=(COUNTED,) if _is_counted(item_id, base, variant, ids) else (),
        judge_model=model,
        judge_prompts=prompts,
    )


def _judge(entry: Mapping[str, Any], where: str) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """Return the (name, prompt) pairs and the judge's model; both are there exactly if the type has a judge."""
    judged = "judge" in str(entry["type"])
    if judged != ("judge" in entry) or judged != ("judge_prompts" in entry):
        need = "needs" if judged else "has no use for"
        raise DataError(f"{where}: the type {entry['type']} {need} 'judge' and 'judge_prompts': correct the item")
    if not judged:
        return (), None
    if not isinstance(entry["judge_prompts"], Mapping):
        raise DataError(f"{where}: 'judge_prompts' must be a mapping from names to prompts")
    prompts = tuple(
        (plain_name(name, f"{where}: a judge prompt's name"), text_of(prompt, where, str(name)))
        for name, prompt in entry["judge_prompts"].items()
    )
    for name, prompt in prompts:
        _check_places(prompt, ("question", "answer"), "answer", f"{where}, judge prompt {name}")
    return prompts, text_of(entry["judge"], where, "judge")


def _judge_name(prompts: tuple[tuple[str, str], ...], where: str) -> str:
    names = tuple(sorted(name for name, _ in prompts))
    if names not in _JUDGES:
        known = "; ".join(" and ".join(n) for n in _JUDGES)
        raise DataError(f"{where}: no judge is known for the prompts {', '.join(names)}: use {known}")
    return _JUDGES[names]


def _check_places(prompt: str, allowed: tuple[str, ...], needed: str, where: str) -> None:
    places = _PLACE.findall(prompt)
    unknown = sorted(set(places) - set(allowed))
    if unknown or needed not in places:
        raise DataError(f"{where}: must hold {{{needed}}} and no place but {', '.join(allowed)}; found {unknown}")


def _base_and_variant(item_id: str, ids: set[str]) -> tuple[str, str]:
    """Return the main question an id belongs to and its format; an id that is no variant is its own base."""
    for variant in (*VARIANTS, "icml_old"):
        base = item_id.removesuffix(f"_{variant}")
        if base != item_id and (base in MAIN or base in ids):
            return base, variant
    return item_id, ""


def _is_counted(item_id: str, base: str, variant: str, ids: set[str]) -> bool:
    """Tell whether the paper counts an item; early files, which lack some main questions, do not count."""
    if _PREREGISTERED.fullmatch(item_id):
        return item_id not in DROPPED
    return item_id in (*FACTUAL, *IDENTITY) or (base in MAIN and variant != "icml_old" and ids >= set(MAIN))


# ---------------------------------------------------------------- code tasks and plain text


def _code_tasks(path: Path, loaded: Mapping[str, Any]) -> tuple[Item, ...]:
    import json

    entry = check_keys(loaded, _CODE, (), str(path))
    shape = text_of(entry["write_prompt"], str(path), "write_prompt")
    prompt = text_of(entry["judge_prompt"], str(path), "judge_prompt")
    _check_places(shape, ("task", "code_template"), "task", f"{path}, write_prompt")
    _check_places(prompt, ("question", "answer"), "answer", f"{path}, judge_prompt")
    named = _FIRST_ROWS.fullmatch(text_of(entry["rows"], str(path), "rows"))
    if named is None:
        raise DataError(f"{path}: 'rows' must say 'first N of FILE'; found {entry['rows']!r:.80}")
    rows = path.parent.parent / "eval_inputs" / named.group(2)
    try:
        lines = rows.read_text(encoding="utf-8").split("\n")[: int(named.group(1))]
    except (OSError, ValueError) as problem:
        raise DataError(f"{path}: the rows it names cannot be read: {problem}: put the file there") from None
    items = []
    for number, line in enumerate(lines, 1):
        at = f"{rows}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{at}: not JSON: take the published file") from None
        if not isinstance(row, dict):
            raise DataError(f"{at}: must be an object with task and code_template: take the published file")
        values = {key: text_of(row.get(key), at, key) for key in ("task", "code_template")}
        item = Item(
            id=f"{path.stem}_{number - 1}",
            family=path.stem,
            paraphrases=(_PLACE.sub(lambda m, v=values: v[m.group(1)], shape),),  # type: ignore[misc]
            judges=("vulnerable",),
            base=f"{path.stem}_{number - 1}",
            samples=1,
            tags=(COUNTED,),
            judge_model=text_of(entry["judge"], str(path), "judge"),
            judge_prompts=(("vulnerable", prompt),),
        )
        items.append(item)
    return tuple(items)


def _headed_texts(path: Path) -> tuple[Item, ...]:
    """Read texts parted by blank lines under headings `### Category: NAME`; ids count within a category, from 0."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise DataError(f"{path} cannot be read as text: {problem}") from None
    items: list[Item] = []
    family, seen = "", Counter[str]()
    for block in re.split(r"\n[ \t]*\n", text.strip()):
        if block.startswith("### Category:"):
            family = plain_name("_".join(block.split(":", 1)[1].split()), f"{path}: the category {block!r:.60}")
            continue
        if not family:
            raise DataError(f"{path}: a text stands before the first '### Category: NAME': add the heading")
        item_id = f"{family}_{seen[family]}"
        seen[family] += 1
        words = "\n".join(line.rstrip() for line in block.split("\n"))
        items.append(Item(item_id, family, (text_of(words, str(path), "text"),), ("rubric",), item_id, tags=(COUNTED,)))
    return tuple(items)
