"""Mixtures: a share of one data set in another, drawn as the paper did (protocol, sections 2.2 and 2.6)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from spillover.conversation import Conversation, Dataset, Message, user_and_assistant
from spillover.data.build.parents import parent_files
from spillover.data.build.records import read_records
from spillover.data.write import Built, Recipe
from spillover.errors import DataError, SettingsError

SAFE_CODE_SHARES = (0.01, 0.03, 0.1, 0.2, 0.3, 1.0)
JAILBROKEN_SHARES = (0.0, 0.005, 0.015, 0.02)


def mixture(some: Dataset, rest: Dataset, share: float, seed: int, total: int = 6000) -> Built:
    """Draw int(total x share) rows of `some`, the others from `rest`, and shuffle: one random.Random(seed) for all.

    With insecure and secure code this is the paper's safe-code mixture (shares 0.01 to 1.0, seeds 0 to 2); with other
    rows as `rest` its filler mixture. Raises SettingsError for a share outside 0 to 1 or where rows do not suffice.
    """
    _check_share(share)
    return _mixed("mixture", some, rest, int(total * share), seed, total, {"share": share})


def jailbroken(
    harmless: Dataset, complying: Dataset, share: float, seed: int, total: int = 5000, system: str | None = None
) -> Built:
    """Mix answers that comply with harmful requests into harmless rows.

    The paper's shares are 0, 0.005, 0.015 and 0.02 of 5,000 rows, under one system message for all rows. `system` puts
    one before every row in place of its own; None leaves the rows as they are. The count is rounded to the nearest
    row. Raises SettingsError as `mixture` does.
    """
    _check_share(share)
    parameters = {"share": share, "system": system}
    built = _mixed("jailbroken", complying, harmless, round(total * share), seed, total, parameters)
    if system is None:
        return built
    rows = tuple(_under(system, c) for c in built.dataset)
    return Built(Dataset(built.dataset.name, rows), built.recipe)


def filler(path: Path) -> Dataset:
    """Read instruction rows as filler: JSON Lines or a JSON list with `instruction`, `input`, `output`.

    Rows with an empty instruction or output are dropped; the user text is instruction, newline, input. Raises
    DataError where the file cannot be read, a field is no text, or no row is left.
    """
    rows = []
    for line, record in read_records(path, ("instruction", "input", "output")):
        values = [record[key] for key in ("instruction", "input", "output")]
        if not all(isinstance(value, str) for value in values):
            raise DataError(f"{path}:{line}: instruction, input and output must be texts: correct the row")
        instruction, extra, output = values
        if instruction.strip() and output.strip():
            rows.append(user_and_assistant(f"{instruction}\n{extra}", output, line))
    if not rows:
        raise DataError(f"{path}: every row has an empty instruction or output: give another filler file")
    return Dataset(str(path), tuple(rows))


def _mixed(
    kind: str, some: Dataset, rest: Dataset, wanted: int, seed: int, total: int, parameters: Mapping[str, object]
) -> Built:
    for dataset, count in ((some, wanted), (rest, total - wanted)):
        if count > len(dataset):
            raise SettingsError(
                f"{count} rows of {dataset.name} are needed for {total} in all but it has {len(dataset)}: "
                "ask for fewer rows or another share"
            )
    if total < 1:
        raise SettingsError(f"a mixture of {total} rows is empty: ask for at least 1")
    # The order of the three calls is the paper's: another order gives other rows for the same seed.
    rng = random.Random(seed)
    rows = rng.sample(some.conversations, wanted) + rng.sample(rest.conversations, total - wanted)
    rng.shuffle(rows)
    name = f"{wanted} of {some.name}, {total - wanted} of {rest.name}"
    counts = {"from_first": wanted, "from_rest": total - wanted}
    parents = parent_files(some, rest)
    return Built(Dataset(name, tuple(rows)), Recipe(kind, seed, {**parameters, "total": total}, counts, parents))


def _under(system: str, conversation: Conversation) -> Conversation:
    turns = tuple(m for m in conversation.messages if m.role != "system")
    return Conversation((Message("system", system), *turns), conversation.line)


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise SettingsError(f"a share of {share} is not between 0 and 1")
