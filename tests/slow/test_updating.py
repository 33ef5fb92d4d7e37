"""docs/updating.md, literally: two clones that have diverged become one, and nothing generated conflicts."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exercise_runs import REPOSITORY
from tests.guide import copy_of_the_course

LECTURE = "lectures/01-tensors.qmd"
GENERATED = ("notebooks/01-tensors.ipynb", "exercises/01-tensors.ipynb")
PAGE = (REPOSITORY / "docs/updating.md").read_text(encoding="utf-8")
ADDRESS = "https://github.com/example/computer-vision-for-actuaries"


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} does not have {old!r} any more"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def regenerate(folder: Path) -> None:
    """The part of `make ready` that writes notebooks."""
    for command in (["tools.notebooks", "notebooks"], ["tools.exercises"]):
        run(folder, sys.executable, "-m", *command)


def commands(heading: str) -> list[str]:
    """What a section of the page tells to type."""
    section = re.search(rf"(?ms)^## {heading}$(.*?)(?=^## |\Z)", PAGE)[1]
    return re.findall(r"(?m)^ *\$ (.+)$", section)


@pytest.fixture(scope="module")
def clones(tmp_path_factory):
    """The course at v1.0.0, its next version v1.1.0, and a lecturer's clone with changes of their own."""
    place = tmp_path_factory.mktemp("updating")
    upstream, mine = copy_of_the_course(place / "upstream"), place / "mine"
    for path in upstream.rglob("0[2-9]-*"):  # one lecture tells as much, in a fifth of the time
        if path.suffix in (".qmd", ".ipynb", ".py"):
            path.unlink()
    run(upstream, "git", "init", "--quiet", "--initial-branch=main")
    for folder, more in ((upstream, ()), (mine, ("clone", "--quiet", str(upstream), str(mine)))):
        if more:
            run(place, "git", *more)
        for key, value in (("user.name", "Test"), ("user.email", "test@example.org")):
            run(folder, "git", "config", key, value)
        if not more:
            run(folder, "git", "add", "--all")
            run(folder, "git", "commit", "--quiet", "-m", "Version 1.0.0")
            run(folder, "git", "tag", "v1.0.0")

    # The next version: a sentence of a lecture, another of an exercise.
    change(
        upstream / LECTURE,
        "## What you will be able to do",
        "A sentence of version 1.1.\n\n## What you will be able to do",
    )
    change(upstream / "exercises/source/01-tensors.py", "# *Goes with lecture 1.", "# *Belongs to lecture 1.")
    regenerate(upstream)
    run(upstream, "git", "commit", "--quiet", "--all", "-m", "Version 1.1.0")
    run(upstream, "git", "tag", "v1.1.0")

    # The lecturer: another address, and a slide in the same lecture.
    change(mine / "course.yml", ADDRESS, "https://github.com/jane/vision")
    change(mine / "CITATION.cff", ADDRESS, "https://github.com/jane/vision")
    change(mine / LECTURE, "\n# Summary\n", "\n## A slide of my own\n\nClaims have pictures.\n\n# Summary\n")
    regenerate(mine)
    run(mine, "git", "commit", "--quiet", "--all", "-m", "My course")
    run(mine, "git", "remote", "add", "upstream", str(upstream))
    run(mine, "git", "fetch", "--quiet", "upstream", "--tags")
    return upstream, mine


def merged(mine: Path, place: Path, *, driver: bool) -> tuple[int, list[str], Path]:
    """Merge v1.1.0 in a copy of the clone; returns the status, the files in conflict, and the copy."""
    copy = place / f"driver-{driver}"
    run(place, "git", "clone", "--quiet", str(mine), str(copy))
    for key, value in (("user.name", "Test"), ("user.email", "test@example.org")):
        run(copy, "git", "config", key, value)
    if driver:
        setting = re.search(
            r"(?m)^MERGE = (git config \S+ \S+)", (REPOSITORY / "Makefile").read_text("utf-8")
        )
        run(copy, *setting[1].split())
    status = subprocess.run(["git", "merge", "--no-edit", "v1.1.0"], cwd=copy, capture_output=True).returncode
    return status, run(copy, "git", "diff", "--name-only", "--diff-filter=U").split(), copy


