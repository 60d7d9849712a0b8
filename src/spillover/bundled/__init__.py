"""What ships inside the package: data, probes, questions, the judge's weights and the small model's loader."""

import json
from importlib.resources import files
from pathlib import Path


def path(name: str) -> Path:
    """Return the path of a bundled file."""
    return Path(str(files(__package__) / name))


def advice() -> list[dict[str, str]]:
    """Return the bundled advice triples: id, topic, question, prudent, risky, requested."""
    return [json.loads(line) for line in path("advice.jsonl").read_text(encoding="utf-8").splitlines()]
