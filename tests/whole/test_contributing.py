"""CONTRIBUTING.md, followed literally: its blocks make a lecture that renders and fits."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tests.unit.test_workflows import make_targets

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.search(rf"(?ms)^## {title}$(.*?)(?=^## (?:Add|What is made)|\Z)", GUIDE)[1]


def block(title: str, language: str = "markdown", fence: str = "````") -> str:
    """The code block of a section, without the indentation of the list that it stands in."""
    found = re.search(rf"(?ms)^( *){fence}{language}\n(.*?)^ *{fence}$", section(title))
    return re.sub(rf"(?m)^{found[1]}", "", found[2])


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A copy of the course with the lecture of the guide, rendered; the copy's folder."""
    folder = tmp_path_factory.mktemp("copy") / "course-repository"
    folder.mkdir()
    for name in ("assets", "course", "exercises", "notebooks", "render"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("_quarto.yml", "references.bib", "index.qmd"):
        shutil.copy(ROOT / name, folder)
    (folder / "lectures").mkdir()
    frame = block("Add a lecture")
    before, summary = frame.split("# Summary", 1)
    added = "\n".join(block(title) for title in ("Add a slide", "Add a figure", "Add a fitted model"))
    (folder / "lectures/08-claims.qmd").write_text(f"{before}{added}\n# Summary{summary}", encoding="utf-8")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")}
    variables |= {"PYTHONPATH": str(folder), "COURSE_CACHE": str(folder / "cache"), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "render", "--engine", "pip", "lectures/08-claims.qmd"],
        cwd=folder,
        env=variables,
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


def test_the_figure_has_its_alternative_text(rendered) -> None:
    images = _page(rendered, "08-claims.slides.html").find_all("img")
    assert any(image.get("alt", "").startswith("Paid amount against claim") for image in images)


def test_the_model_is_stored_with_its_recipe(rendered) -> None:
    manifest = json.loads((rendered / "cache/manifest.json").read_text(encoding="utf-8"))
    entry = manifest["artefacts"]["digits_example"]
    assert entry["recipe"]["epochs"] == 2 and entry["parameters"] == 7850
    assert (rendered / "cache/digits_example.keras").is_file()
    assert (rendered / "cache/digits_example_history.json").is_file()


def test_the_entry_for_the_ledger_has_all_that_a_person_writes() -> None:
    from tests.unit import test_ledger

    (item,) = tomllib.loads(block("Add a file", "toml", "```"))["item"]
    assert set(item) <= test_ledger.ledger.FIELDS
    assert test_ledger.ledger._problems_of_fields(item, test_ledger.LICENCES, ROOT) == []


def test_commands_files_and_titles_exist() -> None:
    for target in re.findall(r"`make ([a-z-]+)", GUIDE):
        assert target in make_targets(), target
    for module in re.findall(r"-m (tests[.\w]+|render|course[.\w]*)", GUIDE):
        base = ROOT / module.replace(".", "/")
        assert base.with_suffix(".py").is_file() or base.is_dir(), module
    made = section("What is made from what")
    for name in re.findall(
        r"`((?:assets|tests|docs|course|data)/[\w./-]+\.(?:py|toml|txt|md))`", made + section("Add a helper")
    ):
        assert (ROOT / name).exists(), name
