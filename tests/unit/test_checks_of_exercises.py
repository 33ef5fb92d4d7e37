"""What the checks of all exercises share, and the sliders with and without ipywidgets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types

from course import checks, interactive
from course.checks import (
    CheckFailed,
    array_from,
    as_array,
    as_count,
    as_number,
    as_shapes,
    as_tuple,
    call,
    compare,
    digest,
    expect,
    fail,
    number_from,
    task,
)

import IPython
import matplotlib
import nbformat
import numpy as np
import pytest

from render.client import NotebookClient
from tests.exercise_runs import REPOSITORY, errors


@task(7, "an example")
def example(answer):
    """A check that wants a positive number."""
    if answer <= 0:
        fail("It should be positive.")
    return "Nicely done."


def test_a_check_praises_once_and_returns_nothing(capsys):
    assert example(3) is None
    said = "✓ Task 7, an example: right. Nicely done.\n1 of 1 tasks done.\n"
    assert capsys.readouterr().out == said


def test_a_check_that_asks_for_it_draws_the_same_numbers_in_every_run(capsys):
    @task(1, "draws")
    def draws(answer, rng):
        return f"{answer} {rng.random():.6f}"

    draws(1)
    draws(1)
    first, _, again, _ = capsys.readouterr().out.splitlines()
    assert first == again and first.startswith("✓ Task 1, draws: right. 1 0.")


@pytest.mark.parametrize("blank", [..., None, (1, ...), [None], {"a": ...}, np.array([[1, ...]]), ([...],)])
def test_every_kind_of_blank_is_called_blank(blank):
    with pytest.raises(CheckFailed, match="Task 7, an example: still blank"):
        example(blank)


def test_the_message_replaces_the_traceback():
    with pytest.raises(CheckFailed) as problem:
        example(-1)
    assert str(problem.value).splitlines()[0] == "Task 7, an example: It should be positive."
    shown = problem.value._render_traceback_()
    assert shown[0] == "✗ Task 7, an example: It should be positive." and len(shown) == 2
    long = CheckFailed("word " * 60)._render_traceback_()
    assert len(long) > 1 and max(map(len, long)) <= 88


@pytest.fixture
def three(monkeypatch):
    """The checks of three tasks, each of which wants a function that gives True."""
    monkeypatch.setattr(checks, "_done", {})

    def of(number):
        return task(number, "a question")(lambda function: fail("No.", when=not call(function)[1]))

    return {number: of(number) for number in (1, 2, 3)}


def said_by(check, answer, capsys):
    try:
        check(answer)
    except CheckFailed as problem:
        return capsys.readouterr().out + "\n".join(problem._render_traceback_())
    return capsys.readouterr().out.rstrip("\n")


def test_every_check_says_how_many_tasks_are_done(three, capsys):
    """Also when a task that was solved is broken again, in any order."""
    right, wrong = (lambda: True), (lambda: False)
    for number, answer, progress in (
        (2, right, "1 of 3 tasks done; left: 1, 3."),
        (1, ..., "1 of 3 tasks done; left: 1, 3."),
        (1, right, "2 of 3 tasks done; left: 3."),
        (3, right, "3 of 3 tasks done."),
        (3, right, "3 of 3 tasks done."),
        (2, wrong, "2 of 3 tasks done; left: 2."),
        (1, ..., "1 of 3 tasks done; left: 1, 2."),
    ):
        assert said_by(three[number], answer, capsys).splitlines()[-1] == progress


def test_what_an_answer_prints_is_cut(three, capsys):
    def chatty():
        for k in range(256):
            print("value", k)
        sys.stderr.write("a warning " * 50)
        return False

    lines = said_by(three[1], chatty, capsys).splitlines()
    assert lines[:2] == ["value 0", "value 1"] and len(lines) < 10
    assert re.fullmatch(r"\[… [\d,]{5,} more characters that your answer printed\]", lines[6])
    assert lines[7:] == ["✗ Task 1, a question: No.", "0 of 3 tasks done; left: 1, 2, 3."]

    def endless_line():
        print("x" * 100_000, end="")
        sys.stderr.write("y" * 100_000)
        return True

    said = said_by(three[1], endless_line, capsys)
    assert len(said) < 1_000 and "\n[… 199,400 more characters" in said
    assert said_by(three[1], lambda: print("a") or print("b", end="") or True, capsys).splitlines()[:2] == [
        "a",
        "b",
    ]

    def lengthy():
        raise ValueError("word " * 10_000)

    assert len(said_by(three[1], lengthy, capsys)) < 1_000


def test_a_notebook_says_in_a_line_what_is_missing_and_that_it_was_interrupted():
    """In a kernel: after a restart, within an answer, and with an interrupt in the midst of a check."""
    head = "from course.checks import exercise_01 as check\n\n"
    cells = {
        "restart": f"{head}check.brighten(brighten)\n",
        "own": "brighten = brihgten",
        "imports": f"import numpy as np\n{head}",
        "answer": "def brighten(image, amount):\n    return imgae + amount",
        "within": f"{head}check.brighten(brighten)",
        "noisy": "import warnings\ndef brighten(image, amount):\n"
        "    [(print(k), warnings.warn(f'{k}')) for k in range(256)]\n    return image",
        "noise": f"{head}check.brighten(brighten)",
        "later": f"{head}print('so far')\nprint(softmax)",
        "interrupting": "import os, signal, time\ndef brighten(image, amount):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(9)",
        "interrupted": f"{head}check.brighten(brighten)",
        "after": "1",
    }
    if os.name == "nt":
        del cells["interrupting"], cells["interrupted"]
    read = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells.values()])
    NotebookClient(read, timeout=100, allow_errors=True).execute(cwd=REPOSITORY)
    shown = {
        name: [re.sub(r"\x1b\[[\d;]*m", "", "\n".join(each.traceback)) for each in errors(cell)]
        for name, cell in zip(cells, read.cells)
    }
    assert shown["restart"] == ["✗ Run the cells above first (brighten is missing)."]
    assert "name 'brihgten' is not defined" in shown["own"][0] and "✗" not in shown["own"][0]
    assert "NameError: name 'imgae' is not defined" in shown["within"][0].replace("\n", " ")
    noise = read.cells[list(cells).index("noise")].outputs
    streams = [each.text for each in noise if each.output_type == "stream"]
    assert len(streams) == 1 and len(streams[0].splitlines()) < 9 and "more characters" in streams[0]
    assert shown["noise"][0].startswith("✗ Task 3, the bug: ")
    assert shown["later"] == ["✗ Run the cells above first (softmax is missing)."]
    if "interrupted" in cells:
        assert shown["interrupted"] == ["✗ Task 3, the bug: interrupted."]
    assert not shown["after"]


def test_call_protects_its_arguments_and_names_what_went_wrong():
    given = np.arange(3)

    def spoil(array):
        array[:] = 0
        return 1

    assert call(spoil, given) == ("spoil(array)", 1) and given.tolist() == [0, 1, 2]
    with pytest.raises(CheckFailed, match=r"divide\(0\) stops with ZeroDivisionError"):

        def divide(x):
            return 1 / x

        call(divide, 0)
    with pytest.raises(CheckFailed, match="still blank"):
        call(lambda: ...)
    with pytest.raises(CheckFailed, match="should be a function"):
        call(3)


@pytest.mark.parametrize("value", [True, "3", None, np.nan, np.inf, [1], 1j])
def test_no_number(value):
    with pytest.raises(CheckFailed, match="It should be|It should"):
        as_number(value, "It")


def test_numbers_and_arrays():
    assert as_number(np.float32(2), "It") == as_number(np.array(2), "It") == 2.0
    assert as_array([[1, 2]], (1, 2), "It").dtype == np.float64
    with pytest.raises(CheckFailed, match=r"shape \(2,\), but has \(3,\)"):
        as_array([1, 2, 3], (2,), "It")
    with pytest.raises(CheckFailed, match="not finite"):
        as_array([np.inf], None, "It")
    with pytest.raises(CheckFailed, match="should hold numbers"):
        as_array("abc", None, "It")


def test_call_lends_its_arguments_where_they_shall_change():
    given = []
    assert call(lambda each: each.append(1) or "done", given, on_copies=False)[1] == "done"
    assert given == [1]


def test_a_call_is_written_as_a_student_would():
    def cost(table, size, rate=0.1):
        return 2

    assert number_from(cost, np.zeros((9, 9)), (3, 4), 0.25) == ("cost(table, size=(3, 4), rate=0.25)", 2.0)
    assert call(np.int8, 200 - 256)[0] == "int8(-56)"
    with pytest.raises(
        CheckFailed, match=r"cost\(table, size=3\) should be an array of uint8, but is one of int"
    ):
        array_from(cost, None, 3, dtype="uint8")
    with pytest.raises(CheckFailed, match=r"should have shape \(2,\), but has \(\)"):
        array_from(cost, None, 3, shape=(2,))


def test_expect_names_the_mistake_that_explains_an_answer():
    mistakes = {"Twice.": [2, 4], "Half.": 0.5}
    expect("It", [1.0, 2.0], [1, 2], mistakes, "Else.")
    expect("It", 1 + 1e-9, 1, mistakes, "Else.")
    for found, right, says in (
        ([2, 4], [1, 2], r"It is \[2, 4\]\. Twice\."),
        (0.5, 1, r"It is 0\.5\. Half\."),
        ([1, 2, 3], 1, r"It has shape \(3,\), and should have \(\)\. Else\."),
        (np.zeros(20), np.full(20, 0.5), r"It is wrong by up to 0\.5\. Else\."),
    ):
        with pytest.raises(CheckFailed, match=says):
            expect("It", found, right, mistakes, "Else.")
    for other in (3, 1.01, np.nan):
        with pytest.raises(CheckFailed, match=r"^Else\."):
            expect("", other, 1, mistakes, "Else.")
    with pytest.raises(CheckFailed, match=r"It is 3\. Seen\."):
        expect("It", 3, 1, {"Not seen.": False, "Seen.": True}, "Else.")


def test_shapes_and_tuples():
    assert as_shapes({"a": 3, "b": [1, 2]}, "ab", "(1, 2)") == {"a": (3,), "b": (1, 2)}
    with pytest.raises(CheckFailed, match="entries a, b"):
        as_shapes({"a": 3}, "ab", "(1, 2)")
    with pytest.raises(CheckFailed, match=r"\(a\) should be a shape like \(1, 2\), but is 'x'"):
        as_shapes({"a": "x"}, "a", "(1, 2)")
    assert as_tuple([1, 2], 2, "Two things") == (1, 2)
    for wrong in (3, (1, 2, 3)):
        with pytest.raises(CheckFailed, match="Two things, not"):
            as_tuple(wrong, 2, "Two things")


def test_counts_are_whole():
    assert as_count(3.0, "It", 3) == 3
    for wrong in (-1, 0.5, 4):
        with pytest.raises(CheckFailed, match="It should be a whole number from 0 to 3"):
            as_count(wrong, "It", 3)


def test_equal_answers_have_equal_hashes():
    assert digest("q", 3) == digest("q", 3.0) == digest("q", np.int64(3))
    assert digest("q", " Yes ") == digest("q", "yes") != digest("q", True)
    assert digest("q", 3) != digest("other", 3), "the name is the salt"


def test_hashes_go_by_six_digits():
    assert digest("q", 0.1 + 0.2) == digest("q", 0.3)
    assert digest("q", 1.23456) != digest("q", 1.23457)


def test_the_guide_s_command_prints_a_hash():
    guide = (REPOSITORY / "exercises" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"`\.venv/bin/python -c \"(.+?)\"`", guide)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=REPOSITORY)
    assert done.stdout.split() == [digest("discount", 40)], done.stderr


def test_compare_hints_at_known_mistakes():
    right, wrong = digest("q", 4), digest("q", 5)
    compare("q", 4.0, right, {wrong: "One too many."}, "Count again.")
    with pytest.raises(CheckFailed, match="One too many"):
        compare("q", 5, right, {wrong: "One too many."}, "Count again.")
    with pytest.raises(CheckFailed, match="Count again"):
        compare("q", 6, right, {wrong: "One too many."}, "Count again.")


def test_checks_need_no_keras():
    """An exercise on tensors starts at once: importing its checks brings neither Keras nor torch."""
    code = "import sys, course.checks.exercise_01\nsys.exit(bool({'keras', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_explore_without_widgets_draws_once_and_says_how_to_go_on(capsys, monkeypatch):
    matplotlib.use("agg")
    drawn = []

    def draw(kernel, depth):
        drawn.append((kernel, depth))

    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if it were not installed
    interactive.explore(draw, kernel=(3, 1, 5), depth=(1, 0, 2))
    assert drawn == [(3, 1)]
    assert "draw(kernel=3, depth=1)" in capsys.readouterr().out


def test_explore_offers_sliders_in_a_notebook(monkeypatch):
    ipywidgets = pytest.importorskip("ipywidgets")
    offered = {}
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=True))
    monkeypatch.setattr(ipywidgets, "interact", lambda draw, **sliders: offered.update(sliders))
    interactive.explore(print, n=(9, 5, 14), cost_of_error=(0.5, 0, 1, 0.1))
    n, cost = offered.values()
    assert (n.value, n.min, n.max, n.step) == (9, 5, 14, 1)
    assert (cost.value, cost.max, cost.step, cost.description) == (0.5, 1.0, 0.1, "cost of error")
