"""Choosing between Quarto and the pip-only renderer."""

from __future__ import annotations

import codecs
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .errors import RenderError
from .project import Project

LEAST_VERSION = (1, 7)

# What Quarto writes as it begins a page: "[2/3] lectures/02-name.qmd", perhaps in colour.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PAGE = re.compile(r"\[ *\d+/\d+\] (.+\.qmd)\s*")


def quarto_version(program: str) -> tuple[int, ...] | None:
    """The version of a Quarto program, or None where it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", done.stdout.decode("utf-8", "replace"))
    if done.returncode or not match:
        return None
    return tuple(int(part) for part in match.groups() if part is not None)


def choose(engine: str) -> str | None:
    """The Quarto program to use, or None for the pip-only renderer.

    Raises
    ------
    RenderError: Quarto was asked for and is absent or too old.
    """
    if engine == "pip":
        return None
    program = shutil.which("quarto")
    needed = ".".join(str(part) for part in LEAST_VERSION)
    if program is None:
        if engine == "quarto":
            raise RenderError("there is no `quarto` on the PATH; `make quarto` installs one")
        return None
    version = quarto_version(program)
    if version is None or version < LEAST_VERSION:
        found = "does not run" if version is None else "is " + ".".join(map(str, version))
        if engine == "quarto":
            raise RenderError(f"{program} {found}; version {needed} or later is needed")
        print(f"{program} {found}; version {needed} or later is needed, so it is not used")
        return None
    return program


def render_with_quarto(program: str, project: Project, pages: list[Path]) -> int:
    """Run `quarto render` with this Python and return its exit status.

    Parameters
    ----------
    pages: the pages to render, or none for the whole project.

    Raises
    ------
    RenderError: Quarto failed.
    """
    from .site import file_url, relative

    version = ".".join(map(str, quarto_version(program) or ()))
    print(f"Rendering with Quarto {version} ({program})", flush=True)
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    for page in pages or [None]:
        command = [program, "render", *([str(page)] if page else [])]
        began = time.perf_counter()
        status, taken = _run(command, project.root)
        if status:
            raise RenderError(f"`quarto render` ended with status {status}", page)
        if page is not None:
            # Quarto numbers no pages where there is one only.
            name = page.relative_to(project.root).as_posix()
            taken = {name: time.perf_counter() - began}
        seconds |= taken
    for name, taken in seconds.items():
        print(f"{name} ... {taken:.1f} s")
    index = project.output_folder / "index.html"
    print(f"Done in {time.perf_counter() - started:.1f} s. Look at {relative(index)}")
    print(f"  {file_url(index)}")
    return 0


def _run(command: list[str], folder: Path) -> tuple[int, dict[str, float]]:
    """Run Quarto, passing on what it writes; returns its status and the seconds of each page."""
    environment = {**os.environ, "QUARTO_PYTHON": sys.executable}
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    began: list[tuple[str, float]] = []
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)
    try:
        line = ""
        while data := process.stderr.read1():
            text = decode(data)
            sys.stderr.write(text)
            sys.stderr.flush()
            *whole, line = (line + text).replace("\r", "\n").split("\n")
            for each in whole:
                page = PAGE.fullmatch(COLOUR.sub("", each))
                if page:
                    began.append((page[1].replace("\\", "/"), time.perf_counter()))
        status = process.wait()
    except BaseException:
        # Ctrl-C in a terminal reaches Quarto as well, a signal to this process alone does not.
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    finally:
        process.stderr.close()
    ends = [start for _, start in began[1:]] + [time.perf_counter()]
    return status, {name: end - start for (name, start), end in zip(began, ends, strict=False)}
