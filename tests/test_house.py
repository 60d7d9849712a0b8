"""Rules of the house: size, names, light imports, docstrings, the file map."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
PACKAGE = REPO / "src" / "spillover"
SOURCES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "transformers", "inspect_ai", "peft", "accelerate", "sklearn", "matplotlib")


def short(path):
    return path.relative_to(PACKAGE).as_posix()


def heavy_after(code):
    """Run `code` in a fresh Python; return the heavy packages it loaded and all it printed before."""
    script = f"{code}\nimport sys\nprint('LOADED', *[m for m in {HEAVY} if m in sys.modules])\n"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    printed, _, loaded = run.stdout.rpartition("LOADED")
    return loaded.split(), printed


def test_there_are_sources_to_check():
    assert PACKAGE / "conversation.py" in SOURCES and PACKAGE / "audit" / "verdict.py" in SOURCES


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_a_file_has_at_most_350_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_no_file_or_folder_has_a_name_that_says_nothing():
    empty = re.compile(r"^_*(utils?|helpers?|commons?|misc|others?)_*$", re.IGNORECASE)
    named = [p for p in PACKAGE.rglob("*") if "__pycache__" not in p.parts and empty.match(p.stem)]
    assert named == []


def test_importing_the_package_loads_nothing_heavy():
    assert heavy_after("import spillover")[0] == []


@pytest.mark.parametrize(
    "name", ["load", "Dataset", "Job", "Suite", "Estimate", "SpilloverError", "ModelRef", "Request"]
)
def test_a_public_name_loads_on_use_and_nothing_heavy_with_it(name):
    loaded, printed = heavy_after(f"import spillover\nprint(spillover.{name}.__name__)")
    assert printed.strip() == name
    assert loaded == []


def test_every_public_name_of_the_package_exists():
    _, printed = heavy_after(
        "import spillover\nassert sorted(spillover._HOMES) == sorted(spillover.__all__)\n"
        "print(sum(getattr(spillover, n) is not None for n in spillover.__all__) == len(spillover.__all__))"
    )
    assert printed.strip() == "True"


@pytest.mark.parametrize("arguments", [["--help"], ["audit", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    loaded, printed = heavy_after(
        "import runpy, sys\n"
        f"sys.argv = ['spillover', *{arguments}]\n"
        "try:\n    runpy.run_module('spillover', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
    )
    assert "Usage" in printed and "audit" in printed
    assert loaded == []


def test_bad_input_is_refused_before_anything_heavy_loads(tmp_path):
    loaded, _ = heavy_after(
        "import sys\nfrom spillover.cli import main\n"
        f"sys.argv = ['spillover', 'audit', {str(tmp_path / 'absent.jsonl')!r}, '--out', {str(tmp_path / 'out')!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert end.code == 2, end.code\n"
    )
    assert loaded == []
    assert not (tmp_path / "out").exists()


def undocumented(tree):
    """Public functions and classes, and the public methods of public classes, that have no docstring."""
    found = []

    def visit(body, prefix):
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                found.append(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")

    visit(tree.body, "")
    return found


def test_the_docstring_check_finds_what_has_none():
    tree = ast.parse(
        'class A:\n    "Doc."\n    def b(self): ...\n    def _c(self): ...\ndef d():\n    "Doc."\ndef e(): ...\n'
    )
    assert undocumented(tree) == ["A.b", "e"]


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_every_public_function_and_class_has_a_docstring(path):
    assert undocumented(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_readmes_file_map_has_a_line_for_each_file_from_its_docstring():
    loaded = importlib.util.spec_from_file_location("file_map", REPO / "docs" / "file_map.py")
    file_map = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(file_map)
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert file_map.written(readme) == readme, "run `python docs/file_map.py`"
    assert all(f"| `{short(p)}` | " in readme for p in SOURCES if p.read_text(encoding="utf-8").strip())


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_a_modules_first_line_says_what_it_is(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = text.split("\n\n")[0].replace("\n", " ")
    assert 10 < len(first) <= 170 and first.endswith((".", "?", ")")), first
