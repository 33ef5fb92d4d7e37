"""Notebooks on Colab: links that lead somewhere, and a set-up cell that changes nothing else.

The set-up cell runs as it is, in an environment that has the packages which Colab brings and not
ours. Git is told that the published address is this repository, and pip's index is a folder.
"""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from urllib.parse import unquote

from course import colab

import nbformat
import pytest
from bs4 import BeautifulSoup

from render.colab import BADGE, Repository
from render.errors import RenderError
from render.exercises import FOLDER, SOLUTIONS
from render.project import Project
from render.quarto_post_render import add_badges
from render.quarto_post_render import repository as read_address
from tests.exercise_runs import REPOSITORY, SOURCES
from tests.render_command import run_render

# What Colab has and the course uses, by its import name (Colab's own list: `pip list` there, and
# github.com/googlecolab/backend-info). Packages are these with all that they depend on.
ON_COLAB = (
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "pillow",
    "opencv-python-headless",
    "keras",
    "torch",
    "tqdm",
    "filelock",
    "platformdirs",
    "ipywidgets",
    "ipykernel",
    "seaborn",
    "statsmodels",
    "scikit-image",
    "grpcio",
    "protobuf",
    "six",
    "psutil",
)


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
    badge = re.fullmatch(r"\[!\[Open in Colab\]\((.+?)\)\]\((.+)\)", read.cells[0].source)
    assert badge, "the first cell is no badge"
    assert (path.parent / badge[1]).resolve() == REPOSITORY / BADGE
    assert badge[2] == repository.colab(name)
    inside = unquote(badge[2]).split(f"/blob/{repository.ref}/")[1]
    assert (REPOSITORY / inside).is_file()
    assert first_code(path) == repository.setup()


def test_every_lecture_and_exercise_has_a_notebook():
    names = {path.relative_to(REPOSITORY).as_posix() for path in notebooks()}
    lectures = [path.stem for path in (REPOSITORY / "lectures").glob("[0-9]*.qmd")]
    assert {f"notebooks/{name}.ipynb" for name in lectures} <= names
    assert {f"{FOLDER}/{path.stem}.ipynb" for path in SOURCES} <= names


def test_address_stands_in_one_place():
    """Only _quarto.yml names the repository; what is generated from it does, and nothing else."""
    repository = Repository.of(project())
    listed = subprocess.run(
        ["git", "grep", "-lF", repository.url],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        encoding="utf-8",
    ).stdout.split()
    generated = {path.relative_to(REPOSITORY).as_posix() for path in notebooks()}
    # The format of CITATION.cff has the address in it; it must be the same.
    assert set(listed) - generated <= {"_quarto.yml", "CITATION.cff"}
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert f"repository-code: {repository.url}\n" in citation


