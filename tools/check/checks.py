"""The checks, one function each. All return a `Finding`, and none raises."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from course.characters import CHARACTERS
from course.paths import CACHE, DATA, REPOSITORY

from tools import ledger

OK, WARNING, FAILURE = "ok", "warning", "FAIL"

LEAST_PYTHON = (3, 11)
# The versions that the tests run on; a later one may work before the packages promise it.
LAST_PYTHON = (3, 13)

GIGABYTE = 2**30
# .venv takes 2.3 GB, and pip unpacks each wheel beside it first.
DISK_FOR_SETTING_UP = 5 * GIGABYTE
# The site, unpacked handwriting, packed images and executed notebooks take 0.2 GB; the rest is
# for what systems and browsers write meanwhile.
DISK_FOR_RENDERING = 1 * GIGABYTE
# The process that ran lecture 4 was seen to hold 0.8 GB; a browser and JupyterLab come on top.
LEAST_MEMORY = 1 * GIGABYTE
MEMORY_FOR_CLASS = 3 * GIGABYTE
# With more, an epoch cannot be waited for in front of a class.
SLOW_EPOCH = 60.0

# How this system installs Python, Graphviz and a browser.
COMMANDS = {
    "Linux": (
        "sudo apt install python3 python3-venv",
        "sudo apt install graphviz",
        "sudo apt install chromium",
    ),
    "Darwin": ("brew install python@3.13", "brew install graphviz", "brew install --cask google-chrome"),
    "Windows": (
        "winget install Python.Python.3.13",
        "winget install Graphviz.Graphviz, then open a new terminal",
        "winget install Google.Chrome",
    ),
}
INSTALL_PYTHON, INSTALL_GRAPHVIZ, INSTALL_BROWSER = COMMANDS.get(platform.system(), COMMANDS["Linux"])
# Nobody shall install the packages into the system's Python.
INSTALL_PACKAGES = f'"{sys.executable}" -m pip install -r requirements.txt -e .'
if sys.prefix == sys.base_prefix:
    INSTALL_PACKAGES = "make slides sets up .venv with all of them"


@dataclass(frozen=True)
class Finding:
    """What a check found: its level, the check's name, one line of fact, and what to do."""

    level: str
    name: str
    fact: str
    remedy: str = ""


class Trouble(Exception):
    """What a check found wrong, and what to do about it."""

    def __init__(self, fact: str, remedy: str, level: str = FAILURE):
        super().__init__(fact)
        self.finding = level, fact, remedy


def check(name: str) -> Callable:
    """Make a check of a function that returns a fact or raises `Trouble`; it returns a `Finding`."""

    def decorate(function: Callable[..., str]) -> Callable[..., Finding]:
        @functools.wraps(function)
        def run(*arguments, **options) -> Finding:
            try:
                return Finding(OK, name, function(*arguments, **options))
            except Trouble as trouble:
                level, fact, remedy = trouble.finding
                return Finding(level, name, fact, remedy)
            except Exception as error:  # the other checks shall still be heard
                fact = f"the check ended with {type(error).__name__}: {error}"
                return Finding(FAILURE, name, fact, "Tell the maintainers; it is a fault of the check")

        return run

    return decorate


def _run(command: list[str], **options) -> subprocess.CompletedProcess:
    """Run a program and return what it said; `OSError` or `TimeoutExpired` if it does not run."""
    options = {"capture_output": True, "encoding": "utf-8", "errors": "replace", "timeout": 30} | options
    return subprocess.run(command, **options)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


# --- Python and packages -----------------------------------------------------------------


@check("Python")
def check_python(
    version: tuple[int, ...] = tuple(sys.version_info[:3]),
    bits: int = 64 if sys.maxsize > 2**32 else 32,
    prefix: str = sys.prefix,
    root: Path = REPOSITORY,
) -> str:
    """Version, 64 bit, and whether it is the one in .venv."""
    fact = ".".join(map(str, version)) + f", {bits} bit, {prefix}"
    span, install = f"3.{LEAST_PYTHON[1]} to 3.{LAST_PYTHON[1]}", INSTALL_PYTHON
    if version[:2] < LEAST_PYTHON:
        raise Trouble(fact, f"Install Python {span} ({install}), then make PYTHON=<its path> slides")
    if bits != 64:
        raise Trouble(fact, f"torch exists for 64 bit only: install a 64-bit Python ({install})")
    if Path(prefix).resolve() != (root / ".venv").resolve():
        remedy = "`make check` uses .venv once `make slides` has made it"
        raise Trouble(f"{fact}, not the one in .venv", remedy, WARNING)
    if version[:2] > LAST_PYTHON:
        raise Trouble(fact, f"The course is tested on Python {span}", WARNING)
    return fact


