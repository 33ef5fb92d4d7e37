"""Checks that exercises run on a student's answer: one module for each exercise.

    from course.checks import exercise_02 as check

    check.output_size(output_size)

A check is a plain function that takes the answer. It prints one line when the answer is right, and else
raises `CheckFailed`, whose message says what is wrong; either way it says how many tasks are done. It
recomputes what it needs from properties of a right answer, or compares salted hashes, so that its text does
not give the answer away.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import inspect
import io
import linecache
import math
import numbers
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np


class CheckFailed(AssertionError):
    """An answer is missing or wrong; the message says how."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback, which would be ours, not the student's."""
        # Wrapped here, since notebooks break long lines in the middle of words.
        lines = f"✗ {self}".splitlines()
        return [part for line in lines for part in textwrap.wrap(line, 88, break_on_hyphens=False)]


def fail(message: str, *, when: Any = True) -> None:
    """Raise CheckFailed with this message, one or more full sentences, when something is amiss."""
    if when:
        raise CheckFailed(message)


# Of each exercise's tasks, by number: was the answer right when it was last checked?
_done: dict[str, dict[int, bool]] = {}


def task(number: int, name: str) -> Callable:
    """Make a function the check of one task; number and name are those of the task's heading.

    The function takes the student's answers, calls `fail` on a wrong one and may return a sentence
    to print after the praise. An answer that is still `...` or None fails before it is called. If it has
    a parameter `rng`, it gets a random generator there, the same in every run.
    """
    head = f"Task {number}, {name}"

    def decorate(function: Callable) -> Callable:
        draws = "rng" in inspect.signature(function).parameters
        done = _done.setdefault(function.__module__, {})
        done[number] = False

        @functools.wraps(function)
        def check(*answers: Any) -> None:
            done[number] = False
            try:
                blank = "still blank. Put your answer in place of the three dots, then run both cells."
                fail(blank, when=_is_blank(answers))
                with _first_lines():
                    note = function(*answers, **({"rng": np.random.default_rng(2026)} if draws else {}))
            except CheckFailed as problem:
                raise CheckFailed(f"{head}: {problem}\n{_progress(done)}") from None
            except KeyboardInterrupt as problem:
                problem._render_traceback_ = lambda: [f"✗ {head}: interrupted."]
                raise
            done[number] = True
            print(f"✓ {head}: right.{' ' if note else ''}{note or ''}\n{_progress(done)}")

        return check

    return decorate


def _progress(done: Mapping[int, bool]) -> str:
    left = ", ".join(str(number) for number, right in sorted(done.items()) if not right)
    return f"{sum(done.values())} of {len(done)} tasks done{left and f'; left: {left}'}."


@contextlib.contextmanager
def _first_lines() -> Iterator[None]:
    """Print the first lines of what an answer prints, and how much that leaves out."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        shown = "".join(printed.getvalue()[:600].splitlines(keepends=True)[:6])
        if more := printed.tell() - len(shown):
            shown = f"{shown.rstrip()}\n[… {more:,} more characters that your answer printed]"
        if shown:
            print(shown.rstrip())


def _is_blank(answer: Any) -> bool:
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if isinstance(answer, np.ndarray) and answer.dtype == object:
        answer = answer.ravel().tolist()
    if isinstance(answer, (list, tuple)):
        return any(_is_blank(each) for each in answer)
    return answer is None or answer is ...


# --- answers that are a function -----------------------------------------------------------


def call(function: Callable, *arguments: Any, on_copies: bool = True) -> tuple[str, Any]:
    """Call a student's function on copies of the arguments: the call in words, and what it returns.

    In words, large arguments are the names of their parameters. Without `on_copies` it gets the arguments
    themselves, to change, or since they can't be copied. CheckFailed if it raises or returns nothing.
    """
    fail(f"The answer should be a function, but is {brief(function)}.", when=not callable(function))
    texts = [brief(each) for each in arguments]
    names = getattr(getattr(function, "__code__", None), "co_varnames", ())
    for k, (name, argument) in enumerate(zip(names, arguments)):
        if len(texts[k]) > 40 or not isinstance(argument, (str, tuple, list, numbers.Real)):
            texts[k] = name
        elif len(arguments) > 1:
            texts[k] = f"{name}={texts[k]}"
    shown = f"{getattr(function, '__name__', 'your function')}({', '.join(texts)})"
    try:
        result = function(*(copy.deepcopy(arguments) if on_copies else arguments))
    except Exception as error:
        # Whatever a student's code raises, it is the student who should read it.
        said = textwrap.shorten(str(error), 300, placeholder=" …")
        raise CheckFailed(f"{shown} stops with {type(error).__name__}: {said}") from None
    if result is None or result is ...:
        fail(f"{shown} returns nothing. Is it still blank, or is the `return` missing?")
    return shown, result


def number_from(function: Callable, *arguments: Any, on_copies: bool = True) -> tuple[str, float]:
    """Call a student's function for one finite number (see `call`)."""
    shown, result = call(function, *arguments, on_copies=on_copies)
    return shown, as_number(result, shown)


