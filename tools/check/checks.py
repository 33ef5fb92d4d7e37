"""The checks, one function each. All return a `Finding`, and none raises."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse
from urllib.request import url2pathname

from course.characters import CHARACTERS

from tools import ledger
from tools.console import python

OK, HINT, WARNING, FAILURE = "ok", "hint", "warning", "FAIL"
REPOSITORY = ledger.REPOSITORY

LEAST_PYTHON = (3, 11)
# The versions that the tests run on; a later one may work before the packages promise it.
LAST_PYTHON = (3, 13)

GIGABYTE = 2**30
# .venv takes 2.3 GB, and pip unpacks each wheel beside it first.
DISK_FOR_SETTING_UP = 5
# The site, unpacked handwriting, packed images and executed notebooks take 0.2 GB; the rest is
# for what systems and browsers write meanwhile.
DISK_FOR_RENDERING = 1
# The process that ran lecture 4 was seen to hold 0.8 GB; a browser and JupyterLab come on top.
LEAST_MEMORY = 1
MEMORY_FOR_CLASS = 3
# With more, an epoch cannot be waited for in front of a class.
SLOW_EPOCH = 60.0

# How this system installs Python, Graphviz and a browser.
_INSTALL, *_NAMES = {
    "Darwin": ("brew install", "python@3.13", "graphviz", "--cask google-chrome"),
    "Windows": ("winget install", "Python.Python.3.13", "Graphviz.Graphviz", "Google.Chrome"),
}.get(platform.system(), ("sudo apt install", "python3 python3-venv", "graphviz", "chromium"))
INSTALL_PYTHON, INSTALL_GRAPHVIZ, INSTALL_BROWSER = (f"{_INSTALL} {name}" for name in _NAMES)
# Nobody shall install the packages into the system's Python.
INSTALL_PACKAGES = python("pip", "install", "-r", "requirements.txt", "-e", ".")
if sys.prefix == sys.base_prefix:
    INSTALL_PACKAGES = "make slides sets up .venv with all of them"


class Finding(NamedTuple):
    """What a check found: its level, the check's name, one line of fact, and what to do."""

    level: str
    name: str
    fact: str
    remedy: str = ""


class Trouble(Exception):
    """What a check found wrong, and what to do about it, where that is not the check's usual remedy."""

    def __init__(self, fact: str, remedy: str = "", level: str = FAILURE):
        super().__init__(fact)
        self.remedy, self.level = remedy, level


# Name to check, in the order of the report.
CHECKS: dict[str, Callable[..., Finding]] = {}


def check(name: str, remedy: str) -> Callable:
    """Make a check of a function that returns a fact, or raises `Trouble` or whatever else it meets."""

    def decorate(function: Callable[..., str]) -> Callable[..., Finding]:
        @functools.wraps(function)
        def run(*arguments, **options) -> Finding:
            try:
                return Finding(OK, name, function(*arguments, **options))
            except Trouble as trouble:
                return Finding(trouble.level, name, str(trouble), trouble.remedy or remedy)
            except ImportError as error:
                return Finding(FAILURE, name, str(error), INSTALL_PACKAGES)
            except Exception as error:  # the other checks shall still be heard
                return Finding(FAILURE, name, " ".join(f"{type(error).__name__}: {error}".split()), remedy)

        CHECKS[name] = run
        return run

    return decorate


@contextlib.contextmanager
def _reading(path: Path, remedy: str = ""):
    """Whatever goes wrong with a file, its name is said."""
    try:
        yield
    except Exception as error:
        raise Trouble(f"{path} is damaged or missing: {' '.join(str(error).split())}", remedy) from error


def _run(command: list[str], **options) -> subprocess.CompletedProcess:
    """Run a program and return what it said; `OSError` or `TimeoutExpired` if it does not run."""
    texts = {"encoding": "utf-8", "errors": "replace"}
    return subprocess.run(command, capture_output=True, timeout=30, **texts, **options)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


