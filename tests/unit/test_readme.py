"""What the README says of commands, folders and packages is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.test_workflows import make_targets

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def table(head: str) -> list[list[str]]:
    """The rows below a table's head."""
    body = README.split(head, 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.strip().splitlines()[1:]]


def test_every_command_is_explained() -> None:
    commands = {re.search(r"`make ([\w-]+)`", cells[0])[1] for cells in table("| command | does |")}
    assert commands == make_targets() - {"help", "setup"}


def test_make_lists_every_command() -> None:
    listed = set(re.findall(r'(?m)^\t@echo "make ([\w-]+)', MAKEFILE))
    assert listed == make_targets() - {"help", "setup"}
    for target in make_targets():
        assert re.search(rf"(?m)^{target}:", MAKEFILE), target


def test_every_folder_is_explained() -> None:
    explained = {
        name for cells in table("| folder | holds |") for name in re.findall(r"`([\w./]+)/`", cells[0])
    }
    there = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir()
        and any(path.rglob("*.*"))
        and path.name not in {".git", ".venv", ".ci", "_site", "_build", "__pycache__"}
        and not path.name.endswith((".egg-info", "_cache", "-cache", ".quarto"))
        and path.name not in {".hypothesis", ".pytest_cache", ".ipynb_checkpoints"}
    }
    assert explained == there


def test_every_package_has_a_reason() -> None:
    pinned = re.findall(r"(?m)^([A-Za-z][\w.-]*)", (ROOT / "requirements.txt").read_text("utf-8"))
    explained = " ".join(cells[0] for cells in table("| package | because |"))
    explained = set(re.findall(r"[\w.-]+", explained.replace(" on ", " ")))
    assert sorted(explained) == sorted(pinned)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", README))))
def test_modules_that_are_named_exist(module) -> None:
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_pins_let_patches_in_and_nothing_more() -> None:
    """`~=` or, with the reason beside it, `==`; never open, never missing."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z][\w.-]*(~=|==)[\d.]+(\s+#.*)?", line), line
