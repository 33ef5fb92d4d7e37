"""The checks, one function each. All return a `Finding`, and none raises."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from course.characters import CHARACTERS
from course.paths import CACHE, DATA, REPOSITORY

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


@dataclass(frozen=True)
class Finding:
    """What a check found: its level, the check's name, one line of fact, and what to do."""

    level: str
    name: str
    fact: str
    remedy: str = ""


def _system() -> str:
    return {"Darwin": "macOS"}.get(platform.system(), platform.system())


def _by_system(linux: str, macos: str, windows: str) -> str:
    return {"macOS": macos, "Windows": windows}.get(_system(), linux)


# --- Python and packages -----------------------------------------------------------------


def check_python(
    version: tuple[int, ...] = tuple(sys.version_info[:3]),
    bits: int = 64 if sys.maxsize > 2**32 else 32,
    prefix: str = sys.prefix,
    root: Path = REPOSITORY,
) -> Finding:
    """Version, 64 bit, and whether it is the one in .venv."""
    name = "Python"
    fact = ".".join(map(str, version)) + f", {bits} bit, {prefix}"
    span = f"3.{LEAST_PYTHON[1]} to 3.{LAST_PYTHON[1]}"
    install = _by_system(
        "sudo apt install python3 python3-venv",
        "brew install python@3.13",
        "winget install Python.Python.3.13",
    )
    if version[:2] < LEAST_PYTHON:
        return Finding(
            FAILURE, name, fact, f"Install Python {span} ({install}), then make PYTHON=<its path> slides"
        )
    if bits != 64:
        return Finding(
            FAILURE, name, fact, f"torch exists for 64 bit only: install a 64-bit Python ({install})"
        )
    if Path(prefix).resolve() != (root / ".venv").resolve():
        return Finding(
            WARNING,
            name,
            fact + ", not the one in .venv",
            "`make check` uses .venv once `make slides` has made it",
        )
    if version[:2] > LAST_PYTHON:
        return Finding(WARNING, name, fact, f"The course is tested on Python {span}")
    return Finding(OK, name, fact)


def _packaging():
    """The module `packaging.requirements`, also where only pip's own copy of it is there."""
    for module in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(module)
    return None


def _install() -> str:
    """How to repair the packages: nobody shall install them into the system's Python."""
    if sys.prefix == sys.base_prefix:
        return "make slides sets up .venv with all of them"
    return f'"{sys.executable}" -m pip install -r requirements.txt -e .'


def check_packages(requirements: Path = REPOSITORY / "requirements.txt", root: Path = REPOSITORY) -> Finding:
    """Every line of requirements.txt against what is installed, and `course` itself."""
    name = "Packages"
    set_up = "make slides"
    packaging = _packaging()
    if packaging is None:
        return Finding(FAILURE, name, "cannot be read: neither `packaging` nor `pip` is there", set_up)
    try:
        lines = requirements.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        return Finding(
            FAILURE, name, f"{requirements.name}: {error.strerror}", "git checkout requirements.txt"
        )
    wrong, count = [], 0
    for line in lines:
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        try:
            wanted = packaging.Requirement(text)
        except packaging.InvalidRequirement as error:
            return Finding(
                FAILURE, name, f"requirements.txt: {text!r}: {error}", "git checkout requirements.txt"
            )
        if wanted.marker and not wanted.marker.evaluate():
            continue
        count += 1
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is not installed")
            continue
        # A build's own label counts for nothing: 2.13.0+cpu is 2.13.0.
        if not wanted.specifier.contains(found.split("+")[0], prereleases=True):
            wrong.append(f"{wanted.name} is {found}, not {wanted.specifier}")
    count += 1
    place = _where_course_is_installed()
    if place is None:
        wrong.append("the course itself (`course`) is not installed")
    elif place.resolve() != root.resolve():
        wrong.append(f"`course` is installed from another folder, {place}")
    if wrong:
        shown = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        return Finding(
            FAILURE, name, f"{len(wrong)} of {count} are not as requirements.txt asks: {shown}", _install()
        )
    return Finding(OK, name, f"all {count} as requirements.txt asks")


