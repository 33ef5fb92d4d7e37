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
from tools.exercises import SOURCE, read_exercise, split_answer

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
        self.name, self.cells = path.stem, read_exercise(path)
        self.namespace: dict[str, Any] = {"__name__": "__main__"}

    def checks(self):
        """Yield (name, check's cell, answer's cell, wrong answers' cells) for each task."""
        for cell in self.cells:
            if cell.cell_type != "code" or "wrong" in cell.metadata:
                continue
            name = cell.metadata.get("check")
            if name is None:
                self.run(cell)
                continue
            answer = next(each for each in self.cells if each.metadata.get("task") == name)
            wrong = [each for each in self.cells if each.metadata.get("wrong") == name]
            yield name, cell, answer, wrong
            self.run(cell)

    def run(self, cell: nbformat.NotebookNode) -> str:
        text = split_answer(cell.source)[0] if "task" in cell.metadata else cell.source
        return run_cell(text, self.namespace, self.name)

    def attempt(self, answer: str, check: nbformat.NotebookNode) -> str:
        """Run the check on another answer; returns what it prints. The namespace stays."""
        namespace = dict(self.namespace)
        run_cell(answer, namespace, self.name)
        return run_cell(check.source, namespace, self.name)


def run_notebook(path: Path, seconds: int = 300, **environment: str) -> nbformat.NotebookNode:
    """The notebook as it is after a run of all its cells in its own folder."""
    read = nbformat.read(path, as_version=4)
    client = NotebookClient(read, timeout=seconds, resources={"metadata": {"path": path.parent}})
    client.execute(env=os.environ | environment)
    return read


def solution_lines(cells: list[nbformat.NotebookNode]) -> list[str]:
    """Every line of the exercise that a hand-out must not show, without indentation."""
    lines = []
    for cell in cells:
        if "task" in cell.metadata:
            solution, blank = split_answer(cell.source)
            kept = [line.strip() for line in blank.splitlines()]
            lines += [line.strip() for line in solution.splitlines() if line.strip() not in kept]
        elif cell.metadata.get("solution"):
            lines += [line.strip() for line in cell.source.splitlines()]
    return [line for line in lines if line]


def errors(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The outputs of a cell that are errors."""
    return [each for each in cell.get("outputs", []) if each.output_type == "error"]