@check("Packages")
def check_packages(requirements: Path = REPOSITORY / "requirements.txt", root: Path = REPOSITORY) -> str:
    """Every line of requirements.txt against what is installed, and `course` itself."""
    packaging = None
    for module in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        with contextlib.suppress(ImportError):
            packaging = packaging or importlib.import_module(module)
    if packaging is None:
        raise Trouble("cannot be read: neither `packaging` nor `pip` is there", "make slides")
    try:
        lines = [line.split(" #")[0].strip() for line in requirements.read_text("utf-8").splitlines()]
        wanted = [packaging.Requirement(line) for line in lines if line and not line.startswith("#")]
    except (OSError, packaging.InvalidRequirement) as error:
        raise Trouble(f"requirements.txt: {error}", "git checkout requirements.txt") from error
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
    place = _where_course_is_installed()
    if place is None:
        wrong.append("the course itself (`course`) is not installed")
    elif place.resolve() != root.resolve():
        wrong.append(f"`course` is installed from another folder, {place}")
    count = len(wanted) + 1
    if wrong:
        shown = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        fact = f"{len(wrong)} of {count} are not as requirements.txt asks: {shown}"
        raise Trouble(fact, INSTALL_PACKAGES)
    return f"all {count} as requirements.txt asks"


def _where_course_is_installed() -> Path | None:
    """The folder that `pip install -e` recorded for this course, or None."""
    # A repository that setuptools once built holds a record of its own, without an address.
    records = (each.read_text("direct_url.json") for each in importlib.metadata.distributions(name="course"))
    url = json.loads(next(filter(None, records), "{}")).get("url", "")
    return Path(url2pathname(urlparse(url).path)) if url.startswith("file:") else None


@check("Keras")
def check_keras() -> str:
    """The learner's own settings of Keras: the course's networks need its defaults."""
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    path = folder / "keras.json"
    if not path.is_file():
        return "no settings of your own"
    try:
        settings = dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise Trouble(f"{path} is damaged: {error}", f"Delete {path}; Keras makes it again") from error
    defaults = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}
    other = [
        f"{key} is {settings[key]}" for key in defaults if settings.get(key, defaults[key]) != defaults[key]
    ]
    if other:
        wanted = ", ".join(f"{key} {value}" for key, value in defaults.items())
        remedy = f"Set them back there ({wanted}), or set KERAS_HOME to an empty folder for the course"
        raise Trouble(f"{path}: {', '.join(other)}", remedy)
    return f"{path} has the settings that the course needs"


# --- files that ship ---------------------------------------------------------------------


def _check_files(kinds: tuple[str, ...], restore: str, root: Path) -> str:
    """Compare what the ledger lists with what lies here."""
    try:
        count, wrong = ledger.damaged(kinds, root, root / "assets" / "ledger.toml")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Trouble(f"assets/ledger.toml: {error}", "git checkout assets") from error
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        remedy = INSTALL_PACKAGES if wrong[0].endswith("is not installed") else restore
        raise Trouble(wrong[0].split(". If")[0].split("; ")[0] + more, remedy)
    return f"{count} files, all with the recorded SHA-256"


@check("Fonts")
def check_fonts(root: Path = REPOSITORY) -> str:
    """The font files, and that matplotlib draws every character of the course with them."""
    restore = "git checkout assets/fonts"
    fact = _check_files(("font",), restore, root)
    try:
        from matplotlib.ft2font import FT2Font
    except ImportError as error:
        raise Trouble(f"matplotlib cannot read fonts: {error}", "make slides") from error
    try:
        glyphs = FT2Font(str(root / "assets" / "fonts" / "course-kai.ttf")).get_charmap()
    except (OSError, RuntimeError) as error:
        raise Trouble(f"course-kai.ttf cannot be read: {error}", restore) from error
    if missing := [character for character in CHARACTERS if ord(character) not in glyphs]:
        raise Trouble(f"course-kai.ttf lacks {''.join(missing)}", "python -m tools.fonts.chinese")
    return f"{fact}; all {len(CHARACTERS)} characters"


