"""`python -m tools.exercises`: each exercise as a hand-out and as a solution, from one source.

`exercises/source/NN-name.py` is a notebook in jupytext's percent format, whose special cells and marks are
those of exercises/README.md.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from render.__main__ import run_command
from render.frame import Repository
from render.notebook import is_worked, origin
from render.project import Project
from render.qmd import RenderError, read_text
from tools.lab import write_notebooks
from tools.notebooks import frame, notebook, notebook_cell

FOLDER = "exercises"
SOURCE = "exercises/source"
SOLUTIONS = "exercises/solutions"

MARK = re.compile(r"^ *# --- (?:solution|blank|end) ---$", re.MULTILINE)
PART = re.compile(
    r"^(?P<indent> *)# --- solution ---\n(?P<solution>.*?)"
    r"(?:^ *# --- blank ---\n(?P<blank>.*?))?^ *# --- end ---(?:\n|$)",
    re.MULTILINE | re.DOTALL,
)
DOTS = "...  # your answer"
CHECKS_IMPORTED = re.compile(r"^from course\.checks import .+", re.MULTILINE)
TASK_HEADING = re.compile(r"^## Task (?P<number>\d+): .+ \((?P<minutes>\d+) minutes\)$", re.MULTILINE)
KNOWN_METADATA = {"task", "check", "wrong", "says", "solution", "tags"}


def read_exercise(path: Path) -> list[dict[str, Any]]:
    """The cells of a source, as nbformat has them; a RenderError says what is wrong with it."""
    import jupytext

    cells = jupytext.reads(read_text(path, path.name), fmt="py:percent").cells
    tasks = [cell.metadata["task"] for cell in cells if "task" in cell.metadata]
    checks = [cell.metadata["check"] for cell in cells if "check" in cell.metadata]
    if not cells or not cells[0].source.startswith("# "):
        raise RenderError("the first cell must be Markdown that begins with the title, `# …`", path.name)
    if checks != tasks:
        message = f"each task needs one check, in the same order; tasks {tasks}, checks {checks}"
        raise RenderError(message, path.name)
    for cell in cells:
        cell.source = cell.source.rstrip()
        cell.metadata.pop("lines_to_next_cell", None)
        if problem := _problem_of(cell, tasks):
            raise RenderError(f"{problem}: {cell.source[:60]}", path.name)
    return cells


def _problem_of(cell: Any, tasks: list[str]) -> str:
    """What is wrong with a cell, or ""."""
    if unknown := sorted(cell.metadata.keys() - KNOWN_METADATA):
        return f"a cell has '{unknown[0]}'; known are {', '.join(sorted(KNOWN_METADATA))}"
    if "wrong" in cell.metadata and (cell.metadata["wrong"] not in tasks or "says" not in cell.metadata):
        return 'a wrong answer needs the name of a task, wrong="task", and says="words of the message"'
    marked = MARK.search("\n".join(split_answer(cell.source)))
    if marked or ("task" in cell.metadata) != bool(PART.search(cell.source)):
        parts = "'# --- solution ---', perhaps '# --- blank ---', and '# --- end ---'"
        return f"a task, and no other cell, has {parts}, in this order"
    return ""


def split_answer(text: str) -> tuple[str, str]:
    """A task's cell as the solution and as the hand-out have it."""

    def blank(part: re.Match[str]) -> str:
        if part["blank"] is None:
            return f"{part['indent']}{DOTS}\n"
        return re.sub(r"^( *)# ?", r"\1", part["blank"], flags=re.MULTILINE)

    return PART.sub(r"\g<solution>", text).rstrip("\n"), PART.sub(blank, text).rstrip("\n")


def exercise_cells(
    name: str, cells: list[Any], repository: Repository, *, solution: bool
) -> list[dict[str, Any]]:
    """The cells of the hand-out or of the solution."""
    title, _, rest = cells[0].source.partition("\n")
    first = f"{title}{': solution' if solution else ''}\n{rest}".rstrip()
    made = frame(repository, f"{SOLUTIONS if solution else FOLDER}/{name}.ipynb", first, "title")
    imported = CHECKS_IMPORTED.search("\n".join(cell.source for cell in cells))
    section, number = "start", 0
    for cell in cells[1:]:
        text, metadata = cell.source, cell.metadata
        if "wrong" in metadata or (metadata.get("solution") and not solution):
            continue
        tags = list(metadata.get("tags", []))
        if heading := TASK_HEADING.match(text):
            section, number = f"task-{heading['number']}", 0
        elif cell.cell_type == "markdown" and text.startswith("## "):
            section, number = re.sub(r"\W+", "-", text.partition("\n")[0].lower()).strip("-")[:40], 0
        if task := metadata.get("task"):
            text = split_answer(text)[0 if solution else 1]
            identifier = f"{task}-answer"
        elif task := metadata.get("check"):
            identifier = f"{task}-check"
            # So that the check is there after a restart, and says what is missing.
            text = f"{imported[0]}\n\n{text}" if imported else text
            if not solution:
                # So that "Run all" shows every check's message and not only the first.
                tags.append("raises-exception")
        elif metadata.get("solution"):
            identifier = f"{section}-solution-{number + 1}"
        else:
            number += 1
            identifier = f"{section}-{number}"
        made.append(notebook_cell(cell.cell_type, text, identifier.replace("_", "-"), tags=tags))
    return made


def outputs(project: Project) -> dict[Path, bytes]:
    """What each hand-out and each solution should hold."""
    repository = Repository.of(project)
    found = {}
    for path in sorted((project.root / SOURCE).glob("*.py")):
        cells = read_exercise(path)
        for folder, solution in ((FOLDER, False), (SOLUTIONS, True)):
            made = exercise_cells(path.stem, cells, repository, solution=solution)
            found[project.root / folder / f"{path.stem}.ipynb"] = notebook(made)
    return found


def command(project: Project) -> int:
    """Write every hand-out and solution; say what changed, and remove what has no source."""
    ArgumentParser(description=__doc__).parse_args()
    made = outputs(project)
    write_notebooks(made)
    for folder in (FOLDER, SOLUTIONS):
        for path in (project.root / folder).glob("*.ipynb"):
            if path in made:
                continue
            if origin(path.read_bytes()) and not is_worked(path):
                path.unlink()
                print(f"{folder}/{path.name}: removed, it has no source")
            else:
                print(f"{folder}/{path.name} has no source and is somebody's work: move it elsewhere")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(command))
