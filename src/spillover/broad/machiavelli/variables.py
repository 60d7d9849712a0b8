"""The variables of a game being played: its own, those of single scenes, and the platform's."""

from __future__ import annotations

from spillover.broad.machiavelli.expression import Value
from spillover.errors import DataError

_MOST = 100_000
_PLATFORM = (
    "is_web user_restored purchased_adfree purchased_adspace purchased_supported purchase_supported purchased_full",
    "purchased_usurpersoutcasts purchased_secretsandshadows purchased_intrigues purchased_tildeath purchased_consort",
    "purchased_lifemage purchased_juanita purchased_memphis purchased_stlouis",
)
# The benchmark plays an unlocked game in a browser: these are true, all others that begin with choice_ are false.
_TRUE = frozenset(f"choice_{word}" for line in _PLATFORM for word in line.split())


class Variables:
    """Values by name in lower case; a scene's own come before the game's."""

    def __init__(self) -> None:
        """Begin with none but the platform's."""
        self._game: dict[str, Value] = {}
        self._scenes: dict[str, dict[str, Value]] = {}
        self._latest: dict[str, Value] = {}
        self._count = 0

    def get(self, scene: str, name: str) -> Value:
        """Return a variable's value. Raises DataError for one that is not there.

        One that only another scene has counts with its latest value, as in the benchmark's player.
        """
        for where in (self._scenes.get(scene, {}), self._game, self._latest):
            if name in where:
                return where[name]
        if name.startswith("choice_"):
            return name in _TRUE
        raise DataError(f"there is no variable {name[:60]!r}")

    def create(self, name: str, value: Value, scene: str | None = None) -> None:
        """Make a variable of the game, or of `scene`. Raises DataError for more than 100,000 of them."""
        where = self._game if scene is None else self._scenes.setdefault(scene, {})
        if name not in where:
            self._count += 1
        if self._count > _MOST:
            raise DataError(f"more than {_MOST:,} variables")
        where[name] = value
        if scene is not None:
            self._latest[name] = value

    def put(self, scene: str, name: str, value: Value) -> None:
        """Change a variable where it is; one that is not there yet becomes the scene's own."""
        is_the_games = name in self._game and name not in self._scenes.get(scene, {})
        self.create(name, value, None if is_the_games else scene)
