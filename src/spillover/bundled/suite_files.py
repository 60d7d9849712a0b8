"""The suites that ship with the package, by name."""

from __future__ import annotations

from spillover import bundled
from spillover.errors import SettingsError
from spillover.suite import SuiteFile, load_suite_file


def builtin_names() -> tuple[str, ...]:
    """Return the names of the bundled suites, sorted."""
    return tuple(sorted(p.stem for p in bundled.path("suites").glob("*.yaml")))


def builtin(name: str) -> SuiteFile:
    """Read a bundled suite; raises SettingsError where there is none of that name."""
    if name not in builtin_names():
        raise SettingsError(f"there is no bundled suite {name!r:.60}: choose one of {', '.join(builtin_names())}")
    return load_suite_file(bundled.path("suites") / f"{name}.yaml")
