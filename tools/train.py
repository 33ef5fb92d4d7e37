"""`python -m tools.train pages…`: run the cells of pages in the terminal, each page in a process of its own.

`make train` refits models this way: progress bars draw in the terminal, Ctrl-C stops at once, and so does
the first failure. Pages are not rendered.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from argparse import ArgumentParser

from render.__main__ import run_command
from render.execute import kernel_environment, steps
from render.project import Project
from render.qmd import Cell, Document, parse


def command(project: Project) -> int:
    """Run the pages that the command line names; returns the exit status."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", help=".qmd files")
    pages = project.named_pages(parser.parse_args().pages)
    if len(pages) == 1:
        run(project, parse(pages[0], project.root))
        return 0
    children = (subprocess.call([sys.executable, "-m", "tools.train", str(page)]) for page in pages)
    return next((status for status in children if status), 0)


def run(project: Project, document: Document) -> None:
    """Run the cells of one page in this process, output as it comes."""
    page = project.formats(document)[0]
    os.environ.update({"MPLBACKEND": "agg"} | kernel_environment(page.figure_settings, project.root))
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    warnings.filterwarnings("ignore", message=".*is non-interactive, and thus cannot be shown")
    started = time.perf_counter()
    print(f"Running {document.name}", flush=True)
    for step in steps(document, page):
        block = document.blocks[step.block]
        if not isinstance(block, Cell):
            continue
        print(f"--- {document.name}:{block.line} {block.name}", flush=True)
        result = shell.run_cell(step.source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, KeyboardInterrupt):
            raise error
        if error is not None and not step.allow_error:
            raise document.problem(f"{block.name} failed: {type(error).__name__}: {error}", block.line)
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
    print(f"Finished {document.name} in {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(command))
