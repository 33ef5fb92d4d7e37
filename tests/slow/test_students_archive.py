"""A student's way: unpack the archive elsewhere, set it up, open an exercise, take a newer version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import nbformat
import pytest

from render.project import Project
from tests.exercise_runs import REPOSITORY, SOURCES, errors, run_notebook
from tools import students
from tools.notebooks import notebook

NAME = f"exercises/{SOURCES[1].stem}.ipynb"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The archive, unpacked, with an environment that has our packages but not our `course`."""
    place = tmp_path_factory.mktemp("a student")
    archive = students.write(place / "made" / "course", students.contents(Project.load(REPOSITORY)))
    shutil.unpack_archive(archive, place)
    folder = place / "course"
    venv.create(folder / ".venv", with_pip=False, symlinks=os.name != "nt")
    python = folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    ours, theirs = (
        Path(subprocess.check_output([each, "-c", where], encoding="utf-8").strip())
        for each in (sys.executable, python)
    )
    # Packages are found where ours lie; what an editable installation adds for `course` is not read there.
    (theirs / "ours.pth").write_text(f"{ours}\n", encoding="utf-8")
    (theirs / "course.pth").write_text(f"{folder}\n", encoding="utf-8")
    return folder, python


def run(unpacked, *words: str, status: int = 0) -> str:
    folder, python = unpacked
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("COURSE_", "PYTHON"))}
    done = subprocess.run(
        [python, *words], cwd=folder, env=plain | {"PYTHONUTF8": "1"}, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_the_commands_of_the_readme(unpacked) -> None:
    folder, _ = unpacked
    place = run(unpacked, "-c", "import course; print(course.__file__)").strip()
    assert Path(place).is_relative_to(folder)
    run(unpacked, "-m", "tools.teach", "--help")
    # The packages are borrowed, which it says; all else is well.
    said = run(unpacked, "-m", "tools.check", "--patience", "90", status=1)
    assert [line.split()[1] for line in said.splitlines() if "FAIL" in line] == ["Packages"]
    assert "1 of 10 checks failed" in said and "another folder" in said
    run(unpacked, "-m", "tools.sheet", "--out", "sheet.pdf")
    assert (folder / "sheet.pdf").is_file()


def test_an_exercise_from_the_archive_to_the_next_version(unpacked) -> None:
    folder, _ = unpacked
    run(unpacked, "-m", "tools.lab", "--prepare")
    mine = folder / "my-work" / NAME
    # The kernel is the one of this environment, told where the student's course lies.
    ran = run_notebook(mine, PYTHONPATH=str(folder))
    wrong = [cell.source for cell in ran.cells if errors(cell) and "check." not in cell.source]
    assert wrong == []
    nbformat.write(ran, mine)
    before = mine.read_bytes()
    cells = nbformat.read(folder / NAME, as_version=4).cells
    cells[-1].source += "\n# the next version"
    (folder / NAME).write_bytes(notebook(cells))
    assert f"{NAME} has changed since you began" in run(unpacked, "-m", "tools.lab", "--prepare")
    assert mine.read_bytes() == before
    assert "the next version" in mine.with_suffix(".newer.ipynb").read_text(encoding="utf-8")
