"""`python -m tools.notebooks OUT [pages…]`: each lecture as a clean notebook.

The prose is kept as a reader of the notes sees it, cells keep their code; cell options become
metadata and tags. A badge and a set-up cell make each run on Colab too. nbval runs these notebooks
as tests, and students open them in JupyterLab or on Colab.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from render.__main__ import run_command
from render.check import BRACES
from render.execute import setting
from render.frame import BADGE, Repository
from render.notebook import fingerprint
from render.page import bibliographies
from render.project import Project
from render.qmd import INLINE, Document, Markdown, parse
from tools.lab import write_notebooks

LINK = re.compile(r"(\]\()(<[^>]+>|[^)\s]+)((?:\s+\"[^\"]*\")?\))")
CITATION = re.compile(r"\[([^\[\]]*@[\w:.-]*\w[^\[\]]*)\](?![({])")
NO_LINK = "\0"  # marks the end of words that were a link
# Divs whose content belongs to slides only, or to the speaker.
HIDDEN = re.compile(
    r"content-visible.*when-format=\"?revealjs|content-hidden.*unless-format=\"?revealjs"
    r"|(?:^|\.|\s)(?:notes|footer|hidden)(?:\s|\}|$)"
)
DIV = re.compile(r"^\s*:{3,}\s*(?P<rest>.*?)\s*:*\s*$")

SETUP = """\
# On Colab this cell fetches the course. On your own computer it does nothing.
import os
import sys

if "google.colab" in sys.modules:
    if not os.path.exists("course/colab.py"):
        import subprocess

        folder = os.path.abspath("course-repository")
        for command in (
            ["init", "--quiet", folder],
            ["-C", folder, "fetch", "--quiet", "--depth", "1",
             "{url}", "{ref}"],
            ["-C", folder, "checkout", "--quiet", "FETCH_HEAD"],
        ):
            os.environ["GIT_TERMINAL_PROMPT"] = "0"
            done = subprocess.run(["git", *command], capture_output=True, encoding="utf-8")
            if done.returncode:
                why = (done.stderr.strip() or "git failed").splitlines()[-1]
                remedy = "check the network, then run this cell again"
                if "Username" in why or "not found" in why or "remote ref" in why:
                    remedy = "{url} is private, not there or without {ref}; tell your lecturer"
                problem = RuntimeError(f"The course could not be fetched: {{remedy}} ({{why}}).")
                problem._render_traceback_ = lambda: [str(problem)]
                raise problem
        os.chdir(folder)
        sys.path.insert(0, folder)
    from course.colab import prepare

    prepare()"""


def command(project: Project) -> int:
    """Write the notebooks and print where they are."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("out", help="the folder to write to")
    parser.add_argument("pages", nargs="*", help=".qmd files with cells; all if none is named")
    options = parser.parse_args()
    write_notebooks(outputs(project, Path(options.out).resolve(), project.named_pages(options.pages)))
    return 0


def outputs(project: Project, folder: Path, pages: list[Path]) -> dict[Path, bytes]:
    """What each notebook in `folder` should hold; a page without cells or slides has none."""
    # Colab opens what is published, and so do the badges; a notebook elsewhere has none.
    published = folder.is_relative_to(project.root) and project.website.get("repo-url")
    made = {}
    for path in pages:
        document = parse(path, project.root)
        if not document.cells or document.front.get("format") == "html":
            continue
        target = folder / f"{path.stem}.ipynb"
        cells = lecture_cells(project, document, folder)
        if published:
            name = target.relative_to(project.root).as_posix()
            cells[:1] = frame(Repository.of(project), name, cells[0]["source"], cells[0]["id"])
        made[target] = notebook(cells)
    return made


def lecture_cells(project: Project, document: Document, folder: Path) -> list[dict[str, Any]]:
    """A document as the cells of a notebook, with links as seen from the folder where it will lie."""
    page, prose = project.formats(document)[0], _Prose(project, document, folder)
    heading = f"# {page.get('title') or document.path.stem}"
    heading += f"\n\n*{page.get('subtitle')}*" if page.get("subtitle") else ""
    cells = [notebook_cell("markdown", heading, "cell-0")]
    for block in document.blocks:
        identifier = f"cell-{len(cells)}"
        if isinstance(block, Markdown):
            if text := prose.clean(block):
                cells.append(notebook_cell("markdown", text, identifier))
        elif not setting(block, page, "eval"):
            cells.append(notebook_cell("markdown", f"```python\n{block.source}\n```", identifier))
        elif block.source:
            options = {key: value for key, value in block.options.items() if key != "tags"}
            tags = [str(tag) for tag in block.options.get("tags") or []]
            if setting(block, page, "error"):
                tags.append("raises-exception")
            if block.options.get("echo") is False and block.options.get("include") is not False:
                tags.append("hide-input")
            cells.append(notebook_cell("code", block.source, identifier, tags=tags, quarto=options))
    return cells


