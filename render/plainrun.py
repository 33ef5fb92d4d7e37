"""`python -m render run pages…`: the cells of each page in a plain process, output as it comes.

`make train` refits models this way: progress bars draw in the terminal and Ctrl-C stops at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

from .errors import RenderError
from .execute import kernel_environment, steps
from .project import Project
from .qmd import Cell, parse


def command(arguments: list[str]) -> int:
    """Run pages one after the other, each in a fresh process; stop at the first failure."""
    from .__main__ import find_root, named_pages

    parser = argparse.ArgumentParser(
        prog="python -m render run", description="Run the cells of pages with live output."
    )
    parser.add_argument("pages", nargs="+", help=".qmd files")
    options = parser.parse_args(arguments)
    project = Project.load(find_root(Path.cwd()))
    pages = named_pages(project, options.pages)
    if len(pages) == 1:
        run(project, pages[0])
        return 0
    for page in pages:
        process = subprocess.Popen([sys.executable, "-m", "render", "run", str(page)])
        try:
            status = process.wait()
        except KeyboardInterrupt:
            # The terminal has sent Ctrl-C to the child as well; let it finish its own way out.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            if process.poll() is None:
                process.kill()
            raise
        if status:
            return status
    return 0


def run(project: Project, path: Path) -> None:
    """Run the cells of one page in this process, in the project's folder.

    Raises
    ------
    RenderError: a cell failed, with file, line and traceback.
    """
    document = parse(path, project.root)
    page = project.formats(document)[0]
    os.chdir(project.root)
    if str(project.root) not in sys.path:
        sys.path.insert(0, str(project.root))
    for name, value in kernel_environment(page.figure_settings).items():
        os.environ[name] = value
    os.environ.setdefault("MPLBACKEND", "agg")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    warnings.filterwarnings("ignore", message=".*is non-interactive, and thus cannot be shown")
    started = time.perf_counter()
    print(f"Running {document.name}", flush=True)
    for step in steps(document, page):
        block = document.blocks[step.block]
        if not isinstance(block, Cell):
            continue
        print(f"--- {block.path}:{block.line} {block.name}", flush=True)
        result = shell.run_cell(step.source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt
        if error is not None and not step.allow_error:
            # The shell has printed the traceback.
            raise RenderError(f"{block.name} failed: {type(error).__name__}: {error}", block.path, block.line)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
    print(f"Finished {document.name} in {time.perf_counter() - started:.0f} s", flush=True)
