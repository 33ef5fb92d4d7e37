"""The commands: `python -m render [pages…]`, and its `notebooks`, `exercises` and `run`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from .errors import RenderError
from .project import Project


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 after an error, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        # Under LANG=C a message with a Chinese file name must not end the render.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        if arguments[:1] == ["notebooks"]:
            from .notebooks import command

            return command(arguments[1:])
        if arguments[:1] == ["exercises"]:
            from .exercises import command

            return command(arguments[1:])
        if arguments[:1] == ["run"]:
            from .plainrun import command

            return command(arguments[1:])
        if arguments[:1] == ["pdf"]:
            from .pdf import command

            return command(arguments[1:])
        return render(arguments)
    except RenderError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # A full disk or a folder that may not be written to.
        print(f"\nError: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Finished pages are whole; the others are as they were.", file=sys.stderr)
        return 130


def _terminate(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def render(arguments: list[str]) -> int:
    """Render all pages or the named ones, through Quarto where there is one."""
    parser = argparse.ArgumentParser(
        prog="python -m render",
        description="Render the site, or some of its pages, to _site/. Other commands: "
        "`python -m render notebooks OUT [pages]`, `python -m render run pages` and "
        "`python -m render pdf`.",
    )
    parser.add_argument("pages", nargs="*", help=".qmd files; all pages if none is named")
    parser.add_argument(
        "--engine",
        choices=("auto", "pip", "quarto"),
        default="auto",
        help="auto (default): Quarto where version 1.7 or later is on the PATH, else pip",
    )
    options = parser.parse_args(arguments)
    from . import engine

    project = Project.load(find_root(Path.cwd()))
    pages = named_pages(project, options.pages)
    quarto = engine.choose(options.engine)
    if quarto is not None:
        return engine.render_with_quarto(quarto, project, pages if options.pages else [])
    return asyncio.run(_render_pip(project, pages, everything=not options.pages))


def find_root(start: Path) -> Path:
    """The nearest folder upwards that holds `_quarto.yml`."""
    for folder in (start, *start.parents):
        if (folder / "_quarto.yml").is_file():
            return folder
    raise RenderError(f"there is no _quarto.yml in {start} or above it")


def named_pages(project: Project, names: list[str]) -> list[Path]:
    """The pages that the command line names, or all of the project."""
    if not names:
        return project.pages()
    pages = []
    for name in names:
        path = Path(name)
        if not path.is_file() and (project.root / name).is_file():
            path = project.root / name
        if not path.is_file():
            raise RenderError(f"the page '{name}' does not exist")
        if path.suffix != ".qmd":
            raise RenderError(f"'{name}' is not a .qmd file")
        path = path.resolve()
        if not path.is_relative_to(project.root):
            raise RenderError(f"'{name}' lies outside of the project {project.root}")
        pages.append(path)
    return pages


async def _render_pip(project: Project, pages: list[Path], everything: bool) -> int:
    from .site import Site, clean_unlisted, file_url, relative

    started = time.perf_counter()
    print("Rendering with the pip-only renderer (pandoc and reveal.js from packages)")
    site = Site(project)
    terminal = sys.stdout.isatty()
    try:
        site.copy_shared()
        for number, path in enumerate(pages, 1):
            head = f"[{number}/{len(pages)}] {site.load(path)[0].name} ... "

            def progress(done: int, total: int, head: str = head) -> None:
                if terminal:
                    print(f"\r{head}cell {done + 1} of {total}", end="\x1b[K", flush=True)

            if terminal:
                print(head, end="", flush=True)
            # Ctrl-C is noticed where this task gives way.
            await asyncio.sleep(0)
            outcome = await site.render(path, progress)
            note = f" ({outcome.reason})" if outcome.reason else ""
            print(
                ("\r" if terminal else "")
                + f"{head}{outcome.seconds:.1f} s, {outcome.what}{note}"
                + ("\x1b[K" if terminal else ""),
                flush=True,
            )
        if everything:
            for name in clean_unlisted(site):
                print(f"removed {name}, which no page makes any more")
    except RenderError:
        # Ctrl-C in a terminal ends pandoc as well; that is no error of the page.
        if asyncio.current_task().cancelling():
            raise asyncio.CancelledError from None
        raise
    finally:
        site.store.fingerprints.save()
    index = site.output / "index.html"
    print(f"Done in {time.perf_counter() - started:.1f} s. Look at {relative(index)}")
    print(f"  {file_url(index)}")
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # os._exit is not used: atexit handlers end kernels that are still alive.
    sys.exit(status)