def frame(repository: Repository, path: str, title: str, identifier: str) -> list[dict[str, Any]]:
    """The first cells of the notebook at `path`: the badge, its title, and the set-up cell."""
    image = posixpath.relpath(BADGE, posixpath.dirname(path))
    badge = f"[![Open in Colab]({image})]({repository.colab(path)})"
    advice = "On Colab, begin with *File > Save a copy in Drive*: what you write is lost otherwise."
    return [
        notebook_cell("markdown", f"{badge}\n\n{advice}", "badge"),
        notebook_cell("markdown", title, identifier),
        notebook_cell("code", setup_cell(repository), "setup"),
    ]


def setup_cell(repository: Repository) -> str:
    """The code of the cell that fetches the course on Colab."""
    return SETUP.format(url=repository.url, ref=repository.ref)


def notebook(cells: list[dict[str, Any]]) -> bytes:
    """A notebook file without outputs; its metadata tell later with which cells it was written."""
    from nbformat import v4, writes

    metadata = {
        "course": {"cells": fingerprint(cells)},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return (writes(v4.new_notebook(cells=cells, metadata=metadata)) + "\n").encode("utf-8")


def notebook_cell(kind: str, source: str, identifier: str, **metadata: Any) -> dict[str, Any]:
    """A cell of the kind "markdown" or "code"; empty metadata are left out."""
    from nbformat import v4

    kept = {key: value for key, value in metadata.items() if value}
    new_cell = v4.new_markdown_cell if kind == "markdown" else v4.new_code_cell
    return new_cell(source, id=identifier, metadata=kept)


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
    words = [short_reference(entry), entry.get("title", ""), place and f"*{place}*", link and f"<{link}>"]
    return ". ".join(each.rstrip(".") for each in words if each)


class _Prose:
    """Turns the Markdown of a lecture into the Markdown of a notebook, through its divs."""

    def __init__(self, project: Project, document: Document, folder: Path):
        import pypandoc

        self.base, self.folder = document.path.parent, folder
        files = bibliographies(project, document)
        made = (pypandoc.convert_file(str(path), "csljson", format="biblatex") for path in files)
        self.references = {entry["id"]: entry for text in made for entry in json.loads(text)}
        self.cited: set[str] = set()
        self.hidden: list[bool] = []  # for each div around this line

    def clean(self, block: Markdown) -> str:
        kept: list[str] = []
        for line in block.lines:
            div = None if line.verbatim else DIV.match(line.text)
            if div:
                kept += [*self._div(div["rest"]), ""]
            elif not any(self.hidden) and (line.verbatim or line.text.strip() != ". . ."):
                kept.append(line.text if line.verbatim else self._line(line.text))
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
        # Notebooks know neither definition lists nor captions of tables.
        caption = r"(?<=\|\n\n): (.+?)(?:\s*\{[^{}]*\})?$"
        text = re.sub(caption, r"*\1*", text, flags=re.MULTILINE)
        return re.sub(r"^([^\s|].*)\n\n?:[ ]+(?=\S)", r"- **\1**: ", text, flags=re.MULTILINE)

    def _div(self, rest: str) -> list[str]:
        """Enter or leave a div; returns what stands in its place."""
        if not rest:
            self.hidden = self.hidden[:-1]
            return []
        self.hidden.append(bool(HIDDEN.search(rest)))
        if "#refs" in rest and not any(self.hidden):
            return [f"- {long_reference(self.references[key])}" for key in sorted(self.cited)]
        title = re.search(r"title=\"((?:\\.|[^\"])*)\"", rest)
        return [f"**{title[1]}**"] if title and "callout" in rest and not self.hidden[-1] else []

    def _line(self, text: str) -> str:
        text = INLINE.sub(lambda match: f"`{match[1].strip()}`", text)
        text = re.sub(r"^(#+ .*?)\s*\{[^{}]*\}\s*$", r"\1", text)
        text = re.sub(r"(\]\([^)]*\))\{[^{}]*\}", r"\1", text)
        text = re.sub(r"\[([^\]]*)\]" + BRACES.pattern, r"\1", text)
        text = CITATION.sub(self._citation, text)
        text = LINK.sub(self._link, text)
        return re.sub(r"\[([^\[\]]*)" + NO_LINK, r"\1", text)

    def _citation(self, match: re.Match) -> str:
        words = []
        for part in match[1].split(";"):
            before, key, after = re.fullmatch(r"(.*?)-?@([\w:.-]*\w)(.*)", part.strip()).groups()
            if key not in self.references:
                return match[0]
            self.cited.add(key)
            words.append(f"{before}{short_reference(self.references[key])}{after}")
        return f"({'; '.join(words)})"

    def _link(self, match: re.Match) -> str:
        target = match[2].strip("<>").replace(" ", "%20")
        if re.match(r"[a-zA-Z][\w+.-]*:|[/#]", target):
            return match[0]
        path, mark, rest = target.partition("#")
        source = self.base / path
        if path.endswith(".qmd") and source.resolve().parent == self.base.resolve():
            moved = f"{source.stem}.ipynb"
        elif path.endswith((".html", ".qmd")):
            # A page of the site, which lies elsewhere than the notebook: the words stay.
            return NO_LINK
        else:
            moved = os.path.relpath(source, self.folder).replace(os.sep, "/") + mark + rest
        return f"{match[1]}{moved}{match[3]}"


if __name__ == "__main__":
    sys.exit(run_command(command))
