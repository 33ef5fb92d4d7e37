"""CONTRIBUTING.md makes a lecture that renders and fits, exercises/README.md an exercise that checks.

tests/slow/test_contributing_to_the_end.py follows the guide further: `make ready`, then the tests.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import course.checks

import pytest
from bs4 import BeautifulSoup

from tests import guide
from tests.guide import ROOT
from tests.unit import test_ledger
from tests.unit.test_workflows import make_targets
from tests.whole import test_answers


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A copy of the course with the lecture of the guide, rendered; the copy's folder."""
    folder = guide.copy_of_the_course(tmp_path_factory.mktemp("copy") / "course-repository")
    guide.add_lecture(folder)
    guide.add_slides(folder, guide.LECTURE, "# Summary", ("slide", "figure", "file", "fitted model"))
    guide.add_file(folder)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")}
    done = subprocess.run(
        [sys.executable, "-m", "render", "--engine", "pip", guide.LECTURE],
        cwd=folder,
        env=variables | {"PYTHONPATH": str(folder), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _page(folder: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((folder / "_site/lectures" / name).read_text(encoding="utf-8"), "lxml")


def test_the_slides_show_what_the_guide_says(rendered) -> None:
    slides = _page(rendered, "08-claims.slides.html")
    titles = {heading.get_text(strip=True) for heading in slides.find_all(["h1", "h2"])}
    assert {
        "Deductibles",
        "What a deductible does",
        "Claims and what is paid",
        "A roof after hail",
        "A model of digits",
        "Key points",
        "Versions",
    } <= titles
    text = slides.get_text(" ", strip=True)
    assert "Small claims disappear." in text and "Of 4 claims, 2 are paid." in text
    assert "would be negative becomes nothing" not in text
    assert re.search(r"\[\s*0,\s*0,\s*700,\s*3800\]", text)
    notes = [each.get_text(strip=True) for each in slides.find_all("aside", class_="notes")]
    assert "Ask which claims they would rather not handle." in notes


def test_the_notes_show_the_other_half(rendered) -> None:
    text = _page(rendered, "08-claims.html").get_text(" ", strip=True)
    assert "would be negative becomes nothing" in text and "Small claims disappear." not in text


def test_pictures_have_their_alternative_texts(rendered) -> None:
    images = _page(rendered, "08-claims.slides.html").find_all("img")
    texts = [image.get("alt", "") for image in images]
    assert any(text.startswith("Paid amount against claim") for text in texts)
    assert "Roof tiles with a dozen round holes" in texts


def test_the_model_is_stored_with_its_recipe(rendered) -> None:
    manifest = json.loads((rendered / "cache/manifest.json").read_text(encoding="utf-8"))
    entry = manifest["artefacts"]["digits_example"]
    assert entry["recipe"]["epochs"] == 2 and entry["parameters"] == 7850
    assert (rendered / "cache/digits_example.keras").is_file()
    assert (rendered / "cache/digits_example_history.json").is_file()


def test_the_exercise_tells_right_from_wrong(tmp_path, monkeypatch) -> None:
    (tmp_path / "exercises/source").mkdir(parents=True)
    (tmp_path / "course/checks").mkdir(parents=True)
    guide.add_exercise(tmp_path)
    module = ModuleType("course.checks.exercise_08")
    exec((tmp_path / "course/checks/exercise_08.py").read_text(encoding="utf-8"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(course.checks, "exercise_08", module, raising=False)
    test_answers.test_checks_tell_right_from_wrong(tmp_path / "exercises/source/08-claims.py")


def test_the_entry_for_the_ledger_has_all_that_a_person_writes() -> None:
    (item,) = tomllib.loads(guide.blocks("Add a file", "toml")[0])["item"]
    assert set(item) <= test_ledger.ledger.FIELDS
    assert test_ledger.ledger._problems_of_fields(item, test_ledger.LICENCES, ROOT) == []


@pytest.mark.parametrize("text", [guide.GUIDE, guide.EXERCISES], ids=["CONTRIBUTING", "exercises"])
def test_commands_and_files_exist(text) -> None:
    for target in re.findall(r"(?m)(?:`|^\$ )make ([a-z-]+)", text):
        assert target in make_targets(), target
    for module in set(re.findall(r"-m ((?:tools|render|course)[.\w]*)", text)) - {"tools.NAME"}:
        base = ROOT / module.replace(".", "/")
        assert base.with_suffix(".py").is_file() or (base / "__main__.py").is_file(), module
    prose = re.sub(r"(?ms)^ *(````?)\w+\n.*?^ *\1$", "", text)
    for name in re.findall(r"`((?:assets|tests|docs|course|data|tools)/[\w./-]+)`", prose):
        if "NAME" not in name and "NN" not in name and "exercise_08" not in name:
            assert (ROOT / name).exists(), name


def test_pre_commit_takes_the_ruff_of_the_tests() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"(?m)^ruff~=.*$", (ROOT / "requirements-tests.txt").read_text(encoding="utf-8"))
    assert re.findall(r'"(ruff[^"]*)"', hooks) == [pinned, pinned]
