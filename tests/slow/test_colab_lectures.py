"""All lecture notebooks on a machine like Colab's, each from its set-up cell on; no model is fitted anew."""

from __future__ import annotations

import pytest

from tests.colab_machine import machine
from tests.exercise_runs import REPOSITORY


@pytest.fixture(scope="module")
def colab_machine(tmp_path_factory):
    made = machine(tmp_path_factory.mktemp("colab"))
    if made.why_not:
        pytest.skip(made.why_not)
    return made


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "notebooks").glob("[0-9]*.ipynb")), ids=lambda path: path.stem
)
def test_lectures_run_on_colab(colab_machine, path, tmp_path):
    """An error in a cell would end the run."""
    done = colab_machine.run_notebook(path, tmp_path)
    setup = next(cell for cell in done.cells if cell.id == "setup")
    assert "The course is ready." in "".join(each.get("text", "") for each in setup.outputs)