def test_the_ref_is_the_release():
    """What the notebooks fetch is the tag of the version in pyproject.toml."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"', text, flags=re.MULTILINE)[1]
    assert Repository.of(project()).ref == f"v{version}"


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
    # Making the data and looking over a machine are no part of what runs on Colab.
    ours = [
        path
        for path in (REPOSITORY / "course").rglob("*.py")
        if path.relative_to(REPOSITORY / "course").parts[0]
        not in ("casia", "handwriting", "preflight", "sheet")
    ]
    texts |= {path: path.read_text(encoding="utf-8") for path in ours}
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
    # IPython comes with any notebook, threadpoolctl with scikit-learn.
    known = {"course", "google", "IPython", "matplotlib_inline", "threadpoolctl", *sys.stdlib_module_names}
    found = {name: where for name, where in imported_modules().items() if name not in known}
    needed = {each.split(".")[0] for each in colab.NEEDED}
    assert set(found) <= needed, "course/colab.py: NEEDED lacks modules"
    specified = colab._specified()
    assert set(colab.NEEDED.values()) <= set(specified)


def closure(names):
    """The distributions with these names and all that they need, by normal name."""
    found, waiting = {}, list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = distribution
        waiting += [
            re.split(r"[\s;<>=!~\[(]", each)[0]
            for each in distribution.requires or []
            if "extra ==" not in each
        ]
    return found


def link_packages(distributions, site):
    """Give an environment these installed packages, as links to ours."""
    for distribution in distributions:
        for file in distribution.files or []:
            top = file.parts[0]
            source, target = Path(distribution.locate_file(top)), site / top
            if top in ("..", "__pycache__") or target.exists() or not source.exists():
                continue
            target.symlink_to(source)


def wheel(distribution, folder, version=None):
    """Pack an installed package as a wheel again, perhaps under another version."""
    name = re.sub(r"[-_.]+", "_", distribution.metadata["Name"])
    own = distribution.version
    version = version or own
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        for file in distribution.files:
            source = Path(distribution.locate_file(file))
            if file.parts[0] == ".." or "__pycache__" in file.parts or not source.is_file():
                continue
            if file.parts[0].endswith(".dist-info"):
                continue
            packed.write(source, file.as_posix())
        requires = "".join(f"Requires-Dist: {each}\n" for each in distribution.requires or [])
        packed.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
        )
        packed.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(f"{info}/RECORD", "")
    return path


def decoy(name, version, folder, requires=()):
    """A newer version of a package, which pip would love to install."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(
            f"{name}-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {each}\n" for each in requires),
        )
        packed.writestr(
            f"{name}-{version}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        packed.writestr(f"{name}-{version}.dist-info/RECORD", "")


@pytest.fixture(scope="module")
def colab_machine(tmp_path_factory):
    """A Python with Colab's packages and not ours, a published repository, and an index."""
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder / "python", with_pip=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = folder / "python" / scripts / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
            encoding="utf-8",
        ).stdout.strip()
    )
    brought = closure(ON_COLAB)
    ours = {name for name in closure(set(colab.NEEDED.values())) if name not in brought}
    assert {"watermark", "mlxtend"} <= ours, "the test needs packages that Colab lacks"
    link_packages(brought.values(), site)
    (site / "google").mkdir(exist_ok=True)
    (site / "google" / "colab.py").write_text("", encoding="utf-8")

    wheels = folder / "wheels"
    wheels.mkdir()
    for name in ours:
        wheel(importlib.metadata.distribution(name), wheels)
    decoy("numpy", "99.0", wheels)
    decoy("torch", "99.0", wheels)

    # The working tree as it is now, committed and tagged as the release.
    published = folder / "published"
    subprocess.run(["git", "init", "--quiet", published], check=True)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    git = ["git", f"--work-tree={REPOSITORY}", f"--git-dir={published / '.git'}", *identity]
    subprocess.run([*git, "add", "--all"], check=True, cwd=REPOSITORY, capture_output=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "now"], check=True, cwd=REPOSITORY)
    repository = Repository.of(project())
    subprocess.run([*git, "tag", "--force", repository.ref], check=True, cwd=REPOSITORY, capture_output=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COURSE_", "PYTHON", "PIP_", "GIT_"))
    }
    environment |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{(published / '.git').as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": repository.url,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": os.devnull,
    }
    return python, environment, wheels


def versions(python, environment):
    done = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    return {each["name"].lower(): each["version"] for each in json.loads(done.stdout)}


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


