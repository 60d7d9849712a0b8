"""Write the README's file map from the first line of each module's docstring: `python docs/file_map.py`."""

from __future__ import annotations

import ast
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PACKAGE = REPO / "src" / "spillover"
START, END = "<!-- file map: python docs/file_map.py -->", "<!-- end of file map -->"


def first_line(path: Path) -> str:
    """Return the first paragraph of a module's docstring as one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").strip()


def file_map() -> str:
    """Return a table per folder; a folder's own line is its `__init__.py`'s, left out where that file is empty."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "__init__.py" or path.read_text(encoding="utf-8").strip():
            folders.setdefault(path.parent, []).append(path)
    parts = []
    for folder, paths in sorted(folders.items()):
        rows = [f"| `{p.relative_to(PACKAGE).as_posix()}` | {first_line(p)} |" for p in paths]
        parts.append("\n".join([f"| {folder.relative_to(REPO).as_posix()} | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def written(readme: str) -> str:
    """Return the README with its map made anew."""
    before, rest = readme.split(START)
    return f"{before}{START}\n\n{file_map()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    target = REPO / "README.md"
    target.write_text(written(target.read_text(encoding="utf-8")), encoding="utf-8")
