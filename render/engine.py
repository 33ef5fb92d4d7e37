"""Choosing between Quarto and the pip-only renderer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .project import Project
from .qmd import RenderError

LEAST_VERSION = (1, 7)


def quarto_version(program: str) -> tuple[int, ...] | None:
    """The version of a Quarto program, or None where it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, encoding="utf-8", timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\d+(\.\d+)+", done.stdout)
    return None if done.returncode or not match else tuple(map(int, match[0].split(".")))


def choose(engine: str) -> str | None:
    """The Quarto program to use, or None for the pip-only renderer."""
    program = None if engine == "pip" else shutil.which("quarto")
    version = quarto_version(program) if program else None
    words = ".".join(map(str, version or ()))
    if version and version >= LEAST_VERSION:
        print(f"Rendering with Quarto {words} ({program})", flush=True)
        return program
    message = "there is no `quarto` on the PATH; `make quarto` installs one"
    if program:
        found = f"is {words}" if version else "does not run"
        message = f"{program} {found}; version {'.'.join(map(str, LEAST_VERSION))} or later is needed"
    if engine == "quarto":
        raise RenderError(message)
    if program:
        print(f"{message}, so it is not used")
    return None


def render_with_quarto(program: str, project: Project, pages: list[Path]) -> None:
    """Run `quarto render` with this Python on some pages, or on the whole project for none."""
    for page in pages or [None]:
        command = [program, "render", *([str(page)] if page else [])]
        done = subprocess.run(command, cwd=project.root, env=os.environ | {"QUARTO_PYTHON": sys.executable})
        if done.returncode:
            raise RenderError(f"`quarto render` ended with status {done.returncode}", page)
