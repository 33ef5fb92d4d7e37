"""The rooms of the house: who may import whom, and how its code is kept."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("course", "tools", "render")
MAY_IMPORT = {"course": set(), "tools": {"course", "render"}, "render": set()}
LONGEST_FUNCTION = 60
DIALECTS = ("Args:", "Arguments:", "Returns:", "Raises:", "Yields:", ":param ", ":return")


def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


PYTHON = tracked("*.py")


def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


def imports_of(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield the full names of all modules that a file imports, wherever in it."""
    package = PurePosixPath(name).with_suffix("").parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: -node.level]] if node.level else []
            base += node.module.split(".") if node.module else []
            yield ".".join(base)
            yield from (".".join([*base, each.name]) for each in node.names)


def modules() -> dict[str, str]:
    """Module name to file, of all rooms."""
    found = {}
    for name in PYTHON:
        parts = PurePosixPath(name).with_suffix("").parts
        if parts[0] in ROOMS:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = name
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room) -> None:
    wrong = []
    for name in PYTHON:
        if PurePosixPath(name).parts[0] == room:
            tops = {each.partition(".")[0] for each in imports_of(name, tree_of(name))}
            forbidden = {"course", "tools", "render", "tests", "benchmarks"} - {room} - MAY_IMPORT[room]
            wrong += [f"{name} imports {top}" for top in sorted(tops & forbidden)]
    assert wrong == []


def test_lectures_and_exercises_import_course_alone() -> None:
    wrong = []
    for name in tracked("lectures/*.qmd", "exercises/source/*.py"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and len(words) > 1:
                if words[1].partition(".")[0] in {"tools", "render", "tests"}:
                    wrong.append(f"{name}: {line}")
    assert wrong == []


def test_no_module_imports_itself_by_a_way_round() -> None:
    known = modules()
    graph = {
        module: {each for each in imports_of(name, tree_of(name)) if each in known and each != module}
        for module, name in known.items()
    }
    # A package's own __init__ may gather its modules, which may not look back at it.
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> None:
        assert module not in way, " → ".join([*way[way.index(module) :], module])
        if module not in done:
            for each in sorted(graph[module]):
                walk(each, [*way, module])
            done.add(module)

    for module in sorted(graph):
        walk(module, [])


def test_no_code_lies_among_the_files() -> None:
    assert [name for name in PYTHON if name.startswith(("assets/", "data/", "cache/"))] == []


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name in PYTHON:
        if PurePosixPath(name).parts[0] in ROOMS:
            for node in ast.walk(tree_of(name)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield name, node


def test_functions_are_short() -> None:
    """Of their lines the docstring does not count: it is the longer, the better a function is told."""
    long = []
    for name, node in functions():
        text = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
        lines = node.end_lineno - node.lineno + 1 - (text.end_lineno - text.lineno + 1 if text else 0)
        if lines > LONGEST_FUNCTION:
            long.append(f"{name}: {node.name} has {lines} lines")
    assert long == []


def test_docstrings_speak_one_dialect() -> None:
    """NumPy's: `Parameters`, `Returns`, `Raises`, each underlined."""
    wrong = []
    for name, node in functions():
        lines = [line.strip() for line in (ast.get_docstring(node) or "").splitlines()]
        if any(line.startswith(DIALECTS) for line in lines):
            wrong.append(f"{name}: {node.name}")
    assert wrong == []


def test_public_functions_have_a_docstring() -> None:
    wrong = []
    for name in PYTHON:
        if PurePosixPath(name).parts[0] in ROOMS:
            for node in tree_of(name).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                    if node.name != "main" and ast.get_docstring(node) is None:
                        wrong.append(f"{name}: {node.name}")
    assert wrong == []