@check("Data")
def check_data(root: Path = REPOSITORY) -> str:
    """The data that ship, and the folders that COURSE_DATA and COURSE_NOTEBOOK name.

    Handwriting that is unpacked already is compared with its archive; nothing is unpacked here.
    """
    variables = ("COURSE_DATA", "COURSE_NOTEBOOK")
    own = [variable for variable in variables if os.environ.get(variable, "").strip()]
    fact = _check_files(("data",), "git checkout data cache/manifest.json", root)
    unpacked = root == REPOSITORY and (DATA / "handwriting").is_dir()
    if not own and not unpacked:
        return f"{fact}; handwriting is unpacked on first use"
    try:
        from course import data
    except ImportError as error:
        raise Trouble(f"course.data cannot be imported: {error}", "make slides") from error
    again = "Delete data/handwriting; it is unpacked again"
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(None):
            warnings.simplefilter("always")
            data.handwriting_folder()
            if "COURSE_NOTEBOOK" in own:
                data.notebook_folder()
    except (OSError, ValueError) as error:
        remedy = f"Correct {' and '.join(own)}, or unset it" if own else again
        raise Trouble(" ".join(str(error).split()), remedy) from error
    if caught:
        raise Trouble(str(caught[0].message), again, WARNING)
    places = ", ".join(f"{variable}={os.environ[variable].strip()}" for variable in own)
    return f"{fact}; your own: {places}" if own else f"{fact}; handwriting as unpacked"


