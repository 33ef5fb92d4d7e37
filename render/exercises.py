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

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from .colab import Repository
from .dependencies import write_atomically
from .errors import RenderError
from .project import Project
from .qmd import read_text

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
    """One cell of a source: "markdown" or "code", its text, its special metadata, its place."""

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
    """Read and check a source.

    Raises
    ------
    RenderError: a cell has metadata that mean nothing, a task has no check or no solution, or a
        mark is out of place.
    """
    import jupytext

    read = jupytext.reads(read_text(path, path.name), fmt="py:percent")
    cells = []
    for cell in read.cells:
        metadata = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
        unknown = sorted(set(metadata) - KNOWN_METADATA)
        if unknown:
            raise RenderError(
                f"a cell has '{unknown[0]}'; known are {', '.join(sorted(KNOWN_METADATA))}", path.name
            )
        cells.append(SourceCell(cell.cell_type, cell.source.rstrip(), metadata))
    exercise = Exercise(path, cells)
    _check(exercise)
    return exercise


def _check(exercise: Exercise) -> None:
    def stop(message: str) -> None:
        raise RenderError(message, exercise.path.name)

    if not exercise.cells or not exercise.cells[0].text.startswith("# "):
        stop("the first cell must be Markdown that begins with the title, `# …`")
    seen: list[str] = []
    checked: list[str] = []
    for cell in exercise.cells:
        special = [kind for kind in KINDS if kind in cell.metadata]
        if len(special) > 1:
            stop(f"a cell is both {' and '.join(special)}")
        if ("wrong" in special) != ("says" in cell.metadata):
            stop('a wrong answer needs both wrong="task" and says="words of the message"')
        marks = [match["what"] for line in cell.text.splitlines() if (match := MARK.match(line))]
        if special != ["task"]:
            if marks:
                stop(f"a cell that is no task has the mark '# --- {marks[0]} ---'")
        elif not re.fullmatch(r"(solution (blank )?end ?)+", " ".join(marks)):
            stop(
                f"task '{cell.metadata['task']}' needs '# --- solution ---', perhaps "
                "'# --- blank ---', and '# --- end ---', in this order"
            )
        name = next((cell.metadata[kind] for kind in special), "")
        if special and not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            stop(f"'{name}' is no name of a task: use lower-case letters, digits and underscores")
        if special == ["task"]:
            if name in seen:
                stop(f"two cells are task '{name}'")
            seen.append(name)
        elif special == ["check"]:
            checked.append(name)
        if special and name not in seen:
            stop(f"a cell is {special[0]}='{name}', but no task before it has that name")
    if checked != seen:
        stop(f"each task needs one check, in the same order; tasks {seen}, checks {checked}")


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


def solution_lines(exercise: Exercise) -> list[str]:
    """Every line of the exercise that a hand-out must not show, without indentation."""
    lines = []
    for cell in exercise.cells:
        if "task" in cell.metadata:
            solution, blank = split_answer(cell.text)
            kept = [line.strip() for line in blank.splitlines()]
            lines += [line.strip() for line in solution.splitlines() if line.strip() not in kept]
        elif cell.metadata.get("solution"):
            lines += [line.strip() for line in cell.text.splitlines()]
    return [line for line in lines if line]


def notebook(exercise: Exercise, repository: Repository, *, solution: bool) -> dict[str, Any]:
    """The hand-out or the solution as a notebook (nbformat 4.5) without outputs."""
    folder = SOLUTIONS if solution else FOLDER
    path = f"{folder}/{exercise.name}.ipynb"
    first = exercise.cells[0].text
    if solution:
        title, _, rest = first.partition("\n")
        first = f"{title}: solution\n{rest}"
    cells = [
        _cell("markdown", repository.badge(path), "badge"),
        _cell("markdown", first.rstrip(), "title"),
        _cell("code", repository.setup(), "setup"),
    ]
    section, number = "start", 0
    for source in exercise.cells[1:]:
        if "wrong" in source.metadata or (source.metadata.get("solution") and not solution):
            continue
        heading = TASK_HEADING.match(source.text.partition("\n")[0])
        if heading:
            section, number = f"task-{heading['number']}", 0
        elif source.kind == "markdown" and source.text.startswith("## "):
            section = re.sub(r"\W+", "-", source.text.partition("\n")[0].lower()).strip("-")[:40]
            number = 0
        text = source.text
        tags = list(source.metadata.get("tags", []))
        if "task" in source.metadata:
            text = split_answer(text)[0 if solution else 1]
            identifier = f"{source.metadata['task']}-answer"
        elif "check" in source.metadata:
            identifier = f"{source.metadata['check']}-check"
            if not solution:
                # So that "Run all" shows every check's message and not only the first.
                tags.append("raises-exception")
        else:
            number += 1
            identifier = f"{section}-{number}"
            if source.metadata.get("solution"):
                identifier, number = f"{section}-solution-{number}", number - 1
        cells.append(_cell(source.kind, text, identifier.replace("_", "-"), tags))
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(kind: str, text: str, identifier: str, tags: list[str] | None = None) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": kind,
        "id": identifier,
        "metadata": {"tags": tags} if tags else {},
        "source": text,
    }
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell


def outputs(project: Project) -> dict[str, bytes]:
    """What each generated file should hold, by its path in the repository.

    Raises
    ------
    RenderError: a source is at fault, or there is none.
    """
    repository = Repository.of(project)
    sources = sorted((project.root / SOURCE).glob("*.py"))
    if not sources:
        raise RenderError(f"{SOURCE}/ holds no exercise")
    found = {}
    for path in sources:
        exercise = read_exercise(path)
        for folder, solution in ((FOLDER, False), (SOLUTIONS, True)):
            made = notebook(exercise, repository, solution=solution)
            text = nbformat.writes(nbformat.from_dict(made)) + "\n"
            found[f"{folder}/{exercise.name}.ipynb"] = text.encode("utf-8")
    return found


def command(arguments: list[str]) -> int:
    """Write every hand-out and solution; say what changed, and remove what has no source."""
    from .__main__ import find_root

    parser = argparse.ArgumentParser(
        prog="python -m render exercises",
        description="Write each exercise of exercises/source/ as a hand-out and a solution.",
    )
    parser.parse_args(arguments)
    project = Project.load(find_root(Path.cwd()))
    expected = outputs(project)
    for name, data in expected.items():
        path = project.root / name
        changed = not path.is_file() or path.read_bytes() != data
        if changed:
            write_atomically(path, data)
        print(f"{name}: {'written' if changed else 'unchanged'}")
    for folder in (FOLDER, SOLUTIONS):
        for path in sorted((project.root / folder).glob("*.ipynb")):
            name = path.relative_to(project.root).as_posix()
            if name not in expected:
                path.unlink()
                print(f"{name}: removed, it has no source")
    return 0