def test_setup_cell_on_colab(colab_machine, tmp_path):
    python, environment, _ = colab_machine
    before = versions(python, environment)
    assert "watermark" not in before and "torch" in before
    cell = Repository.of(project()).setup()
    after_setup = """
import course, os
from course.data import handwriting_folder
from course.loaders import count_images_in_folders
import mlxtend.data, watermark, ipywidgets, cv2, keras
assert keras.backend.backend() == "torch"
print("images", count_images_in_folders(handwriting_folder() / "Test").sum())
print("course at", os.path.dirname(course.__file__))
"""
    code = f"import google.colab\n{cell}\n{after_setup}"
    done = run(python, code, tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The course is ready." in done.stdout
    assert f"course at {tmp_path / 'course-repository' / 'course'}" in done.stdout
    after = versions(python, environment)
    assert {name: after[name] for name in before} == before, "a package of Colab's was replaced"
    assert "watermark" in after and "mlxtend" in after

    # A second run, in the same session or in a new one, installs nothing.
    again = run(python, f"import google.colab\n{cell}\n{cell}", tmp_path, environment)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("Nothing had to be installed.") == 1
    assert versions(python, environment) == after


def test_setup_cell_does_nothing_elsewhere(tmp_path):
    cell = Repository.of(project()).setup()
    code = (
        "import os, sys, subprocess\nbefore = (os.getcwd(), list(sys.path))\n"
        "subprocess.run = None\n" + cell + "\nassert (os.getcwd(), sys.path) == before\n"
        "assert 'course' not in sys.modules"
    )
    done = run(sys.executable, code, tmp_path, dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert not done.stdout and not list(tmp_path.iterdir())


def test_a_package_that_wants_another_numpy_is_refused(colab_machine, tmp_path, monkeypatch):
    """pip is not allowed to replace NumPy even for a package that asks for it."""
    python, environment, wheels = colab_machine
    decoy("needs_new_numpy", "1.0", wheels, ["numpy>=99"])
    before = versions(python, environment)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from course import colab\n"
        "colab.NEEDED = {'needs_new_numpy': 'needs_new_numpy'}\n"
        "colab._specified = lambda: {'needs_new_numpy': 'needs_new_numpy'}\n"
        "colab.prepare()"
    )
    done = subprocess.run(
        [python, "-c", code, str(REPOSITORY)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode and "could not install needs_new_numpy" in done.stderr
    assert versions(python, environment) == before


def test_a_commit_fetched_by_half_is_fetched_again(colab_machine, tmp_path):
    python, environment, _ = colab_machine
    cell = Repository.of(project()).setup()
    broken = environment | {"GIT_CONFIG_VALUE_0": "https://nowhere.invalid/"}
    broken |= {"GIT_TERMINAL_PROMPT": "0", "https_proxy": "http://127.0.0.1:9"}
    first = run(python, f"import google.colab\n{cell}", tmp_path, broken)
    assert first.returncode and "CalledProcessError" in first.stderr
    done = run(python, f"import google.colab\n{cell}", tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr


# Pages -------------------------------------------------------------------------------------

LINK = '<p>Open the <a href="../notebooks/01-a.ipynb">notebook</a>, do the {}.</p>'


def test_badge_follows_each_link_to_a_notebook():
    text = LINK.format('<a class="x" href="../exercises/01-a.ipynb" title="t">exercise</a>')
    url = "https://github.com/owner/name"
    made = add_badges(text, url, "v1")
    soup = BeautifulSoup(made, "lxml")
    found = {link["href"]: link.img for link in soup.select("a.colab")}
    base = "https://colab.research.google.com/github/owner/name/blob/v1"
    assert list(found) == [f"{base}/notebooks/01-a.ipynb", f"{base}/exercises/01-a.ipynb"]
    assert {image["src"] for image in found.values()} == {f"../{BADGE}"}
    assert [image["alt"] for image in found.values()] == [
        "Open the notebook in Colab",
        "Open the exercise in Colab",
    ]
    assert add_badges(made, url, "v1") == made, "a second run changes nothing"
    assert add_badges(text, "", "main") == text


def test_quartos_script_reads_the_same_address():
    text = (REPOSITORY / "_quarto.yml").read_text(encoding="utf-8")
    repository = Repository.of(project())
    assert read_address(text) == (repository.url, repository.ref)
    assert read_address("website:\n  title: T\n") == ("", "main")


def test_badges_are_on_the_rendered_notes(tmp_path):
    """`python -m render` puts them on notes and not on slides."""
    config = (REPOSITORY / "_quarto.yml").read_text(encoding="utf-8")
    (tmp_path / "lectures").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "assets" / "images").mkdir(parents=True)
    (tmp_path / "assets" / "images" / "open-in-colab.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "notebooks" / "01-a.ipynb").write_text("{}", encoding="utf-8")
    (tmp_path / "_quarto.yml").write_text(
        "project:\n  type: website\n  execute-dir: project\n  render: ['/lectures/*.qmd']\n"
        "  resources: ['notebooks/*.ipynb', 'assets/images/*.svg']\nwebsite:\n  title: T\n"
        + "".join(line + "\n" for line in config.splitlines() if "  repo-" in line)
        + "format:\n  html:\n    theme: default\n"
        "    html-math-method: mathml\n  revealjs:\n    output-ext: slides.html\n"
        "    html-math-method: mathml\n    menu: false\n",
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