def array_from(function: Callable, *arguments: Any, shape=None, dtype=None) -> tuple[str, np.ndarray]:
    """Call a student's function for an array (see `call` and `as_array`)."""
    shown, result = call(function, *arguments)
    return shown, as_array(result, shape, shown, dtype)


def expect(
    shown: str, found: Any, right: Any, mistakes: Mapping[str, Any], otherwise: str, rtol: float = 1e-6
) -> None:
    """Fail unless a number or array is right, with the message of the mistake that explains it.

    `mistakes` are what each common mistake would give, or whether it was made, by the message that it
    deserves; `otherwise` is the message where none explains it. Messages begin with `shown`: the call or the
    name of what was found, or "".
    """

    def is_found(value: Any) -> bool:
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        return np.shape(value) == np.shape(found) and np.allclose(found, value, rtol, atol=1e-8)

    if is_found(right):
        return
    message = next((message for message, wrong in mistakes.items() if is_found(wrong)), otherwise)
    if np.shape(found) != np.shape(right):
        shown += f" has shape {np.shape(found)}, and should have {np.shape(right)}."
    elif np.size(found) > 12 or np.ndim(found) > 1:
        shown += f" is wrong by up to {np.abs(np.subtract(found, right)).max():.3g}."
    elif shown:
        shown += f" is {brief(found)}."
    fail(f"{shown} {message}".strip())


# --- answers that are a number, an array, a shape … ----------------------------------------


