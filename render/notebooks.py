"""`python -m render notebooks OUT [pages…]`: each lecture as a clean notebook.

The prose is kept as a reader of the notes sees it, cells keep their code; cell options become
metadata and tags. nbval runs these notebooks as tests, and students open them in JupyterLab.
"""

from __future__ import annotations

import argparse
import json
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from .check import ATTRIBUTES, DIV
from .dependencies import write_atomically
from .errors import RenderError
from .execute import setting
from .links import is_remote
from .project import PageFormat, Project
from .qmd import INLINE, Cell, Document, Markdown, parse

LINK = re.compile(r"(\]\()([^)\s]+)((?:\s+\"[^\"]*\")?\))")
# Divs whose content belongs to slides only, or to the speaker.
HIDDEN_CLASSES = ("notes", "footer", "hidden")


def command(arguments: list[str]) -> int:
    """Write the notebooks and print where they are."""
    from .__main__ import find_root, named_pages

    parser = argparse.ArgumentParser(
        prog="python -m render notebooks", description="Write each lecture as a notebook."
    )
    parser.add_argument("out", help="the folder to write to")
    parser.add_argument("pages", nargs="*", help=".qmd files; all with cells if none is named")
    options = parser.parse_args(arguments)
    project = Project.load(find_root(Path.cwd()))
    out = Path(options.out).resolve()
    written = []
    for path in named_pages(project, options.pages):
        document = parse(path, project.root)
        if not document.cells and not options.pages:
            continue
        page = project.formats(document)[0]
        target = out / f"{path.stem}.ipynb"
        text = json.dumps(notebook(document, page, out), ensure_ascii=False, indent=1) + "\n"
        data = text.encode("utf-8")
        if not target.is_file() or target.read_bytes() != data:
            write_atomically(target, data)
        written.append(target)
        print(f"{document.name} -> {os.path.relpath(target)}")
    if not written:
        raise RenderError("no page has cells, so there is no notebook to write")
    return 0


def notebook(document: Document, page: PageFormat, folder: Path) -> dict[str, Any]:
    """A document as a notebook (nbformat 4.5) without outputs.

    Parameters
    ----------
    folder: where the notebook will lie; links to files are rewritten as seen from there.
    """
    cells: list[dict[str, Any]] = []
    title = str(page.get("title") or document.path.stem)
    heading = f"# {title}\n"
    if page.get("subtitle"):
        heading += f"\n*{page.get('subtitle')}*\n"
    cells.append(_markdown_cell(heading))
    prose = _Prose(document, folder)
    for block in document.blocks:
        if isinstance(block, Markdown):
            text = prose.clean(block)
            if text:
                cells.append(_markdown_cell(text))
            continue
        if setting(block, page, "eval") is False:
            cells.append(_markdown_cell(f"```python\n{block.source}\n```\n"))
            continue
        if block.source:
            cells.append(_code_cell(block, page))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _markdown_cell(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.rstrip("\n")}


def _code_cell(cell: Cell, page: PageFormat) -> dict[str, Any]:
    tags = [str(tag) for tag in cell.options.get("tags") or []]
    if setting(cell, page, "error") is True:
        tags.append("raises-exception")
    if cell.options.get("echo") is False and cell.options.get("include") is not False:
        tags.append("hide-input")
    metadata: dict[str, Any] = {}
    if tags:
        metadata["tags"] = tags
    if cell.options:
        metadata["quarto"] = {key: value for key, value in cell.options.items() if key != "tags"}
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": metadata,
        "outputs": [],
        "source": cell.source,
    }


class _Prose:
    """Turns the Markdown of a lecture into the Markdown of a notebook, through its divs."""

    def __init__(self, document: Document, folder: Path):
        self.base = document.path.parent
        self.folder = folder
        self.stack: list[bool] = []

    def clean(self, block: Markdown) -> str:
        kept: list[str] = []
        for line in block.lines:
            text = line.text
            if line.verbatim:
                if not any(self.stack):
                    kept.append(text)
                continue
            div = DIV.match(text)
            if div:
                self._div(div["rest"], kept)
                kept.append("")
                continue
            if any(self.stack) or text.strip() in (". . .", "{{< pagebreak >}}"):
                continue
            kept.append(self._line(text))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")

    def _div(self, rest: str, kept: list[str]) -> None:
        if not rest:
            if self.stack:
                self.stack.pop()
            return
        slides_only = bool(
            re.search(r"content-visible", rest) and re.search(r"when-format=\"?revealjs", rest)
        ) and "unless-format" not in rest
        slides_only = slides_only or bool(
            re.search(r"content-hidden", rest) and re.search(r"unless-format=\"?revealjs", rest)
        )
        hidden = slides_only or any(
            re.search(rf"(?:^|\.|\s){name}(?:\s|\}}|$)", rest) for name in HIDDEN_CLASSES
        )
        self.stack.append(hidden)
        title = re.search(r"title=\"((?:\\.|[^\"])*)\"", rest)
        if not hidden and "callout" in rest and title:
            kept.append(f"**{title[1]}**")

    def _line(self, text: str) -> str:
        text = INLINE.sub(lambda match: f"`{match[1].strip()}`", text)
        text = re.sub(r"^(#+ .*?)\s*\{[^{}]*\}\s*$", r"\1", text)
        text = re.sub(r"(\]\([^)]*\))\{[^{}]*\}", r"\1", text)
        text = re.sub(r"\[([^\]]*)\]" + ATTRIBUTES.pattern, r"\1", text)
        return LINK.sub(self._link, text)

    def _link(self, match: re.Match) -> str:
        target = match[2]
        if is_remote(target) or target.startswith(("#", "/")):
            return match[0]
        path, mark, rest = target.partition("#")
        moved = os.path.relpath(self.base / path, self.folder).replace(os.sep, posixpath.sep)
        return f"{match[1]}{moved}{mark}{rest}{match[3]}"
