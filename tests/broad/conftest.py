from __future__ import annotations

import pytest

from spillover.broad.sandbox import find_sandbox
from spillover.errors import SettingsError


@pytest.fixture(scope="session")
def sandbox():
    """The sandbox of this machine; where there is none, the test skips and says what to install."""
    try:
        return find_sandbox()
    except SettingsError as problem:
        pytest.skip(str(problem))