def brief(value: Any) -> str:
    """A value in a few words: small ones as they are, arrays by their shape."""
    if isinstance(value, np.ndarray):
        if value.size > 12 or value.ndim > 1:
            return f"an array of shape {value.shape}"
        return f"[{', '.join(brief(each) for each in np.atleast_1d(value).tolist())}]"
    if callable(value):
        return getattr(value, "__name__", "a function")
    if isinstance(value, (float, np.floating)):
        return f"{value:g}"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def as_array(value: Any, shape: tuple[int, ...] | None, what: str, dtype: str | None = None) -> np.ndarray:
    """The value as float64; CheckFailed unless finite and, where they are given, of shape and dtype."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        fail(f"{what} should hold numbers, but is {brief(value)}.")
    if dtype is not None and np.asarray(value).dtype != dtype:
        fail(f"{what} should be an array of {dtype}, but is one of {np.asarray(value).dtype}.")
    fail(f"{what} should have shape {shape}, but has {array.shape}.", when=shape not in (None, array.shape))
    fail(f"{what} holds values that are not finite.", when=not np.isfinite(array).all())
    return array


def as_number(value: Any, what: str) -> float:
    """The value as a float; CheckFailed if it is not one finite number."""
    value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        fail(f"{what} should be a number, but is {brief(value)}.")
    fail(f"{what} should be finite, but is {value}.", when=not math.isfinite(value))
    return float(value)


def as_count(value: Any, what: str, largest: float = math.inf) -> int:
    """The value as an int; CheckFailed if it is not a whole number from 0 to the largest."""
    value = as_number(value, what)
    if value != int(value) or not 0 <= value <= largest:
        upwards = f"to {largest}" if largest < math.inf else "on"
        fail(f"{what} should be a whole number from 0 {upwards}, but is {value:g}.")
    return int(value)


def as_tuple(value: Any, length: int, otherwise: str) -> tuple:
    """The value as a tuple; CheckFailed with `otherwise` and the value unless it has so many parts."""
    if not isinstance(value, (tuple, list)) or len(value) != length:
        fail(f"{otherwise}, not {brief(value)}.")
    return tuple(value)


def as_shapes(answers: Any, names: Sequence[str], example: str) -> dict[str, tuple]:
    """A dictionary of shapes with the given names; a whole number is the shape of one axis."""
    if not isinstance(answers, dict) or set(answers) != set(names):
        fail(f"shapes should have the entries {', '.join(names)}.")
    shapes = {name: (answers[name],) if isinstance(answers[name], int) else answers[name] for name in names}
    for name, shape in shapes.items():
        if not isinstance(shape, (tuple, list)):
            fail(f"({name}) should be a shape like {example}, but is {brief(shape)}.")
    return {name: tuple(shape) for name, shape in shapes.items()}


def seed_table(rng: np.random.Generator, key: str, values: Sequence, **scores: np.ndarray):
    """Scores, shape (values, seeds), as a DataFrame by value and seed, in an order that tells nothing."""
    import pandas as pd

    seeds = len(next(iter(scores.values()))[0])
    columns = {key: np.repeat(values, seeds), "seed": np.tile(np.arange(seeds), len(values))}
    table = pd.DataFrame(columns | {name: each.ravel() for name, each in scores.items()})
    return table.sample(frac=1, random_state=int(rng.integers(1e6)), ignore_index=True)


def at_least(k: int, n: int, p: float) -> float:
    """The probability of k or more of n independent events, each of probability p."""
    return sum(math.comb(n, each) * p**each * (1 - p) ** (n - each) for each in range(k, n + 1))


# --- answers that are a word or a number ---------------------------------------------------


def digest(name: str, answer: Any) -> str:
    """The hash of a word or a number, salted with the name of the question: 16 hexadecimal digits.

    It is the same for 3, 3.0 and np.int64(3), for "A" and " a ". scrypt is slow on purpose: trying many
    answers takes longer than thinking about one.
    """
    if isinstance(answer, numbers.Real) and not isinstance(answer, bool):
        answer = format(float(answer), ".6g")
    salt, text = b"course.checks:" + name.encode(), " ".join(str(answer).split()).casefold().encode()
    return hashlib.scrypt(text, salt=salt, n=2**14, r=8, p=1, maxmem=2**26, dklen=8).hex()


def compare(name: str, answer: Any, right: str, hints: Mapping[str, str], otherwise: str) -> None:
    """Compare a word or a number with the digest of the right one; `hints` are for others, by theirs."""
    found = digest(name, answer)
    fail(hints.get(found, otherwise), when=found != right)


def _in_a_line(show: Callable) -> Callable:
    """A notebook's `showtraceback`, but in a line where a check's cell misses a name, as after a restart."""

    def show_error(*arguments: Any, **options: Any) -> None:
        error = sys.exc_info()[1]
        # A name that is wrong inside an answer is in the answer's cell, and is shown as ever.
        cell = linecache.getlines(inspect.trace(0)[-1].filename) if isinstance(error, NameError) else ()
        if any(line.startswith("from course.checks import ") for line in cell):
            error._render_traceback_ = lambda: [f"✗ Run the cells above first ({error.name} is missing)."]
        show(*arguments, **options)

    return show_error


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()):
    _shell.showtraceback = _in_a_line(_shell.showtraceback)
