"""`python -m render exercises`: each exercise as a hand-out and as a solution, from one source.

`exercises/source/NN-name.py` is a notebook in jupytext's percent format. These cells are special:

- `# %% task="name"` holds an answer. In it, the lines from `# --- solution ---` to
  `# --- blank ---` or `# --- end ---` go into the solution. Those from `# --- blank ---` to
  `# --- end ---`, with their leading `# ` taken off, go into the hand-out. Without a blank part the
  hand-out gets three dots.
- `# %% check="name"` calls the check of that answer, and may go on with what needs the answer.
- `# %% wrong="name" says="words"` is a common wrong answer, in full. It goes nowhere; the tests run
  it in place of the answer and want the check to fail with these words.
- `# %% [markdown] solution=true` is text for the solution alone.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from .colab import Repository, notebook, notebook_cell
from .project import Project
from .qmd import RenderError, read_text
from .quarto_post_render import write_changed

FOLDER = "exercises"
SOURCE = "exercises/source"
SOLUTIONS = "exercises/solutions"

MARK = re.compile(r"^(?P<indent>[ ]*)# --- (?P<what>solution|blank|end) ---\s*$")
DOTS = "...  # your answer"
TASK_HEADING = re.compile(r"^## Task (?P<number>\d+): (?P<name>.+) \((?P<minutes>\d+) minutes\)$")
KINDS = ("task", "check", "wrong")
KNOWN_METADATA = {*KINDS, "says", "solution", "tags"}


@dataclass
class SourceCell:
    """One cell of a source: "markdown" or "code", its text and its special metadata."""

    kind: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def names(self, what: str) -> str | None:
        """The task that this cell is the answer, the check or a wrong answer of."""
        return self.metadata.get(what)


@dataclass
class Exercise:
    """An exercise as its source has it."""

    path: Path
    cells: list[SourceCell]

    @property
    def name(self) -> str:
        return self.path.stem

    def tasks(self) -> list[str]:
        """The names of the tasks, in order."""
        return [cell.metadata["task"] for cell in self.cells if "task" in cell.metadata]

    def headings(self) -> list[re.Match[str]]:
        """The tasks' headings: number, name and minutes."""
        lines = (line for cell in self.cells if cell.kind == "markdown" for line in cell.text.splitlines())
        return [match for line in lines if (match := TASK_HEADING.match(line))]


def read_exercise(path: Path) -> Exercise:
    """Read and check a source; a RenderError says what is wrong with it."""
    import jupytext

    cells = []
    for cell in jupytext.reads(read_text(path, path.name), fmt="py:percent").cells:
        metadata = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
        cells.append(SourceCell(cell.cell_type, cell.source.rstrip(), metadata))
    exercise = Exercise(path, cells)
    if not cells or not cells[0].text.startswith("# "):
        raise RenderError("the first cell must be Markdown that begins with the title, `# …`", path.name)
    seen: list[str] = []
    for cell in cells:
        if problem := _problem_of(cell, seen):
            raise RenderError(problem, path.name)
    checked = [cell.metadata["check"] for cell in cells if "check" in cell.metadata]
    if checked != seen:
        message = f"each task needs one check, in the same order; tasks {seen}, checks {checked}"
        raise RenderError(message, path.name)
    return exercise


def _problem_of(cell: SourceCell, seen: list[str]) -> str:
    """What is wrong with a cell, or ""; a task's name joins those that were seen."""
    unknown = sorted(set(cell.metadata) - KNOWN_METADATA)
    if unknown:
        return f"a cell has '{unknown[0]}'; known are {', '.join(sorted(KNOWN_METADATA))}"
    special = [kind for kind in KINDS if kind in cell.metadata]
    if len(special) > 1:
        return f"a cell is both {' and '.join(special)}"
    kind = special[0] if special else ""
    name = cell.metadata[kind] if kind else ""
    if (kind == "wrong") != ("says" in cell.metadata):
        return 'a wrong answer needs both wrong="task" and says="words of the message"'
    marks = [match["what"] for line in cell.text.splitlines() if (match := MARK.match(line))]
    if kind != "task" and marks:
        return f"a cell that is no task has the mark '# --- {marks[0]} ---'"
    if kind == "task" and not re.fullmatch(r"(solution (blank )?end ?)+", " ".join(marks)):
        parts = "'# --- solution ---', perhaps '# --- blank ---', and '# --- end ---'"
        return f"task '{name}' needs {parts}, in this order"
    if kind and not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return f"'{name}' is no name of a task: use lower-case letters, digits and underscores"
    if kind == "task":
        if name in seen:
            return f"two cells are task '{name}'"
        seen.append(name)
    if kind and name not in seen:
        return f"a cell is {kind}='{name}', but no task before it has that name"
    return ""


