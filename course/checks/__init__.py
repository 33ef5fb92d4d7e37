"""Checks that exercises run on a student's answer: one module for each exercise.

    from course.checks import exercise_02 as check

    check.output_size(output_size)

A check is a plain function that takes the answer. It prints one line when the answer is right
and raises `CheckFailed`, whose message says what is wrong, when it is not. It recomputes what it
needs from properties of a right answer, or compares salted hashes, so that its text does not
give the answer away.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import math
import numbers
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class CheckFailed(AssertionError):
    """An answer is missing or wrong; the message says how."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback, which would be ours, not the student's."""
        # Wrapped here, since notebooks break long lines in the middle of words.
        return textwrap.wrap(f"✗ {self}", 88, break_on_hyphens=False)


def fail(message: str) -> None:
    """Raise CheckFailed with this message, one or more full sentences."""
    raise CheckFailed(message)


def task(number: int, name: str) -> Callable:
    """Make a function the check of one task.

    The function takes the student's answers, calls `fail` on a wrong one and may return a sentence
    to print after the praise. An answer that is still `...` or None fails before it is called.
    Number and name are those of the task's heading.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def check(*answers: Any) -> None:
            head = f"Task {number}, {name}"
            if any(_is_blank(answer) for answer in answers):
                raise CheckFailed(
                    f"{head}: still blank. Put your answer in place of the three dots, run that "
                    "cell, then run this one again."
                )
            try:
                note = function(*answers)
            except CheckFailed as problem:
                raise CheckFailed(f"{head}: {problem}") from None
            print(f"✓ {head}: right." + (f" {note}" if note else ""))

        return check

    return decorate


def _is_blank(answer: Any) -> bool:
    if answer is None or answer is ...:
        return True
    if isinstance(answer, Mapping):
        return any(_is_blank(each) for each in answer.values())
    if isinstance(answer, np.ndarray) and answer.dtype == object:
        answer = answer.ravel().tolist()
    return isinstance(answer, (list, tuple)) and any(_is_blank(each) for each in answer)


def call(function: Callable, *arguments: Any, shown: str | None = None, on_copies: bool = True) -> Any:
    """Call a student's function on copies of the arguments and return what it returns.

    Parameters
    ----------
    shown : str, optional
        How a message writes the call; by default with the arguments' values.
    on_copies : bool
        False where the function shall change its arguments, or they cannot be copied.

    Raises
    ------
    CheckFailed
        It is not a function, raises an error, or returns nothing.
    """
    if not callable(function):
        fail(f"The answer should be a function, but is {brief(function)}.")
    name = getattr(function, "__name__", "your function")
    if shown is None:
        shown = f"{name}({', '.join(brief(each) for each in arguments)})"
    try:
        result = function(*(copy.deepcopy(arguments) if on_copies else arguments))
    except Exception as error:
        # Whatever a student's code raises, it is the student who should read it.
        raise CheckFailed(f"{shown} stops with {type(error).__name__}: {error}") from None
    if result is None or result is ...:
        fail(f"{shown} returns nothing. Is it still blank, or is the `return` missing?")
    return result


def call_for_number(function: Callable, *arguments: Any, shown: str, what: str | None = None) -> float:
    """Call a student's function for one number, which messages name `what`, by default as the call."""
    return as_number(call(function, *arguments, shown=shown), what or shown)


def brief(value: Any) -> str:
    """A value in a few words: small ones as they are, arrays by their shape."""
    if isinstance(value, np.ndarray) and value.size > 12:
        return f"an array of shape {value.shape}"
    if callable(value):
        return getattr(value, "__name__", "a function")
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def as_array(value: Any, shape: tuple[int, ...] | None, what: str) -> np.ndarray:
    """The value as a float64 array; CheckFailed if it is none, not finite or of another shape."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        fail(f"{what} should hold numbers, but is {brief(value)}.")
    if shape is not None and array.shape != shape:
        fail(f"{what} should have shape {shape}, but has {array.shape}.")
    if not np.isfinite(array).all():
        fail(f"{what} holds values that are not finite.")
    return array


def as_number(value: Any, what: str) -> float:
    """The value as a float; CheckFailed if it is not one finite number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.number)):
        fail(f"{what} should be a number, but is {brief(value)}.")
    if not math.isfinite(value):
        fail(f"{what} should be finite, but is {value}.")
    return float(value)


