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
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from render.__main__ import run_command
    from render.cells import RESULT, assemble
    from render.files import write_changed
    from render.notebook import refuse_work
    from render.project import PageFormat, Project
    from render.qmd import Cell, Document, RenderError, raise_all
    from render.site import Site
except ImportError as missing:
    sys.exit(
        f"{sys.executable} has no module {missing.name}: run Quarto in the environment of "
        "requirements.txt, or name its Python in QUARTO_PYTHON"
    )

FREEZER = "_freeze"
CONDITIONS = {"revealjs": 'when-format="revealjs"', "html": 'unless-format="revealjs"'}
# The notes to a cell's code, which Quarto looks for right below it.
ANNOTATED = re.compile(r"[#/]\s*<\d+>[ \t]*$", re.MULTILINE)
LISTED = re.compile(r"\n*(?:[ \t]*\d+[.)][ \t].*\n(?:[ \t]*\S.*\n|\n+(?=[ \t]+\S|\d+[.)][ \t]))*)+")


def frozen(
    source: str, document: Document, formats: list[PageFormat], notebooks: dict
) -> tuple[dict, dict[str, bytes]]:
    """What Quarto would keep of a page: its result for all formats, and the figures by their names."""
    made = {each.name: assemble(document, notebooks[each.name], each, for_quarto=True) for each in formats}
    document.check()
    parts, figures = [], {}
    together = notebooks[formats[0].name] is notebooks[formats[-1].name]
    for index, block in enumerate(document.blocks):
        variants = {name: each.parts[index] for name, each in made.items()}
        # Figures of one execution are the same file twice.
        plain = {
            text.replace(f"/figure-{name}/", "/figure-html/") if together else text
            for name, text in variants.items()
        }
        if len(plain) == 1:
            parts += plain
        elif isinstance(block, Cell):
            for name, each in made.items():
                text, below = variants[name], "".join(each.parts[index + 1 : index + 2])
                if ANNOTATED.search(block.source) and (notes := LISTED.match(below)):
                    text += notes[0]
                    each.parts[index + 1] = below[notes.end() :]
                opening = f":::::::: {{.content-visible {CONDITIONS[name]}}}"
                parts.append(f"\n{block.indent}{opening}\n{text}\n{block.indent}::::::::\n")
        else:
            split = (RESULT.split(text) for text in variants.values())
            for number, pieces in enumerate(zip(*split, strict=True)):
                if number % 2 == 0 and len({*pieces}) > 1:
                    message = "a result inside of maths, code or a title differs between slides and notes"
                    document.report(message, block.lines[0].number)
                spans = (
                    f"[{text}]{{.content-visible {CONDITIONS[name]}}}" for name, text in zip(made, pieces)
                )
                parts.append(pieces[0] if len({*pieces}) == 1 else "".join(spans))
    document.check()
    parts = [RESULT.sub(r"\1", text) for text in parts]
    for name, each in made.items():
        for path, data in each.figures.items():
            figure = path.partition("_files/")[2]
            figures[figure] = data
            if together:
                figures[figure.replace(f"figure-{name}", "figure-html")] = data
    front = re.match(r"---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|$)", source)
    result = {
        "engine": "jupyter",
        "markdown": (front[0].rstrip("\n") + "\n\n" if front else "") + "".join(parts),
        "supporting": [f"{document.path.stem}_files"],
        "filters": [],
        "includes": {},
    }
    return {"hash": hashlib.md5(source.encode("utf-8")).hexdigest(), "result": result}, figures


async def freeze(project: Project) -> list[RenderError]:
    """Bring `_freeze/` up to date for all pages of a project; returns what went wrong on which."""
    site = Site(project)

    async def one(path: Path) -> None:
        folder = project.root / FREEZER / path.relative_to(project.root).with_suffix("")
        began = time.perf_counter()
        files = {}
        try:
            try:
                document, formats = site.load(path)
            except RenderError as error:
                print(f"Quarto executes this page itself: {error}", flush=True)
                return
            notebooks, what, why = await site.results(document, formats, lambda done, total: None)
            if any(notebooks.values()):
                content, files = frozen(path.read_text(encoding="utf-8-sig"), document, formats, notebooks)
                text = json.dumps(content, ensure_ascii=False, indent=2)
                files["execute-results/html.json"] = text.encode("utf-8")
                note = f" ({why})" if why else ""
                print(f"{document.name} ... {time.perf_counter() - began:.1f} s, {what}{note}", flush=True)
        finally:
            for old in folder.rglob("*"):
                if old.is_file() and old.relative_to(folder).as_posix() not in files:
                    old.unlink()
            for name, data in files.items():
                write_changed(folder / name, data)

    try:
        return await site.side_by_side(project.pages(), one)
    finally:
        site.store.fingerprints.save()


def main() -> None:
    """Freeze the pages where Quarto renders all of them; nobody's work is published."""

    def command(project: Project) -> int:
        refuse_work(project)
        problems = asyncio.run(freeze(project)) if os.environ.get("QUARTO_PROJECT_RENDER_ALL") else []
        if problems:
            print(
                f"Quarto does not start: {len(problems)} pages are told below, all at once. What the others "
                f"computed is kept in {FREEZER}/ and is not computed again. Mend these, then render again; "
                "until then `python -m render` makes the other pages.",
                flush=True,
            )
        raise_all(problems)
        return 0

    sys.exit(run_command(command))


if __name__ == "__main__":
    main()
