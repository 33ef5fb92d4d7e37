"""Gives Quarto the executed pages, so that each cell runs once for both formats and again when it must.

Quarto runs this file before each render (`project: pre-render:` in _quarto.yml). Of a whole project it
executes what is not as it was (see `cache`), side by side, and writes what it has to `_freeze/`, from where
`execute: freeze: auto` takes it. Quarto itself compares the text of a page alone and knows one result for
both formats here, since the names of both pages end in `.html`; so what has gone stale is removed, and what
differs between slides and notes stands there twice, each for its format.
A page that is rendered alone, and what the renderer does not know, is executed by Quarto.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FREEZER = "_freeze"


def frozen(source: str, document, formats: list, notebooks: dict) -> tuple[dict, dict]:
    """What Quarto would keep of a page: its result for all formats, and the figures by their names."""
    from render.cells import assemble

    made = {each.name: assemble(document, notebooks[each.name], each, for_quarto=True) for each in formats}
    document.check()
    first = formats[0].name
    parts = []
    for index in range(len(made[first].parts)):
        variants = {name: each.parts[index] for name, each in made.items()}
        # Figures of one execution are the same file twice.
        plain = {text.replace(f"/figure-{name}/", "/figure-html/") for name, text in variants.items()}
        if len(plain) == 1 and notebooks[first] is notebooks[formats[-1].name]:
            parts.append(variants[first].replace(f"/figure-{first}/", "/figure-html/"))
            continue
        for name, text in variants.items():
            condition = 'when-format="revealjs"' if name == "revealjs" else 'unless-format="revealjs"'
            parts.append(f"\n:::::::: {{.content-visible {condition}}}\n{text}\n::::::::\n")
    figures = {}
    for name, each in made.items():
        for path, data in each.figures.items():
            figures[path.partition("_files/")[2]] = data
            figures[path.partition("_files/")[2].replace(f"figure-{name}", "figure-html")] = data
    lines = source.split("\n")
    end = next((n for n, line in enumerate(lines) if n and line.rstrip() in ("---", "...")), -1)
    front = "\n".join(lines[: end + 1]) + "\n\n" if lines[0].rstrip() == "---" else ""
    result = {
        "engine": "jupyter",
        "markdown": front + "".join(parts),
        "supporting": [f"{document.path.stem}_files"],
        "filters": [],
        "includes": {},
    }
    return {"hash": hashlib.md5(source.encode("utf-8")).hexdigest(), "result": result}, figures


async def freeze(project) -> list:
    """Bring `_freeze/` up to date for all pages of a project; returns what went wrong on which."""
    from render.qmd import RenderError
    from render.quarto_post_render import write_changed
    from render.site import Site

    site = Site(project)

    async def one(path: Path) -> None:
        folder = project.root / FREEZER / path.relative_to(project.root).with_suffix("")
        began = time.perf_counter()
        try:
            document, formats = site.load(path)
        except RenderError as error:
            shutil.rmtree(folder, ignore_errors=True)
            print(f"Quarto executes this page itself: {error}", flush=True)
            return
        try:
            notebooks, what, why = await site.results(document, formats, lambda done, total: None)
        except RenderError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if not any(notebooks.values()):
            shutil.rmtree(folder, ignore_errors=True)
            return
        content, figures = frozen(path.read_text(encoding="utf-8-sig"), document, formats, notebooks)
        kept = {folder / name for name in figures}
        for old in folder.glob("figure-*/*"):
            if old not in kept:
                old.unlink()
        for name, data in figures.items():
            write_changed(folder / name, data)
        text = json.dumps(content, ensure_ascii=False, indent=2)
        write_changed(folder / "execute-results" / "html.json", text.encode("utf-8"))
        note = f" ({why})" if why else ""
        print(f"{document.name} ... {time.perf_counter() - began:.1f} s, {what}{note}", flush=True)

    try:
        return await site.side_by_side(project.pages(), one)
    finally:
        site.store.fingerprints.save()


def main() -> int:
    """Freeze the pages where Quarto renders all of them; returns the exit status."""
    if not os.environ.get("QUARTO_PROJECT_RENDER_ALL"):
        return 0
    sys.path.insert(0, str(ROOT))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        import nbclient  # noqa: F401  (what runs the cells)

        from render.project import Project
        from render.qmd import RenderError, raise_all
    except ImportError as error:
        print(
            f"{sys.executable} has no module {error.name}: run Quarto in the environment of "
            "requirements.txt, or name its Python in QUARTO_PYTHON",
            file=sys.stderr,
        )
        return 1
    try:
        raise_all(asyncio.run(freeze(Project.load(Path.cwd()))))
    except RenderError as error:
        print("", *(f"Error: {each}" for each in error.told()), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
