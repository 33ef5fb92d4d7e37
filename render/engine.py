"""Choosing between Quarto and the pip-only renderer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .errors import RenderError
from .project import Project

LEAST_VERSION = (1, 7)


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
    """Run `quarto render` with this Python and return its exit status."""
    from .site import file_url, relative

    version = ".".join(map(str, quarto_version(program) or ()))
    print(f"Rendering with Quarto {version} ({program})", flush=True)
    environment = {**os.environ, "QUARTO_PYTHON": sys.executable}
    for page in pages or [None]:
        command = [program, "render", *([str(page)] if page else [])]
        status = subprocess.run(command, cwd=project.root, env=environment).returncode
        if status:
            raise RenderError(f"`quarto render` ended with status {status}", page)
    index = project.output_folder / "index.html"
    print(f"Done. Look at {relative(index)}")
    print(f"  {file_url(index)}")
    return 0
