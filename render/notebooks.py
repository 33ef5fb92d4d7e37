"""`python -m render notebooks OUT [pages…]`: each lecture as a clean notebook.

The prose is kept as a reader of the notes sees it, cells keep their code; cell options become
metadata and tags. A badge and a set-up cell make each run on Colab too. nbval runs these notebooks
as tests, and students open them in JupyterLab or on Colab.
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
from .colab import Repository
from .dependencies import write_atomically
from .errors import RenderError
from .execute import setting
from .links import is_remote
from .page import bibliographies
from .project import PageFormat, Project
from .qmd import INLINE, Cell, Document, Markdown, parse

LINK = re.compile(r"(\]\()([^)\s]+)((?:\s+\"[^\"]*\")?\))")
CITATION = re.compile(r"\[([^\[\]]*@[\w:.-]*\w[^\[\]]*)\](?![({])")
NO_LINK = "\0"  # marks the end of words that were a link
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
    pages = named_pages(project, options.pages)
    made = outputs(project, Path(options.out).resolve(), pages, even_without_cells=options.pages)
    if not made:
        raise RenderError("no page has cells, so there is no notebook to write")
    for target, (name, data) in made.items():
        if not target.is_file() or target.read_bytes() != data:
            write_atomically(target, data)
        print(f"{name} -> {os.path.relpath(target)}")
    return 0


def outputs(
    project: Project, folder: Path, pages: list[Path], even_without_cells: bool = False
) -> dict[Path, tuple[str, bytes]]:
    """Each notebook's path in `folder`, with its page's name and what the file should hold."""
    # Colab opens what is published, and so do the badges; a notebook elsewhere has none.
    published = folder.is_relative_to(project.root) and project.website.get("repo-url")
    repository = Repository.of(project) if published else None
    made = {}
    for path in pages:
        document = parse(path, project.root)
        if not document.cells and not even_without_cells:
            continue
        page = project.formats(document)[0]
        target = folder / f"{path.stem}.ipynb"
        references = read_references(bibliographies(project, document))
        each = notebook(document, page, folder, references)
        if repository is not None:
            name = target.relative_to(project.root).as_posix()
            each["cells"][:1] = [
                {**_markdown_cell(repository.badge(name)), "id": "badge"},
                each["cells"][0],
                {**_code(repository.setup(), {}), "id": "setup"},
            ]
        text = json.dumps(each, ensure_ascii=False, indent=1) + "\n"
        made[target] = (document.name, text.encode("utf-8"))
    return made


def notebook(
    document: Document, page: PageFormat, folder: Path, references: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A document as a notebook (nbformat 4.5) without outputs.

    Parameters
    ----------
    folder: where the notebook will lie; links to files are rewritten as seen from there.
    references: the bibliography as `read_references` returns it.
    """
    cells: list[dict[str, Any]] = []
    title = str(page.get("title") or document.path.stem)
    heading = f"# {title}\n"
    if page.get("subtitle"):
        heading += f"\n*{page.get('subtitle')}*\n"
    cells.append(_markdown_cell(heading))
    prose = _Prose(document, folder, references or {})
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
    return _code(cell.source, metadata)


def _code(source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": metadata,
        "outputs": [],
        "source": source,
    }


