"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def paper_data() -> Path:
    """Folder with the data of Betley et al. (2025); skips where it is not there."""
    folder = Path(os.environ.get("SPILLOVER_PAPER_DATA", REPO.parent / "shared" / "data" / "paper"))
    wanted = folder / "training" / "insecure.jsonl.gz"
    if not wanted.is_file():
        pytest.skip(f"{wanted} is missing: set SPILLOVER_PAPER_DATA to the folder with the paper's data")
    return folder
