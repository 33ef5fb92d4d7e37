"""CONTRIBUTING.md followed to the end, in a copy of the course: `make ready`, then the tests, all green.

The copy lies in a folder with a space and Chinese characters in its path, with a user's own folders in it.
It has a .venv of its own, which borrows the packages of this one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sysconfig
import tempfile
import venv
from pathlib import Path

import pytest
from PIL import Image

from tests import guide
from tools.fonts import chinese
from tools.ledger import repository_files

EXISTING = "lectures/02-convolution.qmd"
RARE = chr(0x9CB8)  # a whale, which no text of the course needs
MADE = [
    "assets/ledger.toml",
    "cache/digits_example.keras",
    "cache/digits_example_history.json",
    "cache/manifest.json",
    "exercises/08-claims.ipynb",
    "exercises/solutions/08-claims.ipynb",
    "notebooks/02-convolution.ipynb",
    "notebooks/08-claims.ipynb",
]


def run(folder: Path, *command: str) -> str:
    """Run a command in the copy; it must end well. Returns what it said."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("COURSE_", "PYTEST_"))}
    own["PYTHONUTF8"] = "1"
    done = subprocess.run(
        command,
        cwd=folder,
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8000:]}"
    return done.stdout


def make(folder: Path, *targets: str) -> str:
    """`make`, which is to take .venv as it is, and finds no Python to set it up anew."""
    (folder / ".venv/.ready").touch()
    return run(folder, "make", "PYTHON=none", *targets)


def python(folder: Path, *arguments: str) -> str:
    binaries = "Scripts" if os.name == "nt" else "bin"
    return run(folder, str(folder / ".venv" / binaries / "python"), *arguments)


def borrow_packages(folder: Path) -> None:
    """What `make setup` does, without downloads: the course comes from the copy, all else from here."""
    venv.create(folder / ".venv", symlinks=os.name != "nt")
    (packages,) = (folder / ".venv").glob("**/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed"]
    python(folder, "-m", "pip", "install", *offline, "-e", ".")


def git(folder: Path, *arguments: str) -> str:
    return run(folder, "git", "-c", "user.name=A reader", "-c", "user.email=reader@example.org", *arguments)


def content(folder: Path) -> dict[str, str]:
    """The hash of each file of the copy that git does not ignore."""
    names = repository_files(folder)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="module")
def followed():
    """A copy with all recipes followed, then `make ready`; and what it held in between."""
    with tempfile.TemporaryDirectory(prefix="a reader ", ignore_cleanup_errors=True) as outer:
        os.chmod(outer, 0o755)  # some tests run as another user
        yield follow(Path(outer, "the course 课程"))


def follow(folder: Path) -> tuple[Path, dict[str, str]]:
    guide.copy_of_the_course(folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "As it was")
    borrow_packages(folder)

    (folder / ".vscode").mkdir()
    (folder / ".vscode/settings.json").write_text("{}", encoding="utf-8")
    (folder / "my-photos/dogs").mkdir(parents=True)
    Image.new("RGB", (40, 40), "brown").save(folder / "my-photos/dogs/1.jpg")

    add_package(folder)
    guide.add_slides(folder, EXISTING, "# Summary", ("slide", "figure"))
    guide.add_lecture(folder)
    guide.add_slides(folder, guide.LECTURE, "# Summary", ("slide", "figure", "file", "fitted model"))
    guide.add_file(folder)
    add_character(folder)
    written = content(folder)
    make(folder, "ready")
    return folder, written


def add_package(folder: Path) -> None:
    """One that is installed already: the copy shares its environment."""
    with open(folder / "requirements-tests.txt", "a", encoding="utf-8") as file:
        file.write(f"click~={importlib.metadata.version('click')}\n")
    guide.insert(folder / "README.md", "| ruff |", "| click | this test |\n")


def add_character(folder: Path) -> None:
    """A new Chinese character on a slide, where the font that has it is installed."""
    if chinese.SOURCE.is_file():
        slide = f'## A whale\n\n[{RARE}]{{lang="zh"}}\n\n'
        guide.insert(folder / guide.LECTURE, "# Summary\n", slide)
        python(folder, "-m", "tools.fonts.chinese")


def test_ready_makes_what_is_generated_and_nothing_else(followed) -> None:
    folder, written = followed
    after = content(folder)
    changed = sorted(name for name in after.keys() | written.keys() if after.get(name) != written.get(name))
    assert changed == MADE


def test_a_second_time_changes_nothing(followed) -> None:
    folder, _ = followed
    before = content(folder)
    make(folder, "ready")
    assert content(folder) == before


def test_the_quick_tests_are_green(followed) -> None:
    make(followed[0], "test-quick")


def test_the_new_pages_and_answers_are_green(followed) -> None:
    """Of `make test` what is new: the notebooks, right and wrong answers, each slide in a browser."""
    lax = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300"]
    notebooks = ["notebooks/02-convolution.ipynb", "notebooks/08-claims.ipynb"]
    python(followed[0], "-m", "pytest", "-q", *lax, *notebooks)
    tests = ["tests/whole/test_answers.py", "tests/site/test_site.py", "tests/site/test_links.py"]
    said = python(followed[0], "-m", "pytest", "-q", "-k", "08-claims or index or link", *tests)
    assert " passed" in said