def read_references(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """The entries of BibTeX files by their key, as CSL JSON has them."""
    import pypandoc

    entries: list[dict[str, Any]] = []
    for path in paths:
        if path.suffix == ".bib":
            entries += json.loads(pypandoc.convert_file(str(path), "csljson", format="biblatex"))
    return {entry["id"]: entry for entry in entries}


def short_reference(entry: dict[str, Any]) -> str:
    """Authors and year: `LeCun et al. 1998`."""
    names = [each.get("family") or each.get("literal", "") for each in entry.get("author", [])]
    if len(names) > 2:
        names = [f"{names[0]} et al."]
    year = str(entry.get("issued", {}).get("date-parts", [["n.d."]])[0][0])
    return " ".join([" and ".join(names) or entry.get("title", entry["id"]), year])


def long_reference(entry: dict[str, Any]) -> str:
    """Authors, year, title and where to find it."""
    place = entry.get("container-title") or entry.get("publisher")
    link = entry.get("URL") or (f"https://doi.org/{entry['DOI']}" if entry.get("DOI") else "")
    words = [
        short_reference(entry),
        entry.get("title", ""),
        f"*{place}*" if place else "",
        f"<{link}>" if link else "",
    ]
    return ". ".join(each.rstrip(".") for each in words if each)


class _Prose:
    """Turns the Markdown of a lecture into the Markdown of a notebook, through its divs."""

    def __init__(self, document: Document, folder: Path, references: dict[str, dict[str, Any]]):
        self.base = document.path.parent
        self.folder = folder
        self.references = references
        self.cited: list[str] = []
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
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
        # Notebooks know neither definition lists nor captions of tables.
        caption = r"(?<=\|\n\n): (.+?)(?:\s*\{[^{}]*\})?$"
        text = re.sub(caption, r"*\1*", text, flags=re.MULTILINE)
        return re.sub(r"^([^\s|].*)\n\n?:[ ]+(?=\S)", r"- **\1**: ", text, flags=re.MULTILINE)

    def _div(self, rest: str, kept: list[str]) -> None:
        if not rest:
            if self.stack:
                self.stack.pop()
            return
        slides_only = (
            bool(re.search(r"content-visible", rest) and re.search(r"when-format=\"?revealjs", rest))
            and "unless-format" not in rest
        )
        slides_only = slides_only or bool(
            re.search(r"content-hidden", rest) and re.search(r"unless-format=\"?revealjs", rest)
        )
        hidden = slides_only or any(
            re.search(rf"(?:^|\.|\s){name}(?:\s|\}}|$)", rest) for name in HIDDEN_CLASSES
        )
        self.stack.append(hidden)
        if "#refs" in rest and not any(self.stack):
            kept += [f"- {long_reference(self.references[key])}" for key in sorted(self.cited)]
        title = re.search(r"title=\"((?:\\.|[^\"])*)\"", rest)
        if not hidden and "callout" in rest and title:
            kept.append(f"**{title[1]}**")

    def _line(self, text: str) -> str:
        text = INLINE.sub(lambda match: f"`{match[1].strip()}`", text)
        text = re.sub(r"^(#+ .*?)\s*\{[^{}]*\}\s*$", r"\1", text)
        text = re.sub(r"(\]\([^)]*\))\{[^{}]*\}", r"\1", text)
        text = re.sub(r"\[([^\]]*)\]" + ATTRIBUTES.pattern, r"\1", text)
        text = CITATION.sub(self._citation, text)
        text = LINK.sub(self._link, text)
        return re.sub(r"\[([^\[\]]*)" + NO_LINK, r"\1", text)

    def _citation(self, match: re.Match) -> str:
        words = []
        for part in match[1].split(";"):
            before, key, after = re.fullmatch(r"(.*?)-?@([\w:.-]*\w)(.*)", part.strip()).groups()
            if key not in self.references:
                return match[0]
            if key not in self.cited:
                self.cited.append(key)
            words.append(f"{before}{short_reference(self.references[key])}{after}")
        return f"({'; '.join(words)})"

    def _link(self, match: re.Match) -> str:
        target = match[2]
        if is_remote(target) or target.startswith(("#", "/")):
            return match[0]
        path, mark, rest = target.partition("#")
        if path.endswith(".html") or (path.endswith(".qmd") and not self._is_lecture(path)):
            # A page of the site, which lies elsewhere than the notebook: the words stay.
            return NO_LINK
        if path.endswith(".qmd"):
            return f"{match[1]}{Path(path).stem}.ipynb{match[3]}"
        moved = os.path.relpath(self.base / path, self.folder).replace(os.sep, posixpath.sep)
        return f"{match[1]}{moved}{mark}{rest}{match[3]}"

    def _is_lecture(self, path: str) -> bool:
        return (self.base / path).resolve().parent == self.base.resolve()