def split_answer(text: str) -> tuple[str, str]:
    """A task's cell as the solution and as the hand-out have it."""
    solution: list[str] = []
    blank: list[str] = []
    state = "both"
    indent = ""
    has_blank = False
    for line in text.splitlines():
        mark = MARK.match(line)
        if mark:
            if mark["what"] == "end":
                if not has_blank:
                    blank.append(indent + DOTS)
                state = "both"
            else:
                has_blank = mark["what"] == "blank"
                state, indent = mark["what"], mark["indent"]
            continue
        if state in ("both", "solution"):
            solution.append(line)
        if state == "both":
            blank.append(line)
        elif state == "blank":
            blank.append(re.sub(r"^( *)# ?", r"\1", line))
    return "\n".join(solution), "\n".join(blank)


def exercise_cells(exercise: Exercise, repository: Repository, *, solution: bool) -> list[dict[str, Any]]:
    """The cells of the hand-out or of the solution."""
    first = exercise.cells[0].text
    if solution:
        title, _, rest = first.partition("\n")
        first = f"{title}: solution\n{rest}"
    path = f"{SOLUTIONS if solution else FOLDER}/{exercise.name}.ipynb"
    cells = repository.frame(path, first.rstrip(), "title")
    section, number = "start", 0
    for source in exercise.cells[1:]:
        if "wrong" in source.metadata or (source.metadata.get("solution") and not solution):
            continue
        line = source.text.partition("\n")[0]
        if heading := TASK_HEADING.match(line):
            section, number = f"task-{heading['number']}", 0
        elif source.kind == "markdown" and line.startswith("## "):
            section, number = re.sub(r"\W+", "-", line.lower()).strip("-")[:40], 0
        text = source.text
        tags = list(source.metadata.get("tags", []))
        if task := source.names("task"):
            text = split_answer(text)[0 if solution else 1]
            identifier = f"{task}-answer"
        elif task := source.names("check"):
            identifier = f"{task}-check"
            if not solution:
                # So that "Run all" shows every check's message and not only the first.
                tags.append("raises-exception")
        elif source.metadata.get("solution"):
            identifier = f"{section}-solution-{number + 1}"
        else:
            number += 1
            identifier = f"{section}-{number}"
        cells.append(notebook_cell(source.kind, text, identifier.replace("_", "-"), tags=tags))
    return cells


def outputs(project: Project) -> dict[str, bytes]:
    """What each generated file should hold, by its path in the repository."""
    repository = Repository.of(project)
    found = {}
    for path in sorted((project.root / SOURCE).glob("*.py")):
        exercise = read_exercise(path)
        for folder, solution in ((FOLDER, False), (SOLUTIONS, True)):
            made = notebook(exercise_cells(exercise, repository, solution=solution))
            text = nbformat.writes(nbformat.from_dict(made)) + "\n"
            found[f"{folder}/{exercise.name}.ipynb"] = text.encode("utf-8")
    if not found:
        raise RenderError(f"{SOURCE}/ holds no exercise")
    return found


def command(project: Project, parser: ArgumentParser, arguments: list[str]) -> int:
    """Write every hand-out and solution; say what changed, and remove what has no source."""
    parser.parse_args(arguments)
    expected = outputs(project)
    for name, data in expected.items():
        print(f"{name}: {'written' if write_changed(project.root / name, data) else 'unchanged'}")
    for folder in (FOLDER, SOLUTIONS):
        for path in sorted((project.root / folder).glob("*.ipynb")):
            name = path.relative_to(project.root).as_posix()
            if name not in expected:
                path.unlink()
                print(f"{name}: removed, it has no source")
    return 0
