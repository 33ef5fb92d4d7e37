"""Work is safe: copies in my-work/, newer versions beside them, nothing overwritten or published."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from render.notebook import is_worked, origin, refuse_work
from render.project import Project
from render.qmd import RenderError
from tests.exercise_runs import REPOSITORY
from tests.render_command import FORMATS, run_render
from tools import lab
from tools.exercises import command as write_exercises
from tools.notebooks import notebook, notebook_cell

NAME = "exercises/01-a.ipynb"


def hand_out(text: str = "x = ...", release: str = "v1") -> bytes:
    """A small hand-out; badge and set-up name a release."""
    return notebook(
        [
            notebook_cell(
                "markdown", f"[![badge](../assets/images/badge.svg)](https://x/{release})", "badge"
            ),
            notebook_cell("code", f"fetch({release!r})", "setup"),
            notebook_cell("code", text, "task-answer"),
        ]
    )


def work(path: Path, answer: str = "x = 3", *, run: bool = False) -> bytes:
    """What JupyterLab saves after a student has typed an answer, or only run the cells."""
    read = nbformat.read(path, as_version=4)
    cell = read.cells[-1]
    cell.source = cell.source if run else answer
    if run:
        cell.execution_count = 1
        cell.outputs = [nbformat.v4.new_output("stream", text="hello\n")]
    read.metadata["widgets"] = {}
    nbformat.write(read, path)
    return path.read_bytes()


@pytest.fixture
def course(tmp_path):
    """A course with one exercise, and the student's folder."""
    root, mine = tmp_path / "course", tmp_path / "mine"
    for name, data in (
        (NAME, hand_out()),
        ("assets/images/badge.svg", b"<svg/>"),
        (lab.RELEASED, b"# none\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root, mine


def test_a_folder_is_made_with_what_the_notebooks_show(course) -> None:
    root, mine = course
    assert lab.prepare(mine, root) == []
    assert (mine / NAME).read_bytes() == hand_out()
    assert (mine / "assets/images/badge.svg").is_file()
    assert not is_worked(mine / NAME)


def test_what_nobody_worked_in_follows_the_hand_out(course) -> None:
    root, mine = course
    lab.prepare(mine, root)
    nbformat.write(nbformat.read(mine / NAME, as_version=4), mine / NAME)  # saved, and nothing typed
    (root / NAME).write_bytes(hand_out("y = ..."))
    (told,) = lab.prepare(mine, root)
    assert NAME in told and "had not worked in" in told
    assert (mine / NAME).read_bytes() == hand_out("y = ...")
    assert lab.prepare(mine, root) == []


@pytest.mark.parametrize("run", [False, True], ids=["answered", "run"])
def test_work_stays_and_newer_versions_are_laid_beside(course, run) -> None:
    root, mine = course
    lab.prepare(mine, root)
    mine_before = work(mine / NAME, run=run)
    assert lab.prepare(mine, root) == []
    newer = mine / "exercises/01-a.newer.ipynb"
    (root / NAME).write_bytes(hand_out("y = ..."))
    (told,) = lab.prepare(mine, root)
    assert NAME in told and "newer.ipynb" in told
    assert (mine / NAME).read_bytes() == mine_before and newer.read_bytes() == hand_out("y = ...")
    # Said once; what the student throws away stays away.
    newer.unlink()
    assert lab.prepare(mine, root) == [] and not newer.exists()
    # A newer version that was worked in is work as well.
    (root / NAME).write_bytes(hand_out("z = ..."))
    lab.prepare(mine, root)
    newer_before = work(newer)
    (root / NAME).write_bytes(hand_out("w = ..."))
    lab.prepare(mine, root)
    assert (mine / NAME).read_bytes() == mine_before and newer.read_bytes() == newer_before
    assert newer.with_name("01-a.newer-2.ipynb").read_bytes() == hand_out("w = ...")


def test_a_release_alone_is_no_newer_version(course) -> None:
    """Badge and set-up cell change with each release; neither means anything in JupyterLab."""
    root, mine = course
    lab.prepare(mine, root)
    before = work(mine / NAME)
    (root / NAME).write_bytes(hand_out(release="v2"))
    assert lab.prepare(mine, root) == []
    assert (mine / NAME).read_bytes() == before
    assert [path.name for path in (mine / "exercises").iterdir()] == ["01-a.ipynb"]


def test_a_lost_record_loses_nothing(course) -> None:
    root, mine = course
    lab.prepare(mine, root)
    before = work(mine / NAME)
    (mine / lab.RECORD).unlink()
    assert lab.prepare(mine, root) == []
    (mine / lab.RECORD).write_text("{", encoding="utf-8")
    assert lab.prepare(mine, root) == []
    assert (mine / NAME).read_bytes() == before


def test_who_worked_in_a_hand_out_goes_on_in_a_copy(course) -> None:
    root, mine = course
    done = work(root / NAME)
    (told,) = lab.prepare(mine, root)
    assert NAME in told and "go on there" in told
    assert (mine / NAME).read_bytes() == done
    assert lab.prepare(mine, root) == []
    # More work in the wrong place, once the right one holds other work.
    work(mine / NAME, "x = 4")
    more = work(root / NAME, "x = 5")
    lab.prepare(mine, root)
    assert (mine / "exercises/01-a.kept.ipynb").read_bytes() == more


def test_commands_keep_the_work_that_they_overwrite(course, capsys) -> None:
    root, _ = course
    done = work(root / NAME)
    lab.write_notebooks({root / NAME: hand_out()}, root)
    kept = root / "my-work" / NAME
    assert "somebody had worked in it" in capsys.readouterr().out
    assert (root / NAME).read_bytes() == hand_out() and kept.read_bytes() == done
    again = work(root / NAME, "x = 4")
    lab.write_notebooks({root / NAME: hand_out()}, root)
    assert kept.read_bytes() == done
    assert kept.with_name("01-a.kept.ipynb").read_bytes() == again
    # Elsewhere the copy lies beside.
    other = root.parent / "elsewhere.ipynb"
    other.write_bytes(again)
    lab.write_notebooks({other: hand_out()}, root)
    assert other.with_name("elsewhere.kept.ipynb").read_bytes() == again


def test_what_is_only_older_leaves_no_copy(course, capsys) -> None:
    root, _ = course
    lab.write_notebooks({root / NAME: hand_out("y = ...")}, root)
    conflict = b"{\n<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> v1.1.0\n}\n"
    (root / NAME).write_bytes(conflict)
    lab.write_notebooks({root / NAME: hand_out()}, root)
    assert "somebody" not in capsys.readouterr().out
    assert not (root / "my-work").exists()
    (root / NAME).write_bytes(b"what is this?")
    assert is_worked(root / NAME)


def test_released_solutions_come_along(course) -> None:
    root, mine = course
    solution = "exercises/solutions/01-a.ipynb"
    (root / solution).parent.mkdir()
    (root / solution).write_bytes(hand_out("x = 3"))
    lab.prepare(mine, root)
    assert not (mine / solution).exists()
    (root / lab.RELEASED).write_text("# today\n01-a\n", encoding="utf-8")
    lab.prepare(mine, root)
    assert (mine / solution).is_file()
    (root / lab.RELEASED).write_text("02-b\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="released.txt names a solution that does not exist"):
        lab.prepare(mine, root)


def test_an_exercise_without_source_is_removed_only_if_nobody_worked_in_it(
    tmp_path, capsys, monkeypatch
) -> None:
    project = Project(tmp_path, {"website": {"repo-url": "https://github.com/a/b"}})
    monkeypatch.setattr(sys, "argv", ["exercises"])
    (tmp_path / "exercises/solutions").mkdir(parents=True)
    for name in ("old", "worked", "own"):
        (tmp_path / f"exercises/{name}.ipynb").write_bytes(hand_out())
    work(tmp_path / "exercises/worked.ipynb")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "exercises/own.ipynb")
    write_exercises(project)
    assert {path.name for path in (tmp_path / "exercises").glob("*.ipynb")} == {"worked.ipynb", "own.ipynb"}
    assert "move it elsewhere" in capsys.readouterr().out


def test_worked_hand_outs_are_not_published(tmp_path) -> None:
    """Both engines ask this before they write anything."""
    project = Project(tmp_path, {"project": {"resources": ["/exercises/*.ipynb", "*.svg"]}})
    (tmp_path / "exercises").mkdir()
    (tmp_path / NAME).write_bytes(hand_out())
    refuse_work(project)
    work(tmp_path / NAME, run=True)
    with pytest.raises(RenderError, match="make notebooks") as error:
        refuse_work(project)
    assert NAME in str(error.value)


QUARTO_YML = f"""\
project:
  type: website
  execute-dir: project
  output-dir: _site
  pre-render: render/quarto_pre_render.py
  resources:
    - exercises/*.ipynb
website:
  title: "Small"
fig-format: svg
{FORMATS}"""


@pytest.mark.parametrize("engine", ["pip", "quarto"])
def test_neither_engine_publishes_work(tmp_path, engine) -> None:
    """A site with a hand-out is made while nobody has worked in it, and then is not made any more."""
    if engine == "quarto" and not shutil.which("quarto"):
        pytest.skip("quarto is not installed")
    folder = tmp_path / "site"
    shutil.copytree(REPOSITORY / "render", folder / "render")
    (folder / "_quarto.yml").write_text(QUARTO_YML, encoding="utf-8")
    (folder / "index.qmd").write_text("---\ntitle: Small\n---\n\n## Hello\n", encoding="utf-8")
    (folder / "exercises").mkdir()
    (folder / NAME).write_bytes(hand_out())
    environment = {"PYTHONPATH": str(folder), "QUARTO_PYTHON": sys.executable}
    done = run_render(folder, "--engine", engine, **environment)
    assert done.returncode == 0, done.stderr.decode()
    assert (folder / "_site" / NAME).read_bytes() == hand_out()
    work(folder / NAME)
    done = run_render(folder, "--engine", engine, **environment)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 1 and NAME in said and "make notebooks" in said
    assert not is_worked(folder / "_site" / NAME)
    # Quarto alone, without our command.
    if engine == "quarto":
        done = subprocess.run(
            ["quarto", "render"], cwd=folder, env=os.environ | environment, capture_output=True
        )
        assert done.returncode and b"make notebooks" in done.stdout + done.stderr
        assert not is_worked(folder / "_site" / NAME)


def test_every_notebook_knows_its_origin_and_is_unworked() -> None:
    for name in lab.hand_outs():
        assert origin((REPOSITORY / name).read_bytes()), f"{name}: run `make ready`"
        assert not is_worked(REPOSITORY / name), f"somebody worked in {name}: `make notebooks` keeps that"


def test_the_folder_is_ignored_by_git() -> None:
    done = subprocess.run(["git", "check-ignore", "--quiet", f"{lab.WORK}/{NAME}"], cwd=REPOSITORY)
    assert done.returncode == 0


def test_course_and_data_are_found_from_there(tmp_path) -> None:
    """The command prepares a folder anywhere; a kernel started in it finds all."""
    command = [sys.executable, "-m", "tools.lab", "--prepare", "--folder", str(tmp_path / "mine")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8", check=True)
    assert "Your notebooks are in" in done.stdout
    record = json.loads((tmp_path / "mine" / lab.RECORD).read_text(encoding="utf-8"))
    assert set(record) == set(lab.hand_outs())
    code = "from course.data import handwriting_folder; print(handwriting_folder())"
    folder, environment = tmp_path / "mine/exercises", os.environ | {"COURSE_DATA": ""}
    found = subprocess.check_output(
        [sys.executable, "-c", code], cwd=folder, env=environment, encoding="utf-8"
    )
    assert Path(found.strip()).is_dir()