def as_tuple(value: Any, length: int, otherwise: str) -> tuple:
    """The value as a tuple; CheckFailed with `otherwise` and the value unless it has so many parts."""
    if not isinstance(value, (tuple, list)) or len(value) != length:
        fail(f"{otherwise}, not {brief(value)}.")
    return tuple(value)


def as_shapes(answers: Any, names: Sequence[str], example: str) -> dict[str, tuple]:
    """A dictionary of shapes with the given names; a whole number is the shape of one axis."""
    if not isinstance(answers, dict) or set(answers) != set(names):
        fail(f"shapes should have the entries {', '.join(names)}.")
    shapes = {name: (each,) if isinstance(each, int) else each for name, each in answers.items()}
    for name in names:
        if not isinstance(shapes[name], (tuple, list)):
            fail(f"({name}) should be a shape like {example}, but is {brief(shapes[name])}.")
    return {name: tuple(shapes[name]) for name in names}


def expect(
    found: Any,
    right: Any,
    mistakes: Mapping[str, Any],
    otherwise: str,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    """Fail unless a number or array is right, with the message of the mistake that explains it.

    Parameters
    ----------
    mistakes : mapping
        What each common mistake would give, by the message that it deserves.
    otherwise : str
        The message where none of them explains it.
    """

    def is_found(value: Any) -> bool:
        return np.shape(value) == np.shape(found) and np.allclose(found, value, rtol=rtol, atol=atol)

    if not is_found(right):
        fail(next((message for message, wrong in mistakes.items() if is_found(wrong)), otherwise))


def shuffled_table(rng: np.random.Generator, rows: list[dict]) -> pd.DataFrame:
    """Rows as a table, in random order, so that no place in it tells anything."""
    import pandas as pd

    return pd.DataFrame(rows).sample(frac=1, random_state=int(rng.integers(1e6)), ignore_index=True)


# --- answers that are a word or a number ---------------------------------------------------


def normal_form(answer: Any) -> str:
    """The text that is hashed: equal for 3, 3.0 and np.int64(3), for "A" and " a ".

    Numbers count to six significant digits. Lists, tuples and arrays keep their order, mappings
    are sorted by key.
    """
    if isinstance(answer, np.ndarray):
        answer = answer.tolist()
    if isinstance(answer, Mapping):
        pairs = sorted((normal_form(key), normal_form(each)) for key, each in answer.items())
        return "{" + ",".join(f"{key}:{each}" for key, each in pairs) + "}"
    if isinstance(answer, (list, tuple)):
        return "(" + ",".join(normal_form(each) for each in answer) + ")"
    if isinstance(answer, (bool, np.bool_)):
        return str(bool(answer)).lower()
    if isinstance(answer, (numbers.Real, np.number)):
        return format(float(answer), ".6g")
    return " ".join(str(answer).split()).casefold()


def digest(name: str, answer: Any) -> str:
    """The salted hash of an answer: 16 hexadecimal digits.

    The salt is the name, so that equal answers to two tasks look different. scrypt is slow on
    purpose: trying many answers takes longer than thinking about one.
    """
    salt = b"course.checks:" + name.encode()
    text = normal_form(answer).encode()
    return hashlib.scrypt(text, salt=salt, n=2**14, r=8, p=1, maxmem=2**26, dklen=8).hex()


def compare(name: str, answer: Any, right: str, hints: Mapping[str, str], otherwise: str) -> None:
    """Compare a word, a number or a collection of them with a hash.

    The name is the salt, one for each question; `right` is the digest of the right answer, and `hints`
    say what is wrong with others, by their digest. `python -m course.checks NAME ANSWER` prints digests.
    """
    found = digest(name, answer)
    if found != right:
        fail(hints.get(found, otherwise))