@check("Artefacts")
def check_artefacts(root: Path = REPOSITORY, cache: Path | None = None) -> str:
    """Every stored result against the hash in the manifest, and the weights in packages."""
    restore = "git checkout cache, or refit: make train"
    cache = cache or Path(os.environ.get("COURSE_CACHE", "").strip() or CACHE)
    manifest = cache / "manifest.json"
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))["artefacts"]
        files = {
            name: about["sha256"] for entry in entries.values() for name, about in entry["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Trouble(f"{manifest}: {getattr(error, 'strerror', None) or 'is damaged'}", restore) from error
    missing = sorted(name for name in files if not (cache / name).is_file())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise Trouble(f"{cache / missing[0]} is missing{more}", restore)
    for name, sha256 in files.items():
        if hashlib.sha256((cache / name).read_bytes()).hexdigest() != sha256:
            raise Trouble(f"{cache / name}: its SHA-256 is not the one in {manifest.name}", restore)
    return f"{len(entries)} artefacts; {_check_files(('weights',), restore, root)}"


# --- programs ----------------------------------------------------------------------------


@check("Graphviz")
def check_graphviz() -> str:
    """Graphviz's `dot`, which draws Keras's diagrams of models: it must draw one."""
    remedy = INSTALL_GRAPHVIZ
    program = shutil.which("dot")
    if program is None:
        raise Trouble("`dot` is not on the PATH", remedy)
    try:
        done = _run([program, "-Tsvg"], input="digraph { a -> b }")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(f"{program} does not run: {error}", remedy) from error
    if done.returncode or "<svg" not in done.stdout:
        remedy += " (an unfinished installation: run `dot -c` once)"
        raise Trouble(f"{program} draws nothing: {_last_line(done.stderr)}", remedy)
    return f"{program} draws"


def find_browser() -> str:
    """The Chromium, Chrome or Edge that the renderer would start, or "": its own program is asked."""
    named = os.environ.get("COURSE_BROWSER", "").strip()
    command = [sys.executable, "-m", "render.browser"]
    return named or _run(command, cwd=REPOSITORY, env={**os.environ, "PYTHONUTF8": "1"}).stdout.strip()


@check("Browser")
def check_browser() -> str:
    """A browser of the kind that the tests and `make pdf` drive: it must run a page's script."""
    remedy = f'{INSTALL_BROWSER}, or "{sys.executable}" -m playwright install chromium'
    program = "it"
    try:
        program = find_browser()
        if not program:
            raise Trouble("no Chromium, Chrome or Edge was found", remedy)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            page = Path(folder, "page.html")
            page.write_text("<p id=p></p><script>p.textContent = 6 * 7 + ' works'</script>", encoding="utf-8")
            command = [program, "--headless", "--disable-gpu", "--no-first-run"]
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                command.append("--no-sandbox")  # Chromium refuses to start as root without it
            done = _run([*command, f"--user-data-dir={Path(folder, 'profile')}", "--dump-dom", page.as_uri()])
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(f"{program} does not run: {error}", remedy) from error
    if "42 works" not in done.stdout:
        raise Trouble(f"{program} shows no page: {_last_line(done.stderr)}", remedy)
    return f"{program} shows a page"


# --- the machine -------------------------------------------------------------------------


@check("Disk")
def check_disk(root: Path = REPOSITORY, free: int | None = None) -> str:
    """Free space, and that the repository's folder and the temporary one can be written."""
    for folder in (root, Path(tempfile.gettempdir())):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * 4096)
        except OSError as error:
            remedy = "Copy the repository to a folder of your own, or free space"
            raise Trouble(f"{folder} cannot be written: {error.strerror}", remedy) from error
    free = shutil.disk_usage(root).free if free is None else free
    needed, purpose = DISK_FOR_SETTING_UP, "setting up .venv"
    if (root / ".venv").is_dir():
        needed, purpose = DISK_FOR_RENDERING, "rendering"
    fact = f"{free / GIGABYTE:.1f} GB free"
    if free < needed:
        fact += f"; {purpose} needs {needed / GIGABYTE:.0f} GB"
        raise Trouble(fact, "Free space, or clone the repository to a larger disk")
    return fact


@check("Memory")
def check_memory(available: int | None = None, total: int | None = None) -> str:
    """Memory that programs can still have."""
    if available is None or total is None:
        try:
            import psutil
        except ImportError as error:
            raise Trouble("unknown, since psutil is not installed", "make slides", WARNING) from error
        memory = psutil.virtual_memory()
        available, total = memory.available, memory.total
    fact = f"{available / GIGABYTE:.1f} of {total / GIGABYTE:.1f} GB available"
    if available < LEAST_MEMORY:
        raise Trouble(f"{fact}; a lecture needs {LEAST_MEMORY / GIGABYTE:.0f} GB", "Close other programs")
    if available < MEMORY_FOR_CLASS:
        remedy = "Enough for one lecture; close other programs before you train in front of the class"
        raise Trouble(fact, remedy, WARNING)
    return fact


@check("Slides")
def check_slides(root: Path = REPOSITORY) -> str:
    """Whether every lecture is rendered, and since its text last changed."""
    lectures = sorted((root / "lectures").glob("[0-9]*.qmd"))
    if not lectures:
        raise Trouble("there are no lectures in lectures/", "git checkout lectures")
    absent, old = [], []
    for lecture in lectures:
        slides = root / "_site" / "lectures" / f"{lecture.stem}.slides.html"
        if not slides.is_file():
            absent.append(lecture.stem)
        elif slides.stat().st_mtime < lecture.stat().st_mtime:
            old.append(lecture.stem)
    words = [f"not rendered: {', '.join(absent)}"] if absent else []
    words += [f"older than their text: {', '.join(old)}"] if old else []
    if words:
        raise Trouble("; ".join(words), "make slides", WARNING)
    return f"all {len(lectures)} lectures are rendered"


# --- speed -------------------------------------------------------------------------------


def start_probe() -> subprocess.Popen:
    """Start the measurement of training speed in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.check.probe"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONUTF8": "1"},
    )


@check("Training")
def check_training(probe: subprocess.Popen, patience: float) -> str:
    """Seconds per epoch of lecture 4's CNN, and whether data and models belong together.

    `patience` is how many seconds to wait for the probe, which is then ended.
    """
    try:
        stdout, stderr = probe.communicate(timeout=max(patience, 0.1))
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        remedy = (
            "Run it again (the first start after an installation is the slowest), or "
            "wait longer: python -m tools.check --patience 60"
        )
        raise Trouble("not measured: Keras and torch took too long to start", remedy, WARNING) from None
    try:
        result = json.loads(_last_line(stdout))
    except ValueError:
        reason = _last_line(stderr) or f"ended with status {probe.returncode}"
        remedy = INSTALL_PACKAGES
        if "DLL" in reason or "WinError" in reason:
            remedy = "winget install Microsoft.VCRedist.2015+.x64 (torch needs it), then try again"
        raise Trouble(f"Keras and torch do not run: {reason}", remedy) from None
    if "error" in result:
        raise Trouble(result["error"], result["remedy"])
    fact = (
        f"about {result['seconds_per_epoch']:.0f} s per epoch of lecture 4's CNN: extrapolated from "
        f"{result['batches']} batches to {result['images']:,} images, {result['threads']} threads "
        f"(the shipped model took {result['seconds_per_epoch_when_fitted']:.0f} s)"
    )
    if result["seconds_per_epoch"] > SLOW_EPOCH:
        remedy = (
            "Do not train in front of the class: the shipped models are loaded instead. "
            "Close other programs and plug in the laptop"
        )
        raise Trouble(fact, remedy, WARNING)
    return fact
