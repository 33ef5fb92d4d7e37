"""What the README says of commands, folders and packages is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_workflows import make_targets

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REQUIREMENTS = [
    (ROOT / name).read_text(encoding="utf-8") for name in ("requirements.txt", "requirements-tests.txt")
]
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
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, encoding="utf-8").split("\0")
    there = {name.partition("/")[0] for name in listed if "/" in name} - {".ci"}
    assert {name.partition("/")[0] for name in explained} == there


def test_every_package_has_a_reason() -> None:
    pinned = re.findall(r"(?m)^([A-Za-z][\w.-]*)", "\n".join(REQUIREMENTS))
    explained = " ".join(cells[0] for cells in table("| package | because |"))
    explained = set(re.findall(r"[\w.-]+", explained.replace(" on ", " ")))
    assert sorted(explained) == sorted(pinned)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", README))))
def test_modules_that_are_named_exist(module) -> None:
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_pins_let_patches_in_and_nothing_more() -> None:
    """`~=` or, with the reason beside it, `==`; never open, never missing."""
    for line in "\n".join(REQUIREMENTS).splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z][\w.-]*(~=|==)[\d.]+(\s+#.*)?", line), line


def test_students_need_no_package_of_the_tests() -> None:
    """`pip install -e .` takes requirements.txt, `.[tests]` the other file as well."""
    students, tests = (set(re.findall(r"(?m)^([A-Za-z][\w.-]*)", text)) for text in REQUIREMENTS)
    assert not students & tests
    assert {"pytest", "nbval", "ruff"} <= tests
