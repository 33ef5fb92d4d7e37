"""Every exercise: its files are up to date, nothing leaks. Its answers are tried in tests/whole."""

from __future__ import annotations

import re

import nbformat
import pytest

from render.project import Project
from tests.exercise_runs import REPOSITORY, SOURCES, solution_lines
from tools.exercises import FOLDER, SOLUTIONS, TASK_HEADING, outputs, read_exercise
from tools.notebooks import outputs as lecture_notebooks

NAMES = [path.stem for path in SOURCES]
# Lines that say nothing about an answer: brackets, `else:` and the like.
TELLING = re.compile(r"\w{2}.*\W.*\w|\w\W+\w")


@pytest.fixture(scope="module")
def expected():
    return outputs(Project.load(REPOSITORY))


@pytest.fixture(params=SOURCES, ids=NAMES)
def source(request):
    return request.param


def notebook(folder, name):
    return nbformat.read(REPOSITORY / folder / f"{name}.ipynb", as_version=4)


def test_every_lecture_has_an_exercise():
    lectures = {path.stem[:2] for path in (REPOSITORY / "lectures").glob("[0-9]*.qmd")}
    missing = sorted(lectures - {name[:2] for name in NAMES})
    assert not missing, f"lectures {missing} have no exercise; exercises/README.md has one to copy"


def check_up_to_date(expected, folders):
    found = {path: path.read_bytes() for folder in folders for path in folder.glob("*.ipynb")}
    changed = sorted(
        path.name for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)
    )
    assert not changed, f"run `make ready`; not up to date: {', '.join(changed)}"


def test_generated_files_are_up_to_date(expected):
    check_up_to_date(expected, [REPOSITORY / FOLDER, REPOSITORY / SOLUTIONS])


def test_lecture_notebooks_are_up_to_date():
    """The notebooks of the lectures are what their sources give, to the byte."""
    folder = REPOSITORY / "notebooks"
    project = Project.load(REPOSITORY)
    check_up_to_date(lecture_notebooks(project, folder, project.pages()), [folder])


def test_notebooks_are_valid_clean_and_stable(source, expected):
    again = outputs(Project.load(REPOSITORY))
    for folder in (FOLDER, SOLUTIONS):
        path = REPOSITORY / folder / f"{source.stem}.ipynb"
        assert expected[path] == again[path]
        read = notebook(folder, source.stem)
        nbformat.validate(read)
        identifiers = [cell.id for cell in read.cells]
        assert len(set(identifiers)) == len(identifiers)
        for cell in read.cells:
            assert cell.get("outputs", []) == [] and cell.get("execution_count") is None


def test_tasks_are_four_to_six_in_an_hour(source):
    cells = read_exercise(source)
    prose = (cell.source for cell in cells if cell.cell_type == "markdown")
    headings = [heading for text in prose for heading in TASK_HEADING.finditer(text)]
    assert [int(each["number"]) for each in headings] == list(range(1, len(headings) + 1))
    assert len(headings) == len([cell for cell in cells if "task" in cell.metadata])
    assert 4 <= len(headings) <= 6
    assert 50 <= sum(int(each["minutes"]) for each in headings) <= 75


def test_each_task_has_wrong_answers_and_a_hint(source):
    cells = read_exercise(source)
    tasks = [cell.metadata["task"] for cell in cells if "task" in cell.metadata]
    for task in tasks:
        wrong = [cell for cell in cells if cell.metadata.get("wrong") == task]
        assert len(wrong) >= 2, f"{task} has {len(wrong)} wrong answers"
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert prose.count("<details>") == prose.count("</details>") >= len(tasks)


def test_no_line_of_a_solution_is_in_a_hand_out(source):
    cells = read_exercise(source)
    hidden = [line for line in solution_lines(cells) if TELLING.search(line)]
    assert hidden
    hand_out = "\n".join(cell.source for cell in notebook(FOLDER, source.stem).cells)
    checks = "\n".join(
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "course" / "checks").glob("*.py")
    )
    given = {line.strip() for text in (hand_out, checks) for line in text.splitlines()}
    leaked = [line for line in hidden if line in given or (len(line) >= 12 and line in hand_out + checks)]
    assert not leaked
    for cell in cells:
        assert "wrong" not in cell.metadata or cell.source not in hand_out, "a wrong answer is shown"
    assert "--- solution ---" not in hand_out and "wrong=" not in hand_out
