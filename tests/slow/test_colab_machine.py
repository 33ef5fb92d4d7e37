"""The set-up cell on a machine like Colab's, and all exercises after it; lectures: test_colab_lectures.py."""

from __future__ import annotations

import re
import subprocess

from course import colab

import pytest
from packaging.requirements import Requirement

from render.frame import Repository
from tests.colab_machine import VERSIONS, decoy, machine
from tests.exercise_runs import REPOSITORY, errors
from tests.unit.test_colab import project, run
from tools.exercises import FOLDER, SOLUTIONS
from tools.notebooks import setup_cell


@pytest.fixture(scope="module")
def colab_machine(tmp_path_factory):
    return machine(tmp_path_factory.mktemp("colab"))


def test_setup_cell_on_colab(colab_machine, tmp_path):
    python, environment = colab_machine.python, colab_machine.environment
    before = colab_machine.versions()
    assert not {"watermark", "mlxtend"} & before.keys() and "torch" in before
    cell = setup_cell(Repository.of(project()))
    after_setup = """
import course, os
from course.data import handwriting_folder
from course.loaders import count_images_in_folders
import mlxtend.data, watermark, ipywidgets, cv2, keras
assert keras.backend.backend() == "torch"
print("images", count_images_in_folders(handwriting_folder() / "Test").sum())
print("course at", os.path.dirname(course.__file__))
"""
    # In a session where Keras was imported before, the new one can't be had without a restart.
    if not colab_machine.why_not:
        early = "import os\nos.environ['KERAS_BACKEND'] = 'torch'\nimport keras"
        done = run(python, f"{early}\n{cell}", tmp_path, environment)
        last = done.stderr.splitlines()[-1]
        assert re.fullmatch("RuntimeError: keras is still in use .*restart the session.*", last), done.stderr
        for name in ("keras", "statsmodels"):
            told = f"{name}=={VERSIONS[name]} is too old for the course, so it is replaced."
            assert told in done.stdout.splitlines()
    done = run(python, f"{cell}\n{after_setup}", tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The course is ready." in done.stdout
    assert f"course at {tmp_path / 'course-repository' / 'course'}" in done.stdout
    after = colab_machine.versions()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == (set() if colab_machine.why_not else {"keras", "statsmodels"})
    for name in changed:
        assert after[name] in Requirement(colab._specified()[name]).specifier
    assert "watermark" in after and "mlxtend" in after

    # Two more runs, in a new session and within one, install nothing.
    again = run(python, f"{cell}\n{cell}", tmp_path, environment)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("Nothing had to be installed.") == 2
    assert colab_machine.versions() == after


def test_a_package_that_wants_another_numpy_is_refused(colab_machine, tmp_path):
    """pip is not allowed to replace NumPy even for a package that asks for it."""
    decoy("needs_new_numpy", "1.0", colab_machine.wheels, ["numpy>=99"])
    before = colab_machine.versions()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from course import colab\n"
        "colab.NEEDED = {'needs_new_numpy': 'needs_new_numpy'}\n"
        "colab.REPLACED = ()\n"
        "colab._specified = lambda: {'needs_new_numpy': 'needs_new_numpy'}\n"
        "colab.prepare()"
    )
    done = subprocess.run(
        [colab_machine.python, "-c", code, str(REPOSITORY)],
        env=colab_machine.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode and "could not install needs_new_numpy" in done.stderr
    assert colab_machine.versions() == before


def test_a_commit_fetched_by_half_is_fetched_again(colab_machine, tmp_path):
    python, environment = colab_machine.python, colab_machine.environment
    cell = setup_cell(Repository.of(project()))
    broken = environment | {"GIT_CONFIG_VALUE_0": "https://nowhere.invalid/"}
    broken |= {"https_proxy": "http://127.0.0.1:9"}
    first = run(python, cell, tmp_path, broken)
    assert first.returncode and "The course could not be fetched: check the network" in first.stderr
    done = run(python, cell, tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((REPOSITORY / SOLUTIONS).glob("*.ipynb")), ids=lambda path: path.stem)
def test_solutions_run_on_colab(colab_machine, path, tmp_path):
    if colab_machine.why_not:
        pytest.skip(colab_machine.why_not)
    done = colab_machine.run_notebook(path, tmp_path)
    said = "".join(each.get("text", "") for cell in done.cells for each in cell.get("outputs", []))
    tasks = len([cell for cell in done.cells if cell.id.endswith("-check")])
    assert f"{tasks} of {tasks} tasks done." in said


@pytest.mark.parametrize("path", sorted((REPOSITORY / FOLDER).glob("*.ipynb")), ids=lambda path: path.stem)
def test_hand_outs_run_on_colab(colab_machine, path, tmp_path):
    """Only checks fail, and say in a line that the answer is blank."""
    if colab_machine.why_not:
        pytest.skip(colab_machine.why_not)
    for cell in colab_machine.run_notebook(path, tmp_path).cells:
        if not cell.id.endswith("-check"):
            assert not errors(cell)
            continue
        (error,) = errors(cell)
        assert error.ename == "CheckFailed" and re.search("blank|three dots", error.evalue)
        assert "\n".join(error.traceback).startswith("✗ Task ")