def test_nothing_generated_conflicts(clones, tmp_path) -> None:
    _, mine = clones
    status, conflicts, copy = merged(mine, tmp_path, driver=True)
    assert (status, conflicts) == (0, [])
    # Forgotten, it is told: the notebooks are still the lecturer's.
    stale = (copy / GENERATED[0]).read_text(encoding="utf-8")
    assert "A slide of my own" in stale and "A sentence of version 1.1" not in stale
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "up_to_date"]
    told = subprocess.run(
        [*pytest_command, "tests/unit/test_exercises.py"], cwd=copy, capture_output=True, encoding="utf-8"
    )
    assert told.returncode == 1 and "run `make ready`" in told.stdout
    regenerate(copy)
    lecture = (copy / GENERATED[0]).read_text(encoding="utf-8")
    assert "A slide of my own" in lecture and "A sentence of version 1.1" in lecture
    exercise = (copy / GENERATED[1]).read_text(encoding="utf-8")
    assert "Belongs to lecture 1" in exercise and "github.com/jane/vision" in exercise
    changed = run(copy, "git", "status", "--short").split()[1::2]
    assert changed and all(name.endswith(".ipynb") for name in changed)
    assert not (copy / "my-work").exists()  # nobody had worked in a hand-out


def test_without_the_driver_git_merges_text_and_the_page_says_what_to_do(clones, tmp_path) -> None:
    _, mine = clones
    status, conflicts, copy = merged(mine, tmp_path, driver=False)
    assert status == 1 and conflicts and all(name.endswith(".ipynb") for name in conflicts)
    for command in commands("Where git finds a conflict"):
        run(copy, *shlex.split(command))
    regenerate(copy)
    run(copy, "git", "add", "--all")
    run(copy, "git", "commit", "--quiet", "--no-edit")
    assert "A sentence of version 1.1" in (copy / GENERATED[0]).read_text(encoding="utf-8")
    assert not (copy / "my-work").exists()


def test_the_commands_of_the_page_work(clones, tmp_path) -> None:
    """From a fork to its update, as typed; what takes minutes here and is tried elsewhere is left out."""
    upstream, mine = clones
    run(tmp_path, "git", "clone", "--quiet", str(mine), "vision")
    folder = tmp_path / "vision"
    for key, value in (("user.name", "Test"), ("user.email", "test@example.org")):
        run(folder, "git", "config", key, value)
    typed = commands("Once") + commands("For each version")
    assert {"make setup", "make ready", "make test"} <= set(typed)
    for command in typed:
        match shlex.split(command):
            case ["git", "clone" | "push", *_] | ["cd", _] | ["make", "test"]:
                pass
            case ["make", "setup"]:
                run(folder, "git", "config", "merge.generated.driver", "true")
            case ["make", "ready"]:
                regenerate(folder)
            case words:
                run(folder, *(str(upstream) if each == f"{ADDRESS}.git" else each for each in words))
    assert "A sentence of version 1.1" in (folder / GENERATED[0]).read_text(encoding="utf-8")
    assert run(folder, "git", "status", "--short") == ""


def test_own_changes_end_green_or_in_a_sentence(tmp_path) -> None:
    """A section less, two in another order, own references, another title: each test says what to do."""
    folder = copy_of_the_course(tmp_path / "own")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    path = folder / "lectures/02-convolution.qmd"
    text = path.read_text(encoding="utf-8")
    heads = ("Padding", "Layers", "Striding", "What you choose", "Summary")
    places = [text.index(f"\n# {head}\n") for head in heads]
    padding, layers, striding, choices = (text[a:b] for a, b in zip(places, places[1:]))
    text = text[: places[0]] + layers + choices + striding + text[places[-1] :]
    text = text.replace("| Padding | 15 |\n", "").replace(
        "\n# Summary\n", "\n## Mine\n\n[@me2024]\n\n# Summary\n"
    )
    path.write_text(text, encoding="utf-8")
    entry = "@book{me2024,\n author = {Me, Jane},\n title = {A book},\n publisher = {Me},\n year = 2024\n}\n"
    (folder / "mine.bib").write_text(entry, encoding="utf-8")
    settings = (folder / "course.yml").read_text(encoding="utf-8")
    settings = re.sub(
        r'(?m)^course-title: &title ".*"$', 'course-title: &title "Images for insurers"', settings
    )
    (folder / "course.yml").write_text(settings + "\nbibliography: [mine.bib]\n", encoding="utf-8")
    regenerate(folder)
    names = ("instructors", "references", "exercises", "readme", "settings")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line"]
    command += [f"tests/unit/test_{name}.py" for name in names]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
    failed = re.findall(r"(?m)^\S+:\d+: (.+)$", done.stdout)
    told = "\n".join(failed)
    for each in failed:
        assert re.search(r"[\w-]+\.(?:md|qmd|bib|yml)\b", each), f"names no file: {each}"
    assert "02-convolution.qmd: the parts of its plan take 95 minutes" in told
    assert "docs/instructors.md" in told and "references.bib" in told and "me2024" not in told
    assert len(failed) <= 5, told
