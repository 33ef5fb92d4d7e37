"""Right, blank and wrong answers of every exercise; and the hand-outs as students first run them.

Solutions run once more in a kernel, through nbval, in `make test-slow`.
"""

from __future__ import annotations

import re

from course.checks import CheckFailed

import pytest

from tests.exercise_runs import REPOSITORY, SOURCES, Walk, errors, run_notebook
from tools.exercises import FOLDER, split_answer

HAND_OUTS = sorted((REPOSITORY / FOLDER).glob("*.ipynb"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_checks_tell_right_from_wrong(source):
    walk = Walk(source)
    for name, check, answer, wrong in walk.checks():
        right, blank = split_answer(answer.source)
        said = walk.attempt(right, check)
        assert re.match(r"✓ Task \d+, .+: right\.", said), f"{name}: the solution fails"
        assert "beyond" not in said, f"{name}: {said}"
        with pytest.raises(CheckFailed) as problem:
            walk.attempt(blank, check)
        assert re.search("blank|three dots", str(problem.value)), f"{name}: {problem.value}"
        messages = {}
        for cell in wrong:
            with pytest.raises(CheckFailed) as problem:
                walk.attempt(cell.source, check)
            message = str(problem.value)
            assert cell.metadata["says"].lower() in message.lower(), f"{name}: {message}"
            messages[cell.metadata["says"]] = message
        assert len(set(messages.values())) >= 2, f"{name}: every mistake meets the same message"


@pytest.mark.parametrize("path", HAND_OUTS, ids=lambda path: path.stem)
def test_hand_out_runs_and_every_check_says_that_it_is_blank(path):
    """All cells run but the checks; from the first on, each says what is to be done."""
    done = run_notebook(path)
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
