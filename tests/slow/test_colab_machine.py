"""The set-up cell on a machine like Colab's.

The cell runs as it is, in an environment that has the packages which Colab brings and not ours. Git
is told that the published address is this repository, and pip's index is a folder.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import venv
import zipfile
from pathlib import Path

from course import colab

import pytest

from render.colab import Repository
from tests.exercise_runs import REPOSITORY
from tests.unit.test_colab import project, run

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
    # pip cannot parse this version, and would refuse a list of constraints that holds it.
    odd = site / "odd_package-1.0_local.dist-info"
    odd.mkdir()
    (odd / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: odd-package\nVersion: 1.0-local\n", encoding="utf-8"
    )
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

    # Two more runs, in a new session and within one, install nothing.
    again = run(python, f"import google.colab\n{cell}\n{cell}", tmp_path, environment)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("Nothing had to be installed.") == 2
    assert versions(python, environment) == after


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
    assert first.returncode and first.stderr.startswith("The course could not be fetched (")
    done = run(python, f"import google.colab\n{cell}", tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