def _where_course_is_installed() -> Path | None:
    """The folder that `pip install -e` recorded for this course, or None."""
    # A repository that setuptools once built holds a record of its own, without an address.
    records = (each.read_text("direct_url.json") for each in importlib.metadata.distributions(name="course"))
    try:
        url = json.loads(next(filter(None, records)))["url"]
    except (StopIteration, ValueError, KeyError):
        return None
    if not url.startswith("file:"):
        return None
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    return Path(url2pathname(urlparse(url).path))


# --- files that ship ---------------------------------------------------------------------


def _ledger(root: Path):
    """The module tools/ledger.py, which knows the hash of each file that ships."""
    specification = importlib.util.spec_from_file_location("course_ledger", root / "assets" / "ledger.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _check_files(name: str, kinds: tuple[str, ...], remedy: str, root: Path) -> Finding:
    try:
        count, wrong = _ledger(root).damaged(kinds, root, root / "assets" / "ledger.toml")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Finding(FAILURE, name, f"assets/ledger.toml: {error}", "git checkout assets")
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        if wrong[0].endswith("is not installed"):
            remedy = _install()
        return Finding(FAILURE, name, wrong[0].split(". If")[0] + more, remedy)
    return Finding(OK, name, f"{count} files, all with the recorded SHA-256")


def check_fonts(root: Path = REPOSITORY) -> Finding:
    """The font files, and that matplotlib draws every character of the course with them."""
    name, restore = "Fonts", "git checkout assets/fonts"
    finding = _check_files(name, ("font",), restore, root)
    if finding.level != OK:
        return finding
    try:
        from matplotlib.ft2font import FT2Font
    except ImportError as error:
        return Finding(FAILURE, name, f"matplotlib cannot read fonts: {error}", "make slides")
    try:
        glyphs = FT2Font(str(root / "assets" / "fonts" / "course-kai.ttf")).get_charmap()
    except (OSError, RuntimeError) as error:
        return Finding(FAILURE, name, f"course-kai.ttf cannot be read: {error}", restore)
    missing = [character for character in CHARACTERS if ord(character) not in glyphs]
    if missing:
        return Finding(
            FAILURE, name, f"course-kai.ttf lacks {''.join(missing)}", "python -m tools.fonts.chinese"
        )
    return Finding(OK, name, f"{finding.fact}; all {len(CHARACTERS)} characters")


def check_data(root: Path = REPOSITORY) -> Finding:
    """The data that ship, and the folders that COURSE_DATA and COURSE_NOTEBOOK name.

    Handwriting that is unpacked already is compared with its archive; nothing is unpacked here.
    """
    name = "Data"
    own = [
        variable for variable in ("COURSE_DATA", "COURSE_NOTEBOOK") if os.environ.get(variable, "").strip()
    ]
    finding = _check_files(name, ("data",), "git checkout data cache/manifest.json", root)
    if finding.level != OK:
        return finding
    try:
        from course import data
    except ImportError as error:
        return Finding(FAILURE, name, f"course.data cannot be imported: {error}", "make slides")
    fact = finding.fact
    unpacked = root == REPOSITORY and (DATA / "handwriting").is_dir()
    if own or unpacked:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with contextlib.redirect_stdout(None):
                    data.handwriting_folder()
                    if "COURSE_NOTEBOOK" in own:
                        data.notebook_folder()
        except (OSError, ValueError) as error:
            remedy = (
                f"Correct {' and '.join(own)}, or unset it"
                if own
                else "Delete data/handwriting; it is unpacked again"
            )
            return Finding(FAILURE, name, " ".join(str(error).split()), remedy)
        if caught:
            return Finding(
                WARNING, name, str(caught[0].message), "Delete data/handwriting; it is unpacked again"
            )
    if own:
        places = ", ".join(f"{variable}={os.environ[variable].strip()}" for variable in own)
        return Finding(OK, name, f"{fact}; your own: {places}")
    state = "handwriting as unpacked" if unpacked else "handwriting is unpacked on first use"
    return Finding(OK, name, f"{fact}; {state}")


def check_artefacts(root: Path = REPOSITORY, cache: Path | None = None) -> Finding:
    """Every fitted model and set of weights against the recorded hash; none missing."""
    name, restore = "Artefacts", "git checkout cache, or refit: make train"
    chosen = os.environ.get("COURSE_CACHE", "").strip()
    cache = cache or (Path(chosen) if chosen else CACHE)
    manifest = cache / "manifest.json"
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))["artefacts"]
        files = {
            file: entry["files"][file]["sha256"] for entry in entries.values() for file in entry["files"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "is damaged"
        return Finding(FAILURE, name, f"{manifest}: {reason}", restore)
    missing = sorted(file for file in files if not (cache / file).is_file())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return Finding(FAILURE, name, f"{cache / missing[0]} is missing{more}", restore)
    finding = _check_files(name, ("weights",), restore, root)
    if finding.level != OK:
        return finding
    return Finding(OK, name, f"{len(entries)} models; {finding.fact}")


# --- programs ----------------------------------------------------------------------------


def check_graphviz() -> Finding:
    """Graphviz's `dot`, which draws Keras's diagrams of models: it must draw one."""
    name = "Graphviz"
    remedy = _by_system(
        "sudo apt install graphviz",
        "brew install graphviz",
        "winget install Graphviz.Graphviz, then open a new terminal",
    )
    program = shutil.which("dot")
    if program is None:
        return Finding(FAILURE, name, "`dot` is not on the PATH", remedy)
    try:
        done = subprocess.run(
            [program, "-Tsvg"], input=b"digraph { a -> b }", capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(FAILURE, name, f"{program} does not run: {error}", remedy)
    if done.returncode or b"<svg" not in done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return Finding(
            FAILURE,
            name,
            f"{program} draws nothing: {said[-1] if said else ''}",
            f"{remedy} (an unfinished installation: run `dot -c` once)",
        )
    return Finding(OK, name, f"{program} draws")


def find_browser() -> str | None:
    """The Chromium, Chrome or Edge that the renderer would start: its own program is asked."""
    named = os.environ.get("COURSE_BROWSER", "").strip()
    if named:
        return named
    asked = subprocess.run(
        [sys.executable, "-m", "render.browser"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=30,
    )
    return asked.stdout.strip() or None


def check_browser() -> Finding:
    """A browser of the kind that the tests and `make pdf` drive: it must run a page's script."""
    name = "Browser"
    remedy = _by_system(
        "sudo apt install chromium", "brew install --cask google-chrome", "winget install Google.Chrome"
    )
    remedy += f', or "{sys.executable}" -m playwright install chromium'
    try:
        program = find_browser()
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(FAILURE, name, f"it could not be looked for: {error}", remedy)
    if program is None:
        return Finding(FAILURE, name, "no Chromium, Chrome or Edge was found", remedy)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = Path(folder, "page.html")
        page.write_text("<p id=p></p><script>p.textContent = 6 * 7 + ' works'</script>", encoding="utf-8")
        command = [
            program,
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={Path(folder, 'profile')}",
            "--dump-dom",
            page.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses to start as root without it
        try:
            done = subprocess.run(command, capture_output=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Finding(FAILURE, name, f"{program} does not run: {error}", remedy)
    if b"42 works" not in done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return Finding(FAILURE, name, f"{program} shows no page: {said[-1] if said else ''}", remedy)
    return Finding(OK, name, f"{program} shows a page")


# --- the machine -------------------------------------------------------------------------


def check_disk(root: Path = REPOSITORY, free: int | None = None) -> Finding:
    """Free space, and that the repository's folder and the temporary one can be written."""
    name = "Disk"
    for folder in (root, Path(tempfile.gettempdir())):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * 4096)
        except OSError as error:
            return Finding(
                FAILURE,
                name,
                f"{folder} cannot be written: {error.strerror}",
                "Copy the repository to a folder of your own, or free space",
            )
    free = shutil.disk_usage(root).free if free is None else free
    is_set_up = (root / ".venv").is_dir()
    needed = DISK_FOR_RENDERING if is_set_up else DISK_FOR_SETTING_UP
    fact = f"{free / GIGABYTE:.1f} GB free"
    if free < needed:
        purpose = "rendering" if is_set_up else "setting up .venv"
        return Finding(
            FAILURE,
            name,
            f"{fact}; {purpose} needs {needed / GIGABYTE:.0f} GB",
            "Free space, or clone the repository to a larger disk",
        )
    return Finding(OK, name, fact)


def check_memory(available: int | None = None, total: int | None = None) -> Finding:
    """Memory that programs can still have."""
    name = "Memory"
    if available is None or total is None:
        try:
            import psutil
        except ImportError:
            return Finding(FAILURE, name, "unknown, since psutil is not installed", "make slides")
        memory = psutil.virtual_memory()
        available, total = memory.available, memory.total
    fact = f"{available / GIGABYTE:.1f} of {total / GIGABYTE:.1f} GB available"
    if available < LEAST_MEMORY:
        return Finding(
            FAILURE, name, f"{fact}; a lecture needs {LEAST_MEMORY / GIGABYTE:.0f} GB", "Close other programs"
        )
    if available < MEMORY_FOR_CLASS:
        return Finding(
            WARNING,
            name,
            fact,
            "Enough for one lecture; close other programs before you train in front of the class",
        )
    return Finding(OK, name, fact)


def check_slides(root: Path = REPOSITORY) -> Finding:
    """Whether every lecture is rendered, and since its text last changed."""
    name = "Slides"
    lectures = sorted((root / "lectures").glob("[0-9]*.qmd"))
    absent, old = [], []
    for lecture in lectures:
        slides = root / "_site" / "lectures" / f"{lecture.stem}.slides.html"
        if not slides.is_file():
            absent.append(lecture.stem)
        elif slides.stat().st_mtime < lecture.stat().st_mtime:
            old.append(lecture.stem)
    if not lectures:
        return Finding(FAILURE, name, "there are no lectures in lectures/", "git checkout lectures")
    if absent or old:
        words = [f"not rendered: {', '.join(absent)}"] * bool(absent)
        words += [f"older than their text: {', '.join(old)}"] * bool(old)
        return Finding(WARNING, name, "; ".join(words), "make slides")
    return Finding(OK, name, f"all {len(lectures)} lectures are rendered")


# --- speed -------------------------------------------------------------------------------


def start_probe() -> subprocess.Popen:
    """Start the measurement of training speed in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.check.probe"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUTF8": "1"},
    )


def check_training(probe: subprocess.Popen, patience: float) -> Finding:
    """Seconds per epoch of lecture 4's CNN, and whether data and models belong together.

    `patience` is how many seconds to wait for the probe, which is then ended.
    """
    name = "Training"
    try:
        stdout, stderr = probe.communicate(timeout=max(patience, 0.1))
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        return Finding(
            WARNING,
            name,
            "not measured: Keras and torch took too long to start",
            "Run it again (the first start after an installation is the slowest), or "
            "wait longer: python -m tools.check --patience 60",
        )
    lines = stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        result = json.loads(lines[-1])
    except (IndexError, ValueError):
        said = stderr.decode("utf-8", "replace").strip().splitlines()
        reason = said[-1] if said else f"ended with status {probe.returncode}"
        return Finding(FAILURE, name, f"Keras and torch do not run: {reason}", _training_remedy(reason))
    return judge_training(result)


def _training_remedy(reason: str) -> str:
    if "DLL" in reason or "WinError" in reason:
        return "winget install Microsoft.VCRedist.2015+.x64 (torch needs it), then try again"
    if "ModuleNotFoundError" in reason or "No module named" in reason:
        return "make slides"
    return _install()


def judge_training(result: dict) -> Finding:
    """The finding for what the probe measured (see `probe.measure`) or for its error."""
    name = "Training"
    if "error" in result:
        return Finding(FAILURE, name, result["error"], result["remedy"])
    seconds, shipped = result["seconds_per_epoch"], result["seconds_per_epoch_when_fitted"]
    fact = (
        f"about {seconds:.0f} s per epoch of lecture 4's CNN: extrapolated from "
        f"{result['batches']} batches to {result['images']:,} images, "
        f"{result['threads']} threads (the shipped model took {shipped:.0f} s)"
    )
    if seconds > SLOW_EPOCH:
        return Finding(
            WARNING,
            name,
            fact,
            "Do not train in front of the class: the shipped "
            "models are loaded instead. Close other programs and plug in the laptop",
        )
    return Finding(OK, name, fact)