@check("Python", INSTALL_PYTHON)
def check_python() -> str:
    """Version, 64 bit, and whether it is the one in .venv."""
    version, bits = sys.version_info[:3], 64 if sys.maxsize > 2**32 else 32
    fact = ".".join(map(str, version)) + f", {bits} bit, {sys.prefix}"
    span = f"3.{LEAST_PYTHON[1]} to 3.{LAST_PYTHON[1]}"
    if version[:2] < LEAST_PYTHON or bits != 64:
        raise Trouble(fact, f"Install a 64-bit Python {span}: {INSTALL_PYTHON}; make PYTHON=<path> slides")
    if Path(sys.prefix).resolve() != (REPOSITORY / ".venv").resolve():
        raise Trouble(f"{fact}, not the one in .venv", "`make slides` makes it", WARNING)
    if version[:2] > LAST_PYTHON:
        raise Trouble(fact, f"The course is tested on Python {span}", WARNING)
    return fact


@check("Packages", INSTALL_PACKAGES)
def check_packages(requirements: Path = REPOSITORY / "requirements.txt", root: Path = REPOSITORY) -> str:
    """Every line of requirements.txt against what is installed, and `course` itself."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement
    with _reading(requirements):
        wanted = map(Requirement, re.findall(r"(?m)^[^\s#][^#\n]*", requirements.read_text("utf-8")))
        wanted = [each for each in wanted if not each.marker or each.marker.evaluate()]
    wrong = []
    for each in wanted:
        try:
            found = importlib.metadata.version(each.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{each.name} is not installed")
            continue
        # A build's own label counts for nothing: 2.13.0+cpu is 2.13.0.
        if not each.specifier.contains(found.split("+")[0], prereleases=True):
            wrong.append(f"{each.name} is {found}, not {each.specifier}")
    # A repository that setuptools once built holds a record of its own, without an address.
    records = (each.read_text("direct_url.json") for each in importlib.metadata.distributions(name="course"))
    url = json.loads(next(filter(None, records), "{}")).get("url")
    if not url:
        wrong.append("the course itself (`course`) is not installed")
    elif Path(url2pathname(urlparse(url).path)).resolve() != root.resolve():
        wrong.append(f"`course` is installed from another folder, {url}")
    if wrong:
        shown = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise Trouble(f"{len(wrong)} of {len(wanted) + 1} are not as requirements.txt asks: {shown}")
    return f"all {len(wanted) + 1} as requirements.txt asks"


@check("Keras", "Correct or delete it; Keras makes it again")
def check_keras() -> str:
    """The learner's own settings of Keras, in whose place `course` sets what its networks need."""
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "keras.json").expanduser()
    if not path.is_file():
        return "no settings of your own"
    known = {  # what Keras takes, its own first
        "floatx": ("float32", "float16", "float64"),
        "backend": ("torch", "jax", "tensorflow", "openvino"),
        "image_data_format": ("channels_last", "channels_first"),
        "epsilon": (1e-7,),
    }
    with _reading(path):
        settings = {**json.loads(path.read_text(encoding="utf-8"))}
    for key, values in known.items():
        value = settings.get(key, values[0])
        if value not in values and not (key == "epsilon" and isinstance(value, float)):
            raise Trouble(f"{path}: {key} is {value}, which Keras refuses to start with")
    return f"{path} can be read; the course sets its own"


def _check_files(kind: str, root: Path) -> str:
    """Compare what the ledger lists with what lies here."""
    with _reading(root / ledger.LEDGER, "git checkout assets"):
        count, wrong = ledger.damaged(kind, root)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        remedy = INSTALL_PACKAGES if wrong[0].endswith("is not installed") else ""
        raise Trouble(wrong[0].split("; ")[0] + more, remedy)
    return f"{count} files, all with the recorded SHA-256"


@check("Fonts", "git checkout assets/fonts")
def check_fonts(root: Path = REPOSITORY) -> str:
    """The font files, and that matplotlib draws every character of the course with them."""
    fact = _check_files("font", root)
    from matplotlib.ft2font import FT2Font

    glyphs = FT2Font(str(root / "assets" / "fonts" / "course-kai.ttf")).get_charmap()
    if missing := [character for character in CHARACTERS if ord(character) not in glyphs]:
        raise Trouble(f"course-kai.ttf lacks {''.join(missing)}", python("tools.fonts.chinese"))
    return f"{fact}; all {len(CHARACTERS)} characters"


