"""Computed results: loaded on a match, refused by name when anything that made them changed."""

from __future__ import annotations

import json
import os

from course.store import results
from course.store.artefacts import ArtefactError
from course.store.results import compute_or_load

import numpy as np
import pytest

FACTOR = 2
calls = []


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    for name in ("COURSE_STRICT", "COURSE_REFIT", "COURSE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(results, "_computed", set())
    calls.clear()
    return tmp_path


def helper(x):
    return x * FACTOR


def table(x, rate):
    calls.append(rate)
    return {"scores": helper(x) * rate, "n": len(x)}


def other_table(x, rate):
    calls.append(rate)
    return {"scores": helper(x) + rate, "n": len(x)}


ARGUMENTS = dict(x=np.arange(3.0), rate=0.5)


def test_computed_once_then_loaded(settings) -> None:
    first = compute_or_load("scores", table, ARGUMENTS)
    second = compute_or_load("scores", table, ARGUMENTS)
    assert len(calls) == 1
    for key in ("scores", "n"):
        np.testing.assert_array_equal(first[key], second[key])
    assert first["scores"].tolist() == [0, 1, 2] and int(first["n"]) == 3
    assert sorted(path.name for path in settings.iterdir() if path.suffix == ".npz") == ["scores.npz"]
    assert not [
        path for path in settings.iterdir() if path.name.startswith(".scores.") and path.suffix != ".lock"
    ]


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(rate=0.25), "rate 0.5 → 0.25"),
        (dict(x=np.array([0.0, 1.0, 9.0])), "x: its values changed"),
        (dict(x=np.arange(4.0)), "float64 (3,) → float64 (4,)"),
        (dict(x=np.arange(3, dtype="float32")), "float64 (3,) → float32 (3,)"),
    ],
)
def test_each_changed_argument_is_named(monkeypatch, capsys, change, words) -> None:
    compute_or_load("scores", table, ARGUMENTS)
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError) as caught:
        compute_or_load("scores", table, {**ARGUMENTS, **change})
    assert words in str(caught.value)
    monkeypatch.delenv("COURSE_STRICT")
    compute_or_load("scores", table, {**ARGUMENTS, **change})
    assert words in capsys.readouterr().err and len(calls) == 2


def test_changed_code_is_named(monkeypatch) -> None:
    compute_or_load("scores", table, ARGUMENTS)
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError, match="other_table is used now"):
        compute_or_load("scores", other_table, ARGUMENTS)
    monkeypatch.setattr("tests.unit.test_results.FACTOR" if "tests." in __name__ else f"{__name__}.FACTOR", 3)
    with pytest.raises(ArtefactError, match="FACTOR changed"):
        compute_or_load("scores", table, ARGUMENTS)


def test_strict_without_a_result(monkeypatch) -> None:
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(ArtefactError, match="no stored result of this name"):
        compute_or_load("scores", table, ARGUMENTS)
    assert calls == []


def test_refit_computes_once_a_process(monkeypatch) -> None:
    compute_or_load("scores", table, ARGUMENTS)
    monkeypatch.setenv("COURSE_REFIT", "1")
    monkeypatch.setattr(results, "_computed", set())
    compute_or_load("scores", table, ARGUMENTS)
    compute_or_load("scores", table, ARGUMENTS)
    assert len(calls) == 2


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_computed_again(settings, capsys, content) -> None:
    (settings / "scores.npz").write_bytes(content)
    assert int(compute_or_load("scores", table, ARGUMENTS)["n"]) == 3
    assert "damaged" in capsys.readouterr().err


def test_a_pickle_is_not_loaded(settings, capsys) -> None:
    np.savez(
        settings / "scores.npz",
        scores=np.array([{"a": 1}], dtype=object),
        recipe=np.array(json.dumps({"format": 1})),
    )
    compute_or_load("scores", table, ARGUMENTS)
    assert "damaged" in capsys.readouterr().err


def test_a_failure_keeps_the_old_result(settings, monkeypatch) -> None:
    compute_or_load("scores", table, ARGUMENTS)
    before = (settings / "scores.npz").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ArtefactError, match="could not be stored.*No space left"):
        compute_or_load("scores", table, {**ARGUMENTS, "rate": 0.1})
    assert (settings / "scores.npz").read_bytes() == before
    assert {path.name for path in settings.iterdir()} <= {"scores.npz", ".scores.lock"}


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(ValueError, match="lower-case"):
        compute_or_load("No name", table, ARGUMENTS)
    with pytest.raises(TypeError, match="argument 'x' is a set"):
        compute_or_load("scores", table, dict(x={1}, rate=1))
    with pytest.raises(TypeError, match="Python objects under 'a'"):
        compute_or_load("scores", lambda: {"a": [object()]})
