"""The command `python -m render [pages…]`."""

from __future__ import annotations

import argparse
import asyncio
import functools
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .engine import choose, render_with_quarto
from .files import shown_path
from .project import Project
from .qmd import RenderError, raise_all

MOVED = {"run": "train", "notebooks": "notebooks", "exercises": "exercises", "pdf": "pdf"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 after an error, 130 after Ctrl-C."""
    return run_command(lambda project: render(project, arguments))


def run_command(command: Callable[[Project], int]) -> int:
    """Run a command on the project of this folder, its faults told; returns the exit status as `main`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    for stream in (sys.stdout, sys.stderr):
        # Under LANG=C a message with a Chinese file name must not end the render.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        return command(Project.load(Path.cwd()))
    except RenderError as error:
        print("", *(f"Error: {each}" for each in error.told()), sep="\n", file=sys.stderr)
        return 1
    except OSError as error:
        # A full disk or a folder that may not be written to.
        print(f"\nError: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Finished pages are whole; the others are as they were.", file=sys.stderr)
        return 130


def render(project: Project, arguments: list[str] | None) -> int:
    """Render all pages or the named ones, through Quarto where there is one."""
    parser = argparse.ArgumentParser(
        prog="python -m render", description="Render the site, or some of its pages, to _site/."
    )
    parser.add_argument("pages", nargs="*", help=".qmd files; all pages if none is named")
    about = "auto (default): Quarto where version 1.7 or later is on the PATH, else pip"
    parser.add_argument("--engine", choices=("auto", "pip", "quarto"), default="auto", help=about)
    options = parser.parse_args(arguments)
    if (first := "".join(options.pages[:1])) in MOVED:
        raise RenderError(f"`python -m render {first}` is `python -m tools.{MOVED[first]}` now")
    started = time.perf_counter()
    pages = project.named_pages(options.pages)
    quarto = choose(options.engine)
    if quarto is not None:
        render_with_quarto(quarto, project, pages if options.pages else [])
    else:
        _render_pip(project, pages, everything=not options.pages)
    index = project.output_folder / "index.html"
    print(f"Done in {time.perf_counter() - started:.1f} s. Look at {shown_path(index)}")
    print(f"  {index.resolve().as_uri()}")
    return 0


class Progress:
    """One line in a terminal about the pages that are running, above it those that are done."""

    def __init__(self, number: int):
        self.number, self.done, self.running = number, 0, {}
        self.clear = "\r\x1b[K" if sys.stdout.isatty() else ""

    def step(self, name: str, done: int, total: int) -> None:
        """Say how many steps of a page are done."""
        self.running[name] = f"{name} cell {done + 1} of {total}"
        if self.clear:
            line = " | ".join(self.running.values())
            print(f"{self.clear}{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)

    def page(self, name: str, seconds: float, what: str) -> None:
        """Say that a page is done, and what was done."""
        self.running.pop(name, None)
        self.done += 1
        self.number = max(self.number, self.done)  # some run again
        print(f"{self.clear}[{self.done}/{self.number}] {name} ... {seconds:.1f} s, {what}", flush=True)


def _render_pip(project: Project, pages: list[Path], everything: bool) -> None:
    from .site import Site

    print("Rendering with the pip-only renderer (pandoc and reveal.js from packages)")
    site, progress = Site(project), Progress(len(pages))

    async def one(path: Path) -> None:
        name, began = path.relative_to(project.root).as_posix(), time.perf_counter()
        what, reason = "not rendered, see below", ""
        try:
            what, reason = await site.render(path, functools.partial(progress.step, name))
        finally:
            note = f" ({reason})" if reason else ""
            progress.page(name, time.perf_counter() - began, f"{what}{note}")

    try:
        site.planned_outputs()
        site.copy_shared()
        raise_all(asyncio.run(site.side_by_side(pages, one)))
        for name in site.remove_unlisted() if everything else ():
            print(f"removed {name}, which no page makes any more")
        site.frame.write_data()
    finally:
        site.store.fingerprints.save()


if __name__ == "__main__":
    # Not os._exit: atexit handlers end kernels that are still alive.
    sys.exit(main())