@check("Data", "git checkout data; or correct COURSE_DATA or COURSE_NOTEBOOK, or unset them")
def check_data(root: Path = REPOSITORY) -> str:
    """The data that ship, what is unpacked of them, and what COURSE_DATA and COURSE_NOTEBOOK name."""
    own = [name for name in ("COURSE_DATA", "COURSE_NOTEBOOK") if os.environ.get(name, "").strip()]
    fact = _check_files("data", root)
    if not own and not (root / "data" / "handwriting").is_dir():
        return f"{fact}; handwriting is unpacked on first use"
    from course import data

    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(None):
        warnings.simplefilter("always")
        data.handwriting_folder()
        if "COURSE_NOTEBOOK" in own:
            data.notebook_folder()
    if caught:
        raise Trouble(str(caught[0].message), "Delete data/handwriting; it is unpacked again", WARNING)
    places = ", ".join(f"{name}={os.environ[name].strip()}" for name in own)
    return f"{fact}; your own: {places}" if own else f"{fact}; handwriting as unpacked"


@check("Artefacts", "git checkout cache, or refit: make train")
def check_artefacts(root: Path = REPOSITORY, cache: Path | None = None) -> str:
    """Every stored result against the hash in the manifest, and the weights in packages."""
    cache = cache or Path(os.environ.get("COURSE_CACHE", "").strip() or root / "cache")
    with _reading(cache / "manifest.json"):
        entries = json.loads((cache / "manifest.json").read_text(encoding="utf-8"))["artefacts"]
        files = {name: about for entry in entries.values() for name, about in entry["files"].items()}
    for name, about in files.items():
        if not (cache / name).is_file():
            raise Trouble(f"{cache / name} is missing")
        if hashlib.sha256((cache / name).read_bytes()).hexdigest() != about["sha256"]:
            raise Trouble(f"{cache / name}: its SHA-256 is not the one in manifest.json")
    return f"{len(entries)} artefacts; {_check_files('weights', root)}"


@check("Graphviz", f"{INSTALL_GRAPHVIZ}, then open a new terminal")
def check_graphviz() -> str:
    """Graphviz's `dot`, which draws Keras's diagrams of models: it must draw one."""
    program = shutil.which("dot")
    if program is None:
        raise Trouble("`dot` is not on the PATH")
    done = _run([program, "-Tsvg"], input="digraph { a -> b }")
    if "<svg" not in done.stdout:
        raise Trouble(f"{program} draws nothing: {_last_line(done.stderr)}", "Run `dot -c` once")
    return f"{program} draws"


@check("Browser", f"{INSTALL_BROWSER}, or {python('playwright', 'install', 'chromium')}")
def check_browser() -> str:
    """A browser of the kind that the tests and `make pdf` drive: it must run a page's script."""
    from tools.browser import find_browser

    program = find_browser()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = Path(folder, "page.html")
        page.write_text("<p id=p></p><script>p.textContent = 6 * 7 + ' works'</script>", encoding="utf-8")
        command = [program, "--headless", "--disable-gpu", "--no-first-run"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium refuses to start as root without it
        done = _run([*command, f"--user-data-dir={Path(folder, 'profile')}", "--dump-dom", page.as_uri()])
    if "42 works" not in done.stdout:
        raise Trouble(f"{program} shows no page: {_last_line(done.stderr)}")
    return f"{program} shows a page"


@check("Disk", "Free space, or copy the repository to a larger disk or a folder of your own")
def check_disk(root: Path = REPOSITORY) -> str:
    """Free space, and that the repository's folder and the temporary one can be written."""
    for folder in (root, Path(tempfile.gettempdir())):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * 4096)
        except OSError as error:
            raise Trouble(f"{folder} cannot be written: {error.strerror}") from error
    free = shutil.disk_usage(root).free / GIGABYTE
    needed, purpose = DISK_FOR_SETTING_UP, "setting up .venv"
    if (root / ".venv").is_dir():
        needed, purpose = DISK_FOR_RENDERING, "rendering"
    if free < needed:
        raise Trouble(f"{free:.1f} GB free; {purpose} needs {needed} GB")
    return f"{free:.1f} GB free"


