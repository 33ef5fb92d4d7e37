"""Running the cells of an exercise's source, and whole notebooks in a kernel, for their tests."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import nbformat

from render.client import NotebookClient
from render.exercises import SOURCE, Exercise, SourceCell, read_exercise, split_answer

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = sorted((REPOSITORY / SOURCE).glob("*.py"))


def run_cell(text: str, namespace: dict[str, Any], name: str) -> str:
    """Run a cell's code and return what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), matplotlib.rc_context():
        exec(compile(text, name, "exec"), namespace)
    plt.close("all")
    return printed.getvalue()


class Walk:
    """Goes through an exercise with the right answers and stops at each check.

    At each check `namespace` holds what a student's kernel would hold.
    """

    def __init__(self, path: Path):
        matplotlib.use("agg")
        self.exercise: Exercise = read_exercise(path)
        self.namespace: dict[str, Any] = {"__name__": "__main__"}

    def checks(self):
        """Yield (name, check's cell, answer's cell, wrong answers' cells) for each task."""
        cells = self.exercise.cells
        for cell in cells:
            if cell.kind != "code" or "wrong" in cell.metadata:
                continue
            name = cell.names("check")
            if name is None:
                self.run(cell)
                continue
            answer = next(each for each in cells if each.names("task") == name)
            wrong = [each for each in cells if each.names("wrong") == name]
            yield name, cell, answer, wrong
            self.run(cell)

    def run(self, cell: SourceCell) -> str:
        text = split_answer(cell.text)[0] if "task" in cell.metadata else cell.text
        return run_cell(text, self.namespace, self.exercise.name)

    def attempt(self, answer: str, check: SourceCell) -> str:
        """Run the check on another answer; returns what it prints. The namespace stays."""
        namespace = dict(self.namespace)
        run_cell(answer, namespace, self.exercise.name)
        return run_cell(check.text, namespace, self.exercise.name)


def run_notebook(path: Path, seconds: int = 300, **environment: str) -> nbformat.NotebookNode:
    """The notebook as it is after a run of all its cells in its own folder."""
    read = nbformat.read(path, as_version=4)
    client = NotebookClient(read, timeout=seconds, resources={"metadata": {"path": path.parent}})
    client.execute(env=os.environ | environment)
    return read


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


def errors(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The outputs of a cell that are errors."""
    return [each for each in cell.get("outputs", []) if each.output_type == "error"]
