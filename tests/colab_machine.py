"""A machine like Colab's: a Python with the packages that Colab brings, and not ours.

What Colab has in other versions than we do comes from the package index, the rest are links to ours. Git
is told that the published address is a repository made here, of what students get, and pip's index is a
folder. Where the package index is out of reach, all are links, and `why_not` says so.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from course import colab

import nbformat

from render.client import NotebookClient
from render.frame import Repository
from render.project import Project
from tests.exercise_runs import REPOSITORY
from tools.students import contents, write

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


# Of that list, as of 2026-08-19, what is not ours, and what these need and ours do not. Colab's
# torch 2.11 is ours here: another one would be gigabytes.
VERSIONS = {
    "keras": "3.13.2",
    "numpy": "2.1.3",
    "pandas": "2.2.3",
    "statsmodels": "0.14.6",
    "ipykernel": "6.17.1",
    "ipython": "7.34.0",
}
THEIR_NEEDS = ("backcall", "decorator", "pickleshare", "pytz", "tzdata")
# The last mlxtend that goes with this NumPy.
OLDER = "mlxtend==0.23.4"


@dataclass
class Machine:
    """Where its Python is, what it is started with, the folder of its index, and what it lacks of Colab's."""

    folder: Path
    python: Path
    environment: dict[str, str]
    wheels: Path
    why_not: str = ""

    def versions(self) -> dict[str, str]:
        """The version of each package, by its name."""
        done = self.pip("list", "--format=json", **self.environment)
        return {each["name"].lower(): each["version"] for each in json.loads(done.stdout)}

    def pip(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        command = [self.python, "-m", "pip", "--disable-pip-version-check", *words]
        return subprocess.run(
            command, env=environment or dict(os.environ), capture_output=True, encoding="utf-8"
        )

    def run_notebook(self, path: Path, folder: Path) -> nbformat.NotebookNode:
        """The notebook after a run of all its cells, its set-up cell too, in an empty folder of a session."""
        read = nbformat.read(path, as_version=4)
        kernel = self.folder / "jupyter" / "kernels" / "colab"
        kernel.mkdir(parents=True, exist_ok=True)
        argv = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        specification = {"argv": argv, "display_name": "Colab", "language": "python", "env": self.environment}
        (kernel / "kernel.json").write_text(json.dumps(specification), encoding="utf-8")
        client = NotebookClient(read, kernel_name="colab", timeout=300)
        with mock.patch.dict(os.environ, JUPYTER_PATH=str(self.folder / "jupyter")):
            client.execute(cwd=str(folder), env=self.environment | {"COURSE_STRICT": "1"})
        return read


def machine(folder: Path) -> Machine:
    """Set one up in this folder."""
    venv.create(folder / "python", with_pip=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    made = Machine(folder, folder / "python" / scripts / "python", {}, folder / "wheels")
    made.wheels.mkdir()
    brought = closure(ON_COLAB)
    wanted = [f"{name}=={version}" for name, version in VERSIONS.items()]
    options = ("--quiet", "--no-deps", "--only-binary=:all:")
    done = made.pip("install", *options, *wanted, *THEIR_NEEDS)
    if not done.returncode:
        # What takes their place is what requirements.txt says, whatever is installed here.
        course_s = [colab._specified()[name] for name in colab.REPLACED]
        done = made.pip("download", *options, "--dest", str(made.wheels), OLDER, *course_s)
    if done.returncode:
        made.why_not = f"Colab's versions can't be had: {done.stderr.strip().splitlines()[-1]}"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    where = subprocess.run([made.python, "-c", code], capture_output=True, encoding="utf-8", check=True)
    site = Path(where.stdout.strip())
    there = {each.metadata["Name"].lower() for each in importlib.metadata.distributions(path=[str(site)])}
    link_packages((each for name, each in brought.items() if name not in there), site)
    (site / "google").mkdir(exist_ok=True)
    (site / "google" / "colab.py").write_text("", encoding="utf-8")
    (site / "colab-is-here.pth").write_text("import google.colab\n", encoding="utf-8")

    replaced = closure(colab.REPLACED).keys() - closure(set(ON_COLAB) - set(colab.REPLACED)).keys()
    for name in (closure(colab.NEEDED.values()).keys() - brought.keys()) | replaced - set(colab.REPLACED):
        wheel(importlib.metadata.distribution(name), made.wheels)
    # pip cannot parse this version, and would refuse a list of constraints that holds it.
    odd = site / "odd_package-1.0_local.dist-info"
    odd.mkdir()
    (odd / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: odd-package\nVersion: 1.0-local\n", encoding="utf-8"
    )
    decoy("numpy", "99.0", made.wheels)
    decoy("torch", "99.0", made.wheels)
    made.environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COURSE_", "PYTHON", "PIP_", "GIT_", "JUPYTER"))
    }
    made.environment |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{publish(folder / 'published').as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": Repository.of(Project.load(REPOSITORY)).url,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(made.wheels),
        "PIP_CONFIG_FILE": os.devnull,
    }
    return made


def publish(folder: Path) -> Path:
    """What students get of the working tree as it is now, committed and tagged as the release; its .git."""
    project = Project.load(REPOSITORY)
    write(folder, contents(project))
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "core.autocrlf=false"]
    for words in (
        ["init", "--quiet"],
        ["add", "--all", "--force"],
        [*identity, "commit", "--quiet", "-m", "now"],
        ["tag", Repository.of(project).ref],
    ):
        subprocess.run(["git", *words], check=True, cwd=folder, capture_output=True)
    return folder / ".git"