@check("Memory", "Close other programs")
def check_memory() -> str:
    """Memory that programs can still have."""
    try:
        import psutil
    except ImportError:
        raise Trouble("unknown, since psutil is not installed", INSTALL_PACKAGES, WARNING) from None
    available, total = (getattr(psutil.virtual_memory(), key) / GIGABYTE for key in ("available", "total"))
    fact = f"{available:.1f} of {total:.1f} GB available"
    if available < LEAST_MEMORY:
        raise Trouble(f"{fact}; a lecture needs {LEAST_MEMORY} GB")
    if available < MEMORY_FOR_CLASS:
        remedy = "Enough for one lecture; close other programs before you train in front of the class"
        raise Trouble(fact, remedy, WARNING)
    return fact


@check("Slides", "make slides")
def check_slides(root: Path = REPOSITORY) -> str:
    """Whether every lecture is rendered, and since its text last changed."""
    lectures = sorted((root / "lectures").glob("[0-9]*.qmd"))
    if not lectures:
        raise Trouble("there are no lectures in lectures/", "git checkout lectures")
    rendered = {path.name: path.stat().st_mtime for path in root.glob("_site/lectures/*.slides.html")}
    ages = ((path.stem, path.stat().st_mtime) for path in lectures)
    if behind := [name for name, changed in ages if rendered.get(f"{name}.slides.html", 0) < changed]:
        raise Trouble(f"not rendered, or before their text changed: {', '.join(behind)}", level=WARNING)
    return f"all {len(lectures)} lectures are rendered"


@check("Settings", "docs/make-it-yours.md shows how; nothing depends on it")
def check_settings(root: Path = REPOSITORY) -> str:
    """What still is the example's in course.yml, and colours that are hard to read."""
    from tools import settings

    if hints := settings.hints(root):
        raise Trouble("course.yml: " + "; ".join(hints), level=HINT)
    return "course.yml is yours"


def start_probe() -> subprocess.Popen:
    """Start the measurement of training speed in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "errors": "replace"}
    command, environment = [sys.executable, "-m", "tools.check.probe"], {**os.environ, "PYTHONUTF8": "1"}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, **pipes)


@check("Training", INSTALL_PACKAGES)
def check_training(probe: subprocess.Popen, patience: float) -> str:
    """Seconds per epoch of lecture 4's CNN, and whether data and models belong together."""
    try:
        stdout, stderr = probe.communicate(timeout=max(patience, 0.1))
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        again = python("tools.check", "--patience", "60")
        remedy = f"Run it again: the first start is the slowest; or {again}"
        raise Trouble("not measured: Keras and torch took too long to start", remedy, WARNING) from None
    try:
        result = json.loads(_last_line(stdout))
    except ValueError:
        reason = _last_line(stderr) or f"ended with status {probe.returncode}"
        windows = "winget install Microsoft.VCRedist.2015+.x64 (torch needs it), then try again"
        raise Trouble(f"Keras and torch do not run: {reason}", windows * ("DLL" in reason)) from None
    if "error" in result:
        raise Trouble(result["error"], "git checkout data cache, or refit: make train")
    fact = f"about {result['seconds_per_epoch']:.0f} s per epoch of lecture 4's CNN: extrapolated from "
    fact += f"{result['batches']} batches to {result['images']:,} images, {result['threads']} threads "
    fact += f"(the shipped model took {result['seconds_per_epoch_when_fitted']:.0f} s)"
    if result["seconds_per_epoch"] > SLOW_EPOCH:
        remedy = "Load the shipped models in front of the class; close other programs, plug in the laptop"
        raise Trouble(fact, remedy, WARNING)
    return fact
